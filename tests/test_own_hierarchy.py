"""A hierarchy of one's own, written in six lines, goes all the way without touching code."""

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from hiersep import Hierarchy
from hiersep.cli import app
from hiersep.models.checkpoint import describe

# The songs of this seed have a bass and drums, so `low` and its `bass` sound in every split.
YAML = """\
name: cellar
levels: [all, register, part]
tree: {all: {low: [bass, kit], high: [the_rest]}}
match: program_num
labels: {bass: 32-39, kit: 128, the_rest: [0-31, 40-127]}
display: {low: Down there}
"""
CONF = """\
data: {{folder: {data}, hierarchy: {hierarchy}, target: bass, duration: 1.0, num_train: 4, num_validation: 2}}
spectrum: {{n_fft: 256, hop_length: 128}}
network: {{hidden_size: 4, num_layers: 1}}
training: {{batch_size: 2, max_epochs: 1, num_workers: 0, device: cpu}}
"""


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    out = tmp_path_factory.mktemp("own") / "data"
    run("render", out, "--tracks", 3, "--seed", 7, "--splits", "0.34/0.33/0.33", "--duration", 8, "--jobs", 1,
        "--format", "wav")  # fmt: skip
    return out


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_six_lines_go_from_rendering_to_scores(suffix, songs, tmp_path):
    assert len(YAML.splitlines()) == 6
    own = tmp_path / f"cellar{suffix}"
    own.write_text(YAML)
    if suffix == ".json":
        own.write_text(Hierarchy.load(_yaml(tmp_path)).dump("json"))
        assert json.loads(own.read_text())["tree"] == {"all": {"low": ["bass", "kit"], "high": ["the_rest"]}}
    conf, exp, out = tmp_path / "conf.yml", tmp_path / "exp", tmp_path / "out"
    conf.write_text(CONF.format(data=songs, hierarchy=own))
    assert "Down there" in run("tree", own) or "low" in run("tree", own)

    run("train", conf, "--exp-dir", exp)
    best = exp / "best.safetensors"
    own.unlink()  # the checkpoint holds the hierarchy: from here on the file is not needed
    assert describe(best)["arguments"]["nodes"] == ["low", "bass"]

    mixture = next((songs / "test").glob("Track*/mix.wav"))
    run("separate", mixture, "--model", best, "--out", out)
    for node in ("low", "bass"):
        assert soundfile.info(out / "mix" / f"{node}.wav").frames == soundfile.info(mixture).frames

    table = run("evaluate", best, "--data", songs, "--out", out, "--duration", 1, "--num", 4,
                "--static-clips", 4)  # fmt: skip
    assert "| low " in table
    nodes = json.loads((out / "results.json").read_text())["nodes"]
    assert list(nodes) == ["low", "bass"]
    assert nodes["low"]["clips"] > 0
    assert np.isfinite(nodes["low"]["si_sdr"]["mean"])


def _yaml(folder):
    path = folder / "original.yaml"
    path.write_text(YAML)
    return path


def test_the_same_as_json_is_the_same_hierarchy(tmp_path):
    original = Hierarchy.load(_yaml(tmp_path))
    (tmp_path / "own.json").write_text(original.dump("json"))
    assert Hierarchy.load(tmp_path / "own.json") == original
    assert Hierarchy.load(original.to_dict()) == original


def test_the_authors_nested_json_loads(tmp_path):
    nested = {
        "mix": {
            "strings_guitars": {
                "guitar": {"clean_guitars": ["ample_guitar.nkm", "strat.nkm"], "effected_guitars": ["dist.nkm"]},
                "strings": {"violin": ["solo_violin.nkm"]},
            },
            "percussion": {"drums": {"kit": ["funk_kit.nkm"]}},
        }
    }
    path = tmp_path / "authors.json"
    path.write_text(json.dumps(nested))
    hierarchy = Hierarchy.load(path)
    assert hierarchy.root.id == "mix"
    assert hierarchy.path("clean_guitars") == ("mix", "strings_guitars", "guitar", "clean_guitars")
    assert set(hierarchy.leaves) == {"clean_guitars", "effected_guitars", "violin", "kit"}
    assert hierarchy.claim({"plugin_name": "strat.nkm"}) == "clean_guitars"
    assert hierarchy.claim({"plugin_name": "unheard.nkm"}) is None
    assert "authors" in run("tree", path)
