"""Stems in, mixture and submixes out: every sum exact, every sample in its place."""

import numpy as np
import pytest
from helpers import BASS, PIANO, RATE, error_db, noise, read_audio, tone, write_audio, write_folder, write_slakh
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep import audio
from hiersep.data.catalog import open_dataset
from hiersep.data.mixing import mix, read_stems
from hiersep.data.sampling import Clip, coherent
from hiersep.hierarchy import Hierarchy


@st.composite
def mixtures(draw):
    """A random ragged tree, stems claimed by any node or none, and their audio."""
    parents = [draw(st.integers(0, child)) for child in range(draw(st.integers(1, 8)))]  # of nodes 1, 2, ...

    def branch(node):
        children = [child + 1 for child, parent in enumerate(parents) if parent == node]
        return {f"n{node}": [branch(child) for child in children]} if children else f"n{node}"

    def depth(node):
        return 1 + depth(parents[node - 1]) if node else 0

    levels = [f"level{n}" for n in range(1 + max(depth(n) for n in range(len(parents) + 1)))]
    hierarchy = Hierarchy.load({"name": "random", "levels": levels, "tree": branch(0)})
    claims = draw(st.lists(st.none() | st.sampled_from(hierarchy.ids), min_size=1, max_size=8))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    gain = draw(st.sampled_from([0.01, 0.3, 3.0]))
    stems = gain * rng.standard_normal((len(claims), draw(st.integers(1, 2)), draw(st.integers(1, 300))))
    return hierarchy, claims, stems.astype(np.float32)


def gain_of(stems, node_sums):
    """The one gain that brings the loudest peak to full scale, if it is above."""
    return 1 / max(1.0, np.abs(stems.sum(0, dtype=np.float64)).max(), *(np.abs(s).max() for s in node_sums))


@given(mixtures())
@settings(deadline=None)
def test_the_mixture_and_every_submix_are_sums_of_stems_under_one_gain(case):
    hierarchy, claims, stems = case
    mixture, submixes = mix(stems, hierarchy.membership(claims)[1:])
    exact = stems.astype(np.float64)
    sums = []
    for node in hierarchy.ids[1:]:
        held = [claim in (node, *hierarchy.descendants(node)) for claim in claims]
        sums.append(exact[held].sum(axis=0))
    gain = gain_of(stems, sums)
    assert np.abs(mixture - gain * exact.sum(axis=0)).max() < 1e-6
    assert np.abs(submixes - gain * np.stack(sums)).max() < 1e-6
    assert max(np.abs(mixture).max(), np.abs(submixes).max()) <= 1
    assert (mixture.shape, submixes.shape) == (stems.shape[1:], (len(hierarchy) - 1, *stems.shape[1:]))
    assert mixture.dtype == submixes.dtype == np.float32


@given(mixtures())
@settings(deadline=None)
def test_a_parent_is_the_sum_of_its_children_and_of_what_it_claims_itself(case):
    hierarchy, claims, stems = case
    mixture, submixes = mix(stems, hierarchy.membership(claims)[1:])
    of = dict(zip(hierarchy.ids, [mixture, *submixes], strict=True))
    raw = stems.sum(axis=0, dtype=np.float64)
    gain = np.vdot(mixture, raw) / np.vdot(raw, raw)
    for node in hierarchy.nodes:
        if node.children:
            mine = [claim == node.id or (claim is None and node.parent is None) for claim in claims]
            parts = gain * stems[mine].sum(axis=0, dtype=np.float64) + sum(of[child] for child in node.children)
            assert np.abs(of[node.id] - parts).max() < 1e-5


def test_a_stem_that_no_node_claims_is_in_the_mixture_only():
    stems = np.stack([tone(0.1, hz=hz) for hz in (200, 300, 500)]).astype(np.float32)
    mixture, (one, other) = mix(stems, np.array([[1, 0, 0], [0, 1, 0]], np.float32))
    assert np.array_equal(one, stems[0])
    assert np.array_equal(other, stems[1])
    assert np.abs(mixture - one - other - stems[2]).max() < 1e-6


def test_a_mixture_within_full_scale_keeps_its_level():
    stems = np.array([[[0.5, -1.0]], [[0.5, 0.0]]], np.float32)
    mixture, submixes = mix(stems, np.array([[1, 0]], np.float32))
    assert mixture.tolist() == [[1.0, -1.0]]
    assert submixes.tolist() == [[[0.5, -1.0]]]


