"""Excerpts are what the files hold at their place; what is damaged later is silence, named once."""

import multiprocessing
import warnings

import numpy as np
import pytest
from helpers import BASS, PIANO, RATE, error_db, noise, read_audio, tone, write_audio, write_slakh
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep.data.catalog import open_dataset
from hiersep.data.reading import read_block, read_excerpt
from hiersep.errors import HiersepWarning


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_slakh(folder, {"Track00001": [(PIANO, noise(2.0, channels=2)), (BASS, noise(1.5, seed=1))]})
    return open_dataset(folder, jobs=1)


@given(start=st.integers(0, 3 * RATE), length=st.integers(1, 2 * RATE), channels=st.sampled_from([1, 2]))
@settings(max_examples=50)
def test_an_excerpt_is_the_files_samples_and_zeros_past_their_end(catalog, start, length, channels):
    block = read_block(catalog, 0, start / RATE, length, channels)
    assert block.shape == (2, channels, length)
    for stem, source in enumerate(catalog.tracks[0].stems):
        samples = read_audio(source.path)
        wanted = (
            samples.mean(axis=0, keepdims=True) if channels == 1 else np.broadcast_to(samples, (2, samples.shape[1]))
        )
        padded = np.pad(wanted, ((0, 0), (0, 5 * RATE)))[:, start : start + length]
        np.testing.assert_allclose(block[stem], padded, atol=1e-7)
        assert np.array_equal(read_excerpt(catalog, 0, stem, start / RATE, length, channels), block[stem])


@pytest.mark.parametrize("start", [0.0, 0.05, 0.5, 1.9])
def test_an_excerpt_at_another_rate_is_that_of_the_whole_resampled(tmp_path, start):
    samples = tone(3.0, hz=1000, rate=44100)
    write_slakh(tmp_path, {"Track00001": [(PIANO, samples)]}, rate=44100)
    excerpt = read_excerpt(open_dataset(tmp_path, jobs=1), 0, 0, start, RATE)
    time = start + np.arange(RATE) / RATE
    truth = np.sqrt(2) * 0.1 * np.sin(2 * np.pi * 1000 * time)
    assert error_db(excerpt[0, 100:], truth[100:]) < -60


@pytest.mark.parametrize("damage", ["removed", "emptied", "cut", "text", "nan"])
def test_what_is_damaged_after_indexing_is_silent_and_named_once(tmp_path, damage):
    write_slakh(tmp_path, {"Track00001": [(PIANO, tone(2.0)), (BASS, noise(2.0))]})
    catalog = open_dataset(tmp_path, jobs=1)
    path = catalog.tracks[0].stems[0].path
    whole = read_block(catalog, 0, 0.0, RATE)
    if damage == "removed":
        path.unlink()
    elif damage == "nan":
        write_audio(path, np.full((1, 2 * RATE), np.nan))
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.write_bytes(b"" if damage == "emptied" else b"some text")
    with pytest.warns(HiersepWarning, match=f"damaged since it was indexed, silent from here on: {path}") as caught:
        blocks = [read_block(catalog, 0, 0.0, RATE) for _ in range(3)]
    assert len(caught) == 1
    for block in blocks:
        assert not block[0].any()
        assert np.array_equal(block[1], whole[1])


def count_warnings(catalog):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_block(catalog, 0, 0.0, 100)
    return len(caught)


def test_forked_workers_name_a_damage_once_between_them(tmp_path):
    write_slakh(tmp_path, {"Track00001": [(PIANO, tone(1.0)), (BASS, noise(1.0))]})
    catalog = open_dataset(tmp_path, jobs=1)
    catalog.tracks[0].stems[0].path.unlink()
    counts = []
    for _ in range(2):  # one after the other, as a loader starts workers anew each epoch
        receive, send = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=lambda: send.send(count_warnings(catalog)))  # noqa: B023
        process.start()
        counts.append(receive.recv())
        process.join()
    assert counts == [1, 0]
