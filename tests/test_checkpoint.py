"""Checkpoints: what goes in comes out, nothing in a stranger's file is run, and no lie in it costs memory or time."""

import json
import os
import pickle
import shutil
import struct
import tarfile
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from hiersep.config import ExperimentConfig
from hiersep.errors import CheckpointError, DataError
from hiersep.models import checkpoint, header
from hiersep.models.checkpoint import describe, from_pretrained
from hiersep.models.path import PathSeparator
from hiersep.training.loop import fit

FORMAT1 = Path(__file__).parent / "data" / "format1"
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


def about(path):
    with safetensors.safe_open(str(path), framework="pt") as file:
        return json.loads(file.metadata()["hiersep"])


def rewritten(saved, path, change):
    """A copy of a checkpoint whose header was changed."""
    content = about(saved)
    change(content)
    path.write_bytes(safetensors.torch.save(safetensors.torch.load_file(saved), {"hiersep": json.dumps(content)}))
    return path


def forged(saved, path, change):
    """A copy of a checkpoint of which the header's text was changed, and its length with it."""
    whole = saved.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    text = change(whole[8 : 8 + length])
    path.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + length :])
    return path


def reweighed(saved, path, change):
    """A copy of a checkpoint of which the weights were changed."""
    weights = safetensors.torch.load_file(saved)
    change(weights)
    path.write_bytes(safetensors.torch.save(weights, {"hiersep": json.dumps(about(saved))}))
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
    said = describe(saved)
    assert said["format"] == 1
    assert said["network"] == "PathSeparator"
    assert said["arguments"]["nodes"] == NODES
    assert said["arguments"]["sample_rate"] == 8000
    assert said["provenance"]["data"] == "Slakh"
    assert said["provenance"]["steps"] == 7
    assert said["provenance"]["hiersep"]


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


@pytest.mark.parametrize("metadata", [None, {"other": "1"}, {"hiersep": "{}"}, {"hiersep": "[1]"}])
def test_weights_of_others_are_refused(tmp_path, metadata):
    path = tmp_path / "theirs.safetensors"
    path.write_bytes(safetensors.torch.save({"w": torch.zeros(2)}, metadata))
    refused(path, "not saved by hiersep")


def test_a_newer_format_and_another_network_are_refused(saved, tmp_path):
    path = tmp_path / "newer.safetensors"
    refused(rewritten(saved, path, lambda content: content.update(format=2)), "format 2", "a newer one may read it")
    refused(rewritten(saved, path, lambda content: content.update(network="Unheard")), "Unheard")
    refused(rewritten(saved, path, lambda content: content.update(network=["PathSeparator"])))


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
    path = rewritten(saved, tmp_path / "bent.safetensors", lambda content: content["arguments"].update(change))
    refused(path, "do not fit")


def test_a_checkpoint_cannot_name_a_hierarchy_file_to_be_read(saved, tmp_path):
    secret = tmp_path / "secret.yaml"
    secret.write_text("password: hunter2\n")
    path = rewritten(
        saved, tmp_path / "nosy.safetensors", lambda content: content["arguments"].update(hierarchy=str(secret))
    )
    refused(path)
    with pytest.raises(CheckpointError) as caught:
        from_pretrained(path)
    assert "password" not in str(caught.value)


def test_a_checkpoint_of_another_name_loads(saved, tmp_path, model):
    path = shutil.copy(saved, tmp_path / "model.bin")
    assert from_pretrained(path).nodes == model.nodes


def test_loading_draws_no_random_numbers(saved):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    from_pretrained(saved)
    torch.testing.assert_close(torch.rand(3), expected, atol=0, rtol=0)


# half precision


