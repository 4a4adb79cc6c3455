"""Checkpoints: what goes in comes out, and nothing in a stranger's file is run."""

import json
import pickle
import shutil

import pytest
import safetensors.torch
import torch

from hiersep.errors import CheckpointError, DataError
from hiersep.models import checkpoint
from hiersep.models.checkpoint import describe, from_pretrained
from hiersep.models.path import PathSeparator

NODES = ["guitar", "clean_guitars"]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = {"hidden_size": 4, "num_layers": 1, "constraint": "none"}
    spectrum = {"n_fft": 64, "hop_length": 16}
    return PathSeparator("slakh_ismir2020", NODES, sample_rate=8000, spectrum=spectrum, network=network).eval()


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "best.safetensors"
    checkpoint.save(model, path, {"data": "Slakh", "steps": 7})
    return path


def header(path):
    with safetensors.safe_open(str(path), framework="pt") as file:
        return json.loads(file.metadata()["hiersep"])


def rewritten(saved, path, change):
    """A copy of a checkpoint whose header was changed."""
    about = header(saved)
    change(about)
    path.write_bytes(safetensors.torch.save(safetensors.torch.load_file(str(saved)), {"hiersep": json.dumps(about)}))
    return path


def refused(path, *words):
    """Loading and describing must fail, in one line that names the file."""
    with pytest.raises(CheckpointError) as caught:
        from_pretrained(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_loaded_network_is_the_saved_one(model, saved):
    loaded = from_pretrained(saved)
    mixture = torch.rand((2, 1, 999), generator=torch.Generator().manual_seed(0)) - 0.5
    torch.testing.assert_close(loaded(mixture), model(mixture), atol=0, rtol=0)
    assert loaded.get_model_args() == model.get_model_args()
    assert loaded.nodes == tuple(NODES)
    assert not loaded.training


def test_the_class_loads_its_checkpoints_too(model, saved):
    assert PathSeparator.from_pretrained(saved).get_model_args() == model.get_model_args()


def test_a_checkpoint_says_of_what_and_how_it_was_made(saved):
    about = describe(saved)
    assert about["format"] == 1
    assert about["network"] == "PathSeparator"
    assert about["arguments"]["nodes"] == NODES
    assert about["arguments"]["sample_rate"] == 8000
    assert about["provenance"]["data"] == "Slakh"
    assert about["provenance"]["steps"] == 7
    assert about["provenance"]["hiersep"]


def test_saving_over_a_checkpoint_replaces_it_and_leaves_nothing_behind(model, tmp_path):
    path = tmp_path / "best.safetensors"
    checkpoint.save(model, path, {"steps": 1})
    checkpoint.save(model, path, {"steps": 2})
    assert describe(path)["provenance"]["steps"] == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["best.safetensors"]


def test_an_unwritable_place_is_an_error_of_ours(model, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot write here"):
        checkpoint.save(model, tmp_path / "file" / "best.safetensors")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    refused(tmp_path / "nothing.safetensors", "no such file")
    refused(tmp_path, "got a folder")


@pytest.mark.parametrize("content", [b"", b"x", b"hello, I am text\n" * 50, b"\xff" * 64, b"\0" * 200])
def test_what_is_no_safetensors_file_is_refused(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    refused(path, "expected a safetensors checkpoint")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_half_a_file_is_refused(saved, tmp_path, share):
    whole = saved.read_bytes()
    path = tmp_path / "half.safetensors"
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(path, "half of one")


@pytest.mark.parametrize("metadata", [None, {"other": "1"}, {"hiersep": "not json"}, {"hiersep": "[1]"}])
def test_weights_of_others_are_refused(tmp_path, metadata):
    path = tmp_path / "theirs.safetensors"
    path.write_bytes(safetensors.torch.save({"w": torch.zeros(2)}, metadata))
    refused(path, "not saved by hiersep")


def test_a_newer_format_and_another_network_are_refused(saved, tmp_path):
    path = tmp_path / "newer.safetensors"
    refused(rewritten(saved, path, lambda about: about.update(format=2)), "format 2", "a newer one may read it")
    refused(rewritten(saved, path, lambda about: about.update(network="Unheard")), "Unheard")
    refused(rewritten(saved, path, lambda about: about.update(network=["PathSeparator"])))


@pytest.mark.parametrize(
    "change",
    [
        {"network": {"hidden_size": 5, "num_layers": 1}},
        {"network": {"hidden_size": 4, "num_layers": 2}},
        {"nodes": ["guitar"]},
        {"nodes": ["no_such_node"]},
        {"nodes": 5},
        {"spectrum": {"n_fft": 128, "hop_length": 16}},
        {"spectrum": {"n_fft": "many"}},
        {"sample_rate": "fast"},
        {"unheard": 1},
        {"hierarchy": {"name": "x"}},
    ],
    ids=str,
)
def test_weights_and_arguments_that_do_not_fit_are_refused(saved, tmp_path, change):
    path = rewritten(saved, tmp_path / "bent.safetensors", lambda about: about["arguments"].update(change))
    refused(path, "do not fit")


def test_a_checkpoint_cannot_name_a_hierarchy_file_to_be_read(saved, tmp_path):
    secret = tmp_path / "secret.yaml"
    secret.write_text("password: hunter2\n")
    path = rewritten(
        saved, tmp_path / "nosy.safetensors", lambda about: about["arguments"].update(hierarchy=str(secret))
    )
    refused(path)
    with pytest.raises(CheckpointError) as caught:
        from_pretrained(path)
    assert "password" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt", ".pt", ".pth", ".bin"])
@pytest.mark.parametrize("container", ["pickle", "torch"])
def test_a_malicious_pickle_executes_nothing_whatever_its_name(tmp_path, suffix, container):
    trace = tmp_path / "executed"

    class Malice:
        def __reduce__(self):
            return (open, (str(trace), "w"))

    path = tmp_path / f"model{suffix}"
    if container == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": Malice()}))
    else:
        torch.save({"state_dict": Malice()}, path)
    refused(path)
    with pytest.raises(CheckpointError):
        describe(path)
    with pytest.raises(CheckpointError):
        PathSeparator.from_pretrained(str(path))
    assert not trace.exists()


def test_a_checkpoint_of_another_name_loads(saved, tmp_path, model):
    path = shutil.copy(saved, tmp_path / "model.bin")
    assert from_pretrained(path).nodes == model.nodes
