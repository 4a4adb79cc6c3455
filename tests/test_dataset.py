"""The data set as torch, nussl and a careful listener see it."""

import copy
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
from hiersep.data.catalog import open_dataset
from hiersep.data.dataset import HierarchicalMixtureDataset
from hiersep.errors import ConfigError, DataError, HierarchyError, HiersepError, HiersepWarning
from hiersep.hierarchy import Hierarchy

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
    clip = dataset.clip(index)
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
        clip = dataset.clip(index)
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
    write_slakh(tmp_path, {f"{split}/Track00001": stems for split in SPLITS})
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


def test_any_node_of_a_list_will_do(tmp_path, make):
    guitar, piano = bursts(10, [(0, 2)]), bursts(10, [(5, 7)])
    write_slakh(tmp_path, {"test/Track00001": [(ACOUSTIC_GUITAR, guitar), (PIANO, piano)]})

    def starts(**options):
        dataset = make(folder=tmp_path, split="test", num_mixtures=100, **options)
        return sorted(dataset.clip(index).start_s for index in range(len(dataset)))

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


# --- the same numbers everywhere


def test_train_clips_differ_between_epochs_and_the_others_do_not(make):
    for split in SPLITS:
        dataset = make(split=split, num_mixtures=12)
        first = [dataset.clip(index) for index in range(len(dataset))]
        dataset.set_epoch(1)
        second = [dataset.clip(index) for index in range(len(dataset))]
        dataset.set_epoch(0)
        assert (first == second) == (split != "train")
        assert first == [dataset.clip(index) for index in range(len(dataset))]


def test_the_seed_decides(make):
    def clips(split, seed):
        dataset = make(split=split, seed=seed, num_mixtures=12)
        return [dataset.clip(index) for index in range(len(dataset))]

    for split in ("train", "test"):
        assert clips(split, 1) == clips(split, 1)
        assert clips(split, 1) != clips(split, 2)


def test_fixed_clips_are_never_heard_twice_and_may_be_fewer_than_asked_for(make):
    dataset = make(split="test", num_mixtures=1000)
    clips = Counter(dataset.clip(index) for index in range(len(dataset)))
    assert set(clips.values()) == {1}
    assert 6 <= len(clips) < 1000
    assert len(make(split="train", num_mixtures=1000)) == 1000


def test_clips_come_from_the_split_alone(make):
    for split in SPLITS:
        dataset = make(split=split, num_mixtures=30)
        splits = {dataset.catalog.tracks[dataset.clip(index).track].split for index in range(len(dataset))}
        assert splits == {split}


def test_no_split_means_all_tracks_and_fixed_clips(make):
    dataset = make(split=None, num_mixtures=1000)
    splits = {dataset.catalog.tracks[dataset.clip(index).track].split for index in range(len(dataset))}
    assert splits == set(SPLITS)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("workers", [1, 2])
def test_items_are_the_same_for_any_number_of_workers(make, split, workers):
    dataset = make(split=split, num_mixtures=6)
    loader = DataLoader(dataset, batch_size=None, num_workers=workers, multiprocessing_context="fork")
    for index, item in enumerate(loader):
        assert same_items(item, dataset[index])
    assert index == 5


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_living_workers_hear_of_a_new_epoch_and_give_the_same_items(make, start):
    dataset = make(num_mixtures=4)
    loader = DataLoader(
        dataset, batch_size=2, num_workers=2, persistent_workers=True, multiprocessing_context=start, prefetch_factor=1
    )
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
    assert other.clip(0) == duplicate(other).clip(0)
    assert [other.clip(index) for index in range(4)] != [dataset.clip(index) for index in range(4)]


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
        signals, tensors, clip = dataset.process_item(dataset.items[index]), dataset[index], dataset.clip(index)
        assert list(signals) == ["mix", "sources", "metadata"]
        assert isinstance(signals["mix"], nussl.AudioSignal)
        assert (signals["mix"].sample_rate, signals["mix"].num_channels) == (RATE, 1)
        assert np.array_equal(signals["mix"].audio_data, tensors["mix"].numpy())
        assert tuple(signals["sources"]) == dataset.nodes
        for source, tensor in zip(signals["sources"].values(), tensors["sources"], strict=True):
            assert np.array_equal(source.audio_data, tensor.numpy())
        track = dataset.catalog.tracks[clip.track]
        assert signals["metadata"] == {
            "track": track.id, "start_s": clip.start_s, "nodes": list(PATH), "known": [True, True, True],
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