def test_half_precision_takes_half_the_space_and_is_single_again_when_loaded(model, saved, tmp_path):
    path = tmp_path / "half.safetensors"
    checkpoint.save(model, path, half=True)
    loaded = from_pretrained(path)
    parameters = dict(model.named_parameters())
    for name, value in loaded.named_parameters():
        assert value.dtype is torch.float32
        # 11 significant bits: the rounding is at most half a unit in the last of them.
        torch.testing.assert_close(value, parameters[name], rtol=2**-11, atol=2**-25)
        assert name in ("norm.weight", "norm.bias") or not torch.equal(value, parameters[name])
    statistics = dict(model.named_buffers())
    for name, value in loaded.named_buffers():
        torch.testing.assert_close(value, statistics[name], rtol=0, atol=0)
    saving = 2 * sum(value.numel() for value in parameters.values())
    assert abs(saved.stat().st_size - path.stat().st_size - saving) < 100  # the headers differ by some letters


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_in_half_precision_by_whatever_program_load(model, saved, tmp_path, dtype):
    def halve(weights):
        weights.update({name: w.to(dtype) for name, w in weights.items() if w.is_floating_point()})

    loaded = from_pretrained(reweighed(saved, tmp_path / "half.safetensors", halve))
    expected = model.state_dict()
    for name, value in loaded.state_dict().items():
        assert value.dtype is expected[name].dtype
        torch.testing.assert_close(value, expected[name].to(dtype).to(value.dtype), rtol=0, atol=0)


def test_weights_too_large_for_half_precision_are_named_and_nothing_is_written(tmp_path):
    model = PathSeparator("musdb18", ["vocals"], network={"hidden_size": 2, "num_layers": 1})
    with torch.no_grad():
        model.head.bias[3] = 65520.0  # the least number that half precision rounds to infinity
    with pytest.raises(CheckpointError, match=r"head\.bias \(torch\.float16\)"):
        checkpoint.save(model, tmp_path / "large.safetensors", half=True)
    assert not any(tmp_path.iterdir())
    checkpoint.save(model, tmp_path / "large.safetensors")
    assert from_pretrained(tmp_path / "large.safetensors").head.bias[3] == 65520


# what cannot be written, so that it need not be read


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object()])
def test_a_provenance_that_is_no_json_is_refused(model, tmp_path, value):
    with pytest.raises(CheckpointError, match="provenance"):
        checkpoint.save(model, tmp_path / "strange.safetensors", {"loss": value})
    assert not any(tmp_path.iterdir())


def test_a_header_that_would_not_be_read_is_not_written(model, tmp_path):
    with pytest.raises(CheckpointError, match="at most"):
        checkpoint.save(model, tmp_path / "long.safetensors", {"story": "x" * header.MAX_BYTES})
    assert not any(tmp_path.iterdir())


def test_a_variance_below_zero_which_has_no_root_is_refused(saved, tmp_path):
    def spoil(weights):
        weights["norm.running_var"][1] = -2.0

    refused(reweighed(saved, tmp_path / "spoilt.safetensors", spoil), "variances from 0 on, got -2 in norm.running_var")


@pytest.mark.parametrize(
    ("value", "got"),
    [
        *((value, "NaN or infinity") for value in (float("nan"), float("inf"), -float("inf"))),
        (3e38, "3e+38"),
        (-2e9, "2e+09"),
    ],
)
def test_weights_that_are_not_finite_or_soon_will_not_be_are_neither_written_nor_read(saved, tmp_path, value, got):
    def spoil(weights):
        weights["backbone.lstm.bias_ih_l0"][2] = value

    refused(reweighed(saved, tmp_path / "spoilt.safetensors", spoil), f"{got} in backbone.lstm.bias_ih_l0")
    model = from_pretrained(saved)
    with torch.no_grad():
        model.norm.running_var[0] = value
    with pytest.raises(CheckpointError, match=r"norm\.running_var"):
        checkpoint.save(model, tmp_path / "mine.safetensors")


# formats


