"""The data set as torch, nussl and a careful listener see it."""

import copy
import dataclasses
import inspect
import pickle
import re
from collections import Counter

import numpy as np
import pytest
import torch
import yaml
from helpers import (
    ACOUSTIC_GUITAR,
    BASS,
    DISTORTED_GUITAR,
    DRUMS,
    PIANO,
    RATE,
    WHISTLE,
    bursts,
    level_db,
    noise,
    read_audio,
    tone,
    write_folder,
    write_slakh,
)
from torch.utils.data import DataLoader

from hiersep.compat import nussl
from hiersep.config import DataConfig, ExperimentConfig
from hiersep.data.catalog import index_dataset, open_dataset
from hiersep.data.dataset import HierarchicalMixtureDataset
from hiersep.data.mixing import realise
from hiersep.errors import ConfigError, DataError, HierarchyError, HiersepError, HiersepWarning
from hiersep.hierarchy import Hierarchy
from hiersep.training.data import make_dataset

TREE = "slakh_ismir2020"
PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
IN_TREE = f"hierarchy '{TREE}'"
ROOT_REFUSED = "the root 'mixture' is the mixture and no target; name a node below it"
SPLITS = ["train", "validation", "test"]


@pytest.fixture
def make(rendered):
    """Open the rendered songs with few, short mixtures unless told otherwise."""

    def open_it(hierarchy=TREE, folder=rendered, **options):
        defaults = {"split": "train", "target": "clean_guitars", "duration": 2.0, "num_mixtures": 8, "jobs": 1}
        return HierarchicalMixtureDataset(folder, hierarchy, **{**defaults, **options})

    return open_it


def stems_of(dataset, index):
    """Attributes and audio of every stem of an item, read from the files by soundfile alone."""
    clip = dataset.spec(index)
    track = dataset.catalog.tracks[clip.track]
    (folder,) = {stem.path.parents[1] for stem in track.stems}
    listed = yaml.safe_load((folder / "metadata.yaml").read_text(encoding="utf-8"))["stems"]
    within = slice(round(clip.start_s * RATE), round((clip.start_s + dataset.duration) * RATE))
    sounding = {id: attributes for id, attributes in listed.items() if attributes["audio_rendered"]}
    return {id: (a, read_audio(folder / "stems" / f"{id}.wav")[:, within]) for id, a in sounding.items()}


def same_items(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[key], other[key]) for key in one)


# --- what an item holds


@pytest.mark.parametrize(
    ("split", "tree"), [*((split, TREE) for split in SPLITS), ("train", "slakh34"), ("test", "general_midi")]
)
def test_the_mixture_is_the_sum_of_all_stems_and_a_source_that_of_the_stems_below_its_node(make, split, tree):
    dataset = make(tree, target=None, split=split, num_mixtures=4)
    hierarchy = Hierarchy.load(tree)
    assert dataset.nodes == hierarchy.ids[1:]
    for index in range(len(dataset)):
        item, stems = dataset[index], stems_of(dataset, index)
        silence = np.zeros((1, round(dataset.duration * RATE)))
        total = sum((sound for _, sound in stems.values()), silence)
        claims = {id: hierarchy.claim(attributes, dataset="slakh") for id, (attributes, _) in stems.items()}
        sums = {
            node: sum(
                (stems[id][1] for id, claim in claims.items() if claim in {node, *hierarchy.descendants(node)}), silence
            )
            for node in dataset.nodes
        }
        gain = 1 / max(1.0, np.abs(total).max(), *(np.abs(s).max() for s in sums.values()))
        assert np.abs(item["mix"].numpy() - gain * total).max() < 1e-6
        for node, source in zip(dataset.nodes, item["sources"].numpy(), strict=True):
            assert np.abs(source - gain * sums[node]).max() < 1e-6
        for node in hierarchy.nodes[1:]:
            if node.children:  # no stem of these trees is claimed by an inner node
                rows = [dataset.nodes.index(child) for child in node.children]
                parent = item["sources"][dataset.nodes.index(node.id)]
                assert (parent - item["sources"][rows].sum(dim=0)).abs().max() < 1e-6
        assert item["known"].all()


def test_the_rendered_mixture_file_is_the_mixture(make):
    dataset = make(split="test")
    for index in range(len(dataset)):
        clip = dataset.spec(index)
        folder = dataset.catalog.tracks[clip.track].stems[0].path.parents[1]
        begin = round(clip.start_s * RATE)
        mixture = read_audio(folder / "mix.wav")[:, begin : begin + 2 * RATE]
        assert np.abs(dataset[index]["mix"].numpy() - mixture).max() < 1e-6


def test_shapes_and_types_are_those_promised(make):
    item = make()[0]
    assert {key: (tuple(v.shape), v.dtype) for key, v in item.items()} == {
        "mix": ((1, 2 * RATE), torch.float32),
        "sources": ((3, 1, 2 * RATE), torch.float32),
        "known": ((3,), torch.bool),
    }


def test_stereo_is_kept_on_request(tmp_path, make):
    guitar, piano = noise(3.0, channels=2, seed=1), noise(3.0, channels=1, seed=2)
    write_slakh(tmp_path, {"train/Track00001": [(ACOUSTIC_GUITAR, guitar), (PIANO, piano)]})
    (item,) = [make(folder=tmp_path, channels=2, num_mixtures=1, duration=3.0)[0]]
    mono = make(folder=tmp_path, num_mixtures=1, duration=3.0)[0]
    gain = 1 / max(1.0, np.abs(guitar + piano).max())
    assert np.abs(item["mix"].numpy() - gain * (guitar + piano)).max() < 1e-6
    assert np.abs(item["sources"][2].numpy() - gain * guitar).max() < 1e-6
    assert item["mix"].shape == (2, 3 * RATE)
    assert mono["mix"].shape == (1, 3 * RATE)


