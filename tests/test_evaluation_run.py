"""The same table, whoever computes it: again, with more processes, or after it was stopped."""

import dataclasses
import json
import signal
import subprocess
import sys
import time

import pytest
import torch

from hiersep.config import EvaluationConfig
from hiersep.errors import CheckpointError, ConfigError, DataError
from hiersep.evaluation import evaluate, read_results, results, run
from hiersep.evaluation.names import PARTS_NAME
from hiersep.files import lock_folder
from hiersep.models import checkpoint
from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator
from hiersep.models.tree import TreeSeparator

PATH = ["strings_guitars_keyboards", "guitar", "clean_guitars"]
OPTIONS = {"network": {"hidden_size": 3, "num_layers": 1}, "spectrum": {"n_fft": 256, "hop_length": 128}}
# Two chunks of clips.
SETTINGS = EvaluationConfig(duration=1.0, query_duration=0.5, num_test=8, num_static=3, batch_size=1)
TEXTS = ("scores.csv", "clips.json", "results.md")
PICTURES = ("levels.png", "improvement.png")


def network(kind="path"):
    torch.manual_seed(0)
    if kind == "path":
        return PathSeparator("slakh_ismir2020", PATH, **OPTIONS)
    if kind == "query":
        return QuerySeparator("slakh_ismir2020", query={"hidden_size": 3, "num_layers": 1}, **OPTIONS)
    tree = TreeSeparator("slakh_ismir2020", **OPTIONS)
    coarse = [node.id for node in tree.hierarchy.nodes[1:] if node.depth < 3]
    return TreeSeparator("slakh_ismir2020", coarse, **OPTIONS)


def texts(folder):
    return {name: (folder / name).read_bytes() for name in TEXTS}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "best.safetensors"
    checkpoint.save(network(), path)
    return path


@pytest.fixture(scope="module")
def done(model, rendered, tmp_path_factory):
    out = tmp_path_factory.mktemp("done")
    evaluate(model, rendered, SETTINGS, out=out, device="cpu")
    return out


def test_the_folder_holds_clips_scores_figures_a_table_and_pictures_and_nothing_else(done, rendered, model):
    assert {path.name for path in done.iterdir()} == {*TEXTS, *PICTURES, "results.json"}
    for name in PICTURES:
        assert (done / name).read_bytes().startswith(b"\x89PNG")
    found = read_results(done)
    assert {"commit", "seconds", "machine", "device", "torch", "command", "settings", "key"} <= set(found)
    assert (found["model"], found["data"], found["clips"]) == (str(model), str(rendered), 8)
    assert found["settings"]["seed"] == 0
    assert list(found["nodes"]) == PATH
    assert "network" in (done / "results.md").read_text(encoding="utf-8")


def test_two_jobs_give_the_same_where_the_settings_name_what_sounds(model, rendered, tmp_path):
    settings = dataclasses.replace(SETTINGS, salient=[PATH[0]])
    for jobs in (1, 2):
        evaluate(model, rendered, settings, out=tmp_path / str(jobs), jobs=jobs, device="cpu")
    assert texts(tmp_path / "1") == texts(tmp_path / "2")


def test_evaluating_twice_gives_the_same(model, rendered, done, tmp_path):
    evaluate(model, rendered, SETTINGS, out=tmp_path, device="cpu")
    assert texts(tmp_path) == texts(done)


def test_the_network_itself_gives_what_its_checkpoint_gives(rendered, done, tmp_path):
    in_memory = evaluate(network(), rendered, SETTINGS, device="cpu")
    evaluate(network(), rendered, SETTINGS, out=tmp_path, device="cpu")
    assert texts(tmp_path) == texts(done)
    found = read_results(tmp_path)
    assert {name: found[name] for name in in_memory.summary()} == in_memory.summary()


