"""Stems in, mixture and submixes out: every sum exact, every sample in its place."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import (
    BASS,
    PIANO,
    RATE,
    error_db,
    level_db,
    noise,
    read_audio,
    tone,
    write_audio,
    write_folder,
    write_slakh,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep import audio
from hiersep.data.catalog import open_dataset
from hiersep.data.events import Event, MixtureSpec
from hiersep.data.mixing import mix, mix_protected, realise, realise_query, shape_event
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


def song(catalog, start, duration):
    """All stems of the first track, from `start` seconds on."""
    events = coherent(catalog, Clip(0, start), duration)
    return MixtureSpec(events, (None,) * len(events), duration)


def gain_of(stems, node_sums):
    """The one gain that brings the loudest peak to full scale, if it is above."""
    return 1 / max(1.0, np.abs(stems.sum(0, dtype=np.float64)).max(), *(np.abs(s).max() for s in node_sums))


@given(mixtures())
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
        stems = realise(catalog, song(catalog, start, 1.0))
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
    stems = realise(catalog, song(catalog, start, 2.0))
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
    a, b, c = realise(catalog, song(catalog, 0.5, 2.0))
    expected = tone(3)[:, RATE // 2 : RATE // 2 + 2 * RATE]
    for excerpt in (a, b, c):
        assert error_db(excerpt, expected) < -60


def test_mono_is_the_mean_of_the_channels_and_stereo_takes_mono_to_both_sides(tmp_path):
    stereo, mono = noise(1.0, channels=2, seed=1), noise(1.0, seed=2)
    write_folder(tmp_path, {"song": {"mono": mono, "stereo": stereo}})
    catalog = open_dataset(tmp_path, jobs=1)
    one = realise(catalog, song(catalog, 0.0, 1.0), channels=1)
    assert np.abs(one - np.stack([mono, stereo.mean(axis=0, keepdims=True)])).max() < 1e-6
    two = realise(catalog, song(catalog, 0.0, 1.0), channels=2)
    assert np.abs(two - np.stack([np.repeat(mono, 2, axis=0), stereo])).max() < 1e-6


def test_the_peak_that_everything_was_divided_by_is_told():
    stems = np.array([[[1.0, -2.0]], [[-0.5, 1.5]]], np.float32)
    assert mix_protected(stems, np.array([[1, 0]], np.float32))[2] == 2.0
    assert mix_protected(stems / 4, np.array([[1, 0]], np.float32))[2] == 1.0


def test_no_stems_make_silence():
    mixture, submixes = mix(np.zeros((0, 1, 5), np.float32), np.zeros((2, 0), np.float32))
    assert (mixture.shape, submixes.shape) == ((1, 5), (2, 1, 5))
    assert not mixture.any()


def test_stems_without_samples_make_none():
    mixture, submixes, peak = mix_protected(np.zeros((2, 1, 0), np.float32), np.ones((3, 2), np.float32))
    assert (mixture.shape, submixes.shape, peak) == ((1, 0), (3, 1, 0), 1.0)


# --- events: placed, louder, shifted, stretched, augmented


@pytest.fixture(scope="module")
def two_stems(tmp_path_factory):
    """A catalog of one track: white noise of 4 s and of 2 s."""
    folder = tmp_path_factory.mktemp("two")
    write_slakh(folder, {"Track00001": [(PIANO, noise(4.0, seed=1)), (BASS, noise(2.0, seed=2))]})
    return open_dataset(folder, jobs=1)


def place(file, event, length):
    """What an event without pitch, stretch and augmentation is, by its definition."""
    out = np.zeros(length)
    for sample in range(length):
        inside = sample - round(event.event_time * RATE)
        source = round(event.source_time * RATE) + inside
        if 0 <= inside < round(event.duration * RATE) and source < len(file):
            out[sample] = file[source] * 10 ** (event.gain_db / 20)
    return out


@given(
    st.lists(
        st.builds(
            Event,
            st.just(0),
            st.integers(0, 1),
            source_time=st.floats(0, 4.5),
            duration=st.floats(1e-4, 0.1),
            event_time=st.floats(0, 0.12),
            gain_db=st.floats(-30, 30),
        ),
        max_size=4,
    )
)
@settings(max_examples=40)
def test_every_event_lies_where_and_as_loud_as_it_says(two_stems, events):
    files = [read_audio(stem.path)[0] for stem in two_stems.tracks[0].stems]
    audible = realise(two_stems, MixtureSpec(tuple(events), (None,) * len(events), 0.1))
    assert (audible.shape, audible.dtype) == ((len(events), 1, 1600), np.float32)
    for samples, event in zip(audible, events, strict=True):
        expected = place(files[event.stem], event, 1600)
        assert np.abs(samples[0] - expected).max() <= 1e-6 * max(1, np.abs(expected).max())


def test_a_track_read_in_one_go_equals_its_events_one_by_one(two_stems):
    whole = song(two_stems, 1.5, 1.0)
    assert realise(two_stems, whole).dtype == np.float32
    louder = [Event(0, n, 1.5, 1.0, gain_db=gain) for n, gain in enumerate((3.0, -2.0))]
    apart = [realise(two_stems, MixtureSpec((event,), (None,), 1.0))[0] for event in louder]
    assert np.array_equal(realise(two_stems, MixtureSpec(tuple(louder), (None, None), 1.0)), np.stack(apart))
    reversed_events = MixtureSpec(whole.events[::-1], (None, None), 1.0)
    assert np.array_equal(realise(two_stems, reversed_events), realise(two_stems, whole)[::-1])


def test_a_track_of_one_stem_is_an_excerpt_of_it(tmp_path):
    write_folder(tmp_path, {"song": {"tone": tone(2.0, hz=440, channels=2)}})
    (stem,) = realise(catalog := open_dataset(tmp_path, jobs=1), song(catalog, 0.5, 1.0), channels=2)
    assert np.abs(stem - read_audio(catalog.tracks[0].stems[0].path)[:, 8000:24000]).max() < 1e-7


@pytest.mark.parametrize("change", [{"event_time": 0.25}, {"pitch_shift": 2.0}, {"gain_db": -6.0}])
def test_both_channels_of_an_event_are_heard_each_on_its_side(tmp_path, change):
    wide = tone(2.0, hz=440, channels=2)
    wide[1] *= -0.5
    write_folder(tmp_path, {"song": {"tone": wide, "other": wide}})
    event = Event(0, 0, 0.5, 0.5, **change)
    ((left, right),) = realise(open_dataset(tmp_path, jobs=1), MixtureSpec((event,), (None,), 1.0), channels=2)
    assert level_db(left) > -40
    assert error_db(-2 * right, left) < -70


@pytest.mark.parametrize("stretch", [0.5, 1.0, 1.5])
def test_an_augmented_event_lasts_as_long_as_it_is_stretched_to(two_stems, stretch):
    for seed in range(5):
        event = Event(0, 0, 0.5, 1.0, time_stretch=stretch, augmentation=seed)
        ((samples,),) = realise(two_stems, MixtureSpec((event,), (None,), 2.0))
        end = round(stretch * RATE)
        assert abs(level_db(samples[end - 2000 : end - 400]) - level_db(samples[2000:6000])) < 6
        assert not samples[end:].any()


DIFFERENT = {
    "source_time": 2.0, "duration": 0.5, "event_time": 0.25, "pitch_shift": 2.0, "time_stretch": 1.5, "gain_db": -6.0,
    "augmentation": 3,
}  # fmt: skip


@pytest.mark.parametrize("differs", DIFFERENT)
@pytest.mark.parametrize("which", [(0,), (1,), (0, 1)], ids=["first", "second", "both"])
def test_a_mixture_is_its_events_whichever_of_them_is_unlike_a_plain_excerpt(two_stems, differs, which):
    events = [Event(0, stem, 1.5, 1.0) for stem in (0, 1)]
    for number in which:
        events[number] = replace(events[number], **{differs: DIFFERENT[differs]})
    for order in (events, events[::-1], [events[0], events[0]], events[:1]):
        apart = [realise(two_stems, MixtureSpec((event, event, event), (None,) * 3, 1.0))[0] for event in order]
        together = realise(two_stems, MixtureSpec(tuple(order), (None,) * len(order), 1.0))
        assert np.array_equal(together, np.stack(apart))


def test_what_shows_the_target_is_an_excerpt_of_its_stem(two_stems):
    file = read_audio(two_stems.tracks[0].stems[1].path)
    spec = MixtureSpec((), (), 1.0, query=Event(0, 1, 1.5, 0.75))
    (query,) = realise_query(two_stems, spec)
    assert query.shape == (12000,)
    assert np.abs(query[:8000] - file[0, 24000:32000]).max() < 1e-7
    assert not query[8000:].any()  # the stem has ended
    assert np.array_equal(realise_query(two_stems, spec, channels=2), np.stack([query, query]))
    assert realise_query(two_stems, MixtureSpec((), (), 1.0)) is None


@pytest.mark.parametrize(("source_time", "samples"), [(3.5, 8000), (4.0, 0), (9.0, 0), (4.0 - 1 / RATE, 1)])
def test_an_event_ends_with_its_stem(two_stems, source_time, samples):
    event = Event(0, 0, source_time, 1.0)
    assert shape_event(two_stems, event).shape == (1, samples)
    (stem,) = realise(two_stems, MixtureSpec((event,), (None,), 1.0))
    assert not stem[:, samples:].any()


@pytest.mark.parametrize("semitones", [-5.0, 0.5, 12.0])
def test_a_pitch_is_shifted_by_semitones_and_keeps_its_length(tmp_path, semitones):
    write_folder(tmp_path, {"song": {"tone": tone(3.0, hz=440)}})
    catalog = open_dataset(tmp_path, jobs=1)
    shifted = shape_event(catalog, Event(0, 0, 0.0, 2.0, pitch_shift=semitones))
    assert shifted.dtype == np.float32
    assert abs(shifted.shape[1] - 2 * RATE) <= 2
    spectrum = np.abs(np.fft.rfft(shifted[0] * np.hanning(shifted.shape[1])))
    hz = spectrum.argmax() * RATE / shifted.shape[1]
    assert hz == pytest.approx(440 * 2 ** (semitones / 12), abs=1.0)
    assert level_db(shifted) == pytest.approx(-20, abs=0.5)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.5])
def test_a_stretch_changes_the_length_and_not_the_pitch(tmp_path, factor):
    write_folder(tmp_path, {"song": {"tone": tone(3.0, hz=440)}})
    catalog = open_dataset(tmp_path, jobs=1)
    stretched = shape_event(catalog, Event(0, 0, 0.5, 2.0, time_stretch=factor))
    assert abs(stretched.shape[1] - factor * 2 * RATE) <= 2
    spectrum = np.abs(np.fft.rfft(stretched[0] * np.hanning(stretched.shape[1])))
    assert spectrum.argmax() * RATE / stretched.shape[1] == pytest.approx(440, abs=2.0)


def test_a_pitch_above_full_scale_does_not_clip_and_both_channels_are_treated_alike(tmp_path):
    loud = tone(2.0, hz=440, db=6.0, channels=2)
    loud[1] *= -0.5
    write_folder(tmp_path, {"song": {"tone": loud}})
    event = Event(0, 0, 0.0, 2.0, pitch_shift=2.0)
    left, right = shape_event(open_dataset(tmp_path, jobs=1), event, channels=2)
    assert level_db(left) == pytest.approx(6.0, abs=0.5)
    assert error_db(-2 * right, left) < -80


@pytest.mark.parametrize("duration", [1 / RATE, 3 / RATE, 0.01])
def test_a_few_samples_can_be_shifted_stretched_and_augmented(two_stems, duration):
    event = Event(0, 0, 1.0, duration, pitch_shift=3.0, time_stretch=1.3, augmentation=5)
    (stem,) = realise(two_stems, MixtureSpec((event,), (None,), 0.1))
    assert np.isfinite(stem).all()
    assert not stem[:, round(duration * RATE * 1.3) + 1 :].any()
