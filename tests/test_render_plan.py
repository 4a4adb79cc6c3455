"""The seeded plan of 200 songs, without audio: what a network can learn from them, and how they are dealt out.

A node counts as sounding in a window of 10 s where its notes cover a fifth of it; the audit of rendered audio
(tests of `hiersep.render.audit`) measures the same by level.
"""

import numpy as np
import pytest

from hiersep.hierarchy import Hierarchy
from hiersep.render import RenderSettings
from hiersep.render.phrases import drum_phrases, find_shared, melody_phrases
from hiersep.render.plan import apportion, make_plan

WINDOW_S, HOP_S, GRID, COVERED = 10.0, 2.5, 20, 0.2  # grid: points a second
STARTS = (np.arange(0, 60.0 - WINDOW_S + 1e-9, HOP_S) * GRID).astype(int)


@pytest.fixture(scope="module")
def arrangements():
    plan = make_plan(RenderSettings(tracks=200, seed=0))
    return [plan.arrange(track) for track in plan.tracks]


def attributes(voice, part):
    return {"program_num": voice.program, "plugin_name": voice.plugin_name, "is_drum": part.is_drum}


def sounding(part):
    """Say for each window whether the part sounds in it."""
    grid = np.zeros(int(60 * GRID) + 1)
    for note in part.notes:
        grid[int(note.start * GRID) : int(note.end * GRID) + 1] = 1
    total = np.concatenate([[0], np.cumsum(grid)])
    return (total[STARTS + int(WINDOW_S * GRID)] - total[STARTS]) / (WINDOW_S * GRID) >= COVERED


def paths_of(arrangements, hierarchy):
    """For every song: (ids from the root to the claiming node, sounding windows) of each stem."""
    songs = []
    for arrangement in arrangements:
        stems = []
        for part, voice in zip(arrangement.song.parts, arrangement.voices, strict=True):
            node = hierarchy.claim(attributes(voice, part))
            stems.append((set(hierarchy.path(node)) if node else set(), sounding(part)))
        songs.append(stems)
    return songs


@pytest.fixture(scope="module")
def windows(arrangements):
    return {name: paths_of(arrangements, Hierarchy.load(name)) for name in ("slakh_ismir2020", "slakh34")}


def heard(stems, condition):
    """Windows in which some stem that fulfils a condition on its path sounds."""
    return np.any([played for path, played in stems if condition(path)] or [np.zeros(len(STARTS), bool)], axis=0)


def test_all_leaves_of_slakhs_classes_occur(arrangements):
    hierarchy = Hierarchy.load("slakh34")
    claimed = {
        hierarchy.claim(attributes(voice, part))
        for arrangement in arrangements
        for part, voice in zip(arrangement.song.parts, arrangement.voices, strict=True)
    }
    assert set(hierarchy.leaves) <= claimed
    assert len(hierarchy.leaves) == 35


def test_six_to_nine_parts_and_no_more_than_ten(arrangements):
    counts = [len(arrangement.song.parts) for arrangement in arrangements]
    assert 6 <= np.median(counts) <= 9
    assert min(counts) >= 5
    assert max(counts) <= 10


@pytest.mark.parametrize("node", Hierarchy.load("slakh_ismir2020").at_level("class"))
def test_every_class_sounds_in_three_percent_of_all_windows(windows, node):
    share = np.mean([heard(stems, lambda path: node in path) for stems in windows["slakh_ismir2020"]])
    assert share >= 0.03


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("slakh_ismir2020", "clean_guitars"),
        ("slakh_ismir2020", "electric_piano"),
        ("slakh34", "soprano_alto_sax"),
    ],
)
def test_the_levels_of_a_path_differ(windows, name, target):
    """Where the target sounds, its family holds more in 40 % of the windows, its group more than that in 80 %."""
    group, family, _ = Hierarchy.load(name).path(target)[1:]
    songs = windows[name]
    own = np.array([heard(stems, lambda path: target in path) for stems in songs])
    in_family = np.array([heard(stems, lambda path: family in path and target not in path) for stems in songs])
    in_group = np.array([heard(stems, lambda path: group in path and family not in path) for stems in songs])
    assert own.sum() > 200
    assert (own & in_family).sum() / own.sum() >= 0.4
    assert (own & in_group).sum() / own.sum() >= 0.8


def test_no_two_songs_share_eight_bars_of_melody_or_drums(arrangements):
    songs = {str(number): arrangement.song for number, arrangement in enumerate(arrangements)}
    melodies = find_shared({name: melody_phrases(song) for name, song in songs.items()})
    assert melodies.songs > 150
    assert melodies.pairs == 0, melodies.most
    drums = find_shared({name: drum_phrases(song) for name, song in songs.items()})
    assert drums.songs > 150
    assert drums.pairs == 0, drums.most


@pytest.mark.parametrize("total", [1, 2, 3, 7, 10, 120])
@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (1.0, 0.0, 0.0), (0.5, 0.0, 0.5), (0.34, 0.33, 0.33)])
def test_dealing_out_keeps_the_total_and_the_shares(total, shares):
    counts = apportion(total, shares)
    assert sum(counts) == total
    assert all(count == 0 for count, share in zip(counts, shares, strict=True) if share == 0)
    if total >= 10:
        assert all(abs(count - share * total) <= 1 for count, share in zip(counts, shares, strict=True))
