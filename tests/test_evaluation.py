"""Scores on songs of pure tones, where every number is known beforehand."""

import csv
import math

import numpy as np
import pytest
import torch
from helpers import ACOUSTIC_GUITAR, BASS, DISTORTED_GUITAR, PIANO, tone, write_slakh

from hiersep import evaluation
from hiersep.config import EvaluationConfig
from hiersep.errors import DataError
from hiersep.evaluation import clip_status, evaluate, fit_static, write_clips
from hiersep.models.path import PathSeparator

PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
SETTINGS = EvaluationConfig(duration=1.0, num_test=50, num_static=10)


def band(**decibels):
    """Stems of one second, each a tone of its own whole number of periods: orthogonal to all others."""
    sounds = {"clean": (ACOUSTIC_GUITAR, 400), "distorted": (DISTORTED_GUITAR, 1000), "piano": (PIANO, 2000)}
    sounds["bass"] = (BASS, 150)
    return [(sounds[name][0], tone(1.0, hz=sounds[name][1], db=db)) for name, db in decibels.items()]


ALL = band(clean=-20, distorted=-20, piano=-20, bass=-20)
SONGS = {
    "train/Track00001": ALL,
    # All levels differ: 1, 2 and 3 of 4 equal parts.
    "test/Track00002": ALL,
    # Guitar, clean guitar and the group are one signal; the bass is all that there is besides.
    "test/Track00003": band(clean=-20, bass=-26),
    # The mixture is the group: nothing is to separate at the coarsest level, and so at none.
    "test/Track00004": band(clean=-20, distorted=-20),
    # The distorted guitar is the clean one turned upside down: the guitars' submix is silent.
    "test/Track00005": [*band(clean=-20, piano=-20, bass=-20), (DISTORTED_GUITAR, -tone(1.0, hz=400, db=-20))],
    # What remains at the lower levels is below -40 dBFS, yet not the same signal.
    "test/Track00006": band(clean=-20, distorted=-44, piano=-20, bass=-20),
}  # fmt: skip
STATUS = {
    "Track00002": ["scored", "scored", "scored"],
    "Track00003": ["scored", "remainder silent", "remainder silent"],
    "Track00004": ["remainder silent", "remainder silent", "remainder silent"],
    "Track00005": ["scored", "silent", "scored"],
    "Track00006": ["scored", "scored", "remainder silent"],
}


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    return write_slakh(tmp_path_factory.mktemp("tones"), SONGS)


def transparent():
    """A network whose masks are ones: its estimates are the mixture."""
    sizes = {"hidden_size": 2, "num_layers": 1, "constraint": "none"}
    model = PathSeparator("slakh_ismir2020", PATH, spectrum={"n_fft": 512, "hop_length": 256}, network=sizes)
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.constant_(model.head.bias, 30.0)
    return model.eval()


@pytest.fixture(scope="module")
def result(songs):
    return evaluate(transparent(), songs, SETTINGS)


def scores_of(result, track, row):
    return [clip.scores[row] for clip in result.clips if clip.track == track]


def test_every_clip_has_a_status_per_level_and_the_reason_is_right(result):
    found = {}
    for clip in result.clips:
        found.setdefault(clip.track, []).append(clip.status)
        assert clip.start_s == 0
    assert found == STATUS
    assert [clip.node for clip in result.clips[:3]] == list(PATH)


def test_the_mixture_row_is_the_ratio_of_the_parts(result):
    # Equal orthogonal parts: 3 of 4, 2 of 4 and 1 of 4 belong to the levels.
    expected = [10 * math.log10(3), 0, -10 * math.log10(3)]
    assert scores_of(result, "Track00002", "mixture") == pytest.approx(expected, abs=0.01)
    assert scores_of(result, "Track00003", "mixture") == pytest.approx([6, 6, 6], abs=0.01)


def test_a_network_that_does_nothing_scores_as_the_mixture(result):
    for track in STATUS:
        estimate, mixture = scores_of(result, track, "estimate"), scores_of(result, track, "mixture")
        silent = [math.isnan(value) for value in mixture]
        assert [math.isnan(value) for value in estimate] == silent
        pairs = [(e, m) for e, m in zip(estimate, mixture, strict=True) if not math.isnan(m) and m < 60]
        assert all(e == pytest.approx(m, abs=0.01) for e, m in pairs)
    for level in result.summary()["levels"].values():
        assert level["si_sdri"] == pytest.approx(0, abs=0.01)


def test_tones_apart_in_frequency_are_separated_by_the_static_and_the_oracle_masks(result):
    for row in ("static", "oracle", "oracle_ideal_ratio"):
        assert min(scores_of(result, "Track00002", row)) > 20


def test_a_silent_reference_has_no_score_and_is_counted_apart(result):
    assert math.isnan(scores_of(result, "Track00005", "estimate")[1])
    assert result.summary()["levels"]["guitar"]["counted_apart"] == {"remainder silent": 2, "silent": 1}