def test_one_gain_protects_the_peaks_of_mixture_and_sources(tmp_path, make):
    loud, other = tone(3.0, hz=200, db=0), tone(3.0, hz=300, db=0)
    write_slakh(tmp_path, {"train/Track00001": [(ACOUSTIC_GUITAR, loud), (WHISTLE, other)]})
    item = make(folder=tmp_path, num_mixtures=1, duration=3.0)[0]
    peak = np.abs(loud + other).max()
    assert peak > 2
    assert item["mix"].abs().max() == pytest.approx(1.0, abs=1e-6)
    assert np.abs(item["mix"].numpy() - (loud + other) / peak).max() < 1e-6
    assert np.abs(item["sources"][2].numpy() - loud / peak).max() < 1e-6


def test_stems_of_training_mixtures_are_turned_up_and_down_within_bounds_and_still_sum(tmp_path, make):
    stems = [(ACOUSTIC_GUITAR, tone(3.0, hz=200)), (PIANO, tone(3.0, hz=300)), (DRUMS, tone(3.0, hz=500))]
    write_slakh(tmp_path, {f"{split}/Track0000{number}": stems for number, split in enumerate(SPLITS)})
    nodes = ["clean_guitars", "acoustic_piano", "drum_set"]
    options = {"folder": tmp_path, "target": nodes, "num_mixtures": 60, "duration": 3.0}
    dataset = make(**options, gain_db=6.0)

    def gains(epoch):
        dataset.set_epoch(epoch)
        items = [dataset[index] for index in range(len(dataset))]
        for item in items:
            assert (item["mix"] - item["sources"].sum(dim=0)).abs().max() < 1e-6
        return np.array([[level_db(source) + 20 for source in item["sources"]] for item in items])

    one, other = gains(0), gains(1)
    assert np.abs(one).max() <= 6.001
    assert one.max() > 5
    assert one.min() < -5
    assert np.abs(np.corrcoef(one.T) - np.eye(3)).max() < 0.5
    assert np.abs(one - other).max() > 1
    assert np.array_equal(one, gains(0))
    fixed = make(**{**options, "split": "test"}, gain_db=6.0)[0]
    assert np.abs(fixed["sources"].numpy() - np.stack([sound for _, sound in stems])).max() < 1e-6


def test_a_stem_that_no_node_claims_sounds_in_the_mixture_only(tmp_path, make):
    guitar, whistle = tone(3.0, hz=200), tone(3.0, hz=3000)
    write_slakh(tmp_path, {"train/Track00001": [(ACOUSTIC_GUITAR, guitar), (WHISTLE, whistle)]})
    item = make(folder=tmp_path, target=None, num_mixtures=1, duration=3.0)[0]
    top = item["sources"][:4].sum(dim=0)  # the nodes below the root
    assert np.abs((item["mix"] - top).numpy() - whistle).max() < 1e-6
    assert item["known"].all()


def test_what_lies_below_a_claiming_inner_node_is_unknown_and_its_submix_still_a_sum(tmp_path, make):
    hierarchy = {
        "name": "inner",
        "levels": ["mixture", "family", "stem"],
        "tree": {"mixture": [{"guitar": ["clean", "effected"]}, "bass"]},
        "match": "filename",
        "labels": {"guitar": "gtr_*", "clean": "clean", "bass": "bass"},
    }
    own, clean, bass = tone(3, hz=200), tone(3, hz=300), tone(3, hz=50)
    write_folder(tmp_path, {"train/song": {"gtr_1": own, "clean": clean, "bass": bass}})
    dataset = make(hierarchy, folder=tmp_path, target=None, num_mixtures=1, duration=3.0)
    item = dataset[0]
    assert dict(zip(dataset.nodes, item["known"].tolist(), strict=True)) == {
        "guitar": True, "bass": True, "clean": False, "effected": False,
    }  # fmt: skip
    of = dict(zip(dataset.nodes, item["sources"].numpy(), strict=True))
    assert np.abs(of["guitar"] - (own + clean)).max() < 1e-6
    assert np.abs(of["guitar"] - of["clean"] - of["effected"] - own).max() < 1e-6


def test_a_track_shorter_than_a_clip_ends_in_silence(tmp_path, make):
    write_slakh(tmp_path, {"train/Track00001": [(ACOUSTIC_GUITAR, tone(1.0))]})
    item = make(folder=tmp_path, num_mixtures=1, duration=3.0)[0]
    assert np.abs(item["mix"][:, :RATE].numpy() - tone(1.0)).max() < 1e-6
    assert item["mix"].shape == (1, 3 * RATE)
    assert not item["mix"][:, RATE:].any()


@pytest.mark.parametrize("split", SPLITS)
def test_the_target_sounds_in_every_clip(make, split):
    dataset = make(split=split, num_mixtures=40)
    levels = [level_db(dataset[index]["sources"][-1]) for index in range(len(dataset))]
    assert min(levels) > -31
    assert len(levels) >= 4


