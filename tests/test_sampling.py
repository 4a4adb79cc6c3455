"""Which excerpts are taken: those in which the target sounds, each track alike, each clip once."""

import itertools
from collections import Counter

import numpy as np
import pytest
from helpers import ACOUSTIC_GUITAR, DISTORTED_GUITAR, PIANO, bursts, tone, write_folder, write_slakh
from hypothesis import given
from hypothesis import strategies as st

from hiersep.data.catalog import open_dataset
from hiersep.data.sampling import Clip, draw, fixed_list, salient_clips, window_starts
from hiersep.hierarchy import Hierarchy

ISMIR = Hierarchy.load("slakh_ismir2020")


def clips_of(*counts):
    """As many windows per track, every 2.5 s."""
    return [tuple(Clip(track, 2.5 * n) for n in range(count)) for track, count in enumerate(counts)]


clip_lists = st.lists(
    st.sets(st.integers(0, 30), min_size=1, max_size=15), min_size=1, max_size=6
).map(lambda sets: [tuple(Clip(t, 2.5 * n) for n in sorted(numbers)) for t, numbers in enumerate(sets)])  # fmt: skip


@given(duration=st.floats(0.01, 1000), clip_s=st.floats(0.1, 60))
def test_windows_stand_every_2_5_seconds_as_far_as_the_track_goes(duration, clip_s):
    starts = window_starts(duration, clip_s)
    assert np.array_equal(starts, 2.5 * np.arange(len(starts)))
    if duration >= clip_s:
        assert starts[-1] + clip_s <= duration + 1e-6
        assert starts[-1] + 2.5 + clip_s > duration - 1e-6
    else:
        assert starts.tolist() == [0.0]


@pytest.mark.parametrize(("duration", "count"), [(10.0, 1), (12.4, 1), (12.5, 2), (60.0, 21), (4.0, 1)])
def test_a_track_has_so_many_windows_of_10_seconds(duration, count):
    assert len(window_starts(duration, 10.0)) == count


def starts_of(catalog, nodes, clip_s=5.0, hierarchy=ISMIR):
    found = salient_clips(catalog, catalog.select(None), hierarchy, nodes, clip_s)
    return [(clip.track, clip.start_s) for clips in found for clip in clips]


def test_a_window_is_salient_where_the_node_is_louder_than_30_db_below_full_scale(tmp_path):
    # Of 5 s: 1 s at -22 dB is -29 dB (salient); 1 s at -24 dB is -31 dB (not).
    loud, soft = bursts(15, [(6, 7)], db=-22), bursts(15, [(6, 7)], db=-24)
    write_slakh(
        tmp_path,
        {
            "Track00001": [(ACOUSTIC_GUITAR, loud), (PIANO, tone(15, db=-10))],
            "Track00002": [(ACOUSTIC_GUITAR, soft)],
            "Track00003": [(PIANO, loud)],
        },
    )
    catalog = open_dataset(tmp_path, jobs=1)
    assert starts_of(catalog, ["clean_guitars"]) == [(0, 2.5), (0, 5.0)]
    assert starts_of(catalog, ["keyboards"]) == [(0, n) for n in (0, 2.5, 5, 7.5, 10)] + [(2, 2.5), (2, 5.0)]
    assert starts_of(catalog, ["clean_guitars", "keyboards"]) == starts_of(catalog, ["keyboards"])


def test_soft_stems_of_one_node_are_salient_together(tmp_path):
    one, other = tone(5, hz=300, db=-31), tone(5, hz=500, db=-31)
    write_slakh(tmp_path, {"Track00001": [(ACOUSTIC_GUITAR, one), (DISTORTED_GUITAR, other)]})
    catalog = open_dataset(tmp_path, jobs=1)
    assert starts_of(catalog, ["clean_guitars"]) == starts_of(catalog, ["effected_guitars"]) == []
    assert starts_of(catalog, ["guitar"]) == [(0, 0.0)]


def test_a_node_that_is_unknown_in_a_track_is_never_salient_there(tmp_path):
    hierarchy = Hierarchy.load(
        {
            "name": "inner",
            "levels": ["mixture", "family", "stem"],
            "tree": {"mixture": {"guitar": ["clean", "effected"]}},
            "match": "filename",
            "labels": {"guitar": "guitar", "clean": "clean"},
        }
    )
    write_folder(tmp_path, {"a": {"clean": tone(5)}, "b": {"clean": tone(5), "guitar": tone(5)}})
    catalog = open_dataset(tmp_path, jobs=1)
    assert starts_of(catalog, ["clean"], hierarchy=hierarchy) == [(0, 0.0)]
    assert starts_of(catalog, ["guitar"], hierarchy=hierarchy) == [(0, 0.0), (1, 0.0)]