@pytest.mark.parametrize("name", ["path", "query", "tree"])
def test_checkpoints_of_format_1_load_and_sound_as_they_did(name):
    signals = safetensors.torch.load_file(FORMAT1 / "signals.safetensors")
    inputs = [signals["mixture"], *([signals["query"]] if name == "query" else [])]
    assert about(FORMAT1 / f"{name}.safetensors")["format"] == 1
    with torch.inference_mode():
        estimates = from_pretrained(FORMAT1 / f"{name}.safetensors")(*inputs)
    torch.testing.assert_close(estimates, signals[f"{name} output"], atol=1e-6, rtol=1e-5)
    assert describe(FORMAT1 / f"{name}.safetensors")["provenance"]["licence"] == "CC0-1.0"


def test_an_older_format_is_brought_to_the_present_one_step_by_step(saved, tmp_path, monkeypatch, model):
    def spell_nodes(content):
        arguments = content["arguments"]
        return {**content, "arguments": {**arguments, "nodes": arguments["nodes"].split()}}

    def rename(content):
        return {**content, "network": content["network"].removeprefix("Old")}

    def age(content):
        content["network"] = "Old" + content["network"]
        content["arguments"]["nodes"] = " ".join(content["arguments"]["nodes"])

    path = rewritten(saved, tmp_path / "old.safetensors", age)
    monkeypatch.setattr(header, "FORMAT", 3)
    monkeypatch.setattr(header, "MIGRATIONS", {1: rename, 2: spell_nodes})
    assert from_pretrained(path).nodes == model.nodes
    assert describe(path)["format"] == 3
    monkeypatch.setattr(header, "MIGRATIONS", {2: spell_nodes})
    refused(path, "format 1", "reads no more", "train anew")


@pytest.mark.parametrize("number", [0, -1, True, 1.0, "1", None])
def test_a_format_that_never_was_is_refused(saved, tmp_path, number):
    refused(rewritten(saved, tmp_path / "odd.safetensors", lambda content: content.update(format=number)), "not saved")


# what is no file to be read


