"""What is taken from the labels never comes back; what is left is what the claims say."""

import dataclasses

import numpy as np
import pytest
from helpers import ACOUSTIC_GUITAR, BASS, DISTORTED_GUITAR, DRUMS, PIANO
from hypothesis import given
from hypothesis import strategies as st
from test_sampling import ISMIR, catalog_of

from hiersep.data.labels import Labels, Removal
from hiersep.data.mixtures import MixtureOptions, MixtureSampler
from hiersep.errors import ConfigError, DataError

PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
BELOW = ("acoustic_guitar", "clean_electric_guitar")


@given(st.text(max_size=20), st.integers(0, 2**32), st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted))
def test_what_a_small_share_takes_a_larger_one_takes_too(track, seed, fractions):
    few, many = (Removal("all", fraction, seed).takes("slakh", track) for fraction in fractions)
    assert few <= many
    assert few == Removal("leaf", fractions[0], seed).takes("slakh", track)
    assert not Removal("all", 0.0, seed).takes("slakh", track)
    assert Removal("all", 1.0, seed).takes("slakh", track)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_about_the_share_of_tracks_is_taken_others_with_another_seed_or_data_set(fraction):
    names = [f"Track{n:05d}" for n in range(2000)]

    def taken(seed, dataset):
        return np.array([Removal("all", fraction, seed).takes(dataset, name) for name in names])

    one = taken(588, "slakh")
    assert abs(one.mean() - fraction) < 4 * np.sqrt(fraction * (1 - fraction) / len(names))
    for other in (taken(589, "slakh"), taken(588, "moisesdb")):
        assert 0.5 * fraction * (1 - fraction) < (one & ~other).mean() < 2 * fraction * (1 - fraction)


def test_the_leaf_and_what_lies_below_is_unknown_where_its_labels_were_taken_and_nowhere_else():
    catalog = catalog_of(*([(ACOUSTIC_GUITAR, [-20]), (PIANO, [-20])] for _ in range(20)))
    removal = Removal("leaf", 0.5, 0)
    labels = Labels(catalog, ISMIR, removal=removal, leaves=["clean_guitars"])
    taken = [track for track in range(20) if removal.takes("slakh", f"Track{track}")]
    assert 0 < len(taken) < 20
    for track in range(20):
        unknown = {id for id, known in zip(ISMIR.ids, labels.of(track).known, strict=True) if not known}
        assert unknown == ({"clean_guitars", *BELOW} if track in taken else set())
    assert labels.usable(range(20)) == tuple(range(20))
    assert set(labels.whole(range(20))) == set(range(20)) - set(taken)
    assert Labels(catalog, ISMIR, removal=dataclasses.replace(removal, what="all")).usable(range(20)) == labels.whole(
        range(20)
    )


SONGS = catalog_of(
    *(
        [(ACOUSTIC_GUITAR, [-20] * 4), (DISTORTED_GUITAR, [-20] * 4), (PIANO, [-20] * 4), (BASS, [-20, -20, None, -20])]
        + [(DRUMS, [-20] * 4)] * (n % 2)
        for n in range(12)
    ),
    split="train",
)


def mixtures_of(sampler, epochs=5, items=40):
    for epoch in range(epochs):
        for index in range(items):
            yield sampler.draw(np.random.default_rng([3, epoch, index]))


def sampler(nodes=PATH, salient=("clean_guitars",), **options):
    options = {"split": "train", "duration": 2.5, "seed": 3, **options}
    return MixtureSampler(SONGS, ISMIR, salient, MixtureOptions(**options), nodes=nodes)


REMOVALS = [
    {"remove": what, "remove_fraction": fraction, **mixing}
    for what in ("all", "leaf")
    for fraction in (0.5, 0.7)
    for mixing in ({}, {"incoherent": 0.7}, {"mixing": {"gain": ["uniform", -3, 3]}})
]


def taken_tracks(options):
    removal = Removal(options["remove"], options["remove_fraction"], 3)
    return {n for n in range(len(SONGS.tracks)) if removal.takes("slakh", f"Track{n}")}


@pytest.mark.parametrize("options", REMOVALS, ids=str)
def test_over_five_epochs_nothing_that_was_removed_comes_back_as_mixture_or_target(options):
    taken = taken_tracks(options)
    assert 0 < len(taken) < 11
    mixtures = sampler(**options)
    heard, from_taken = set(), 0
    for spec in mixtures_of(mixtures):
        tracks = {spec.track, *(event.track for event in spec.events)}
        _, known = mixtures.labels.of_mixture(spec)
        heard |= tracks
        if options["remove"] == "all":
            assert not tracks & taken
        if tracks & taken:
            from_taken += 1
            assert known[[ISMIR.index(node) for node in PATH]].tolist() == [True, True, False]
        else:
            assert known.all()
    assert heard == set(range(12)) - (taken if options["remove"] == "all" else set())
    assert (from_taken > 0) == (options["remove"] == "leaf")


@pytest.mark.parametrize("options", REMOVALS, ids=str)
def test_over_five_epochs_nothing_that_was_removed_comes_back_as_query(options):
    taken = taken_tracks(options)
    mixtures = sampler(nodes=None, salient=("clean_guitars", "electric_basses"), **options)
    asked_in_taken = 0
    for spec in mixtures_of(mixtures):
        sounding = {spec.track, *(event.track for event in spec.events)}
        assert spec.query.track not in taken | sounding
        _, known = mixtures.labels.of_mixture(spec)
        *coarser, leaf = (known[ISMIR.index(node)] for node in ISMIR.path(spec.target)[1:])
        assert all(coarser)
        assert leaf == (not sounding & taken)
        asked_in_taken += not leaf
    assert (asked_in_taken > 0) == (options["remove"] == "leaf")


def test_a_track_gives_nothing_where_no_node_of_the_item_would_be_known():
    top = ("strings_guitars_keyboards",)
    leaf, all_ = (
        {spec.track for spec in mixtures_of(sampler(nodes=top, salient=top, remove=what, remove_fraction=0.5))}
        for what in ("leaf", "all")
    )
    assert leaf == all_ == set(range(12)) - taken_tracks({"remove": "all", "remove_fraction": 0.5})


def test_only_the_training_split_is_removed_from():
    assert MixtureOptions(split="train", remove="all").removal is not None
    for split in ("validation", "test", None):
        assert MixtureOptions(split=split, remove="all").removal is None


def test_a_removal_that_leaves_nothing_or_is_none_is_refused():
    with pytest.raises(DataError, match=r"'clean_guitars' is nowhere louder than -30 dBFS in split 'train' \(0 tracks"):
        sampler(remove="all", remove_fraction=1.0)
    with pytest.raises(ConfigError, match=r"remove_fraction: expected a share in \[0, 1\], got 1.5"):
        sampler(remove="all", remove_fraction=1.5)
    with pytest.raises(ConfigError, match="remove: expected None, 'all' or 'leaf', got 'leaves'"):
        sampler(remove="leaves")
