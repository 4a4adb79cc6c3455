"""What a data set holds of each node: counts, shares and co-occurrence of sounds whose power is known."""

import json

import numpy as np
import pytest
from helpers import (
    ACOUSTIC_GUITAR,
    BASS,
    DISTORTED_GUITAR,
    ORGAN,
    PIANO,
    WHISTLE,
    bursts,
    tone,
    write_folder,
    write_slakh,
)

from hiersep import Hierarchy
from hiersep.data.catalog import open_dataset
from hiersep.data.coverage import draw_coverage, measure_coverage
from hiersep.errors import DataError, HierarchyError
from hiersep.plots import plot_coverage

HARPSICHORD = 6
BAND = {
    "name": "band",
    "levels": ["mixture", "group", "instrument"],
    "tree": {
        "mixture": [{"guitars": ["clean", "distorted", "sitar"]}, {"keys": ["piano", "organ", "harpsichord"]}, "bass"]
    },
    "match": "program_num",
    "labels": {"clean": ACOUSTIC_GUITAR, "distorted": DISTORTED_GUITAR, "piano": PIANO, "organ": ORGAN,
               "harpsichord": HARPSICHORD, "bass": BASS},
    "ignore": [WHISTLE],
}  # fmt: skip
LENGTH_S, WINDOW_S = 7.0, 2.0  # three windows, from 0, 2.5 and 5 s
FIRST, SECOND, THIRD = (0.0, 2.0), (2.5, 4.5), (5.0, 7.0)


def cover(folder, tracks, band=BAND, **options):
    catalog = open_dataset(write_slakh(folder, tracks), jobs=1)
    return measure_coverage(catalog, Hierarchy.load(band), **{"window_s": WINDOW_S, **options})


def nodes(coverage):
    return {node.id: node for node in coverage.nodes}


@pytest.fixture
def song():
    """Clean guitar in the windows 1 and 2, distorted in 2 and 3, bass in 3, and a piano too soft to be salient."""
    return [
        (ACOUSTIC_GUITAR, bursts(LENGTH_S, [FIRST, SECOND])),
        (DISTORTED_GUITAR, bursts(LENGTH_S, [SECOND, THIRD])),
        (BASS, bursts(LENGTH_S, [THIRD])),
        (PIANO, tone(LENGTH_S, db=-40)),
    ]


def test_counts_and_shares_are_those_of_the_windows(tmp_path, song):
    coverage = cover(tmp_path, {"train/Track00001": song})
    assert (coverage.hierarchy, coverage.dataset, coverage.window_s) == ("band", "slakh", WINDOW_S)
    assert (coverage.tracks, coverage.stems, coverage.windows) == (1, 4, 3)
    assert coverage.minutes == pytest.approx(LENGTH_S / 60)
    found = {node.id: (node.stems, node.tracks, node.salient, node.minutes * 60) for node in coverage.nodes}
    assert found == {
        "mixture": (4, 1, 3, pytest.approx(7)),
        "guitars": (2, 1, 3, pytest.approx(6)),
        "keys": (1, 1, 0, pytest.approx(7)),
        "bass": (1, 1, 1, pytest.approx(2)),
        "clean": (1, 1, 2, pytest.approx(4)),
        "distorted": (1, 1, 2, pytest.approx(4)),
        "sitar": (0, 0, 0, 0),
        "piano": (1, 1, 0, pytest.approx(7)),
        "organ": (0, 0, 0, 0),
        "harpsichord": (0, 0, 0, 0),
    }
    assert [node.share for node in coverage.nodes] == [node.salient / 3 for node in coverage.nodes]
    assert [node.level for node in coverage.nodes] == ["mixture"] + ["group"] * 3 + ["instrument"] * 6


def test_co_occurrence_is_counted_in_the_windows_in_which_the_node_is_salient(tmp_path, song):
    found = nodes(cover(tmp_path, {"train/Track00001": song}))
    clean = found["clean"]
    assert clean.siblings == {"distorted": 0.5, "sitar": 0.0}
    assert clean.any_sibling == 0.5
    assert clean.rest == {"mixture": 0.0, "guitars": 0.5}  # the piano is no more than -40 dBFS of the mixture
    assert list(clean.rest) == ["mixture", "guitars"]
    assert found["distorted"].rest == {"mixture": 0.5, "guitars": 0.5}
    assert found["guitars"].siblings == {"keys": 0.0, "bass": 1 / 3}
    assert (found["bass"].any_sibling, found["bass"].rest) == (1.0, {"mixture": 1.0})
    assert (found["mixture"].siblings, found["mixture"].any_sibling, found["mixture"].rest) == ({}, None, {})