@pytest.mark.parametrize("suffix", ["", ".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".pkl", ".zip", ".npz", ".tar"])
@pytest.mark.parametrize("container", ["pickle", "pickle 0", "torch", "old torch", "tar"])
def test_a_malicious_pickle_executes_nothing_whatever_its_name(tmp_path, suffix, container):
    trace = tmp_path / "executed"
    path = tmp_path / f"model{suffix}"
    write_malice(path, trace, container)
    refused(path)
    with pytest.raises(CheckpointError):
        describe(path)
    with pytest.raises(CheckpointError):
        PathSeparator.from_pretrained(str(path))
    assert not trace.exists()


@pytest.mark.parametrize("container", ["pickle", "pickle 0", "torch", "old torch", "tar"])
def test_a_malicious_training_state_executes_nothing(tmp_path, container):
    trace = tmp_path / "executed"
    write_malice(tmp_path / "last.ckpt", trace, container)
    with pytest.raises(CheckpointError, match=r"last\.ckpt: expected a training state"):
        fit(ExperimentConfig(), tmp_path, resumed=True, claim=list)
    assert not trace.exists()


def write_malice(path, trace, container):
    """Write what would make the folder `trace` if it were unpickled; and see that it would."""

    class Malice:
        def __reduce__(self):
            return (os.mkdir, (str(trace),))

    content = {"state_dict": Malice()}
    if container == "torch":
        torch.save(content, path)
    elif container == "old torch":
        torch.save(content, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps(content, protocol=0 if container == "pickle 0" else None))
    if container == "tar":  # torch's oldest
        pickled = path.rename(path.with_name("pickle"))
        with tarfile.open(path, "w") as archive:
            archive.add(pickled, "pickle")
        pickled.unlink()
    else:
        with path.open("rb") as file:
            pickle.load(file) if container.startswith("pickle") else torch.load(file, weights_only=False)
        trace.rmdir()


def test_a_pipe_is_not_waited_for_and_a_device_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    refused(tmp_path / "pipe.safetensors", "no plain file")
    (tmp_path / "zero.safetensors").symlink_to("/dev/zero")
    refused(tmp_path / "zero.safetensors", "no plain file")
    (tmp_path / "loop.safetensors").symlink_to(tmp_path / "loop.safetensors")
    refused(tmp_path / "loop.safetensors")
    refused(tmp_path / f"{'x' * 300}.safetensors")
    with pytest.raises(CheckpointError, match=r"\\x00\.safetensors: expected a checkpoint .*no such file"):
        from_pretrained(f"{tmp_path}/\0.safetensors")


# headers that lie


@pytest.mark.parametrize("length", [header.MAX_BYTES + 1, 10**8, 10**9, 2**63, 2**64 - 1])
@pytest.mark.parametrize("size", [8, 100, 3 * 10**9])
def test_a_giant_header_is_refused_unread(tmp_path, length, size):
    path = tmp_path / "giant.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", length))
        file.truncate(size)  # a file with a hole, which takes no space
    started = time.process_time()
    refused(path, "expected a safetensors checkpoint")
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (b'"norm.weight":', b'"norm.bias":', "comes twice"),
        (b'{"__metadata__":', b'{"__metadata__":{},"__metadata__":', "comes twice"),
        (b'"__metadata__"', b'"__metadatum__"', "not saved by hiersep"),
        (b'"dtype":"F32"', b'"dtype":"F64"', "'F64'"),
        (b'"dtype":"F32"', b'"dtype":"F16"', "fill the file"),
        (b'"dtype":"F32"', b'"dtype":null', "does not describe"),
        (b'"shape":[33]', b'"shape":[34]', "fill the file"),
        (b'"shape":[33]', b'"shape":[-33]', "does not describe"),
        (b'"shape":[33]', b'"shape":[33,true]', "does not describe"),
        (b'"shape":[33]', b'"shape":[33.0]', "does not describe"),
        (b'"shape":[33]', b'"shape":' + b"[" * 5000 + b"]" * 5000, "too deeply"),
        (b'"shape":[33]', b'"shape":[' + b"1," * 9 + b"33]", "does not describe"),
        (b'"shape":[33]', b'"shape":[' + b"9" * 5000 + b"]", "no JSON"),
        (b'"shape":[33]', b'"shape":[NaN]', "NaN"),
        (b'"shape":[33]', b'"shape":[1e999]', "1e999"),
        (b'"shape":[33]', b'"shape":[33],"more":1', "does not describe"),
        (b'"norm.weight"', b'"norm.\xff\xfe"', "no JSON"),
        (b'"norm.weight"', b'"norm\\n\\u001b[31m"', r"no norm.weight and 1 more"),
        (b"}}", b"}", "no JSON"),
        (b"{", b"[", "no JSON"),
    ],
)
def test_a_header_that_is_not_as_it_should_be_is_refused(saved, tmp_path, before, after, words):
    def change(text):
        assert before in text
        return text.replace(before, after, 1)

    refused(forged(saved, tmp_path / "forged.safetensors", change), words)


def test_tensors_that_overlap_leave_holes_or_lie_outside_the_file_are_refused(saved, tmp_path):
    def shifted(name, first, last):
        def change(text):
            content = json.loads(text)
            begin, end = content[name]["data_offsets"]
            content[name]["data_offsets"] = [begin + first, end + last]
            return json.dumps(content).encode()

        return forged(saved, tmp_path / "forged.safetensors", change)

    assert from_pretrained(shifted("norm.weight", 0, 0)).nodes == tuple(NODES)
    for first, last in [(4, 4), (-4, -4), (0, 4), (-4, 0), (4, 0), (10**12, 10**12), (-(10**6), -(10**6))]:
        refused(shifted("norm.weight", first, last), "fill the file")
    longer = tmp_path / "longer.safetensors"
    longer.write_bytes(saved.read_bytes() + b"stowaway")
    refused(longer, "fill the file")