@pytest.mark.parametrize("split", ["train", "test"])
def test_in_a_share_of_the_clips_the_target_is_silent_and_something_else_sounds(tmp_path, make, split):
    guitar, piano = bursts(20, [(0, 8)]), tone(20, hz=300)
    songs = {f"{split}/Track0000{n}": [(ACOUSTIC_GUITAR, guitar), (PIANO, piano)] for n in range(3)}
    write_slakh(tmp_path, songs)
    dataset = make(folder=tmp_path, split=split, num_mixtures=12, silent=0.5)
    levels = np.array([level_db(dataset[index]["sources"][-1]) for index in range(len(dataset))])
    assert all(level_db(dataset[index]["mix"]) > -31 for index in range(len(dataset)))
    assert ((levels < -60) | (levels > -31)).all()
    silent = int((levels < -60).sum())
    assert silent == 6 if split == "test" else 1 <= silent <= 11


def test_augmented_stems_still_sum(tmp_path, make):
    pytest.importorskip("pedalboard")
    parts = ((ACOUSTIC_GUITAR, 200), (PIANO, 300), (DRUMS, 500))
    write_slakh(tmp_path, {"train/Track00000": [(program, tone(3.0, hz=hz)) for program, hz in parts]})
    options = {"folder": tmp_path, "target": ["clean_guitars", "acoustic_piano", "drum_set"], "num_mixtures": 8}
    plain, half = make(**options), make(**options, augment=0.5)
    for index in range(8):
        item, song, spec = half[index], plain[index], half.spec(index)
        assert (item["mix"] - item["sources"].sum(dim=0)).abs().max() < 1e-6
        for event, claim in zip(spec.events, spec.claims, strict=True):
            (row,) = (n for n, node in enumerate(half.nodes) if node in half.hierarchy.path(claim))
            same = torch.equal(item["sources"][row], song["sources"][row])
            assert same == (event.augmentation is None)
    augmented = [event.augmentation is not None for index in range(8) for event in half.spec(index).events]
    assert 4 <= sum(augmented) <= 20


def test_any_node_of_a_list_will_do(tmp_path, make):
    guitar, piano = bursts(10, [(0, 2)]), bursts(10, [(5, 7)])
    write_slakh(tmp_path, {"test/Track00001": [(ACOUSTIC_GUITAR, guitar), (PIANO, piano)]})

    def starts(**options):
        dataset = make(folder=tmp_path, split="test", num_mixtures=100, **options)
        return sorted(dataset.spec(index).start_s for index in range(len(dataset)))

    assert starts(target=["clean_guitars", "acoustic_piano"]) == [0.0, 5.0]
    assert starts(target="clean_guitars") == starts(target=None, salient=["clean_guitars"]) == [0.0]
    assert starts(target="clean_guitars", salient=["drums", "acoustic_piano"]) == [5.0]


# --- targets


def test_a_target_is_its_path_coarse_to_fine(make):
    assert make().nodes == PATH
    assert make(target="guitar").nodes == PATH[:2]


def test_a_list_of_targets_is_put_in_the_hierarchys_order_once_each(make):
    dataset = make(target=["clean_guitars", "guitar", "drums", "guitar"])
    assert dataset.nodes == ("guitar", "clean_guitars", "drums")
    assert dataset[0]["sources"].shape[0] == 3


def test_without_a_target_there_are_all_nodes_but_the_root(make):
    assert make(target=None).nodes == Hierarchy.load(TREE).ids[1:]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"target": "mixture"}, HierarchyError, f"{IN_TREE}: {ROOT_REFUSED}"),
        ({"target": ["guitar", "mixture"]}, HierarchyError, f"{IN_TREE}: {ROOT_REFUSED}"),
        ({"target": []}, HierarchyError, f"{IN_TREE}: expected at least one target, got none; name a node"),
        (
            {"target": "clean_guitar"},
            HierarchyError,
            f"{IN_TREE} has no node 'clean_guitar'; did you mean 'clean_guitars'?",
        ),
        ({"target": ["guitr"]}, HierarchyError, f"{IN_TREE} has no node 'guitr'; did you mean 'guitar'?"),
        ({"salient": ["basss"]}, HierarchyError, f"{IN_TREE} has no node 'basss'; did you mean 'bass'?"),
        (
            {"target": "violin_section"},
            HierarchyError,
            f"{IN_TREE} has no label for 'violin_section' in the data set 'slakh'; no stem can belong there",
        ),
        ({"duration": 0}, ConfigError, "duration: expected more than 0 seconds, got 0"),
        ({"num_mixtures": 0}, ConfigError, "num_mixtures: expected 1 or more, got 0"),
        ({"channels": 3}, ConfigError, "channels: expected 1 or 2, got 3"),
        ({"gain_db": -1}, ConfigError, "gain_db: expected 0 to 60 dB, got -1"),
        ({"seed": -1}, ConfigError, "seed: expected 0 or more, got -1"),
        ({"query_duration": 0.0}, ConfigError, "query_duration: expected more than 0 seconds, got 0.0"),
        ({"silent": 1.5}, ConfigError, "silent: expected a share in [0, 1], got 1.5"),
        ({"alone": -0.5}, ConfigError, "alone: expected a share in [0, 1], got -0.5"),
        ({"augment": 2}, ConfigError, "augment: expected a share in [0, 1], got 2"),
        ({"weights": [1, 2]}, ConfigError, "weights: expected 1 positive numbers, one per data set, got [1, 2]"),
        ({"weights": [0.0]}, ConfigError, "weights: expected 1 positive numbers, one per data set, got [0.0]"),
        ({"splits": ["redux", None]}, ConfigError, "splits: expected one for each of 1 data sets, got ['redux', None]"),
        ({"folder": []}, ConfigError, "folder: expected at least one data set, got []"),
        (
            {"query": True, "salient": ["drums"]},
            ConfigError,
            "salient: expected none beside queries, which name their target, got ['drums']",
        ),
        ({"query": True, "target": "mixture"}, HierarchyError, f"{IN_TREE}: {ROOT_REFUSED}"),
        (
            {"query": True, "target": "clean_guitar"},
            HierarchyError,
            f"{IN_TREE} has no node 'clean_guitar'; did you mean 'clean_guitars'?",
        ),
        (
            {"query": True, "target": []},
            HierarchyError,
            f"{IN_TREE}: expected at least one target, got none; name a node",
        ),
        (
            {"levels": ["group"]},
            ConfigError,
            "levels: expected none without queries; name nodes, got ['group']",
        ),
        (
            {"query": True, "levels": ["mixture", "class"]},
            ConfigError,
            "levels: expected one or more levels below the root, the mixture, got ['mixture', 'class']",
        ),
        (
            {"query": True, "levels": []},
            ConfigError,
            "levels: expected one or more levels below the root, the mixture, got []",
        ),
        (
            {"query": True, "levels": ["klass"]},
            HierarchyError,
            f"{IN_TREE} has no level 'klass'; did you mean 'class'?; levels are mixture (0), group (1), family (2), "
            "class (3), instrument (4)",
        ),
        ({"hierarchy": "slakh35"}, HierarchyError, None),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, options, error, message):
    with pytest.raises(error) as caught:
        make(**options)
    assert isinstance(caught.value, HiersepError)
    assert "\n" not in str(caught.value)
    if message:
        assert str(caught.value) == message


