"""Trees and queries scored on pure tones, by networks that know where the tones are."""

import math

import numpy as np
import pytest
import torch
from helpers import ACOUSTIC_GUITAR, BASS, DISTORTED_GUITAR, PIANO, tone, write_slakh

from hiersep.config import EvaluationConfig
from hiersep.evaluation import evaluate, table
from hiersep.evaluation.clips import choose_clips
from hiersep.hierarchy import Hierarchy
from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator
from hiersep.models.tree import TreeSeparator

# A leaf on the coarsest level (bass), and a node with a single child (keyboards).
BAND = Hierarchy.load(
    {
        "name": "band",
        "levels": ["mixture", "group", "family", "class"],
        "tree": {"mixture": [{"plucked": {"guitar": ["clean", "distorted"], "keyboards": ["piano"]}}, "bass"]},
        "match": "program_num",
        "labels": {"clean": "24-28", "distorted": "29-31", "piano": "0-7", "bass": "32-39"},
    }
)
EDGES = {"bass": (0, 275), "clean": (275, 700), "distorted": (700, 1500), "piano": (1500, 8001)}  # Hz
HZ = {"bass": 150, "clean": 400, "distorted": 1000, "piano": 2000}
PROGRAMS = {"bass": BASS, "clean": ACOUSTIC_GUITAR, "distorted": DISTORTED_GUITAR, "piano": PIANO}
SIZES = {"hidden_size": 2, "num_layers": 1}
SPECTRUM = {"n_fft": 512, "hop_length": 256}
SETTINGS = EvaluationConfig(duration=1.0, num_test=40, num_static=8)


def band(*names, db=-20):
    return [(PROGRAMS[name], tone(1.0, hz=HZ[name], db=db)) for name in names]


def mask_of(node):
    """What passes the tones of a node, (freq, 1)."""
    frequencies, mask = torch.linspace(0, 8000, 257), torch.zeros(257)
    for leaf in BAND.leaves_below(node):
        low, high = EDGES[leaf]
        mask[(frequencies >= low) & (frequencies < high)] = 1
    return mask[:, None]


class Tree(TreeSeparator):
    """Gives every node its tones, times a gain of its own."""

    def __init__(self, nodes=None, **gains):
        super().__init__(BAND, nodes, spectrum=SPECTRUM, network=SIZES)
        self.gains = gains

    def estimate_masks(self, spectrum, condition=None):
        masks = [self.gains.get(node, 1.0) * mask_of(node).expand_as(spectrum) for node in self.nodes]
        return torch.stack(masks, dim=1)


class Query(QuerySeparator):
    """Gives the path to whatever tone it is shown."""

    def __init__(self, levels=None):
        super().__init__(BAND, levels, spectrum=SPECTRUM, network=SIZES, query=SIZES)

    def condition_of(self, batch):
        loudest = self.stft(batch["query"]).abs().mean(dim=(1, 3)).argmax(dim=1)  # (batch,)
        return (loudest * 8000 / 256)[:, None]

    def estimate_masks(self, spectrum, condition=None):
        items = []
        for hz in condition[:, 0].tolist():
            (leaf,) = (leaf for leaf, (low, high) in EDGES.items() if low <= hz < high)
            path = BAND.path(leaf)
            nodes = [path[min(BAND.depth_of(level), len(path) - 1)] for level in self.nodes]
            items.append(torch.stack([mask_of(node).expand_as(spectrum[0]) for node in nodes]))
        return torch.stack(items)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    everything = tuple(HZ)
    return write_slakh(
        tmp_path_factory.mktemp("band"),
        {
            "train/Track00001": band(*everything),
            "test/Track00002": band(*everything),
            "test/Track00003": band("clean", "bass"),
            "test/Track00004": band("piano", "bass"),
            "test/Track00005": band("bass", "distorted", "clean"),
        },
    )


@pytest.fixture(scope="module")
def tree(songs):
    return evaluate(Tree(), songs, SETTINGS, device="cpu")


@pytest.fixture(scope="module")
def query(songs):
    return evaluate(Query(), songs, SETTINGS, device="cpu")


def statuses(evaluation, track, target=""):
    return {
        line.node: line.status
        for line in evaluation.lines
        if (line.track, line.target) == (track, target) and line.status != "repeated"
    }