def test_a_list_of_clips_gives_what_the_seed_gave(model, rendered, done, tmp_path):
    settings = EvaluationConfig(clips=str(done / "clips.json"), num_static=3, batch_size=1)
    evaluate(model, rendered, settings, out=tmp_path, device="cpu")
    assert texts(tmp_path) == texts(done)


SLOW = pytest.mark.slow  # every one starts new workers


@pytest.mark.parametrize("kind", [pytest.param("path", marks=SLOW), "query", pytest.param("tree", marks=SLOW)])
def test_two_jobs_give_what_one_gives(kind, rendered, tmp_path):
    for jobs in (1, 2):
        evaluate(network(kind), rendered, SETTINGS, out=tmp_path / str(jobs), jobs=jobs, device="cpu")
    assert texts(tmp_path / "1") == texts(tmp_path / "2")


def test_the_callers_threads_are_left_alone(model, rendered):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        evaluate(model, rendered, EvaluationConfig(duration=1.0, num_test=1, num_static=1), device="cpu")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("after", [0, 3, 6])
def test_a_run_that_was_stopped_goes_on_behind_the_last_chunk(after, model, rendered, done, tmp_path, monkeypatch):
    real, calls = run.score_clips, []

    def counted(*arguments):
        if len(calls) == after and not stopped:
            raise KeyboardInterrupt
        calls.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(run, "score_clips", counted)
    stopped = False
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, rendered, SETTINGS, out=tmp_path, device="cpu")
    assert not (tmp_path / "results.json").exists()
    stopped = True
    calls.clear()
    monkeypatch.setattr(run, "fit_static", lambda *a, **k: pytest.fail("the static masks were fitted already"))
    evaluate(model, rendered, SETTINGS, out=tmp_path, device="cpu")
    assert len(calls) == 8 - after // 4 * 4
    assert texts(tmp_path) == texts(done)
    assert not (tmp_path / PARTS_NAME).exists()


def test_what_a_stopped_run_of_other_settings_left_is_not_taken(model, rendered, done, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "score_clips", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, rendered, EvaluationConfig(duration=0.5, num_test=8), out=tmp_path, device="cpu")
    (tmp_path / PARTS_NAME / "chunk-000000.csv").write_text("not a table")
    monkeypatch.undo()
    evaluate(model, rendered, SETTINGS, out=tmp_path, device="cpu")
    assert texts(tmp_path) == texts(done)


def _interrupt(*arguments):
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["write_lines", "plot_boxes", "write_json"])
def test_a_run_that_was_stopped_after_the_scoring_does_not_score_again(
    where, model, rendered, done, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(results, where, _interrupt)
        with pytest.raises(KeyboardInterrupt):
            evaluate(model, rendered, SETTINGS, out=tmp_path, device="cpu")
    monkeypatch.setattr(run, "score_clips", lambda *a: pytest.fail("scored again"))
    evaluate(model, rendered, SETTINGS, out=tmp_path, device="cpu")
    assert texts(tmp_path) == texts(done)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in done.iterdir())


def test_what_a_killed_run_left_beside_its_results_is_removed(model, rendered, done):
    before = sorted(done.iterdir())
    (done / ".hiersep-part-x").mkdir()
    (done / PARTS_NAME).mkdir()
    (done / PARTS_NAME / "chunk-000000.csv").touch()
    evaluate(model, rendered, SETTINGS, out=done, device="cpu")
    assert sorted(done.iterdir()) == before


def test_what_is_done_is_not_done_again_and_what_is_lost_is_made_again(model, rendered, done, monkeypatch):
    monkeypatch.setattr(results, "score_all", lambda *a, **k: pytest.fail("scored again"))
    before = {path: path.stat().st_mtime_ns for path in done.iterdir()}
    again = evaluate(model, rendered, SETTINGS, out=done, device="cpu")
    assert {path: path.stat().st_mtime_ns for path in done.iterdir()} == before
    assert again.summary()["levels"] == read_results(done)["levels"]
    for name in ("results.md", "levels.png", "clips.json"):
        (done / name).unlink()
    evaluate(model, rendered, SETTINGS, out=done, device="cpu")
    assert all(path.is_file() for path in before)