def test_a_split_or_a_sound_that_is_not_there_is_refused(tmp_path, make):
    write_slakh(tmp_path, {"train/Track00001": [(PIANO, tone(3.0)), (ACOUSTIC_GUITAR, tone(3.0, db=-40))]})
    for options, message in (
        ({"split": "test"}, f"{tmp_path}: no tracks in split 'test'; there are train"),
        (
            {"split": "train"},
            f"{tmp_path}: 'clean_guitars' is nowhere louder than -30 dBFS in split 'train' (1 tracks); "
            "choose another target or more data",
        ),
    ):
        with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
            make(folder=tmp_path, **options)


def test_labels_of_other_data_sets_are_no_labels_for_this_one(make):
    hierarchy = {
        "name": "elsewhere",
        "levels": ["mixture", "stem"],
        "tree": {"mixture": ["vocals", "rest"]},
        "labels": {"musdb18": {"match": "filename", "vocals": "vocals"}},
    }
    with pytest.raises(HierarchyError, match="has labels for musdb18, none for 'slakh'"):
        make(hierarchy, target=None)


def test_an_unreadable_stem_is_left_out_of_the_mixture_and_of_its_nodes(tmp_path, make):
    stems = [(ACOUSTIC_GUITAR, tone(3.0)), (DISTORTED_GUITAR, tone(3.0, hz=100)), (BASS, tone(3.0, hz=50))]
    write_slakh(tmp_path, {"train/Track00001": stems})
    path = tmp_path / "train/Track00001/stems/S01.wav"
    path.write_text("no sound")
    with pytest.warns(HiersepWarning, match=re.escape(str(path))):
        item = make(folder=tmp_path, num_mixtures=1, duration=3.0)[0]
    assert np.abs(item["mix"].numpy() - stems[0][1] - stems[2][1]).max() < 1e-6
    assert torch.equal(item["sources"][1], item["sources"][2])


# --- sums and marks, whatever the options


def by_definition(hierarchy, claims, nodes):
    """Which events sum to each node, and which nodes are known, straight from DESIGN's words."""

    def holds(node):
        own = {number for number, claim in enumerate(claims) if claim == node}
        return own.union(*(holds(child) for child in hierarchy.node(node).children))

    unknown = {below for claim in claims if claim for below in hierarchy.descendants(claim)}
    return [holds(node) for node in nodes], [node not in unknown for node in nodes]


@pytest.mark.parametrize(
    "options",
    [
        {"target": None},
        {"target": None, "incoherent": 0.5, "gain_db": 6.0},
        {"target": None, "mixing": {"gain": ["uniform", -6, 6], "offset": ["uniform", 0, 0.9]}},
        {"query": True, "target": None, "incoherent": 0.3, "balanced": True},
        {"query": True, "target": None, "silent": 0.3, "gain_db": 3.0, "hierarchy": "universal"},
    ],
    ids=["songs", "incoherent", "distributions", "queries", "silent queries"],
)  # fmt: skip
def test_200_random_mixtures_are_the_sums_that_the_design_defines(make, options):
    dataset = make(**{"num_mixtures": 40, "duration": 1.0, **options})
    for index in range(len(dataset)):
        spec, item = dataset.spec(index), dataset[index]
        nodes = dataset.nodes
        if spec.target is not None:
            path = dataset.hierarchy.path(spec.target)[1:]
            nodes = [*path, *[spec.target] * (len(nodes) - len(path))]
        held, known = by_definition(dataset.hierarchy, spec.claims, nodes)
        events = realise(dataset.catalog, spec).astype(np.float64)
        mixture, total = item["mix"].numpy(), events.sum(axis=0)
        gain = np.vdot(mixture, total) / np.vdot(total, total)
        assert np.abs(mixture - gain * total).max() < 1e-5
        for row, numbers in enumerate(held):
            submix = gain * events[sorted(numbers)].sum(axis=0)
            assert np.abs(item["sources"][row].numpy() - submix).max() < 1e-5
        assert item["known"].tolist() == known
        for event, claim in zip(spec.events, spec.claims, strict=True):
            stem = dataset.catalog.tracks[event.track].stems[event.stem]
            assert dataset.hierarchy.claim(stem.attributes, dataset="slakh") == claim