def test_the_nodes_of_a_tree_are_scored_against_their_own_parents_and_topmost_ancestors(tree):
    assert tree.kind == "tree"
    assert tree.nodes == ("plucked", "bass", "guitar", "keyboards", "clean", "distorted", "piano")
    differs, same, silent = "scored", "remainder silent", "silent"
    assert statuses(tree, "Track00002") == {
        "plucked": differs, "bass": differs, "guitar": differs, "keyboards": differs, "clean": differs,
        "distorted": differs, "piano": same,
    }  # fmt: skip
    assert statuses(tree, "Track00003") == {
        "plucked": differs, "bass": differs, "guitar": same, "keyboards": silent, "clean": same, "distorted": silent,
        "piano": silent,
    }  # fmt: skip


def test_the_scores_of_a_tree_are_those_of_its_parts(tree):
    levels = {line.node: line.mixture for line in tree.lines if line.track == "Track00002"}
    # Four equal parts: so many of them belong to the node.
    parts = {"plucked": 3, "bass": 1, "guitar": 2, "keyboards": 1, "clean": 1, "distorted": 1, "piano": 1}
    assert levels == pytest.approx({node: 10 * math.log10(n / (4 - n)) for node, n in parts.items()}, abs=0.01)
    assert all(line.estimate - line.mixture > 15 for line in tree.scored())
    single = [line for line in tree.lines if line.node == "piano" and line.status == "remainder silent"]
    assert [line.identical for line in single] == [1, 1]
    assert tree.summary()["nodes"]["piano"]["identical"] == 1
    assert tree.summary()["nodes"]["keyboards"]["identical"] == 1 / 2  # in Track00004 nothing else is plucked


def test_a_tree_is_scored_on_clips_of_each_of_its_finest_nodes_in_turn(songs):
    settings = EvaluationConfig(duration=1.0, num_test=4)
    clips, _ = choose_clips(Tree(), songs, settings)
    assert {clip.track for clip in clips.clips} == {f"Track0000{number}" for number in (2, 3, 4, 5)}
    # With the leaves above alone, the finest nodes are others.
    coarse, _ = choose_clips(Tree(["plucked", "bass"]), songs, settings)
    assert {clip.track for clip in coarse.clips} == {clip.track for clip in clips.clips}
    keys, _ = choose_clips(Tree(["plucked", "guitar"]), songs, settings)
    assert {clip.track for clip in keys.clips} == {"Track00002", "Track00003", "Track00005"}


def test_what_comes_out_where_nothing_should_is_given_relative_to_the_mixture(songs):
    leaky = Tree()
    leaky.estimate_masks = lambda spectrum, condition=None: torch.full((len(spectrum), 7, *spectrum.shape[1:]), 0.1)
    silent = evaluate(leaky, songs, SETTINGS, device="cpu").summary()["nodes"]["keyboards"]["apart"]["silent"]
    assert (silent["clips"], silent["si_sdri"]) == (2, None)
    assert silent["output_level"] == pytest.approx(-20, abs=1e-3)


def test_children_that_do_not_add_up_are_found_out(songs, tree):
    half = evaluate(Tree(clean=0.5, distorted=0.5, bass=0.0), songs, SETTINGS, device="cpu")
    lines = {line.node: line for line in half.lines if line.track == "Track00002"}
    assert lines["clean"].sum_error == pytest.approx(20 * math.log10(0.5), abs=0.05)
    assert lines["distorted"].sum_error == lines["clean"].sum_error
    # The bass, one of four equal parts, is missing from the mixture.
    assert lines["plucked"].sum_error == lines["bass"].sum_error == pytest.approx(10 * math.log10(1 / 4), abs=0.05)
    assert lines["piano"].sum_error < -100
    assert tree.summary()["nodes"]["clean"]["sum_error"] < -40
    # Where a child is not estimated, nothing need add up.
    some = evaluate(Tree(["plucked", "bass", "guitar"]), songs, SETTINGS, device="cpu").summary()["nodes"]
    assert some["guitar"]["sum_error"] is None
    assert some["bass"]["sum_error"] < -40


def test_a_child_is_held_against_the_estimate_of_its_parent(songs):
    loud = evaluate(Tree(guitar=0.5), songs, SETTINGS, device="cpu").summary()["nodes"]
    assert loud["clean"]["exceeding_energy"] > 0.99
    assert loud["guitar"]["exceeding_energy"] == loud["bass"]["exceeding_energy"] == 0


