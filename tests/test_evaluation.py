"""Scores on songs of pure tones, where every number is known beforehand."""

import csv
import math

import numpy as np
import pytest
import torch
from helpers import ACOUSTIC_GUITAR, BASS, DISTORTED_GUITAR, PIANO, tone, write_slakh

from hiersep.config import EvaluationConfig
from hiersep.errors import CheckpointError, DataError
from hiersep.evaluation import evaluate
from hiersep.evaluation.lines import read_lines, write_lines
from hiersep.evaluation.scoring import judge
from hiersep.evaluation.static import fit_static
from hiersep.models.path import PathSeparator

PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
SETTINGS = EvaluationConfig(duration=1.0, num_test=50, num_static=10)
RATIOS = ("estimate", "mixture", "static", "oracle", "oracle_ideal_ratio", "snr", "mixture_snr")


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
    # Half of the clean guitar is taken back by the distorted one: the guitars are there, but not salient.
    "test/Track00007": [*band(clean=-29, piano=-20, bass=-20), (DISTORTED_GUITAR, -tone(1.0, hz=400, db=-35))],
}  # fmt: skip
STATUS = {
    "Track00002": ["scored", "scored", "scored"],
    "Track00003": ["scored", "remainder silent", "remainder silent"],
    "Track00004": ["remainder silent", "remainder silent", "remainder silent"],
    "Track00005": ["scored", "silent", "scored"],
    "Track00006": ["scored", "scored", "remainder silent"],
    "Track00007": ["scored", "soft", "scored"],
}


class Fixed(PathSeparator):
    """A network whose masks do not depend on what it hears."""

    def __init__(self, *masks, nodes=PATH, shape=(512, 256)):
        spectrum = {"n_fft": shape[0], "hop_length": shape[1]}
        sizes = {"hidden_size": 2, "num_layers": 1, "constraint": "none"}
        super().__init__("slakh_ismir2020", nodes, spectrum=spectrum, network=sizes)
        self.fixed = [torch.as_tensor(mask, dtype=torch.float32) for mask in masks]

    def estimate_masks(self, spectrum, condition=None):
        masks = [mask.reshape(-1, 1).expand(self.stft.n_freq, 1).expand_as(spectrum) for mask in self.fixed]
        return torch.stack(masks, dim=1)


def passes(low, high):
    """A mask that passes frequencies between two, in Hz."""
    frequencies = torch.linspace(0, 8000, 257)
    return ((frequencies >= low) & (frequencies < high)).float()


def transparent():
    """A network whose masks are ones: its estimates are the mixture."""
    return Fixed(1.0, 1.0, 1.0)


def knowing():
    """A network that knows where the tones are."""
    return Fixed(passes(275, 8000), passes(275, 1500), passes(275, 700))


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    return write_slakh(tmp_path_factory.mktemp("tones"), SONGS)


@pytest.fixture(scope="module")
def result(songs):
    return evaluate(transparent(), songs, SETTINGS, device="cpu")


def lines_of(result, track):
    return [line for line in result.lines if line.track == track]


def scores_of(result, track, row):
    return [getattr(line, row) for line in lines_of(result, track)]


def levels_of(result):
    """Figures by node; every node of this path stands on a level of its own."""
    summary = result.summary()
    assert [node["level"] for node in summary["nodes"].values()] == list(summary["levels"])
    return summary["nodes"]


def test_every_clip_has_a_status_per_level_and_the_reason_is_right(result):
    assert {track: [line.status for line in lines_of(result, track)] for track in STATUS} == STATUS
    assert len(result.lines) == 3 * len(STATUS)
    assert {line.start_s for line in result.lines} == {0.0}
    assert [line.node for line in result.lines[:3]] == list(PATH)
    assert [line.level for line in result.lines[:3]] == ["group", "family", "class"]
    assert (result.kind, result.nodes) == ("path", PATH)


def test_the_mixture_row_is_the_ratio_of_the_parts(result):
    # Equal orthogonal parts: 3 of 4, 2 of 4 and 1 of 4 belong to the levels.
    expected = [10 * math.log10(3), 0, -10 * math.log10(3)]
    assert scores_of(result, "Track00002", "mixture") == pytest.approx(expected, abs=0.01)
    assert scores_of(result, "Track00003", "mixture") == pytest.approx([6, 6, 6], abs=0.01)