# --- queries


def test_a_query_item_asks_for_a_leaf_and_brings_an_excerpt_of_one_from_another_track(make):
    dataset = make("slakh34", query=True, target=None, num_mixtures=30, query_duration=1.5, incoherent=0.5)
    levels = len(dataset.hierarchy.levels) - 1
    assert dataset.nodes == dataset.hierarchy.levels[1:]
    targets = set()
    for index in range(len(dataset)):
        item, spec = dataset[index], dataset.spec(index)
        assert {key: tuple(value.shape) for key, value in item.items()} == {
            "mix": (1, 2 * RATE), "sources": (levels, 1, 2 * RATE), "known": (levels,), "query": (1, 1.5 * RATE),
        }  # fmt: skip
        targets.add(spec.target)
        assert dataset.hierarchy.node(spec.target).is_leaf
        assert spec.query.track not in {spec.track, *(event.track for event in spec.events)}
        stem = dataset.catalog.tracks[spec.query.track].stems[spec.query.stem]
        assert dataset.hierarchy.claim(stem.attributes, dataset="slakh") == spec.target
        begin = round(spec.query.source_time * RATE)
        assert np.abs(item["query"].numpy() - read_audio(stem.path)[:, begin : begin + 24000]).max() < 1e-4
        assert level_db(item["query"]) > -30.5
        assert level_db(item["sources"][-1]) > -31
    assert len(targets) > 3


RAGGED = {
    "name": "ragged",
    "levels": ["mixture", "family", "group", "part"],
    "tree": {"mixture": ["drums", {"pitched": {"strung": ["guitars", "keys"]}}]},
    "match": "program_num",
    "labels": {"drums": 128, "guitars": "24-31", "keys": "0-23"},
    "ignore": "32-127",
}


def test_a_shallow_leaf_is_repeated_on_the_finer_levels(make):
    dataset = make(RAGGED, query=True, target=["drums", "guitars"], num_mixtures=20, balanced=True)
    seen = set()
    for index in range(len(dataset)):
        item, signals = dataset[index], dataset.process_item(index)
        nodes, target = signals["metadata"]["nodes"], signals["metadata"]["target"]
        seen.add(target)
        assert nodes == {"drums": ["drums"] * 3, "guitars": ["pitched", "strung", "guitars"]}[target]
        assert list(signals["sources"]) == list(dict.fromkeys(nodes))
        for row, node in enumerate(nodes):
            assert np.array_equal(signals["sources"][node].audio_data, item["sources"][row].numpy())
        assert np.array_equal(signals["query"].audio_data, item["query"].numpy())
    assert seen == {"drums", "guitars"}


@pytest.mark.parametrize("levels", [["class"], ["group", "class"], ["family"], ["class", "group", "family"]])
def test_of_the_levels_of_a_query_some_can_be_had(make, levels):
    """The same items, but for the rows that are left out; the order is the hierarchy's."""
    options = {"query": True, "target": None, "num_mixtures": 6}
    every, some = make("slakh34", **options), make("slakh34", levels=levels, **options)
    assert some.nodes == tuple(level for level in ("group", "family", "class") if level in levels)
    rows = [every.nodes.index(level) for level in some.nodes]
    for index in range(len(every)):
        whole, item = every[index], some[index]
        assert torch.equal(item["mix"], whole["mix"])
        assert torch.equal(item["query"], whole["query"])
        assert torch.equal(item["sources"], whole["sources"][rows])
        assert torch.equal(item["known"], whole["known"][rows])
        signals = some.process_item(index)
        path = some.hierarchy.path(signals["metadata"]["target"])[1:]
        assert signals["metadata"]["nodes"] == [path[row] for row in rows]


def test_a_leaf_above_a_wanted_level_stands_for_itself_there(make):
    dataset = make(RAGGED, query=True, target=["drums", "guitars"], num_mixtures=20, balanced=True, levels=["part"])
    assert dataset.nodes == ("part",)
    seen = set()
    for index in range(len(dataset)):
        metadata = dataset.process_item(index)["metadata"]
        assert metadata["nodes"] == [metadata["target"]]
        seen.add(metadata["target"])
    assert seen == {"drums", "guitars"}


@pytest.mark.parametrize("split", SPLITS)
def test_queries_are_the_same_for_every_reading_and_fixed_outside_of_training(tmp_path, make, split):
    songs = [[(ACOUSTIC_GUITAR, tone(8.0, hz=200 + n)), (PIANO, tone(8.0, hz=300 + n))] for n in range(3)]
    write_slakh(tmp_path, {f"{split}/Track{n:05d}": song for n, song in enumerate(songs)})
    dataset = make(folder=tmp_path, split=split, query=True, target=["clean_guitars", "acoustic_piano"])
    first = [dataset.spec(index) for index in range(len(dataset))]
    assert first == [dataset.spec(index) for index in range(len(dataset))]
    loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context="fork")
    assert all(same_items(item, dataset[index]) for index, item in enumerate(loader))
    dataset.set_epoch(1)
    assert (first == [dataset.spec(index) for index in range(len(dataset))]) == (split != "train")


