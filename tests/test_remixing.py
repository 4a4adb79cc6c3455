"""Incoherent mixtures keep the instrumentation of a song and take every part from another."""

import numpy as np
import pytest
import soundfile
from helpers import ACOUSTIC_GUITAR, PIANO, tone, write_slakh

from hiersep.data.catalog import open_dataset
from hiersep.data.dataset import HierarchicalMixtureDataset
from hiersep.data.remixing import StemPool
from hiersep.data.sampling import Clip, claims_of, coherent
from hiersep.hierarchy import Hierarchy

ISMIR = Hierarchy.load("slakh_ismir2020")


def dataset(folder, **options):
    return HierarchicalMixtureDataset(
        folder, ISMIR, split="train", target="clean_guitars", num_mixtures=40, duration=2.5, jobs=1, **options
    )


def test_every_salient_stem_is_replaced_by_a_salient_stem_of_the_same_node(rendered):
    catalog = open_dataset(rendered, jobs=1)
    tracks = catalog.select("train")
    pool = StemPool(catalog, tracks, ISMIR, 2.5)
    rng = np.random.default_rng(0)
    replaced = 0
    for track in tracks:
        clip, claims = Clip(track, 5.0), claims_of(catalog, track, ISMIR)
        spec = pool.remix(clip, claims, rng)
        assert (spec.claims, spec.duration, spec.track, spec.start_s) == (claims, 2.5, track, 5.0)
        for own, excerpt, claim in zip(coherent(catalog, clip, 2.5), spec.events, claims, strict=True):
            assert excerpt.duration == 2.5
            assert claims_of(catalog, excerpt.track, ISMIR)[excerpt.stem] == claim
            assert excerpt.track in tracks
            if excerpt != own:
                replaced += 1
                measurement = catalog.measurements[excerpt.track][excerpt.stem]
                samples, rate = soundfile.read(catalog.tracks[excerpt.track].stems[excerpt.stem].path)
                heard = samples[round(excerpt.source_time * rate) : round((excerpt.source_time + 2.5) * rate)]
                assert np.mean(heard**2) > 0.99e-3
                assert measurement.window_power(np.array([excerpt.source_time]), 2.5)[0] > 1e-3
    assert replaced > len(tracks)


def test_a_stem_that_is_silent_in_the_clip_stays_silent(tmp_path):
    loud = tone(5.0, db=-10.0)
    tracks = {
        "train/Track00001": [(ACOUSTIC_GUITAR, loud), (PIANO, 0 * loud)],
        "train/Track00002": [(ACOUSTIC_GUITAR, loud), (PIANO, loud)],
    }
    write_slakh(tmp_path, tracks)
    catalog = open_dataset(tmp_path, jobs=1)
    pool = StemPool(catalog, [0, 1], ISMIR, 2.5)
    clip = Clip(0, 0.0)
    for seed in range(20):
        _, piano = pool.remix(clip, claims_of(catalog, 0, ISMIR), np.random.default_rng(seed)).events
        assert piano == coherent(catalog, clip, 2.5)[1]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_sums_hold_and_about_the_wanted_share_of_mixtures_differs_from_the_songs(rendered, share):
    songs, mixed = dataset(rendered), dataset(rendered, incoherent=share)
    same = 0
    for index in range(40):
        item, song = mixed[index], songs[index]
        top = item["sources"][0]
        assert (item["known"] == song["known"]).all()
        rest = item["mix"] - top
        assert np.abs((top + rest - item["mix"]).numpy()).max() <= 1e-6
        same += int((item["mix"] == song["mix"]).all())
    assert abs(same - 40 * (1 - share)) <= (0 if share in (0.0, 1.0) else 12)


def test_incoherent_mixtures_are_a_function_of_seed_epoch_and_index(rendered):
    one, other = dataset(rendered, incoherent=1.0, seed=3), dataset(rendered, incoherent=1.0, seed=3)
    assert (one[7]["mix"] == other[7]["mix"]).all()
    other.set_epoch(1)
    assert (one[7]["mix"] != other[7]["mix"]).any()


def test_fixed_splits_are_never_remixed(rendered):
    options = {"split": "test", "target": "clean_guitars", "num_mixtures": 3, "duration": 2.5, "jobs": 1}
    songs = HierarchicalMixtureDataset(rendered, ISMIR, **options)
    mixed = HierarchicalMixtureDataset(rendered, ISMIR, incoherent=1.0, gain_db=6.0, **options)
    for index in range(3):
        assert (songs[index]["mix"] == mixed[index]["mix"]).all()
        assert (songs[index]["sources"] == mixed[index]["sources"]).all()