def test_a_network_that_does_nothing_scores_as_the_mixture(result):
    for track in STATUS:
        for estimate, mixture in (("estimate", "mixture"), ("snr", "mixture_snr")):
            expected = scores_of(result, track, mixture)
            clear = [min(value, 60) if value == value else value for value in expected]  # above, rounding is left
            found = [min(value, 60) if value == value else value for value in scores_of(result, track, estimate)]
            assert found == pytest.approx(clear, abs=0.01, nan_ok=True)
    for level in levels_of(result).values():
        assert level["si_sdri"]["mean"] == pytest.approx(0, abs=0.01)
        assert level["snri"]["mean"] == pytest.approx(0, abs=0.01)
        assert level["near_silent"] == 0
        assert level["exceeding_bins"] == 0


def test_a_network_that_knows_the_answer_improves_by_what_was_wrong_with_the_mixture(songs, result):
    known = evaluate(knowing(), songs, SETTINGS, device="cpu")
    assert min(scores_of(known, "Track00002", "estimate")) > 20
    assert min(scores_of(known, "Track00002", "snr")) > 20
    for line in known.scored():
        assert line.estimate - line.mixture > 15
    for row in ("mixture", "static", "oracle", "oracle_ideal_ratio"):  # the same, whatever the network
        assert scores_of(known, "Track00002", row) == scores_of(result, "Track00002", row)


def test_a_network_that_gives_the_parent_has_the_siblings_for_its_error(songs):
    group = passes(275, 8000)
    lazy = evaluate(Fixed(group, group, group), songs, SETTINGS, device="cpu")
    # Of three equal parts, three, two and one are right.
    _, guitar, clean = scores_of(lazy, "Track00002", "estimate")
    assert (guitar, clean) == pytest.approx((10 * math.log10(2), -10 * math.log10(2)), abs=0.05)
    _, guitar_snr, clean_snr = scores_of(lazy, "Track00002", "snr")
    assert (guitar_snr, clean_snr) == pytest.approx((10 * math.log10(2), -10 * math.log10(2)), abs=0.05)


def test_a_network_that_gives_up_has_the_lowest_score_and_is_found_out(songs):
    mute = evaluate(Fixed(1.0, 0.0, 0.0), songs, SETTINGS, device="cpu")
    assert scores_of(mute, "Track00002", "estimate")[1:] == [-120, -120]
    assert scores_of(mute, "Track00002", "snr")[1:] == pytest.approx([0, 0], abs=1e-4)
    assert [level["near_silent"] for level in levels_of(mute).values()] == [0, 1, 1]


def test_a_network_of_infinite_weights_is_refused(songs):
    with pytest.raises(CheckpointError, match=r"Track0000\d at 0 s: expected numbers .* weights are broken"):
        evaluate(Fixed(1.0, math.nan, 1.0), songs, SETTINGS, device="cpu")


def test_outputs_that_exceed_their_parents_are_counted_with_their_energy(songs):
    # The guitars keep half of the amplitude, but all of what lies above 1.5 kHz, where the group has nothing.
    guitar = torch.maximum(passes(275, 1500) / 2, passes(1500, 8000))
    strange = evaluate(Fixed(passes(275, 1500), guitar, 0.25), songs, SETTINGS, device="cpu")
    _, louder, softer = lines_of(strange, "Track00002")
    # By energies: the piano's tone at full amplitude against the two guitars at half.
    assert louder.exceeding_energy == pytest.approx(1 / (1 + 2 / 4), abs=0.01)
    assert 0 < louder.exceeding_bins <= 1 - 1500 / 8000 + 0.02
    # The bass and what is below: a quarter is more than the guitars' nothing; 1 of 16 against three others of 16.
    assert softer.exceeding_energy == pytest.approx(1 / 4, abs=0.02)
    assert levels_of(strange)["guitar"]["exceeding_energy"] == pytest.approx(
        np.mean([line.exceeding_energy for line in strange.lines if line.node == "guitar"]), abs=1e-6
    )


def test_tones_apart_in_frequency_are_separated_by_the_static_and_the_oracle_masks(result):
    for row in ("static", "oracle", "oracle_ideal_ratio"):
        assert min(scores_of(result, "Track00002", row)) > 20