# --- several data sets of different depth


@pytest.fixture
def shelf(tmp_path):
    """A data set with programs, and one with MUSDB18's four stems."""
    parts = ((ACOUSTIC_GUITAR, 200), (PIANO, 300), (DRUMS, 500), (BASS, 100))
    write_slakh(
        tmp_path / "programs", {f"train/Track{n:05d}": [(p, tone(5.0, hz=hz + n)) for p, hz in parts] for n in range(3)}
    )
    names = ("vocals", "drums", "bass", "other")
    song = {name: tone(5.0, hz=150 * (n + 1)) for n, name in enumerate(names)}
    write_folder(tmp_path / "four", {f"train/song{n}": {**song, "mixture": sum(song.values())} for n in range(2)})
    return tmp_path / "programs", tmp_path / "four"


def test_data_sets_of_different_depth_share_a_tree_and_each_says_what_it_knows(make, shelf):
    dataset = make("universal", shelf, target=None, num_mixtures=60)
    hierarchy = dataset.hierarchy
    assert [catalog.dataset for catalog in dataset.catalogs] == ["slakh", "musdb18"]
    names = []
    for index in range(len(dataset)):
        item, spec, name = dataset[index], dataset.spec(index), dataset.catalog_of(index).dataset
        names.append(name)
        assert dataset.process_item(index)["metadata"]["dataset"] == name
        of = dict(zip(dataset.nodes, item["sources"].numpy(), strict=True))
        known = dict(zip(dataset.nodes, item["known"].tolist(), strict=True))
        heard = {node: level_db(sound) > -60 for node, sound in of.items()}
        assert all(known.values()) if name == "slakh" else known == {n: hierarchy.node(n).depth == 1 for n in known}
        assert {node for node in hierarchy.at_level("stem") if heard[node]} == (
            {"drums", "bass", "other"} if name == "slakh" else {"vocals", "drums", "bass", "other"}
        )
        assert heard["piano"] == heard["guitar"] == (name == "slakh")
        assert np.abs(item["mix"].numpy() - sum(of[node] for node in hierarchy.at_level("stem"))).max() < 1e-5
        if name == "musdb18":
            (other,) = (e for e, claim in zip(spec.events, spec.claims, strict=True) if claim == "other")
            sound = read_audio(shelf[1] / "train" / dataset.catalogs[1].tracks[other.track].id / "other.wav")
            begin = round(other.source_time * RATE)
            gain = np.abs(of["other"]).max() / np.abs(sound).max()
            assert np.abs(of["other"] - gain * sound[:, begin : begin + 2 * RATE]).max() < 1e-4
    assert abs(Counter(names)["musdb18"] - 30) <= 15


def test_weights_say_how_often_each_data_set_is_drawn(make, shelf):
    dataset = make("universal", shelf, target=None, num_mixtures=400, weights=[3, 1])
    count = sum(dataset.catalog_of(index) is dataset.catalogs[0] for index in range(400))
    assert abs(count - 300) < 4 * np.sqrt(400 * 3 / 16)


def test_fixed_clips_of_several_data_sets_have_their_shares(make, shelf):
    dataset = make("universal", shelf, split=None, target=None, num_mixtures=6, weights=[2, 1])
    names = [dataset.catalog_of(index).dataset for index in range(len(dataset))]
    assert Counter(names) == {"slakh": 4, "musdb18": 2}


def test_a_data_set_that_cannot_have_the_target_is_named(make, shelf):
    with pytest.raises(HierarchyError, match="has no label for 'piano' in the data set 'musdb18'"):
        make("universal", shelf, target="piano")
    dataset = make("universal", shelf, target="piano", salient=["piano", "other"])
    assert {dataset.catalog_of(index).dataset for index in range(len(dataset))} == {"slakh", "musdb18"}


# --- the same numbers everywhere


def test_train_clips_differ_between_epochs_and_the_others_do_not(make):
    for split in SPLITS:
        dataset = make(split=split, num_mixtures=12)
        first = [dataset.spec(index) for index in range(len(dataset))]
        dataset.set_epoch(1)
        second = [dataset.spec(index) for index in range(len(dataset))]
        dataset.set_epoch(0)
        assert (first == second) == (split != "train")
        assert first == [dataset.spec(index) for index in range(len(dataset))]


def test_the_seed_decides(make):
    def clips(split, seed):
        dataset = make(split=split, seed=seed, num_mixtures=12)
        return [dataset.spec(index) for index in range(len(dataset))]

    for split in ("train", "test"):
        assert clips(split, 1) == clips(split, 1)
        assert clips(split, 1) != clips(split, 2)


def test_fixed_clips_are_never_heard_twice_and_may_be_fewer_than_asked_for(make):
    dataset = make(split="test", num_mixtures=1000)
    clips = Counter(dataset.spec(index) for index in range(len(dataset)))
    assert set(clips.values()) == {1}
    assert 6 <= len(clips) < 1000
    assert len(make(split="train", num_mixtures=1000)) == 1000