def window_of(clip, clips):
    """The salient window that a drawn clip begins in: the last of its track that does not begin later."""
    of_track = next(of_track for of_track in clips if of_track[0].track == clip.track)
    return max((window for window in of_track if window.start_s <= clip.start_s), key=lambda window: window.start_s)


def test_tracks_are_drawn_alike_whatever_their_length_and_windows_alike_within_one():
    clips = clips_of(1, 4, 40)
    drawn = Counter(window_of(draw(clips, seed=1, epoch=0, index=index), clips) for index in range(6000))
    per_track = Counter()
    for clip, count in drawn.items():
        per_track[clip.track] += count
    deviation = np.sqrt(6000 * (1 / 3) * (2 / 3))
    assert all(abs(per_track[track] - 2000) < 4 * deviation for track in range(3))
    assert all(abs(drawn[clip] - 500) < 4 * np.sqrt(500) for clip in clips[1])
    assert len(drawn) == 45


def test_a_clip_begins_anywhere_between_two_salient_windows_but_never_past_a_gap():
    apart = (Clip(0, 0.0), Clip(0, 2.5), Clip(0, 10.0))
    starts = np.array([draw([apart], seed=3, epoch=0, index=index).start_s for index in range(3000)])
    between = starts[(starts > 0) & (starts < 2.5)]
    assert set(starts[(starts <= 0) | (starts >= 2.5)]) <= {0.0, 2.5, 10.0}
    quarters, _ = np.histogram(between, bins=4, range=(0, 2.5))
    assert (np.abs(quarters - len(between) / 4) < 4 * np.sqrt(len(between) / 4)).all()


@given(clip_lists, st.integers(0, 2**32), st.integers(0, 1000), st.integers(0, 10**6))
def test_a_draw_is_a_function_of_seed_epoch_and_index(clips, seed, epoch, index):
    assert draw(clips, seed, epoch, index) == draw(clips, seed, epoch, index)
    drawn = draw(clips, seed, epoch, index)
    assert drawn.start_s - window_of(drawn, clips).start_s < 2.5


@pytest.mark.parametrize("other", [(1, 0), (0, 1)], ids=["seed", "epoch"])
def test_another_seed_or_epoch_draws_another_sequence(other):
    clips = clips_of(20, 20, 20, 20)
    one = [draw(clips, 0, 0, index) for index in range(50)]
    two = [draw(clips, *other, index) for index in range(50)]
    assert sum(a == b for a, b in zip(one, two, strict=True)) < 10


@given(clip_lists, st.integers(0, 1000), st.sampled_from([2.0, 4.0, 5.0, 10.0]))
def test_the_fixed_list_holds_every_clip_once_in_an_order_of_its_own(clips, seed, clip_s):
    total = sum(map(len, clips))
    whole = fixed_list(clips, seed, 10**6, clip_s)
    assert len(whole) == total
    assert set(whole) == set(itertools.chain(*clips))
    for count in (1, total // 2, total):
        assert fixed_list(clips, seed, count, clip_s) == whole[:count]


@given(clip_lists, st.integers(0, 1000))
def test_the_fixed_list_goes_round_the_tracks(clips, seed):
    left = Counter({track: len(of_track) for track, of_track in enumerate(clips)})
    taken = Counter()
    for clip in fixed_list(clips, seed, 10**6, 10.0):
        waiting = [track for track in left if left[track] > taken[track]]
        assert taken[clip.track] == min(taken[track] for track in waiting)
        taken[clip.track] += 1


@given(st.integers(1, 40), st.sampled_from([2.5, 4.0, 5.0, 10.0]), st.integers(0, 100))
def test_clips_that_do_not_overlap_come_first(windows, clip_s, seed):
    length = 2.5 * (windows - 1) + clip_s
    step = 2.5 * np.ceil(clip_s / 2.5)  # the closest that two windows stand without a shared sample
    apart = int((length - clip_s) // step) + 1
    first = sorted(clip.start_s for clip in fixed_list(clips_of(windows), seed, apart, clip_s))
    assert all(late - early >= clip_s for early, late in itertools.pairwise(first))
    if windows > apart:
        more = sorted(clip.start_s for clip in fixed_list(clips_of(windows), seed, windows, clip_s))
        assert any(late - early < clip_s for early, late in itertools.pairwise(more))


def test_the_fixed_list_depends_on_the_seed():
    clips = clips_of(10, 10, 10)
    assert fixed_list(clips, 0, 30, 10.0) != fixed_list(clips, 1, 30, 10.0)
    assert fixed_list([], 0, 30, 10.0) == []
