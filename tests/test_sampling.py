"""Which excerpts are taken: those in which the target sounds, each track alike, each clip once."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers import (
    ACOUSTIC_GUITAR,
    BASS,
    DISTORTED_GUITAR,
    DRUMS,
    ORGAN,
    PIANO,
    RATE,
    bursts,
    tone,
    write_folder,
    write_slakh,
)
from hypothesis import given
from hypothesis import strategies as st

from hiersep.data.catalog import Catalog, open_dataset
from hiersep.data.labels import Labels
from hiersep.data.measuring import Measurement
from hiersep.data.queries import QueryPool
from hiersep.data.sampling import Clip, ClipRules, Sampler, fixed_list, interleave, window_starts
from hiersep.data.tracks import Stem, Track
from hiersep.errors import DataError
from hiersep.hierarchy import Hierarchy

ISMIR = Hierarchy.load("slakh_ismir2020")


def catalog_of(*tracks, split=None):
    """A catalog without files. Each track is a list of (program, level in dB of every 2.5 s); None is silence."""

    def measurement(levels):
        power = np.repeat([0.0 if level is None else 10 ** (level / 10) for level in levels], 5).astype(np.float32)
        return Measurement(
            frames=round(2.5 * RATE) * len(levels), sample_rate=RATE, channels=1, power=power, loudness=-20.0
        )

    stems = [
        tuple(Stem(f"S{n}", Path(f"S{n}.wav"), {"program_num": program}) for n, (program, _) in enumerate(track))
        for track in tracks
    ]
    measured = tuple(tuple(measurement(levels) for _, levels in track) for track in tracks)
    listed = tuple(Track(f"Track{n}", split, of_track) for n, of_track in enumerate(stems))
    return Catalog(Path("/nowhere"), "slakh", RATE, "key", listed, measured)


def sampler_of(catalog, *nodes, hierarchy=ISMIR, clip_s=2.5, labels=None, askable=None, **rules):
    labels = labels or Labels(catalog, hierarchy)
    return Sampler(catalog, labels, None, nodes, wanted=nodes, rules=ClipRules(clip_s=clip_s, **rules), askable=askable)


def drawn(sampler, count, seed=0):
    return [sampler.draw(np.random.default_rng([seed, 0, index])) for index in range(count)]


def window(clip):
    return clip.track, int(clip.start_s // 2.5)


def close(count, total, share):
    """Whether a share came up about as often as it should: within 4 standard deviations."""
    return abs(count - share * total) <= 4 * np.sqrt(share * (1 - share) * total) + 1e-9


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


def starts_of(catalog, *nodes, clip_s=5.0, hierarchy=ISMIR):
    found = sampler_of(catalog, *nodes, clip_s=clip_s, hierarchy=hierarchy).fixed(10**6, 0)
    return sorted((clip.track, clip.start_s) for clip in found)


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
    assert starts_of(catalog, "clean_guitars") == [(0, 2.5), (0, 5.0)]
    assert starts_of(catalog, "keyboards") == [(0, n) for n in (0, 2.5, 5, 7.5, 10)] + [(2, 2.5), (2, 5.0)]
    assert starts_of(catalog, "clean_guitars", "keyboards") == starts_of(catalog, "keyboards")


def test_soft_stems_of_one_node_are_salient_together(tmp_path):
    one, other = tone(5, hz=300, db=-31), tone(5, hz=500, db=-31)
    write_slakh(tmp_path, {"Track00001": [(ACOUSTIC_GUITAR, one), (DISTORTED_GUITAR, other)]})
    catalog = open_dataset(tmp_path, jobs=1)
    for node in ("clean_guitars", "effected_guitars"):
        with pytest.raises(DataError, match=f"'{node}' is nowhere louder than -30 dBFS"):
            starts_of(catalog, node)
    assert starts_of(catalog, "guitar") == [(0, 0.0)]


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
    assert starts_of(catalog, "clean", hierarchy=hierarchy) == [(0, 0.0)]
    assert starts_of(catalog, "guitar", hierarchy=hierarchy) == [(0, 0.0), (1, 0.0)]


# --- draws


def test_tracks_are_drawn_alike_whatever_their_length_and_windows_alike_within_one():
    catalog = catalog_of(*([(ACOUSTIC_GUITAR, [-20] * count)] for count in (1, 4, 40)))
    windows = Counter(window(clip) for clip in drawn(sampler_of(catalog, "clean_guitars"), 6000))
    per_track = Counter()
    for (track, _), count in windows.items():
        per_track[track] += count
    assert all(close(per_track[track], 6000, 1 / 3) for track in range(3))
    assert all(close(windows[1, n], 6000, 1 / 12) for n in range(4))
    assert len(windows) == 45


def test_a_clip_begins_anywhere_between_two_salient_windows_but_never_past_a_gap():
    catalog = catalog_of([(ACOUSTIC_GUITAR, [-20, -20, None, None, -20])])
    starts = np.array([clip.start_s for clip in drawn(sampler_of(catalog, "clean_guitars"), 3000)])
    between = starts[(starts > 0) & (starts < 2.5)]
    assert set(starts[(starts <= 0) | (starts >= 2.5)]) <= {0.0, 2.5, 10.0}
    quarters, _ = np.histogram(between, bins=4, range=(0, 2.5))
    assert all(close(quarter, len(between), 1 / 4) for quarter in quarters)


def test_a_draw_is_a_function_of_its_generator():
    sampler = sampler_of(catalog_of(*([(ACOUSTIC_GUITAR, [-20] * 20)] for _ in range(4))), "clean_guitars")
    assert drawn(sampler, 50) == drawn(sampler, 50)
    assert sum(a == b for a, b in zip(drawn(sampler, 50), drawn(sampler, 50, seed=1), strict=True)) < 10


# Clean guitars in 1 of 10 tracks, drums in all, and a bass in 5.
UNEVEN = [
    [(DRUMS, [-20, -20]), *([(BASS, [-20, None])] * (n < 5)), *([(ACOUSTIC_GUITAR, [-20, None])] * (n < 1))]
    for n in range(10)
]
NODES = ("clean_guitars", "electric_basses", "drums")


def test_balanced_every_target_is_asked_for_alike_and_else_as_often_as_it_occurs():
    catalog = catalog_of(*UNEVEN)
    balanced, as_it_comes = (
        Counter(clip.target for clip in drawn(sampler_of(catalog, *NODES, balanced=balanced, ask=True), 3000))
        for balanced in (True, False)
    )
    assert all(close(balanced[node], 3000, 1 / 3) for node in NODES)
    # A track first, then a window, then what is salient there: the guitar has a third of a half of one track in ten.
    occur = {
        "clean_guitars": 1 / 60,
        "electric_basses": 1 / 60 + 4 / 40,
        "drums": 1 / 60 + 1 / 20 + 4 * (1 / 40 + 1 / 20) + 1 / 2,
    }
    assert sum(occur.values()) == pytest.approx(1)
    assert all(close(as_it_comes[node], 3000, share) for node, share in occur.items())


def test_balanced_without_a_question_the_targets_sound_alike_often_and_tracks_are_alike_for_each():
    clips = drawn(sampler_of(catalog_of(*UNEVEN), "clean_guitars", "electric_basses", balanced=True), 3000)
    assert {clip.target for clip in clips} == {None}
    tracks = Counter(clip.track for clip in clips)
    assert close(tracks[0], 3000, 1 / 2 + 1 / 10)
    assert all(close(tracks[n], 3000, 1 / 10) for n in range(1, 5))


# Two tracks of 4 windows. The guitars' siblings below `guitar` are clean and effected.
KINDS = [
    [(ACOUSTIC_GUITAR, [-20, -20, None, -45]), (DISTORTED_GUITAR, [-20, None, -20, -20])],
    [(ACOUSTIC_GUITAR, [-20, None, None, None]), (PIANO, [-20, -20, -20, None])],
]
KIND_OF = {
    (0, 0): "accompanied",
    (0, 1): "alone",
    (0, 2): "silent",
    (0, 3): "neither: it is heard, and not salient",
    (1, 0): "alone",
    (1, 1): "silent",
    (1, 2): "silent",
    (1, 3): "neither: nothing sounds",
}


@pytest.mark.parametrize(
    ("rules", "shares"),
    [
        ({}, {"salient": 1.0}),
        ({"silent": 0.25}, {"salient": 0.75, "silent": 0.25}),
        ({"silent": 1.0}, {"silent": 1.0}),
        ({"alone": 0.3}, {"alone": 0.3, "accompanied": 0.7}),
        ({"alone": 0.0}, {"accompanied": 1.0}),
        ({"silent": 0.5, "alone": 0.5}, {"silent": 0.5, "alone": 0.25, "accompanied": 0.25}),
    ],
)
def test_each_kind_of_clip_has_the_share_that_was_asked_for(rules, shares):
    sampler = sampler_of(catalog_of(*KINDS), "clean_guitars", **rules)
    kinds = Counter(KIND_OF[window(clip)] for clip in drawn(sampler, 2000))
    if "salient" in shares:
        kinds["salient"] = kinds.pop("alone") + kinds.pop("accompanied")
    assert kinds.keys() == shares.keys()
    assert all(close(kinds[kind], 2000, share) for kind, share in shares.items())


def test_silent_beside_several_targets_means_all_of_them_unless_one_is_drawn_first():
    catalog = catalog_of(*KINDS)
    both = drawn(sampler_of(catalog, "clean_guitars", "effected_guitars", silent=1.0), 50)
    assert {window(clip) for clip in both} == {(1, 1), (1, 2)}
    asked = drawn(sampler_of(catalog, "clean_guitars", "effected_guitars", silent=1.0, ask=True), 200)
    assert {(*window(clip), clip.target) for clip in asked} >= {(0, 1, "effected_guitars"), (0, 2, "clean_guitars")}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"silent": 0.1}, "is nowhere softer than -60 dBFS while others sound, as 'silent' asks for"),
        ({"alone": 0.9}, "is nowhere louder than -30 dBFS beside such a sibling, as 'alone' below 1 asks for"),
    ],
)
def test_a_kind_of_clip_that_is_nowhere_is_refused(rules, message):
    catalog = catalog_of([(ACOUSTIC_GUITAR, [-20]), (PIANO, [-20])])
    sampler_of(catalog, "clean_guitars")
    with pytest.raises(DataError) as caught:
        sampler_of(catalog, "clean_guitars", **rules)
    where = f"in split 'None' ({len(catalog.tracks)} tracks); choose another target or more data"
    assert str(caught.value) == f"/nowhere: 'clean_guitars' {message} {where}"


# --- queries


def test_a_query_is_a_salient_excerpt_of_a_stem_of_the_target_from_another_track():
    catalog = catalog_of(
        [(ACOUSTIC_GUITAR, [-20, -20]), (PIANO, [-20, -20])],
        [(PIANO, [-20, -20]), (ACOUSTIC_GUITAR, [-40, -20])],
        [(ACOUSTIC_GUITAR, [-20, None]), (ACOUSTIC_GUITAR, [-20, -20])],
        [(ORGAN, [-20, -20])],
    )
    pool = QueryPool(catalog, Labels(catalog, ISMIR), range(4), ["clean_guitars", "organs"], query_s=2.5)
    rng = np.random.default_rng(0)
    for avoid, expected in (
        ({0}, {(1, 1, 2.5), (2, 0, 0.0), (2, 1, 0.0), (2, 1, 2.5)}),
        ({1, 3}, {(0, 0, 0.0), (0, 0, 2.5), (2, 0, 0.0), (2, 1, 0.0), (2, 1, 2.5)}),
        ({0, 2}, {(1, 1, 2.5)}),
    ):
        queries = [pool.draw("clean_guitars", avoid, rng) for _ in range(200)]
        assert {(query.track, query.stem, query.source_time) for query in queries} == expected
        tracks = Counter(query.track for query in queries)
        assert all(close(count, 200, 1 / len(tracks)) for count in tracks.values())
    assert pool.draw("clean_guitars", {0, 1, 2}, rng) is None
    assert [pool.askable(track).tolist() for track in (0, 3)] == [[True, True], [True, False]]


def test_only_what_has_a_query_elsewhere_is_asked_for():
    catalog = catalog_of([(ACOUSTIC_GUITAR, [-20]), (ORGAN, [-20])], [(ACOUSTIC_GUITAR, [-20]), (DRUMS, [-20])])
    nodes = ["clean_guitars", "organs", "drums"]
    pool = QueryPool(catalog, Labels(catalog, ISMIR), range(2), nodes, query_s=2.5)
    clips = drawn(sampler_of(catalog, *nodes, ask=True, askable=pool.askable), 100)
    assert {clip.target for clip in clips} == {"clean_guitars"}


# --- fixed lists


def test_fixed_clips_keep_the_shares_and_repeat_nothing():
    sampler = sampler_of(catalog_of(*KINDS), "clean_guitars", silent=0.5)
    for count in (1, 2, 4):
        clips = sampler.fixed(count, seed=0)
        assert len(clips) == len(set(clips)) == count
        assert clips == sampler.fixed(count, seed=0)
        silent = sum(KIND_OF[window(clip)] == "silent" for clip in clips)
        assert abs(silent - count / 2) <= 1


def test_balanced_fixed_clips_go_round_the_targets():
    sampler = sampler_of(catalog_of(*UNEVEN), *NODES, balanced=True, ask=True)
    clips = sampler.fixed(10**6, seed=0)
    assert [clip.target for clip in clips[:3]] == list(NODES)
    assert Counter(clip.target for clip in clips) == {"clean_guitars": 1, "electric_basses": 5, "drums": 20}
    assert len(set(clips)) == len(clips)


@given(st.lists(st.lists(st.integers(), max_size=20), max_size=5))
def test_lists_are_joined_so_that_every_beginning_has_about_its_share_of_each(lists):
    tagged = [[(number, item) for item in items] for number, items in enumerate(lists)]
    joined = interleave(tagged)
    assert [[pair for pair in joined if pair[0] == number] for number in range(len(lists))] == tagged
    for length in range(len(joined) + 1):
        counts = Counter(number for number, _ in joined[:length])
        for number, items in enumerate(lists):
            assert abs(counts[number] - length * len(items) / max(1, len(joined))) <= len(lists)


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