def test_the_summary_means_over_scored_clips_only(result):
    summary = result.summary()
    levels = summary["levels"]
    assert list(levels) == list(PATH)
    assert [levels[node]["clips"] for node in PATH] == [4, 2, 2]
    assert [levels[node]["songs"] for node in PATH] == [4, 2, 2]
    # Group: 3:1, 4:1 in power, then piano alone against the bass, then (clean + piano + a trace) against the bass.
    group = [10 * math.log10(3), 6.0, 0.0, 10 * math.log10(2 + 10**-2.4)]
    assert levels[PATH[0]]["mixture"] == pytest.approx(np.mean(group), abs=0.01)
    # Clean guitars: one part against three; and one against an inverted one, a piano and a bass, which leave two.
    scored = [scores_of(result, track, "mixture")[2] for track in ("Track00002", "Track00005")]
    assert levels[PATH[2]]["mixture"] == pytest.approx(np.mean(scored), abs=1e-6)
    for level in levels.values():
        finite = [level[name] for name in ("si_sdr", "si_sdri", "mixture", "static", "oracle", "oracle_ideal_ratio")]
        assert np.isfinite(finite).all()
        assert level["si_sdri_std"] >= 0


def test_identical_levels_and_clips_without_work_are_counted(result):
    # Track00003 has one signal at all levels; Track00004 at the two coarsest; the mixture of Track00004 is its group.
    assert result.identical_levels == pytest.approx(2 / 5)
    assert result.nothing_to_separate == pytest.approx(1 / 5)


def test_a_level_without_scored_clips_has_no_scores_and_spoils_nothing(songs, tmp_path):
    lonely = write_slakh(tmp_path, {"train/Track00001": ALL, "test/Track00002": SONGS["test/Track00003"]})
    levels = evaluate(transparent(), lonely, SETTINGS).summary()["levels"]
    assert levels["strings_guitars_keyboards"]["clips"] == 1
    assert levels["strings_guitars_keyboards"]["si_sdri_std"] is None
    for node in ("guitar", "clean_guitars"):
        assert levels[node]["clips"] == 0
        assert levels[node]["si_sdr"] is None
        assert levels[node]["counted_apart"] == {"remainder silent": 1}


def test_evaluating_twice_gives_the_same(songs, result):
    again = evaluate(transparent(), songs, SETTINGS)
    assert again.summary() == result.summary()


def test_the_static_masks_are_fitted_on_the_training_split_alone(songs, tmp_path):
    other_test = write_slakh(tmp_path, {"train/Track00001": ALL, "test/Track00002": band(clean=-25, piano=-15)})
    model = transparent()
    assert torch.equal(fit_static(model, songs, SETTINGS), fit_static(model, other_test, SETTINGS))


def test_what_is_not_known_is_not_scored():
    mixture = torch.from_numpy(np.concatenate([samples for _, samples in ALL]).sum(0)).float()[None, None]
    sources = torch.stack([torch.from_numpy(samples).float() for _, samples in ALL[:3]])[None]
    statuses, _ = clip_status(mixture, sources, torch.tensor([[True, True, False]]), transparent())
    assert statuses[0][2] == "unknown"
    assert statuses[0][0] == "scored"


def test_the_thresholds_are_minus_thirty_and_minus_forty_decibels():
    bass = torch.from_numpy(tone(1.0, hz=150, db=-20)).float()
    piano = torch.from_numpy(tone(1.0, hz=2000, db=-20)).float()
    distorted = {db: torch.from_numpy(tone(1.0, hz=1000, db=db)).float() for db in (-41, -39)}
    for clean_db, distorted_db, expected in (
        (-31, -39, "silent"), (-29, -39, "scored"), (-29, -41, "remainder silent"), (-31, -41, "silent"),
    ):  # fmt: skip
        clean = torch.from_numpy(tone(1.0, hz=400, db=clean_db)).float()
        guitar = clean + distorted[distorted_db]
        sources = torch.stack([guitar + piano, guitar, clean])[None]
        known = torch.ones(1, 3, dtype=torch.bool)
        statuses, same = clip_status((guitar + piano + bass)[None], sources, known, transparent())
        assert statuses[0][2] == expected
        assert same == 0


def test_a_missing_split_is_named(songs):
    with pytest.raises(DataError, match="no tracks in split 'validation'; there are train, test"):
        evaluate(transparent(), songs, EvaluationConfig(split="validation", duration=1.0))


def test_clips_are_written_as_a_table_with_gaps_where_there_is_no_score(result, tmp_path):
    write_clips(tmp_path / "clips.csv", result.clips)
    with (tmp_path / "clips.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15
    for row, clip in zip(rows, result.clips, strict=True):
        assert (row["track"], row["node"], row["status"]) == (clip.track, clip.node, clip.status)
        for name in evaluation.ROWS:
            if math.isnan(clip.scores[name]):
                assert row[name] == ""
            else:
                assert float(row[name]) == pytest.approx(clip.scores[name], abs=1e-4)
