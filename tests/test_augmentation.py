"""Augmentation of stems: decided by a seed, of the same length, at any level, and the sums hold."""

import sys

import numpy as np
import pytest
from helpers import BASS, PIANO, RATE, noise, write_slakh
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep.data.augmentation import augment, draw_chain, play
from hiersep.data.catalog import open_dataset
from hiersep.data.events import Event, MixtureSpec
from hiersep.data.mixing import mix, realise
from hiersep.errors import HiersepError


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("length", [1, 2, 100, 16001])
def test_shape_and_type_stay_and_equal_seeds_give_equal_samples(channels, length):
    samples = noise(length / RATE, channels=channels).astype(np.float32)
    once, again, other = (augment(samples, RATE, seed) for seed in (3, 3, 4))
    assert (once.shape, once.dtype) == (samples.shape, np.float32)
    assert np.isfinite(once).all()
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


@given(st.integers(0, 2**31 - 1), st.integers(1, 3), st.integers(1, 2))
@settings(max_examples=20)
def test_the_first_samples_do_not_depend_on_how_many_follow(seed, length, channels):
    samples = noise(0.01, channels=channels).astype(np.float32)
    chain = draw_chain(np.random.default_rng(seed))
    whole = play(samples, RATE, chain)
    few = play(samples[:, :length], RATE, draw_chain(np.random.default_rng(seed)))
    np.testing.assert_array_equal(few, whole[:, :length])


@given(st.integers(0, 2**31 - 1), st.sampled_from([2.0**-10, 0.25, 8.0]))
@settings(max_examples=20)
def test_what_a_stem_becomes_does_not_depend_on_its_level(seed, gain):
    samples = noise(0.2, seed=1).astype(np.float32)
    louder = augment(np.float32(gain) * samples, RATE, seed)
    assert np.abs(louder / gain - augment(samples, RATE, seed)).max() < 1e-6


def test_both_channels_are_treated_alike():
    mono = noise(0.5).astype(np.float32)
    left, right = augment(np.repeat(mono, 2, axis=0), RATE, 7)
    assert np.abs(left - right).max() < 1e-6


def test_silence_stays_silence():
    assert not augment(np.zeros((2, 1000), np.float32), RATE, 0).any()


def test_no_stem_is_driven():
    kinds = {type(effect).__name__ for seed in range(100) for effect in draw_chain(np.random.default_rng(seed))}
    assert kinds == {"LowShelfFilter", "PeakFilter", "HighShelfFilter", "Compressor", "Reverb"}


@pytest.mark.parametrize("channels", [1, 2])
def test_the_mixture_is_the_sum_of_augmented_stems_and_each_is_augmented_by_itself(tmp_path, channels):
    write_slakh(tmp_path, {"Track00001": [(PIANO, noise(2.0, seed=1)), (BASS, noise(2.0, seed=2))]})
    catalog = open_dataset(tmp_path, jobs=1)
    events = (Event(0, 0, 0.0, 1.0, augmentation=11), Event(0, 1, 0.5, 1.0, gain_db=-3.0))
    stems = realise(catalog, MixtureSpec(events, (None, None), 1.0), channels)
    mixture, (piano, bass) = mix(stems, np.eye(2, dtype=np.float32))
    assert np.abs(mixture - piano - bass).max() < 1e-6
    dry = realise(catalog, MixtureSpec((Event(0, 0, 0.0, 1.0), events[1]), (None, None), 1.0), channels)
    assert np.array_equal(stems[0], augment(dry[0], RATE, 11))
    assert np.array_equal(stems[1], dry[1])


def test_without_pedalboard_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    with pytest.raises(HiersepError, match=r"^effects need pedalboard .*; run `pip install hiersep\[effects\]`, "):
        augment(np.ones((1, 10), np.float32), RATE, 0)