def test_a_query_leads_to_the_path_of_its_target(query):
    assert query.kind == "query"
    assert query.levels == ("group", "family", "class")
    assert query.nodes == ("plucked", "bass", "guitar", "keyboards", "clean", "distorted", "piano")
    assert statuses(query, "Track00002", "clean") == {"plucked": "scored", "guitar": "scored", "clean": "scored"}
    assert statuses(query, "Track00004", "piano") == {
        "plucked": "scored", "keyboards": "remainder silent", "piano": "remainder silent",
    }  # fmt: skip
    assert all(line.estimate - line.mixture > 15 for line in query.scored())
    assert all(line.query and not line.query.startswith(f"{line.track}/") for line in query.lines)


def test_a_shallow_leaf_counts_once(query):
    bass = [line for line in query.lines if line.target == "bass"]
    assert {line.node for line in bass} == {"bass"}
    assert {(line.level, line.status) for line in bass} == {
        ("group", "scored"), ("family", "repeated"), ("class", "repeated"),
    }  # fmt: skip
    summary = query.summary()
    assert summary["targets"]["bass"]["group"]["clips"] == summary["nodes"]["bass"]["clips"] == len(bass) / 3
    assert summary["nodes"]["bass"]["level"] == "group"
    assert summary["targets"]["bass"]["class"]["clips"] == 0


def test_every_level_and_every_target_has_its_mean(query):
    summary = query.summary()
    for level in query.levels:
        gains = [
            line.estimate - line.mixture for line in query.lines if line.level == level and line.status == "scored"
        ]
        assert summary["levels"][level]["si_sdri"]["mean"] == pytest.approx(np.mean(gains))
        assert summary["levels"][level]["clips"] == len(gains)
    clean = [line.estimate for line in query.scored(level="class") if line.target == "clean"]
    assert summary["targets"]["clean"]["class"]["si_sdr"]["median"] == pytest.approx(np.median(clean))
    assert set(summary["targets"]) == {"bass", "clean", "distorted", "piano"}


def test_a_query_network_without_the_middle_level_is_scored_against_the_tree_all_the_same(songs, query):
    some = evaluate(Query(["group", "class"]), songs, SETTINGS, device="cpu")
    for track in ("Track00002", "Track00004"):
        for target in ("clean", "piano"):
            whole = statuses(query, track, target)
            assert statuses(some, track, target).items() <= whole.items()


def test_one_network_per_level_is_scored_where_the_network_for_all_of_them_is(songs, tmp_path):
    nodes = ["plucked", "guitar", "clean"]
    options = {"spectrum": SPECTRUM, "network": SIZES}
    evaluate(PathSeparator(BAND, nodes, **options), songs, SETTINGS, out=tmp_path, device="cpu")
    clips = EvaluationConfig(clips=str(tmp_path / "clips.json"), num_static=4)
    multi = evaluate(PathSeparator(BAND, nodes, **options), songs, clips, device="cpu")
    for node in nodes:
        single = evaluate(PathSeparator(BAND, [node], **options), songs, clips, device="cpu")
        one = [(line.track, line.level, line.status, line.mixture) for line in single.lines]
        assert one == [(line.track, line.level, line.status, line.mixture) for line in multi.lines if line.node == node]


def test_the_table_of_a_tree_names_levels_then_nodes_and_that_of_queries_what_was_asked_for(tree, query):
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table(tree.summary()).splitlines()]
    names = [(row[0], row[1]) for row in rows[2:] if len(row) > 5]
    assert names == [
        ("3", "all of group"), ("2", "all of family"), ("1", "all of class"), ("all", "mean of the levels"),
        ("3", "plucked"), ("3", "bass"), ("2", "guitar"), ("2", "keyboards"), ("1", "clean"), ("1", "distorted"),
    ]  # fmt: skip
    assert "Scored nowhere: piano." in table(tree.summary())
    asked = table(query.summary()).split("\n\n")[1].splitlines()
    assert [cell.strip() for cell in asked[0].strip("|").split("|")] == ["asked for", *query.levels, "clips"]
    assert [line.split("|")[1].strip() for line in asked[2:]] == ["bass", "clean", "distorted", "piano"]
