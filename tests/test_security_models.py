"""No network, training state or list of scores runs what it holds, whichever command, host or function reads it."""

from __future__ import annotations

import json
import os
import pickle
import warnings
from pathlib import Path

import pytest
import safetensors.torch
import torch
from helpers import noise, write_audio, write_slakh
from typer.testing import CliRunner

from hiersep import HiersepError, from_pretrained
from hiersep.cli import app
from hiersep.compat import asteroid, nussl
from hiersep.evaluation import read_results
from hiersep.models.anchors import Anchor
from hiersep.models.checkpoint import describe
from hiersep.models.loading import load_separator
from hiersep.training.state import check_state

FIXTURES = Path(__file__).parent / "fixtures"
SUFFIXES = ["", ".safetensors", ".ckpt", ".pth", ".pkl", ".json"]


class Bomb:
    """What would make a folder if it were unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (self.trace,)


CONTAINERS = {
    "pickle": lambda content, path: path.write_bytes(pickle.dumps(content)),
    "torch": torch.save,
    "old torch": lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
}


@pytest.fixture(params=CONTAINERS)
def bomb(request, tmp_path):
    """Give a function that writes a bomb of one kind; in the end none has exploded."""
    trace = tmp_path / "executed"

    def write(name):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"state_dict": Bomb(str(trace)), "model_name": "ConvTasNet", "model_args": {}}
        CONTAINERS[request.param](content, path)
        return path

    yield write
    assert not trace.exists()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    songs = ("train/Track00001", "validation/Track00002", "test/Track00003")
    return write_slakh(tmp_path_factory.mktemp("data"), {song: [(24, noise(1.0)), (0, noise(1.0))] for song in songs})


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_function_of_ours_explodes(bomb, suffix):
    path = bomb(f"model{suffix}")
    network = from_pretrained(FIXTURES / "query.safetensors")
    readers = [
        from_pretrained, describe, load_separator,
        lambda path: Anchor.load(path, network), lambda path: check_state(path, network),
    ]  # fmt: skip
    for read in readers:
        with pytest.raises(HiersepError) as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_results_that_are_a_bomb_are_no_results(bomb):
    path = bomb("scores/results.json")
    assert read_results(path.parent) is None


def refuses(read, path):
    """Whether anything at all is raised: what the hosts say of such a file is theirs."""
    try:
        read(path)
    except Exception:
        return True
    return False


@pytest.mark.adapters
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_loader_of_the_hosts_explodes(bomb, suffix):
    path = str(bomb(f"model{suffix}"))
    readers = [
        asteroid.models.BaseModel.from_pretrained,
        nussl.ml.SeparationModel.load,
        lambda path: nussl.separation.deep.DeepMaskEstimation(nussl.AudioSignal(), model_path=path),
    ]
    for read in readers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert refuses(read, path)


CONF = "data: {{folder: {folder}, duration: 0.5, num_train: 1, num_validation: 1}}\ntraining: {{device: cpu}}\n"


def test_no_command_explodes(bomb, data, tmp_path):
    song = write_audio(tmp_path / "song.wav", noise(0.5))
    model = bomb("best.safetensors")
    exp = bomb("exp/last.ckpt").parent
    conf = tmp_path / "conf.yml"
    conf.write_text(CONF.format(folder=data))
    query = FIXTURES / "query.safetensors"
    commands = [
        ("info", model),
        ("separate", song, "--model", model, "--out", tmp_path / "out"),
        ("separate", bomb("song.m4a"), "--model", FIXTURES / "path.safetensors", "--out", tmp_path / "out"),
        ("query", song, "--like", bomb("anchor.json"), "--model", query, "--out", tmp_path / "out"),
        ("evaluate", model, "--data", data, "--out", tmp_path / "scores"),
        ("evaluate", "--compare", bomb("a/results.json").parent, bomb("b/results.json").parent),
        ("train", conf, "--exp-dir", exp),
        ("train", conf, "--exp-dir", tmp_path / "new", "--training.init_from", model),
        ("report", song, bomb("made/separation.json").parent),
        ("mix", data, "--hierarchy", "slakh34", "--mixing", bomb("mix.yml"), "--out", tmp_path / "mix", "--num", 1),
        ("tree", bomb("tree.yaml")),
        ("render", tmp_path / "rendered", "--midi", bomb("songs/a.mid").parent, "--tracks", 1),
    ]
    for words in commands:
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code in (1, 2), f"{words}: {result.output}"
        assert isinstance(result.exception, SystemExit), words
        assert "Traceback" not in result.output


# --- names in checkpoints


@pytest.mark.parametrize("kind", ["path", "query", "tree"])
def test_no_name_in_a_checkpoint_becomes_a_path(kind, tmp_path):
    saved = FIXTURES / f"{kind}.safetensors"
    weights = safetensors.torch.load_file(saved)
    for name in ("../../secret", "/etc/hostname", "a\0b", "x" * 5000, "-version", ".", "a/b"):
        about = describe(saved)
        key = "levels" if kind == "query" else "nodes"
        tree = dict(about["arguments"]["hierarchy"])
        for change in ({key: [name]}, {"hierarchy": name}, {"hierarchy": {**tree, "name": name}}):
            changed = {**about, "arguments": {**about["arguments"], **change}}
            path = tmp_path / "changed.safetensors"
            path.write_bytes(safetensors.torch.save(weights, {"hiersep": json.dumps(changed)}))
            with pytest.raises(HiersepError) as caught:
                from_pretrained(path)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 20_000