def test_missing_superfluous_and_misshapen_tensors_are_named(saved, tmp_path):
    def refused_after(change, *words):
        refused(reweighed(saved, tmp_path / "bent.safetensors", change), "do not fit", *words)

    refused_after(lambda weights: weights.pop("head.bias"), "no head.bias")
    refused_after(lambda weights: weights.update(extra=torch.zeros(1)), "a strange extra")
    refused_after(lambda weights: weights.update({"head.bias": torch.zeros(65)}), "(65,), expected F32 (66,)")
    refused_after(lambda weights: weights.update({"head.bias": weights["head.bias"][None].clone()}), "(1, 66)")
    refused_after(lambda weights: weights.update({"head.bias": torch.zeros(66, dtype=torch.int64)}), "I64")
    refused_after(lambda weights: weights.update({"norm.num_batches_tracked": torch.tensor(0.0)}), "expected I64")
    double = reweighed(
        saved, tmp_path / "double.safetensors", lambda weights: weights.update(x=torch.zeros(1, dtype=torch.float64))
    )
    refused(double, "F64")


@pytest.mark.parametrize(
    "change",
    [
        {"network": {"hidden_size": 16384, "num_layers": 1}},
        {"network": {"hidden_size": 16384, "num_layers": 64}},
        {"spectrum": {"n_fft": 65536, "hop_length": 1}, "network": {"hidden_size": 16384, "num_layers": 1}},
        {"network": {"backbone": "tdconvnet", "num_layers": 64, "num_repeats": 64, "hidden_size": 16384}},
        {"network": {"backbone": "bandsplit", "num_bands": 33, "width": 16384, "num_layers": 2}},
    ],
    ids=str,
)
def test_a_network_larger_than_its_weights_is_never_made(saved, tmp_path, change, monkeypatch):
    made = []
    make = PathSeparator.__init__

    def noticed(self, *args, **kwargs):
        make(self, *args, **kwargs)
        made.append(self.head.weight.device.type)

    monkeypatch.setattr(PathSeparator, "__init__", noticed)
    from_pretrained(saved)
    assert made == ["meta", "cpu"]
    path = rewritten(saved, tmp_path / "boast.safetensors", lambda content: content["arguments"].update(change))
    started = time.process_time()
    refused(path, "do not fit")
    assert time.process_time() - started < 5
    assert "cpu" not in made[2:]


@pytest.mark.parametrize("rate", [0, -8000, 10**6, 10**400, True, 8000.0, "8000", None])
def test_a_sample_rate_that_cannot_be_is_refused(saved, tmp_path, rate):
    path = rewritten(saved, tmp_path / "rate.safetensors", lambda c: c["arguments"].update(sample_rate=rate))
    refused(path, "sample_rate")


def test_a_hierarchy_without_end_is_refused(saved, tmp_path):
    leaves = [f"n{number}" for number in range(9000)]
    hierarchy = {"name": "x", "levels": ["mixture", "stem"], "tree": {"mixture": leaves}}
    path = rewritten(saved, tmp_path / "wide.safetensors", lambda c: c["arguments"].update(hierarchy=hierarchy))
    refused(path, "too large")
    deep = "leaf"
    for _ in range(900):
        deep = [deep]
    path = rewritten(saved, tmp_path / "deep.safetensors", lambda c: c["arguments"].update(hierarchy={"tree": deep}))
    refused(path)


def test_what_a_stranger_writes_cannot_steer_a_terminal(saved, tmp_path):
    evil = "guitar\x1b[2J\nhiersep: all is well"
    for change in ({"nodes": [evil]}, {evil: 1}, {"network": {evil: 1}}, {"hierarchy": {"name": evil, "tree": 1}}):
        path = rewritten(saved, tmp_path / "evil.safetensors", lambda c, change=change: c["arguments"].update(change))
        refused(path)
        with pytest.raises(CheckpointError) as caught:
            from_pretrained(path)
        assert "\x1b" not in str(caught.value)
    refused(rewritten(saved, tmp_path / "evil.safetensors", lambda c: c.update(network=evil)))
