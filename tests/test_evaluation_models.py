"""What takes mixtures apart is scored alike: one network, several as one, and other libraries' models."""

import json

import numpy as np
import pytest
import torch
from helpers import noise, write_audio
from typer.testing import CliRunner

from hiersep.cli import app
from hiersep.config import EvaluationConfig
from hiersep.errors import ConfigError
from hiersep.evaluation import evaluate, read_results
from hiersep.models import checkpoint
from hiersep.models.foreign import ForeignSeparator
from hiersep.models.joint import JointSeparator
from hiersep.models.loading import load_separator
from hiersep.models.path import PathSeparator
from hiersep.models.tree import TreeSeparator

PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
OPTIONS = {"network": {"hidden_size": 3, "num_layers": 1}, "spectrum": {"n_fft": 256, "hop_length": 128}}
SETTINGS = EvaluationConfig(duration=1.0, num_test=8, num_static=2, batch_size=1)  # two chunks of clips
COLUMNS = ("status", "estimate", "mixture", "static", "oracle", "snr", "output_level")
STEMS = ("vocals", "drums", "bass", "other")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A network for each level of the path."""
    folder, paths = tmp_path_factory.mktemp("models"), []
    for seed, node in enumerate(PATH):
        torch.manual_seed(seed)
        paths.append(folder / f"{node}.safetensors")
        checkpoint.save(PathSeparator("slakh_ismir2020", [node], **OPTIONS), paths[-1])
    return paths


@pytest.fixture(scope="module")
def stems(tmp_path_factory):
    """Two songs of noise at 44.1 kHz, in stereo, as musdb18 knows them."""
    folder = tmp_path_factory.mktemp("stems") / "data"
    for seed, (song, seconds) in enumerate({"train/first": 3.0, "test/second": 15.0}.items()):
        for number, stem in enumerate(STEMS):
            samples = noise(seconds, rate=44100, channels=2, seed=10 * seed + number, db=-20 - number)
            write_audio(folder / song / f"{stem}.wav", samples, 44100)
    return folder


class Shares(torch.nn.Module):
    """A flat model that gives every stem its part of the mixture."""

    samplerate = sample_rate = 44100

    def __init__(self, *gains):
        super().__init__()
        self.gains = torch.nn.Parameter(torch.tensor(gains))
        self.target_models = dict.fromkeys(STEMS)

    def forward(self, mixture):
        return torch.stack([gain * mixture for gain in self.gains], dim=1)


def columns(evaluation, node):
    return [[getattr(line, name) for name in COLUMNS] for line in evaluation.lines if line.node == node]


def assert_same(some, others):
    assert len(some) == len(others) > 0
    for one, other in zip(some, others, strict=True):
        assert one[0] == other[0]
        np.testing.assert_allclose(one[1:], other[1:], atol=1e-3, rtol=0)


# Several networks as one


def test_networks_score_together_what_each_scores_alone(files, rendered, tmp_path):
    joint = evaluate(files[::-1], rendered, SETTINGS, out=tmp_path, device="cpu")
    assert (joint.kind, joint.nodes) == ("path", PATH)
    assert read_results(tmp_path)["model"] == ", ".join(map(str, files[::-1]))
    for node, file in zip(PATH, files, strict=True):
        settings = EvaluationConfig(clips=str(tmp_path / "clips.json"), num_static=2, batch_size=1)
        alone = evaluate(file, rendered, settings, device="cpu")
        assert_same(columns(joint, node), columns(alone, node))


def test_two_jobs_give_of_several_networks_what_one_gives(files, rendered, tmp_path):
    joint = JointSeparator([checkpoint.from_pretrained(file) for file in files], constraint="max")
    for jobs in (1, 2):
        evaluate(joint, rendered, SETTINGS, out=tmp_path / str(jobs), jobs=jobs, device="cpu")
    one, two = ((tmp_path / str(jobs) / "scores.csv").read_bytes() for jobs in (1, 2))
    assert one == two
    free = evaluate(files, rendered, SETTINGS, out=tmp_path / "free", device="cpu")
    assert (tmp_path / "free" / "scores.csv").read_bytes() != one
    assert any(line.exceeding_bins > 0 for line in free.lines)


def test_networks_of_several_branches_are_a_tree(files):
    torch.manual_seed(0)
    tree = TreeSeparator("slakh_ismir2020", ["superlevel_bass", "superlevel_percussion"], **OPTIONS)
    joint = JointSeparator([checkpoint.from_pretrained(files[0]), tree])
    assert joint.kind == "tree"


@pytest.mark.parametrize("several", [False, True])
def test_the_command_takes_one_checkpoint_or_several(several, files, rendered, tmp_path):
    models = list(map(str, files if several else files[:1]))
    words = f"--data {rendered} --out {tmp_path} --num 1 --static-clips 1 --duration 1 --jobs 1 --device cpu".split()
    words += ["--salient", PATH[-1], "--json"]
    result = CliRunner().invoke(app, ["evaluate", *models, *words])
    assert result.exit_code == 0, result.output
    results = read_results(tmp_path)
    assert tuple(results["nodes"]) == (PATH if several else PATH[:1])
    assert results["settings"]["salient"] == [PATH[-1]]


# Foreign models


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library called openunmix, with a model that gives every stem its part."""
    (tmp_path / "openunmix.py").write_text(
        "from test_evaluation_models import Shares\n\n\ndef quarters():\n    return Shares(0.25, 0.25, 0.25, 0.25)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_a_foreign_model_is_scored_at_its_own_rate(library, stems, tmp_path):
    settings = EvaluationConfig(duration=1.0, num_test=3, num_static=1, batch_size=1, channels=2)
    result = evaluate("openunmix:quarters", stems, settings, out=tmp_path / "out", device="cpu")
    assert result.kind == "tree"
    assert set(STEMS) < set(result.nodes)
    scored = [line for line in result.lines if line.status == "scored"]
    assert scored
    for line in scored:  # its stems are the mixture at another level
        assert line.estimate == pytest.approx(line.mixture, abs=0.05)
        assert line.output_level == pytest.approx(
            -20 * np.log10(4 / (3 if line.node == "accompaniment" else 1)), abs=0.1
        )
    results = read_results(tmp_path / "out")
    assert results["model"] == "openunmix:quarters"
    before = (tmp_path / "out" / "results.json").stat().st_mtime_ns
    evaluate("openunmix:quarters", stems, settings, out=tmp_path / "out", device="cpu")
    assert (tmp_path / "out" / "results.json").stat().st_mtime_ns == before


def test_workers_load_a_foreign_model_by_its_name(library, stems, tmp_path):
    settings = EvaluationConfig(duration=0.5, num_test=6, num_static=1, batch_size=1)
    for jobs in (1, 2):
        evaluate("openunmix:quarters", stems, settings, out=tmp_path / str(jobs), jobs=jobs, device="cpu")
    one, two = ((tmp_path / str(jobs) / "scores.csv").read_bytes() for jobs in (1, 2))
    assert one == two
    assert one.count(b"\n") == 1 + 6 * 5  # six clips, more than a chunk, of five nodes


def test_changed_weights_are_not_scored_as_those_of_the_name(library, stems, tmp_path):
    from hiersep.evaluation.passing import pass_on

    model = load_separator("openunmix:quarters")
    assert pass_on(model, tmp_path).load().key == model.key
    with torch.no_grad():
        model.estimate.gains[0] = 0.5
    with pytest.raises(ConfigError, match="openunmix:quarters: expected the weights that are scored, got others"):
        pass_on(model, tmp_path).load()


def test_a_function_is_scored_every_time_and_in_one_process(stems, tmp_path):
    settings = EvaluationConfig(duration=0.5, num_test=2, num_static=1)
    gain = 1.0

    def estimate(mixture):
        return torch.stack([gain * mixture / 4, mixture / 4], dim=1)

    model = ForeignSeparator(estimate, ["drums", "bass"], "musdb18", sample_rate=44100)
    keys = set()
    for gain in (1.0, 2.0):  # noqa: B007  (the function hears of it)
        evaluate(model, stems, settings, out=tmp_path, device="cpu")
        results = json.loads((tmp_path / "results.json").read_text())
        keys.add(results["key"])
    assert len(keys) == 2
    assert results["model"] == "ForeignSeparator"
    for jobs in (2, -1):
        with pytest.raises(ConfigError, match="jobs: expected 1, as other processes cannot load a foreign model"):
            evaluate(model, stems, settings, jobs=jobs, device="cpu")
