"""Every recipe goes through all of its stages, once, and does nothing the second time."""

import json
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from hiersep.cli.command import NOTHING_STARTED
from hiersep.config import load_experiment
from hiersep.data.catalog import index_dataset
from hiersep.errors import ConfigError
from hiersep.evaluation import table
from hiersep.hierarchy import Hierarchy
from hiersep.models import checkpoint
from hiersep.render import RenderSettings, RenderSummary

RECIPES = Path(__file__).parents[1] / "recipes"
RUNS = sorted(RECIPES.glob("*/run.sh"))
ON_DISK = [script for script in RUNS if "datasets.sh" in script.read_text()]
# `make test` runs the demo, `.ci/run` runs them all; test_matrix.py has that of the paper's experiments.
WHOLE = [
    pytest.param(run, marks=[] if run.parent.name == "demo" else pytest.mark.slow)
    for run in RUNS
    if run.parent.name != "slakh"
]


def run(script, folder, *words):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "HIERSEP_CACHE": str(folder / "cache")}
    return subprocess.run(
        ["bash", str(script), *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def times(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def assert_shipped(out):
    """The network is in half precision, says what it scored, and its card holds the table."""
    scores = json.loads((out / "smoke" / "results.json").read_text())
    about = checkpoint.describe(out / "smoke.safetensors")["provenance"]
    gains = {name: level["si_sdri"] for name, level in scores["levels"].items() if level["si_sdri"]}
    assert about["improvement_db"] == {"smoke": {name: round(gain["mean"], 2) for name, gain in gains.items()}}
    assert about["description"] == "what the smoke test learns, which is nothing"
    weights = load_file(out / "smoke.safetensors")
    best = checkpoint.from_pretrained(out / "best.safetensors").state_dict()
    for name, parameter in checkpoint.from_pretrained(out / "smoke.safetensors").named_parameters():
        assert weights[name].dtype == torch.float16
        torch.testing.assert_close(parameter.detach(), best[name], rtol=5e-4, atol=1e-7)
    assert table(scores) in (out / "smoke.md").read_text()


def test_there_is_a_recipe():
    assert RUNS
    assert {script.parent.name for script in ON_DISK} == {"musdb18", "moisesdb", "universal"}


def test_preparing_renders_what_the_configuration_says(monkeypatch):
    given = {}

    def render(folder, settings):
        given[folder] = settings
        return RenderSummary(Path(folder), {"train": 9}, 70, 9.0, 0)

    monkeypatch.setattr("hiersep.render.render", render)
    main = runpy.run_path(str(RECIPES / "prepare.py"))["main"]
    conf = str(RECIPES / "rendered" / "conf" / "smoke.yml")
    main(conf)
    words = "--render.midi songs --render.soundfonts [a,b] --render.test_soundfonts [c] --render.effects true"
    main(conf, *f"{words} --render.seed 3 --render.format flac --data.folder d --data.sample_rate 8000".split())
    plain = RenderSettings(tracks=8, seed=1, splits=(0.5, 0.2, 0.3), duration=20.0, format="wav")
    changed = {"midi": "songs", "soundfonts": ("a", "b"), "test_soundfonts": ("c",), "effects": True}
    assert given == {
        "exp/smoke/data": plain,
        "d": replace(plain, seed=3, format="flac", sample_rate=8000, **changed),
    }


def nodes_of(config):
    """What the network of a recipe estimates, coarse to fine."""
    hierarchy, target = Hierarchy.load(config.data.hierarchy), config.data.target
    if isinstance(target, str):
        return hierarchy.path(target)[1:]
    return hierarchy.ids[1:] if target is None else tuple(target)


def assert_scored(out, config, nodes):
    """The folder of an evaluation holds figures of every node, and an example whose every sound has its truth."""
    results = json.loads((out / "results.json").read_text())
    assert list(results["nodes"]) == list(nodes)
    for node in results["nodes"].values():
        assert {"si_sdr", "si_sdri", "mixture", "static", "oracle", "clips"} <= set(node)
    assert {"identical_levels", "data", "model", "seconds", "commit"} <= set(results)

    mixture, rate = soundfile.read(out / "mixture.wav")
    assert rate == config.data.sample_rate
    assert len(mixture) == round(config.evaluation.duration * rate)
    sounding = {path.stem for path in (out / "reference").glob("*.wav")}
    # Of a path all nodes sound in the example; of a tree those that the song has.
    assert sounding == set(nodes) if results["kind"] == "path" else 3 <= len(sounding & set(nodes)) == len(sounding)
    for name in [*sounding, *(f"reference/{node}" for node in sounding)]:
        samples, _ = soundfile.read(out / f"{name}.wav")
        assert samples.shape == mixture.shape, name
        assert np.isfinite(samples).all(), name
    assert "data-separated" in (out / "report.html").read_text()
    assert (out / "path.png").stat().st_size > 10_000


def assert_songs(out, song, nodes, *, museval):
    """A held-out song is taken apart, whole, and the songs of a data set are scored whole at the level of the stems."""
    assert {path.stem for path in song.glob("*.wav")} == set(nodes)
    lengths = {soundfile.info(path).frames for path in song.glob("*.wav")}
    assert len(lengths) == 1
    assert 'data-node="drums"' in (song / "report.html").read_text()
    results = json.loads((out / "songs.json").read_text())
    assert results["sample_rate"] == 44100
    stems = results["levels"]["stem"]
    assert {"drums", "bass"} <= set(stems)
    names = ("si_sdr", "usdr", "sdr", "sir") if results["settings"]["bss_eval"] else ("si_sdr", "usdr")
    assert results["settings"]["bss_eval"] == museval
    for part in stems.values():
        assert part["songs"] == 1
        assert np.isfinite([part["network"][name] for name in names]).all()
        assert np.isfinite([part["mixture"][name] for name in ("si_sdr", "usdr")]).all()


@pytest.mark.recipe
@pytest.mark.parametrize("script", WHOLE, ids=lambda path: path.parent.name)
def test_all_stages_run_and_leave_what_the_demo_promises(script, tmp_path):
    done = run(script, tmp_path, "--smoke")
    assert done.returncode == 0, done.stderr
    profile = ["--profile", str(RECIPES / "smoke.yml")] if script in ON_DISK else []
    config = load_experiment(script.parent / "conf" / "smoke.yml", profile)
    nodes = nodes_of(config)
    out = tmp_path / "exp" / "smoke"
    folders = [out]
    if script.parent.name == "pretrained":
        assert_shipped(out)
        folders = [out / "smoke"]  # its evaluations lie in folders of their own, by test set
    elif script.parent.name == "demo":
        song = out / "song" / "guitar-path"
        assert {path.stem for path in song.glob("*.wav")} == set(nodes)
        assert all(f'data-node="{node}"' in (song / "report.html").read_text() for node in ("mixture", *nodes))
        folders = [out / "guitar-path"]  # by network
        card = tmp_path / "card.md"
        card.write_text("<!-- begin demo table -->\n<!-- end demo table -->\n")
        runpy.run_path(str(RECIPES / "tables.py"))["main"]("demo", str(folders[0]), str(card))
        assert "Scored on" in card.read_text()  # it was trained elsewhere
    elif script in ON_DISK:
        names = [Path(folder).name for folder in config.data.sets]
        places = [Path()] if len(names) == 1 else list(map(Path, names))  # several are scored apart
        folders = [out / place for place in places]
        for place in places:
            assert_songs(out / place, out / "song" / place, nodes, museval=names == ["musdb18"])
    for folder in folders:
        assert_scored(folder, config, nodes)

    before = times(tmp_path)
    again = run(script, tmp_path, "--smoke")
    assert again.returncode == 0, again.stderr
    assert times(tmp_path) == before


@pytest.mark.recipe
@pytest.mark.parametrize("kind", ["musdb18", "moisesdb", "slakh"])
def test_a_miniature_has_the_published_layout_and_sums_to_its_mixture(kind, tmp_path):
    main = runpy.run_path(str(RECIPES / "miniature.py"))["main"]
    main(kind, str(tmp_path / "data"))
    before = times(tmp_path)
    main(kind, str(tmp_path / "data"))
    assert times(tmp_path) == before
    splits = "artists" if kind == "moisesdb" else None
    catalog, report = index_dataset(tmp_path / "data", sample_rate=44100, jobs=1, splits=splits)
    assert (catalog.dataset, report.findings) == (kind, ())  # the mixture, where there is one, is the sum
    assert {split: len(catalog.select(split)) for split in catalog.splits} == {"train": 2, "validation": 1, "test": 1}
    hierarchy = Hierarchy.load("universal")
    held = {
        node
        for track in catalog.tracks
        for stem in track.stems
        for node in hierarchy.path(hierarchy.claim(stem.attributes, dataset=kind))
    }
    assert {"drums", "bass", "other"} <= held
    assert kind == "slakh" or "vocals" in held
    assert ("drum_kit" in held) == (kind != "musdb18")  # MUSDB18 knows no instrument


def test_a_miniature_of_another_kind_is_refused():
    with pytest.raises(ConfigError, match="KIND: expected musdb18, moisesdb, slakh, got 'medleydb'"):
        runpy.run_path(str(RECIPES / "miniature.py"))["main"]("medleydb", "x")


@pytest.mark.parametrize("script", RUNS, ids=lambda path: path.parent.name)
def test_a_mistyped_setting_stops_the_first_stage_with_one_line(script, tmp_path):
    done = run(script, tmp_path, "--smoke", "--training.lerning_rate", "1.0e-3")
    assert done.returncode == NOTHING_STARTED
    assert done.stderr.splitlines() == [
        "hiersep: error: --training.lerning_rate: unknown key 'lerning_rate' in 'training'; "
        "did you mean 'learning_rate'?"
    ]


@pytest.mark.parametrize("script", RUNS, ids=lambda path: path.parent.name)
def test_help_tells_the_stages_and_starts_nothing(script, tmp_path):
    done = run(script, tmp_path, "--help")
    assert done.returncode == 0
    assert "stages" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.recipe
def test_a_real_recording_is_measured_node_by_node():
    fixtures = Path(__file__).parent / "fixtures"
    script = RECIPES / "pretrained" / "real.py"
    words = [sys.executable, script, fixtures / "path.safetensors", fixtures / "tree.safetensors"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = [
        line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith(("| other", "| drums"))
    ]
    assert [row[1] for row in rows[:3]] == ["strings_guitars_keyboards", "guitar", "clean_guitars"]  # of the path
    assert ["drums", "superlevel_percussion"] in [row[:2] for row in rows[3:]]  # of the tree
    for row in rows:
        mixture, network, improvement, level = map(float, row[2:])
        assert network - mixture == pytest.approx(improvement, abs=0.11)  # each is rounded to a tenth
        assert level < 0.5  # a mask makes nothing louder, but for the cut between frames
    assert len({row[2] for row in rows if row[0] == "other"}) == 1  # one mixture