def test_a_node_that_is_nowhere_salient_has_no_shares(tmp_path, song):
    piano = nodes(cover(tmp_path, {"train/Track00001": song}))["piano"]
    assert (piano.share, piano.any_sibling) == (0.0, None)
    assert piano.siblings == {"organ": None, "harpsichord": None}
    assert piano.rest == {"mixture": None, "keys": None}


def test_tracks_add_up_and_a_split_is_counted_alone(tmp_path, song):
    tracks = {"train/Track00001": song, "test/Track00002": [(ACOUSTIC_GUITAR, bursts(LENGTH_S, [FIRST]))]}
    both = cover(tmp_path, tracks)
    assert (both.tracks, both.stems, both.windows) == (2, 5, 6)
    clean = nodes(both)["clean"]
    assert (clean.stems, clean.tracks, clean.salient, clean.share) == (2, 2, 3, 0.5)
    assert clean.rest == {"mixture": 0.0, "guitars": 1 / 3}
    test = measure_coverage(open_dataset(tmp_path, jobs=1), Hierarchy.load(BAND), split="test", window_s=WINDOW_S)
    assert (test.tracks, nodes(test)["clean"].salient, nodes(test)["distorted"].stems) == (1, 1, 0)
    with pytest.raises(DataError, match="no tracks in split 'validation'"):
        measure_coverage(open_dataset(tmp_path, jobs=1), Hierarchy.load(BAND), split="validation")


def test_a_submix_is_judged_by_the_power_sum_of_its_stems(tmp_path):
    # Two sounds of -32 dBFS make one of -29; neither is salient, their sum is, as a node and as the rest beside one.
    soft = [(PIANO, tone(2.0, db=-32)), (ORGAN, tone(2.0, hz=700, db=-32))]
    found = nodes(cover(tmp_path, {"Track00001": [*soft, (HARPSICHORD, tone(2.0, hz=1100))]}))
    assert (found["keys"].salient, found["piano"].salient, found["organ"].salient) == (1, 0, 0)
    assert found["harpsichord"].any_sibling == 0.0
    assert found["harpsichord"].rest == {"mixture": 0.0, "keys": 1.0}


@pytest.mark.parametrize(("sounding", "windows"), [(0.5, 0), (1.5, 1)])
def test_a_window_of_ten_seconds_needs_more_than_a_second_at_minus_20_dbfs(tmp_path, sounding, windows):
    samples = bursts(10.0, [(4.0, 4.0 + sounding)])
    coverage = cover(tmp_path, {"Track00001": [(PIANO, samples)]}, window_s=10.0)
    piano = nodes(coverage)["piano"]
    assert (coverage.windows, piano.salient) == (1, windows)
    assert piano.minutes * 60 == pytest.approx(sounding)


def test_stems_and_leaves_without_each_other_are_named(tmp_path, song):
    stray = [(100, tone(1.0)), (WHISTLE, tone(1.0))]  # one that no node claims, one that the hierarchy ignores
    coverage = cover(tmp_path, {"train/Track00001": song, "train/Track00002": stray})
    assert coverage.unclaimed == ("train/Track00002/stems/S00.wav",)
    assert coverage.unlabelled == ("sitar",)
    assert coverage.absent == ("organ", "harpsichord")
    assert coverage.stems == nodes(coverage)["mixture"].stems == 6


def test_below_a_node_that_claims_a_stem_itself_nothing_is_known_of_the_track(tmp_path):
    band = BAND | {"labels": BAND["labels"] | {"keys": HARPSICHORD, "harpsichord": 7}}
    tracks = {
        "Track00001": [(HARPSICHORD, tone(2.0)), (PIANO, tone(2.0))],
        "Track00002": [(PIANO, tone(2.0)), (ORGAN, tone(2.0))],
    }
    found = nodes(cover(tmp_path, tracks, band))
    assert (found["keys"].salient, found["piano"].salient, found["piano"].stems) == (2, 1, 2)
    assert found["piano"].rest == {"mixture": 0.0, "keys": 1.0}