@pytest.mark.parametrize("change", [{"seed": 1}, {"duration": 0.5}, {"num_static": 2}, {"batch_size": 2}])
def test_other_settings_are_computed_anew(change, model, rendered, tmp_path):
    few = EvaluationConfig(duration=1.0, num_test=2, num_static=1, batch_size=1)
    keys = []
    for settings in (few, dataclasses.replace(few, **change)):
        evaluate(model, rendered, settings, out=tmp_path, device="cpu")
        keys.append(read_results(tmp_path)["key"])
    assert keys[0] != keys[1]
    assert read_results(tmp_path)["settings"] == {**few.to_dict(), **change}


def test_other_weights_are_computed_anew(rendered, tmp_path):
    few, keys = EvaluationConfig(duration=1.0, num_test=1, num_static=1), []
    for bias in (0.0, 1.0):
        model = network()
        torch.nn.init.constant_(model.head.bias, bias)
        evaluate(model, rendered, few, out=tmp_path, device="cpu")
        keys.append(read_results(tmp_path)["key"])
    assert keys[0] != keys[1]


def test_what_cannot_be_is_one_line(model, rendered, tmp_path):
    with pytest.raises(ConfigError, match="jobs: expected at least 1, or -1, got 0"):
        evaluate(model, rendered, SETTINGS, jobs=0, device="cpu")
    with pytest.raises(ConfigError, match="device: expected cpu"):
        evaluate(model, rendered, SETTINGS, device="abacus")
    with pytest.raises(CheckpointError, match="nothing"):
        evaluate(tmp_path / "nothing.safetensors", rendered, SETTINGS, device="cpu")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write here"):
        evaluate(model, rendered, SETTINGS, out=tmp_path / "file" / "out", device="cpu")
    with lock_folder(tmp_path / PARTS_NAME), pytest.raises(DataError, match="another run is writing into it"):
        evaluate(model, rendered, SETTINGS, out=tmp_path, device="cpu")


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_to_the_same_scores(model, rendered, done, tmp_path):
    script = (
        "import sys, time, hiersep.evaluation.run as run\n"
        "from hiersep.config import EvaluationConfig\n"
        "from hiersep.evaluation import evaluate\n"
        "real = run.score_clips\n"
        "def slow(*arguments):\n"
        "    time.sleep(0.3)\n"
        "    return real(*arguments)\n"
        "run.score_clips = slow\n"
        f"settings = EvaluationConfig(**{SETTINGS.to_dict()!r})\n"
        f"evaluate({str(model)!r}, {str(rendered)!r}, settings, out={str(tmp_path)!r}, device='cpu')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / PARTS_NAME / "chunk-000000.csv").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / PARTS_NAME / "chunk-000000.csv").exists()
    assert not (tmp_path / "results.json").exists()
    evaluate(model, rendered, SETTINGS, out=tmp_path, device="cpu")
    assert texts(tmp_path) == texts(done)


@pytest.mark.slow
def test_the_work_spreads_over_a_dask_cluster(model, rendered, done, tmp_path):
    from distributed import Client, LocalCluster
    from joblib import parallel_config

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster),
        parallel_config(backend="dask"),
    ):
        evaluate(model, rendered, SETTINGS, out=tmp_path, jobs=-1, device="cpu")
    assert texts(tmp_path) == texts(done)


def test_results_that_are_none_are_not_there(tmp_path):
    assert read_results(tmp_path) is None
    for text in ("", "[1]", "no"):
        (tmp_path / "results.json").write_text(text)
        assert read_results(tmp_path) is None
    (tmp_path / "results.json").write_text(json.dumps({"key": "x"}))
    assert read_results(tmp_path) == {"key": "x"}
