"""Mixers and the distributions that they draw from: ranges, seeds, nodes, and what a wrong setting is told."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from helpers import ACOUSTIC_GUITAR, BASS, DISTORTED_GUITAR, PIANO, RATE, noise, write_slakh
from hypothesis import given
from hypothesis import strategies as st

from hiersep import audio
from hiersep.compat import scaper
from hiersep.data.catalog import open_dataset
from hiersep.data.distributions import MixingConfig, parse_distribution
from hiersep.data.mixers import excerpt_loudness, load_mixing, make_mixer
from hiersep.data.mixing import realise, shape_event
from hiersep.data.remixing import StemPool
from hiersep.data.sampling import Clip, claims_of
from hiersep.errors import ConfigError, DataError
from hiersep.hierarchy import Hierarchy

ISMIR = Hierarchy.load("slakh_ismir2020")
CLIP_S = 1.0


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    """Three tracks of 6 s: an acoustic guitar, a distorted one, a piano; a bass in the first only."""
    folder = tmp_path_factory.mktemp("mixers")
    programs = [ACOUSTIC_GUITAR, DISTORTED_GUITAR, PIANO]
    tracks = {
        f"train/Track0000{n}": [(program, noise(6.0, seed=10 * n + program)) for program in programs] for n in range(3)
    }
    tracks["train/Track00000"].append((BASS, noise(6.0, seed=99)))
    return open_dataset(write_slakh(folder, tracks), jobs=1)


FIRST = Clip(0, 1.0)


def draw(catalog, mixing, seed=0, clip=FIRST):
    mixer = make_mixer(mixing, catalog, [0, 1, 2], ISMIR, CLIP_S)
    return mixer.remix(clip, claims_of(catalog, clip.track, ISMIR), np.random.default_rng(seed))


# --- distributions

LOW_HIGH = st.tuples(st.floats(-60, 60), st.floats(-60, 60)).map(sorted)
DISTRIBUTIONS = st.one_of(
    st.floats(-60, 60).map(lambda value: ["const", value]),
    LOW_HIGH.map(lambda ends: ["uniform", *ends]),
    st.tuples(st.floats(-100, 100), st.floats(0.01, 50)).map(lambda numbers: ["normal", *numbers]),
    st.tuples(st.floats(-100, 100), st.floats(0.01, 50), LOW_HIGH)
    .filter(lambda numbers: numbers[2][1] - numbers[2][0] > 1e-3)
    .map(lambda numbers: ["truncnorm", *numbers[:2], *numbers[2]]),
    st.lists(st.floats(-60, 60), min_size=1).map(lambda values: ["choose", values]),
)


@given(DISTRIBUTIONS, st.integers(0, 1000))
def test_every_draw_lies_in_the_range_and_equal_seeds_give_equal_draws(written, seed):
    distribution = parse_distribution(written, "here", "gain")
    low, high = distribution.support
    values = [distribution.draw(np.random.default_rng([seed, n])) for n in range(5)]
    assert all(max(low, -60) - 1e-9 <= value <= min(high, 60) + 1e-9 for value in values)
    assert values == [distribution.draw(np.random.default_rng([seed, n])) for n in range(5)]
    assert parse_distribution(distribution.to_list(), "here", "gain") == distribution
    if written[0] == "choose":
        assert set(values) <= set(written[1])


@pytest.mark.parametrize(
    ("written", "mean", "std"),
    [
        (["const", 3], 3, 0),
        (["uniform", -6, 6], 0, 12 / np.sqrt(12)),
        (["normal", 2, 3], 2, 3),
        (["truncnorm", 0, 1, 0, 10], np.sqrt(2 / np.pi), np.sqrt(1 - 2 / np.pi)),  # half a normal distribution
        (["choose", [1, 1, 4]], 2, np.sqrt(2)),
    ],
)
def test_moments_are_those_of_the_law(written, mean, std):
    rng = np.random.default_rng(0)
    values = [parse_distribution(written, "here", "gain").draw(rng) for _ in range(3000)]
    assert np.mean(values) == pytest.approx(mean, abs=0.2)
    assert np.std(values) == pytest.approx(std, abs=0.2)


def test_of_whole_numbers_all_are_alike():
    rng = np.random.default_rng(0)
    distribution = parse_distribution(["uniform", 1, 3], "here", "num_sources")
    counts = Counter(distribution.draw(rng) for _ in range(3000))
    assert set(counts) == {1, 2, 3}
    assert min(counts.values()) > 900


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"gian": ["const", 1]}, "mixing: unknown key 'gian'; did you mean 'gain'?"),
        ({"gain": 3}, 'mixing: gain: expected a distribution such as ["uniform", LOW, HIGH] (const, uniform, normal'),
        ({"gain": ["unform", 0, 1]}, "did you mean 'uniform'?"),
        ({"gain": []}, "mixing: gain: expected a distribution"),
        ({"gain": ["uniform", 1, 0]}, 'mixing: gain: expected ["uniform", LOW, HIGH], LOW not above HIGH, got'),
        ({"gain": ["uniform", 0]}, 'expected ["uniform", LOW, HIGH]'),
        ({"gain": ["normal", 0, 0]}, 'expected ["normal", MEAN, STD], STD more than 0'),
        ({"gain": ["truncnorm", 0, 1, 2, 2]}, "LOW below HIGH"),
        ({"gain": ["choose", []]}, 'expected ["choose", [VALUE, ...]]'),
        ({"gain": ["const", True]}, 'expected ["const", VALUE]'),
        ({"gain": ["const", float("nan")]}, 'expected ["const", VALUE]'),
        ({"gain": ["const", 61]}, "mixing: gain: expected values in dB from -60 to 60, got ['const', 61]"),
        ({"offset": ["uniform", -1, 1]}, "mixing: offset: expected values in seconds from 0 to 600"),
        ({"time_stretch": ["const", 0]}, "expected values in times the length from 0.25 to 4"),
        ({"num_sources": ["const", 1.5]}, "expected whole numbers of stems from 0 to 64"),
        ({"gain": ["const", 0], "snr": ["const", 0]}, "mixing: snr: expected either 'gain' or 'snr', got both"),
        ({"augmentation": 2}, "mixing: augmentation: expected a share in [0, 1], got 2.0"),
        ({"augmentation": "all"}, "mixing: augmentation: expected a number, got 'all'"),
        ({"ref_db": 3}, "mixing: ref_db: expected -70 to 0 LUFS, got 3.0"),
        ({"nodes": ["guitar"]}, "mixing: nodes: expected nodes, got ['guitar']"),
        ({"nodes": {"guitar": 3}}, "mixing: nodes.guitar: expected settings, got 3"),
        ({"nodes": {"guitar": {"gain": ["const", 99]}}}, "mixing: nodes.guitar.gain: expected values in dB"),
        ({"nodes": {"guitar": {"nodes": {}}}}, "mixing: unknown key 'nodes.guitar.nodes'"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected_and_what_came(setting, message):
    with pytest.raises(ConfigError) as caught:
        MixingConfig.of(setting)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_is_read_and_its_lines_are_named(tmp_path):
    path = tmp_path / "mixing.yml"
    path.write_text("gain: [uniform, -6, 6]\nnodes:\n  drums: {snr: [const, 0]}\n")
    config = load_mixing(str(path))
    assert config == MixingConfig.of({"gain": ("uniform", -6, 6), "nodes": {"drums": {"snr": ["const", 0]}}})
    assert MixingConfig.of(config.to_dict()) == config
    path.write_text("ref_db: -20\ngain: [uniform, 6, -6]\n")
    with pytest.raises(ConfigError, match=r"mixing.yml:2: gain: expected \[\"uniform\""):
        load_mixing(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_mixing(tmp_path / "none.yml")


# --- mixers


def test_names_make_the_mixers_that_they_name(catalog):
    spec = draw(catalog, "coherent")
    assert [(e.track, e.stem, e.source_time, e.duration) for e in spec.events] == [(0, n, 1.0, 1.0) for n in range(4)]
    assert isinstance(make_mixer("incoherent", catalog, [0], ISMIR, CLIP_S), StemPool)


def test_without_distributions_as_many_stems_of_each_node_are_drawn_as_the_song_has(catalog):
    for seed in range(10):
        spec = draw(catalog, {}, seed)
        assert sorted(map(str, spec.claims)) == sorted(map(str, claims_of(catalog, 0, ISMIR)))
        for event, claim in zip(spec.events, spec.claims, strict=True):
            assert claims_of(catalog, event.track, ISMIR)[event.stem] == claim
            assert dataclasses.replace(event, track=0, stem=0, source_time=0.0) == dataclasses.replace(
                spec.events[0], track=0, stem=0, source_time=0.0
            )
    assert len({event.track for seed in range(10) for event in draw(catalog, {}, seed).events}) == 3


def test_a_mixture_is_a_function_of_the_seed(catalog):
    mixing = {"gain": ["normal", 0, 3], "offset": ["uniform", 0, 0.5], "augmentation": 0.5}
    assert draw(catalog, mixing, 5) == draw(catalog, mixing, 5)
    assert draw(catalog, mixing, 5) != draw(catalog, mixing, 6)


def test_events_are_drawn_as_the_distributions_say(catalog):
    mixing = {
        "gain": ["uniform", -6, -3],
        "offset": ["choose", [0.0, 0.25]],
        "pitch_shift": ["uniform", -2, 2],
        "time_stretch": ["uniform", 0.8, 1.25],
        "augmentation": 0.5,
    }
    events = [event for seed in range(50) for event in draw(catalog, mixing, seed).events]
    assert all(-6 <= event.gain_db <= -3 and abs(event.pitch_shift) <= 2 for event in events)
    assert {event.event_time for event in events} == {0.0, 0.25}
    for event in events:
        assert event.event_time + event.duration * event.time_stretch == pytest.approx(CLIP_S)
    assert np.mean([event.augmentation is not None for event in events]) == pytest.approx(0.5, abs=0.15)


def test_a_finer_node_is_heard_before_a_coarser_one_and_that_before_all(catalog):
    nodes = {"guitar": {"gain": ["const", 2]}, "acoustic_guitar": {"gain": ["const", 3]}}
    spec = draw(catalog, {"gain": ["const", 1], "nodes": nodes})
    gains = dict(zip(spec.claims, (event.gain_db for event in spec.events), strict=True))
    of_guitars = {claim: gain for claim, gain in gains.items() if claim in ISMIR.descendants("guitar")}
    assert gains["acoustic_guitar"] == 3
    assert sorted(of_guitars.values()) == [2, 3]
    assert {gain for claim, gain in gains.items() if claim not in of_guitars} == {1}


def test_as_many_stems_of_a_node_are_drawn_as_it_asks_for(catalog):
    for seed in range(20):
        spec = draw(catalog, {"nodes": {"guitar": {"num_sources": ["uniform", 2, 4]}}}, seed)
        guitars = [claim for claim in spec.claims if claim in ISMIR.descendants("guitar")]
        assert 2 <= len(guitars) <= 4
        assert len(spec.claims) == len(guitars) + 2
    silent = draw(catalog, {"num_sources": ["const", 0]})
    assert silent.events == silent.claims == ()
    assert realise(catalog, silent).shape == (0, 1, RATE)


def test_a_node_that_the_song_lacks_is_played_when_it_is_asked_for(catalog):
    bass = claims_of(catalog, 0, ISMIR)[3]
    clip = Clip(1, 1.0)
    assert bass not in draw(catalog, {}, clip=clip).claims
    assert draw(catalog, {"nodes": {bass: {"num_sources": ["const", 2]}}}, clip=clip).claims.count(bass) == 2
    with pytest.raises(DataError, match=r"nodes.strings.*num_sources: no stem of the node is salient"):
        draw(catalog, {"nodes": {"strings_guitars_keyboards": {}, "strings": {"num_sources": ["const", 1]}}})


def test_snr_is_the_loudness_over_ref_db_of_what_is_heard(catalog):
    mixing = {"snr": ["uniform", -3, 3], "ref_db": -25, "pitch_shift": ["const", 2], "offset": ["const", 0.3]}
    spec = draw(catalog, mixing)
    assert len({event.gain_db for event in spec.events}) == len(spec.events)
    for samples in realise(catalog, spec):
        assert -28.05 <= audio.loudness(samples[:, round(0.3 * RATE) :], RATE) <= -21.95
    exact = draw(catalog, {"snr": ["const", 4], "ref_db": -25})
    for samples in realise(catalog, exact):
        assert audio.loudness(samples, RATE) == pytest.approx(-21, abs=0.01)


@pytest.mark.parametrize("length", [1, 100, 7999, 8000, 20000])
@pytest.mark.parametrize("db", [-20.0, -150.0])
def test_an_excerpts_loudness_is_what_scaper_measures(length, db):
    samples = noise(length / RATE, db=db).astype(np.float32)
    expected = scaper.audio.get_integrated_lufs(samples.T.astype(np.float64), RATE)
    assert excerpt_loudness(samples, RATE) == pytest.approx(expected, abs=1e-3)


def test_silence_is_as_loud_as_scaper_takes_it_for(catalog):
    assert excerpt_loudness(np.zeros((1, 8000), np.float32), RATE) == -70
    assert excerpt_loudness(np.zeros((1, 0), np.float32), RATE) == -70
    past_the_end = dataclasses.replace(draw(catalog, "coherent").events[0], source_time=7.0)
    assert shape_event(catalog, past_the_end).shape == (1, 0)


def test_what_cannot_be_drawn_here_is_refused(catalog):
    with pytest.raises(ConfigError, match="offset: expected less than the mixture's 1 seconds"):
        draw(catalog, {"offset": ["uniform", 0, 1]})
    with pytest.raises(ConfigError, match="nodes: hierarchy 'slakh_ismir2020' has no node 'gitar'"):
        draw(catalog, {"nodes": {"gitar": {"gain": ["const", 0]}}})
    late = draw(catalog, {"offset": ["normal", 300, 1]})
    assert all(1 <= round(event.duration * RATE) < 0.1 * RATE for event in late.events)
    assert realise(catalog, late).shape == (4, 1, RATE)