def test_clips_come_from_the_split_alone(make):
    for split in SPLITS:
        dataset = make(split=split, num_mixtures=30)
        splits = {dataset.catalog.tracks[dataset.spec(index).track].split for index in range(len(dataset))}
        assert splits == {split}


def test_no_split_means_all_tracks_and_fixed_clips(make):
    dataset = make(split=None, num_mixtures=1000)
    splits = {dataset.catalog.tracks[dataset.spec(index).track].split for index in range(len(dataset))}
    assert splits == set(SPLITS)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("workers", [1, 4])
def test_items_are_the_same_for_any_number_of_workers(make, split, workers):
    dataset = make(split=split, num_mixtures=6)
    loader = DataLoader(dataset, batch_size=None, num_workers=workers, multiprocessing_context="fork")
    for index, item in enumerate(loader):
        assert same_items(item, dataset[index])
    assert index == 5


@pytest.mark.parametrize(("start", "workers"), [("fork", 2), ("spawn", 1)])
def test_living_workers_hear_of_a_new_epoch_and_give_the_same_items(make, start, workers):
    dataset = make(num_mixtures=4)
    loader = DataLoader(
        dataset, batch_size=2, num_workers=workers, persistent_workers=True, multiprocessing_context=start,
        prefetch_factor=1,
    )  # fmt: skip
    mixtures = []
    for epoch in range(3):
        dataset.set_epoch(epoch)
        mixtures.append(torch.cat([batch["mix"] for batch in loader]))
        assert torch.equal(mixtures[-1], torch.stack([dataset[index]["mix"] for index in range(4)]))
    assert not torch.equal(mixtures[0], mixtures[1])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))], ids=["copy", "pickle"])
def test_a_copy_gives_the_same_items_has_an_epoch_of_its_own_and_tells_its_workers(make, duplicate):
    dataset = make(num_mixtures=4)
    dataset.set_epoch(3)
    other = duplicate(dataset)
    assert all(same_items(other[index], dataset[index]) for index in range(4))
    loader = DataLoader(other, batch_size=4, num_workers=1, persistent_workers=True, multiprocessing_context="fork")
    for epoch in (4, 5):
        other.set_epoch(epoch)
        (batch,) = loader
        assert torch.equal(batch["mix"], torch.stack([other[index]["mix"] for index in range(4)]))
    dataset.set_epoch(3)
    assert other.spec(0) == duplicate(other).spec(0)
    assert [other.spec(index) for index in range(4)] != [dataset.spec(index) for index in range(4)]


def test_a_store_gives_the_files_samples_bit_for_bit_to_every_process(make, rendered, monkeypatch, tmp_path):
    options = {"query": True, "target": None, "num_mixtures": 6, "incoherent": 0.5}
    from_files = make(**options)
    monkeypatch.setenv("HIERSEP_CACHE", str(tmp_path))
    index_dataset(rendered, store_channels=1, jobs=1)
    stored = make(**options)
    assert stored.catalog.store is not None
    assert from_files.catalog.store is None
    loader = DataLoader(stored, batch_size=None, num_workers=1, multiprocessing_context="fork")
    for index, item in enumerate(loader):
        assert same_items(item, stored[index])
        assert same_items(item, from_files[index])
    sent = pickle.dumps(stored)  # as to a spawned worker: after it was read from, and without what was read
    assert len(sent) < 1_000_000
    assert same_items(pickle.loads(sent)[0], stored[0])


def test_batches_are_stacks_of_items_in_their_order(make):
    dataset = make(num_mixtures=5)
    batches = list(DataLoader(dataset, batch_size=2))
    assert [tuple(batch["sources"].shape) for batch in batches] == [(n, 3, 1, 2 * RATE) for n in (2, 2, 1)]
    assert torch.equal(batches[1]["sources"][1], dataset[3]["sources"])
    assert torch.equal(batches[2]["known"][0], dataset[4]["known"])


# --- as nussl sees it


def test_it_is_a_nussl_data_set_of_audio_signals(make):
    dataset = make()
    assert isinstance(dataset, nussl.datasets.BaseDataset)
    for index in range(len(dataset)):
        signals, tensors, clip = dataset.process_item(dataset.items[index]), dataset[index], dataset.spec(index)
        assert list(signals) == ["mix", "sources", "metadata"]
        assert isinstance(signals["mix"], nussl.AudioSignal)
        assert (signals["mix"].sample_rate, signals["mix"].num_channels) == (RATE, 1)
        assert np.array_equal(signals["mix"].audio_data, tensors["mix"].numpy())
        assert tuple(signals["sources"]) == dataset.nodes
        for source, tensor in zip(signals["sources"].values(), tensors["sources"], strict=True):
            assert np.array_equal(source.audio_data, tensor.numpy())
        track = dataset.catalog.tracks[clip.track]
        assert signals["metadata"] == {
            "dataset": "slakh", "track": track.id, "start_s": clip.start_s,
            "nodes": list(PATH), "known": [True, True, True],
        }  # fmt: skip
    assert dataset.metadata["nodes"] == list(PATH)
    assert (dataset.metadata["sample_rate"], dataset.metadata["num_channels"]) == (RATE, 1)