def test_json_is_what_the_dataclasses_say_but_for_the_pairs(tmp_path, song):
    coverage = cover(tmp_path, {"Track00001": song})
    content = coverage.to_dict()
    assert json.loads(json.dumps(content, allow_nan=False))["nodes"][4] == content["nodes"][4]
    assert set(content) == set(vars(coverage)) - {"together"}
    for node, written in zip(coverage.nodes, content["nodes"], strict=True):
        assert written == vars(node)
    assert coverage.together.shape == (10, 10)
    np.testing.assert_array_equal(np.diag(coverage.together), [node.salient for node in coverage.nodes])


def test_labels_for_other_data_sets_only_are_refused(tmp_path):
    catalog = open_dataset(write_folder(tmp_path, {"song": {"bass": tone(1.0)}}), jobs=1)
    tree = {key: BAND[key] for key in ("name", "levels", "tree")}
    hierarchy = Hierarchy.load(tree | {"labels": {"other": {"match": "program_num", "bass": BASS}}})
    with pytest.raises(HierarchyError, match="has labels for other, none for 'folder'"):
        measure_coverage(catalog, hierarchy)


def test_the_table_stands_beside_the_tree(tmp_path, song):
    coverage = cover(tmp_path, {"Track00001": song})
    lines = draw_coverage(coverage, Hierarchy.load(BAND)).splitlines()
    assert "\n".join(lines[:11]) == (
        "                     stems  minutes  windows  salient  sibling  +mixture  +group\n"
        "mixture                  4      0.1        3   100.0%        -         -       -\n"
        "├── guitars              2      0.1        3   100.0%    33.3%     33.3%       -\n"
        "│   ├── clean            1      0.1        2    66.7%    50.0%      0.0%   50.0%\n"
        "│   ├── distorted        1      0.1        2    66.7%    50.0%     50.0%   50.0%\n"
        "│   └── sitar            0      0.0        0     0.0%        -         -       -\n"
        "├── keys                 1      0.1        0     0.0%        -         -       -\n"
        "│   ├── piano            1      0.1        0     0.0%        -         -       -\n"
        "│   ├── organ            0      0.0        0     0.0%        -         -       -\n"
        "│   └── harpsichord      0      0.0        0     0.0%        -         -       -\n"
        "└── bass                 1      0.0        1    33.3%   100.0%    100.0%       -"
    )
    assert "the 3 windows of 2 s, every 2.5 s, in which the node lies above -30 dBFS" in lines[12]


@pytest.mark.parametrize("level", [None, "group"])
def test_a_picture_is_drawn(tmp_path, song, level):
    coverage = cover(tmp_path, {"Track00001": song})
    plot_coverage(tmp_path / "coverage.png", coverage, Hierarchy.load(BAND), level)
    assert (tmp_path / "coverage.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("program", [PIANO, WHISTLE], ids=["silent", "not even a stem"])
def test_a_picture_is_drawn_of_nothing_at_all(tmp_path, program):
    band = {"name": "one", "levels": ["mixture", "stem"], "tree": {"mixture": ["piano", "bass"]},
            "match": "program_num", "labels": {"piano": PIANO, "bass": BASS}}  # fmt: skip
    coverage = cover(tmp_path, {"Track00001": [(program, np.zeros((1, 16000)))]}, band)
    assert [node.salient for node in coverage.nodes] == [0, 0, 0]
    plot_coverage(tmp_path / "coverage.png", coverage, Hierarchy.load(band))
    assert (tmp_path / "coverage.png").read_bytes().startswith(b"\x89PNG")


def test_a_level_that_the_hierarchy_has_not_is_refused(tmp_path, song):
    coverage = cover(tmp_path, {"Track00001": song})
    with pytest.raises(HierarchyError, match="has no level 'families'"):
        plot_coverage(tmp_path / "coverage.png", coverage, Hierarchy.load(BAND), "families")
    assert not (tmp_path / "coverage.png").exists()