def test_a_silent_reference_has_no_score_and_is_counted_apart_by_what_comes_out(result):
    silent = lines_of(result, "Track00005")[1]
    assert all(math.isnan(getattr(silent, name)) for name in RATIOS)
    apart = levels_of(result)["guitar"]["apart"]
    assert {status: group["clips"] for status, group in apart.items()} == {
        "silent": 1, "soft": 1, "remainder silent": 2,
    }  # fmt: skip
    assert apart["silent"]["si_sdri"] is None
    assert apart["silent"]["output_level"] == pytest.approx(0, abs=1e-3)  # the mixture comes out
    assert apart["soft"]["si_sdri"] == pytest.approx(0, abs=0.01)


def test_the_summary_means_over_scored_clips_only(result):
    levels = levels_of(result)
    assert list(levels) == list(PATH)
    assert [levels[node]["clips"] for node in PATH] == [5, 2, 3]
    assert [levels[node]["songs"] for node in PATH] == [5, 2, 3]
    # Group: 3:1, 4:1 in power, then piano alone against the bass, then (clean + piano + a trace) against the bass,
    # then the piano and half of the clean guitar's amplitude.
    group = [10 * math.log10(x) for x in (3, 10**0.6, 1, 2 + 10**-2.4, 1 + (10**-0.45 - 10**-0.75) ** 2)]
    assert levels[PATH[0]]["mixture"]["mean"] == pytest.approx(np.mean(group), abs=0.01)
    assert levels[PATH[0]]["mixture"]["median"] == pytest.approx(np.median(group), abs=0.01)
    assert levels[PATH[0]]["mixture"]["std"] == pytest.approx(np.std(group, ddof=1), abs=0.01)
    scored = [scores_of(result, track, "mixture")[2] for track in ("Track00002", "Track00005", "Track00007")]
    assert levels[PATH[2]]["mixture"]["mean"] == pytest.approx(np.mean(scored), abs=1e-6)
    whole = result.summary()["whole"]
    assert whole["mixture"]["mean"] == pytest.approx(np.mean([n["mixture"]["mean"] for n in levels.values()]))
    assert whole["over_static"]["mean"] == pytest.approx(whole["si_sdr"]["mean"] - whole["static"]["mean"])


def test_identical_levels_and_clips_without_work_are_counted(result):
    # Track00003 has one signal at all levels; Track00004 at the two coarsest; the mixture of Track00004 is its group.
    summary = result.summary()
    assert summary["identical_levels"] == pytest.approx(2 / 6)
    assert summary["nothing_to_separate"] == pytest.approx(1 / 6)
    assert [summary["nodes"][node]["identical"] for node in PATH] == pytest.approx([0, 2 / 5, 1 / 6])
    assert [summary["nodes"][node]["nothing_to_separate"] for node in PATH] == pytest.approx([1 / 6, 1 / 5, 0])


def test_a_level_without_scored_clips_has_no_scores_and_spoils_nothing(songs, tmp_path):
    lonely = write_slakh(tmp_path, {"train/Track00001": ALL, "test/Track00002": SONGS["test/Track00003"]})
    result = evaluate(transparent(), lonely, SETTINGS, device="cpu")
    levels = levels_of(result)
    assert levels["strings_guitars_keyboards"]["clips"] == 1
    assert levels["strings_guitars_keyboards"]["si_sdri"]["std"] is None
    for node in ("guitar", "clean_guitars"):
        assert levels[node]["clips"] == 0
        assert levels[node]["si_sdr"] is None
        assert list(levels[node]["apart"]) == ["remainder silent"]
    assert result.summary()["whole"]["si_sdr"] is None


def test_the_static_masks_are_fitted_on_the_training_split_alone(songs, tmp_path):
    other_test = write_slakh(tmp_path, {"train/Track00001": ALL, "test/Track00002": band(clean=-25, piano=-15)})
    one, other = (fit_static(transparent(), folder, PATH, SETTINGS) for folder in (songs, other_test))
    assert all(torch.equal(one[node], other[node]) for node in PATH)


def test_the_static_masks_are_fitted_where_a_node_is_heard_and_pass_what_was_never_heard(tmp_path):
    quiet = band(clean=-20, bass=-20)
    songs = {"train/Track00001": ALL, "train/Track00002": quiet, "test/Track00003": ALL}
    nodes = [*PATH, "effected_guitars", "winds_voices"]
    masks = fit_static(transparent(), write_slakh(tmp_path, songs), nodes, EvaluationConfig(duration=1.0, num_static=8))
    tone_bin = round(1000 / 8000 * 256)
    # In the second song there are no distorted guitars; its silence would have pulled the gain down.
    assert float(masks["effected_guitars"][0, tone_bin, 0]) == pytest.approx(1, abs=1e-3)
    assert bool((masks["winds_voices"] == 1).all())
    assert masks["guitar"].shape == (1, 257, 1)