def test_nussls_spectrum_transforms_give_its_separation_models_tensors(make):
    transforms = nussl.datasets.transforms
    chain = transforms.Compose([transforms.PhaseSensitiveSpectrumApproximation(), transforms.ToSeparationModel()])
    dataset = make(transform=chain)
    item = dataset[1]
    assert item["source_magnitudes"].shape == (*item["mix_magnitude"].shape, 3)
    assert item["index"] == 1
    assert (item["source_magnitudes"] <= item["mix_magnitude"][..., None] + 1e-6).all()
    assert item["mix_magnitude"].max() > 0
    batch = next(iter(DataLoader(dataset, batch_size=2)))
    assert batch["mix_magnitude"].shape == (2, *item["mix_magnitude"].shape)


def test_nussls_sum_of_children_is_the_parent(make):
    hierarchy = Hierarchy.load(TREE)
    children = list(hierarchy.node("guitar").children)
    transform = nussl.datasets.transforms.SumSources(groupings=[children], group_names=["summed"])
    dataset = make(target=["guitar", *children], salient=["guitar"], transform=transform)
    for index in range(4):
        sources = dataset[index]["sources"]
        assert set(sources) == {"guitar", "summed"}
        assert np.abs(sources["guitar"].audio_data - sources["summed"].audio_data).max() < 1e-6


def test_nussls_alphabetical_order_does_not_reach_the_tensors(make):
    nodes = ["strings", "keyboards", "drums", "clean_guitars"]
    plain = make(target=nodes)
    sorting = make(target=nodes, transform=nussl.datasets.transforms.MagnitudeSpectrumApproximation())
    item = sorting[0]
    assert list(item["sources"]) == sorted(plain.nodes)
    assert item["metadata"]["nodes"] == list(plain.nodes) != sorted(plain.nodes)
    for row, node in enumerate(item["metadata"]["nodes"]):
        assert np.array_equal(item["sources"][node].audio_data, plain[0]["sources"][row].numpy())


def test_items_can_be_filtered_as_nussl_does(make):
    dataset = make(split="test", num_mixtures=100)
    tracks = [dataset.process_item(item)["metadata"]["track"] for item in dataset.items]
    wanted = tracks[0]
    mixtures = [dataset[index]["mix"] for index in range(len(dataset)) if tracks[index] == wanted]
    dataset.filter_items_by_condition(lambda self, item: self.process_item(item)["metadata"]["track"] == wanted)
    assert 0 < len(dataset) == tracks.count(wanted) < len(tracks)
    assert all(torch.equal(dataset[index]["mix"], mixture) for index, mixture in enumerate(mixtures))
    assert len(list(dataset)) == len(mixtures)


def test_the_folder_may_be_named_relative_to_where_one_stands(make, rendered, monkeypatch):
    monkeypatch.chdir(rendered.parent)
    assert same_items(make(folder=rendered.name)[0], make()[0])
    assert open_dataset(rendered.name, jobs=1).folder == rendered.resolve()


def test_drums_are_a_target_like_any_other(make):
    dataset = make(target="drums")
    assert dataset.nodes[-1] == "drums"
    programs = {attributes["program_num"] for attributes, _ in stems_of(dataset, 0).values()}
    assert DRUMS in programs


def test_stems_that_no_node_claims_are_counted_in_one_warning_or_refused(rendered):
    only_drums = {
        "name": "drums_only",
        "levels": ["mixture", "part"],
        "tree": {"mixture": ["drums"]},
        "match": "program_num",
        "labels": {"drums": 128},
    }
    options = {"split": "train", "target": "drums", "num_mixtures": 1, "duration": 2.0}
    stems = [s for track in open_dataset(rendered).tracks if track.split == "train" for s in track.stems]
    unclaimed = sum(stem.attributes["program_num"] != 128 for stem in stems)
    with pytest.warns(
        HiersepWarning, match=f"{unclaimed} of {len(stems)} stems in split 'train' are claimed by no node"
    ):
        HierarchicalMixtureDataset(rendered, only_drums, **options)
    with pytest.raises(HierarchyError, match="are claimed by no node of hierarchy 'drums_only'"):
        HierarchicalMixtureDataset(rendered, only_drums, strict=True, **options)


def test_stems_that_the_hierarchy_ignores_are_expected_and_raise_no_warning(rendered):
    tree = {
        "name": "drums_only",
        "levels": ["mixture", "part"],
        "tree": {"mixture": ["drums"]},
        "match": "program_num",
        "labels": {"drums": 128},
        "ignore": "0-127",
    }
    HierarchicalMixtureDataset(rendered, tree, split="train", target="drums", num_mixtures=1, duration=2.0, strict=True)


def test_an_experiments_settings_are_the_data_sets_options_with_their_defaults(rendered):
    parameters = inspect.signature(HierarchicalMixtureDataset.__init__).parameters
    settings = {field.name: field.default for field in dataclasses.fields(DataConfig)}
    own = {"folder", "hierarchy", "target", "num_train", "num_validation"}
    assert {name: parameters[name].default for name in settings.keys() - own} == {
        name: default for name, default in settings.items() if name not in own
    }
    data = DataConfig(folder=str(rendered), duration=2.0, remove="leaf", remove_fraction=0.5, silent=0.2, gain_db=3.0)
    made = make_dataset(ExperimentConfig(data=data), "train", 5)
    options = {"folder": str(rendered), "hierarchy": "slakh_ismir2020", "target": "clean_guitars", "duration": 2.0}
    changed = {"remove": "leaf", "remove_fraction": 0.5, "silent": 0.2, "gain_db": 3.0}
    same = HierarchicalMixtureDataset(split="train", num_mixtures=5, seed=588, **options, **changed)
    assert [made.spec(index) for index in range(5)] == [same.spec(index) for index in range(5)]