def test_a_submix_that_clips_where_the_mixture_does_not_is_protected_too():
    stems = np.array([[[1.0, -2.0]], [[-0.5, 1.5]]], np.float32)
    mixture, submixes = mix(stems, np.array([[1, 0]], np.float32))
    assert submixes.tolist() == [[[0.5, -1.0]]]
    assert mixture.tolist() == [[0.25, -0.25]]


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_an_excerpt_is_a_slice_of_the_file_with_silence_past_its_end(tmp_path, suffix):
    long, short = noise(4.0, seed=1), noise(2.0, seed=2)
    write_slakh(tmp_path, {"Track00001": [(PIANO, long), (BASS, short)]}, suffix=suffix)
    catalog = open_dataset(tmp_path, jobs=1)
    files = [read_audio(stem.path) for stem in catalog.tracks[0].stems]
    for start in (0.0, 1.5, 2.5):
        stems = read_stems(catalog, coherent(catalog, Clip(0, start)), 1.0)
        assert (stems.shape, stems.dtype) == ((2, 1, RATE), np.float32)
        for excerpt, file in zip(stems, files, strict=True):
            expected = np.zeros((1, RATE))
            within = file[:, round(start * RATE) : round((start + 1) * RATE)]
            expected[:, : within.shape[1]] = within
            assert np.abs(excerpt - expected).max() < 1e-7


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
@pytest.mark.parametrize("start", [0.0, 2.5, 5.0, 7.5])
def test_an_excerpt_at_another_rate_equals_the_resampled_whole(tmp_path, rate, start):
    write_folder(tmp_path, {"song": {"noise": noise(8.0, rate=rate), "tone": tone(5.1, rate=rate, hz=333)}}, rate=rate)
    catalog = open_dataset(tmp_path, jobs=1)
    stems = read_stems(catalog, coherent(catalog, Clip(0, start)), 2.0)
    for stem, excerpt in zip(catalog.tracks[0].stems, stems, strict=True):
        whole = audio.resample(read_audio(stem.path), rate, RATE, length=10 * RATE)
        expected = whole[:, round(start * RATE) : round((start + 2) * RATE)]
        assert excerpt.shape == (1, 2 * RATE)
        if expected.any():
            assert error_db(excerpt, expected) < -60
            # No worse at the edges, where the resampler's filter has not settled unless it was given a margin.
            for edge in (slice(0, 80), slice(-80, None)):
                assert np.abs(excerpt - expected)[:, edge].max() < 1e-3 * np.abs(whole).max()
        else:
            assert not excerpt.any()


def test_stems_of_different_rates_and_channels_meet_at_the_working_rate(tmp_path):
    write_audio(tmp_path / "song/a.wav", tone(3, rate=44100), 44100)
    write_audio(tmp_path / "song/b.wav", tone(3, rate=16000, channels=2), 16000)
    write_audio(tmp_path / "song/c.wav", tone(3, rate=8000), 8000)
    catalog = open_dataset(tmp_path, jobs=1)
    a, b, c = read_stems(catalog, coherent(catalog, Clip(0, 0.5)), 2.0)
    expected = tone(3)[:, RATE // 2 : RATE // 2 + 2 * RATE]
    for excerpt in (a, b, c):
        assert error_db(excerpt, expected) < -60


def test_mono_is_the_mean_of_the_channels_and_stereo_takes_mono_to_both_sides(tmp_path):
    stereo, mono = noise(1.0, channels=2, seed=1), noise(1.0, seed=2)
    write_folder(tmp_path, {"song": {"mono": mono, "stereo": stereo}})
    catalog = open_dataset(tmp_path, jobs=1)
    one = read_stems(catalog, coherent(catalog, Clip(0, 0.0)), 1.0, channels=1)
    assert np.abs(one - np.stack([mono, stereo.mean(axis=0, keepdims=True)])).max() < 1e-6
    two = read_stems(catalog, coherent(catalog, Clip(0, 0.0)), 1.0, channels=2)
    assert np.abs(two - np.stack([np.repeat(mono, 2, axis=0), stereo])).max() < 1e-6