def test_the_static_masks_may_come_from_another_data_set(songs, tmp_path):
    test = write_slakh(tmp_path, {"test/Track00002": ALL})
    with pytest.raises(DataError, match=r"static masks.* no tracks in split 'train'.*--static-data"):
        evaluate(transparent(), test, SETTINGS, device="cpu")
    settings = EvaluationConfig(duration=1.0, num_static=10, static_data=str(songs))
    assert min(scores_of(evaluate(transparent(), test, settings, device="cpu"), "Track00002", "static")) > 20


def clip(sources, mixture, known=True):
    """One clip, as `ClipSet` gives it, of the levels of a path."""
    sources = torch.stack(sources)
    parents = torch.cat([mixture[None], sources[:-1]])
    rest = [rms(parents - sources), rms(mixture - sources[:1]).expand(len(sources))]
    known = torch.full((len(sources),), True) if known is True else torch.tensor(known)
    return {"sources": sources, "known": known, "remainder": torch.stack(rest, dim=1)}


def rms(signals):
    return 10 * torch.log10(signals.square().mean(dim=(-2, -1)))


def sine(hz, db):
    return torch.from_numpy(tone(1.0, hz=hz, db=db)).float()


def test_what_is_not_known_is_not_scored():
    parts = [sine(400, -20), sine(1000, -20), sine(2000, -20)]
    item = clip([sum(parts[:2]), parts[0]], sum(parts), known=[True, False])
    assert judge(["guitar", "clean_guitars"], item, torch.zeros(2)) == ["scored", "unknown"]


def test_a_leaf_that_is_repeated_on_a_finer_level_is_scored_once():
    parts = [sine(400, -20), sine(1000, -20)]
    item = clip([parts[0], parts[0]], sum(parts))
    assert judge(["drums", "drums"], item, torch.zeros(2)) == ["scored", "repeated"]


@pytest.mark.parametrize(
    ("clean_db", "distorted_db", "expected"),
    [(-31, -39, "soft"), (-29, -39, "scored"), (-29, -41, "remainder silent"), (-31, -41, "soft")],
)
def test_the_thresholds_are_minus_thirty_and_minus_forty_decibels(clean_db, distorted_db, expected):
    clean, piano, bass = sine(400, clean_db), sine(2000, -20), sine(150, -20)
    guitar = clean + sine(1000, distorted_db)
    item = clip([guitar + piano, guitar, clean], guitar + piano + bass)
    assert judge(PATH, item, torch.zeros(3))[2] == expected
    # Where nothing but the group sounds, no level of it is scored.
    item = clip([guitar + piano, guitar, clean], guitar + piano + sine(150, -41))
    assert "scored" not in judge(PATH, item, torch.zeros(3))


def test_a_missing_split_is_named(songs):
    with pytest.raises(DataError, match="no tracks in split 'validation'; there are train, test"):
        evaluate(transparent(), songs, EvaluationConfig(split="validation", duration=1.0), device="cpu")


def test_lines_are_written_as_a_table_with_gaps_where_there_is_no_score(result, tmp_path):
    write_lines(tmp_path / "scores.csv", result.lines)
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 18
    for row, line in zip(rows, result.lines, strict=True):
        assert (row["track"], row["node"], row["status"]) == (line.track, line.node, line.status)
        for name in RATIOS:
            if math.isnan(getattr(line, name)):
                assert row[name] == ""
            else:
                assert float(row[name]) == pytest.approx(getattr(line, name), abs=1e-4)
    again = read_lines(tmp_path / "scores.csv")
    write_lines(tmp_path / "again.csv", again)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "scores.csv").read_bytes()


@pytest.mark.parametrize("text", ["", "clip,track\n1,2\n", "nothing at all", None])
def test_a_table_that_is_none_is_named(text, result, tmp_path):
    path = tmp_path / "scores.csv"
    if text is None:
        write_lines(path, result.lines)
        path.write_text(path.read_text(encoding="utf-8").replace("-", "minus"), encoding="utf-8")
    else:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"scores.csv: expected the scores that"):
        read_lines(path)
    with pytest.raises(DataError, match="no such file"):
        read_lines(tmp_path / "nothing.csv")
