"""The same seed gives the same bytes; where sums may come in another order, the difference stays far below hearing."""

import numpy as np
import pytest
import torch
from helpers import BASS, DRUMS, ELECTRIC_GUITAR, PIANO, error_db, noise, small_experiment, tone, write_slakh

from benchmarks.reliability import _workplace, determinism
from hiersep import train
from hiersep.data.catalog import index_dataset
from hiersep.models.checkpoint import from_pretrained
from hiersep.separation import Passage

RATE = 8000


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    songs = {
        f"{split}/Track{number:05d}": [
            (ELECTRIC_GUITAR, tone(3.0, hz=200 + number, rate=RATE)),
            (PIANO, noise(3.0, seed=number, rate=RATE)),
            (DRUMS, noise(3.0, seed=10 + number, rate=RATE)),
            (BASS, tone(2.0, hz=80, rate=RATE)),
        ]
        for number, split in enumerate(["train", "train", "validation"], 1)
    }
    return write_slakh(tmp_path_factory.mktemp("determinism") / "data", songs, rate=RATE)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_catalog_and_its_store_are_the_same_bytes(data, tmp_path, monkeypatch, jobs):
    for name, count in {"one": 1, "two": jobs}.items():
        monkeypatch.setenv("HIERSEP_CACHE", str(tmp_path / name))
        index_dataset(data, sample_rate=RATE, jobs=count, store_channels=1)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len(contents(tmp_path / "one")) == 3 + 3  # catalog, metadata and store, and a block per track


def experiment(data, **training):
    return small_experiment(data, RATE, num_train=6, dropout=0.3, **training)


def test_the_same_seed_trains_the_same_weights_whoever_makes_the_mixtures(data, tmp_path):
    weights = {
        name: train(experiment(data, **settings), tmp_path / name / "exp").read_bytes()
        for name, settings in {"one": {}, "two": {}, "workers": {"num_workers": 1}, "seed": {"seed": 1}}.items()
    }
    assert weights["one"] == weights["two"] == weights["workers"]
    assert weights["one"] != weights["seed"]


def separate(device="cpu", threads=1):
    model = from_pretrained(_workplace.FIXTURES / "path.safetensors")
    mixture = np.asarray(tone(3.0, rate=RATE) + noise(3.0, rate=RATE), np.float32)
    torch.set_num_threads(threads)
    try:
        return np.stack(list(Passage(model, device=device).whole(mixture, RATE)))  # (node, channel, time)
    finally:
        torch.set_num_threads(1)  # as conftest has it


def test_one_number_of_threads_separates_alike_and_another_to_100_db():
    one = separate()
    assert np.array_equal(one, separate())
    assert error_db(separate(threads=2), one) < determinism.THREADS_DB


@pytest.mark.skipif(not torch.cuda.is_available(), reason="compares a GPU with the processor")
def test_a_gpu_separates_as_the_processor_does_to_60_db():
    assert error_db(separate("cuda"), separate()) < determinism.GPU_DB


def test_what_differs_is_told_in_decibels_and_by_name():
    ones = {"a": np.ones(10), "b": np.zeros(10)}
    assert determinism.difference_db(ones, {"a": np.full(10, 1.001), "b": np.zeros(10)}) == pytest.approx(-60)
    assert determinism.difference_db(ones, ones) == -np.inf
    assert determinism.differing({"a": "1", "b": "2"}, {"b": "3", "c": "1"}) == ["a", "b", "c"]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["render", "mix", "report"])
def test_a_command_gives_the_same_bytes_under_conditions_that_must_not_matter(command):
    with _workplace.workplace() as place:
        rows = determinism.same_bytes(place, command)
    assert rows
    assert [(row["differ in"], row["which"]) for row in rows if row["differing"]] == []
