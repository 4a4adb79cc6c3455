"""Two evaluations, clip by clip: what is compared, how sure it is, and what cannot be compared."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from hiersep.cli import app
from hiersep.errors import DataError
from hiersep.evaluation import Line, compare, comparison_table
from hiersep.evaluation.lines import write_lines

NAN = float("nan")


def line(song, start, gain, *, node="guitar", level="family", status="scored", mixture=-3.0, target=""):
    return Line(
        clip=0, track=f"Track{song:05d}", start_s=float(start), target=target, query="", level=level, node=node,
        status=status, identical=0, estimate=mixture + gain, mixture=mixture, static=0.0, oracle_ideal_ratio=9.0,
        oracle=10.0, snr=1.0, mixture_snr=0.0, output_level=-6.0, exceeding_bins=0.0, exceeding_energy=0.0,
        sum_error=NAN,
    )  # fmt: skip


def folder(tmp_path, name, lines):
    (tmp_path / name).mkdir(exist_ok=True)
    write_lines(tmp_path / name / "scores.csv", lines)
    return tmp_path / name


def test_the_difference_is_taken_over_the_clips_that_both_have_scored(tmp_path):
    first = folder(tmp_path, "a", [line(1, 0, 2.0), line(1, 2.5, 3.0), line(2, 0, 4.0), line(3, 0, 50.0)])
    second = folder(
        tmp_path,
        "b",
        [line(2, 0, 5.0), line(1, 0, 4.0), line(1, 2.5, 3.0), line(3, 0, 90.0, status="silent"), line(4, 0, 70.0)],
    )
    found = compare(first, second)
    guitar = found["nodes"]["guitar"]
    assert guitar["level"] == "family"
    assert (guitar["first"], guitar["second"]) == pytest.approx((3.0, 4.0))
    assert guitar["difference"] == pytest.approx(1.0)
    assert (guitar["clips"], guitar["songs"]) == (3, 2)
    assert (found["only_first"], found["only_second"]) == (1, 1)
    assert found["levels"]["family"]["difference"] == guitar["difference"] == found["whole"]["difference"]
    back = compare(second, first)
    assert back["nodes"]["guitar"]["difference"] == pytest.approx(-1.0)


def test_an_evaluation_is_no_better_than_itself(tmp_path):
    same = folder(tmp_path, "a", [line(song, start, song / 3) for song in range(5) for start in range(4)])
    whole = compare(same, same)["whole"]
    assert (whole["difference"], whole["low"], whole["high"]) == (0, 0, 0)


def test_the_whole_is_the_mean_of_the_levels_however_many_clips_they_have(tmp_path):
    def lines(coarse, fine):
        return [
            *(line(song, start, coarse, node="a", level="group") for song in range(6) for start in range(5)),
            *(line(song, 0, fine, node="b", level="class") for song in range(6)),
        ]

    found = compare(folder(tmp_path, "a", lines(1.0, 1.0)), folder(tmp_path, "b", lines(2.0, 5.0)))
    assert list(found["levels"]) == ["group", "class"]
    assert found["levels"]["group"]["difference"] == pytest.approx(1)
    assert found["whole"]["difference"] == pytest.approx((1 + 4) / 2)
    assert found["whole"]["low"] == pytest.approx(2.5) == found["whole"]["high"]
    assert (found["whole"]["clips"], found["whole"]["songs"]) == (36, 6)


def test_the_interval_is_that_of_the_songs_and_not_of_their_clips(tmp_path, rng):
    gains = rng.normal(1.0, 2.0, 20)
    folders = {}
    for clips in (1, 30):  # all clips of a song are alike: more of them say no more
        lines = [[line(s, c, side * g) for s, g in enumerate(gains) for c in range(clips)] for side in (0, 1)]
        folders[clips] = [folder(tmp_path, f"{side}-{clips}", lines[side]) for side in (0, 1)]
    few, many = (compare(*folders[clips])["whole"] for clips in (1, 30))
    assert (many["low"], many["high"]) == pytest.approx((few["low"], few["high"]))
    # Normal theory, for the mean of 20 songs.
    assert few["high"] - few["low"] == pytest.approx(2 * 1.96 * gains.std(ddof=1) / np.sqrt(20), rel=0.15)
    assert few["low"] < few["difference"] < few["high"]


def test_the_interval_covers_the_truth_about_as_often_as_it_says(tmp_path, rng):
    covered = 0
    for _ in range(100):
        songs = rng.normal(0.5, 1.0, 30)
        lines = [
            [line(s, c, side * (g + 0.3 * rng.normal())) for s, g in enumerate(songs) for c in range(1 + s % 3)]
            for side in (0, 1)
        ]
        found = compare(*(folder(tmp_path, str(side), lines[side]) for side in (0, 1)), resamples=400)["whole"]
        covered += found["low"] <= 0.5 <= found["high"]
    assert 86 <= covered <= 99


def test_the_same_seed_gives_the_same_interval(tmp_path, rng):
    pair = [folder(tmp_path, name, [line(s, 0, rng.normal()) for s in range(9)]) for name in "ab"]
    assert compare(*pair) == compare(*pair)
    assert compare(*pair, seed=1)["whole"]["low"] != compare(*pair)["whole"]["low"]
    assert compare(*pair, confidence=0.5)["whole"]["low"] > compare(*pair)["whole"]["low"]


def test_one_song_has_a_difference_and_no_interval(tmp_path):
    pair = [folder(tmp_path, name, [line(1, 0, gain), line(1, 5, gain)]) for name, gain in (("a", 1.0), ("b", 3.0))]
    whole = compare(*pair)["whole"]
    assert (whole["difference"], whole["low"], whole["high"]) == (2.0, None, None)
    assert "| -" in comparison_table(compare(*pair))


def test_what_was_asked_for_and_the_level_tell_clips_apart(tmp_path):
    asked = [line(1, 0, 1.0, target="a"), line(1, 0, 2.0, target="b"), line(1, 0, 3.0, target="b", level="class")]
    found = compare(folder(tmp_path, "a", asked), folder(tmp_path, "b", asked[::-1]))
    assert found["nodes"]["guitar"]["clips"] == 3
    assert found["whole"]["difference"] == 0


def test_several_seeds_count_by_the_mean_of_their_improvements_on_a_clip(tmp_path):
    base = folder(tmp_path, "a", [line(1, 0, 1.0), line(2, 0, 2.0)])
    seeds = [
        folder(tmp_path, "s1", [line(1, 0, 2.0), line(2, 0, 2.0)]),
        folder(tmp_path, "s2", [line(1, 0, 4.0), line(2, 0, 6.0), line(3, 0, 9.0)]),
    ]
    found = compare(base, seeds)
    assert (found["whole"]["first"], found["whole"]["second"]) == pytest.approx((1.5, (3.0 + 4.0) / 2))
    assert (found["whole"]["low"], found["whole"]["high"]) == pytest.approx((2.0, 2.0))  # by song +2 and +2
    assert found["only_second"] == 1
    assert found["second"] == f"{seeds[0]}, {seeds[1]}"
    with pytest.raises(DataError, match="the same sounds"):
        compare(base, [*seeds, folder(tmp_path, "s3", [line(1, 0, 4.0, mixture=-9.0)])])


def test_networks_of_other_nodes_are_put_together(tmp_path):
    def part(node, level, gain):
        return [line(song, 0, gain, node=node, level=level) for song in range(3)]

    multi = folder(tmp_path, "multi", part("a", "group", 1.0) + part("b", "class", 2.0))
    singles = [folder(tmp_path, "l2", part("a", "group", 3.0)), folder(tmp_path, "l1", part("b", "class", 2.5))]
    found = compare(singles, multi)
    assert {level: group["difference"] for level, group in found["levels"].items()} == {"group": -2.0, "class": -0.5}
    assert found["whole"]["difference"] == pytest.approx(-1.25)


def test_levels_are_numbered_from_the_finest_up_whichever_of_them_is_scored_first(tmp_path):
    def clip(song, middle):
        return [
            line(song, 0, 1.0, node="winds", level="group", status="silent"),
            line(song, 0, 2.0, node="reeds", level="family", status=middle),
            line(song, 0, 3.0, node="oboe", level="class"),
        ]

    multi = folder(tmp_path, "multi", clip(1, "remainder silent") + clip(2, "scored"))
    found = compare(multi, multi)
    assert [(name, level["number"]) for name, level in found["levels"].items()] == [("family", 2), ("class", 1)]
    assert list(found["nodes"]) == ["reeds", "oboe"]
    table = comparison_table(found).splitlines()
    assert [row.split()[1] for row in table[2:4]] == ["2", "1"]
    singles = [folder(tmp_path, f"l{1 + row}", [clip(2, "scored")[2 - row]]) for row in range(3)]  # the finest first
    for sides in ((singles, multi), (multi, singles)):
        levels = compare(*sides)["levels"]
        assert [(name, level["number"]) for name, level in levels.items()] == [("family", 2), ("class", 1)]


def test_what_is_kept_is_the_ratio_of_the_means_and_has_an_interval(tmp_path, rng):
    songs = rng.uniform(2.0, 4.0, 30)
    pair = [folder(tmp_path, name, [line(s, 0, share * g) for s, g in enumerate(songs)]) for name, share in
            (("a", 1.0), ("b", 0.8))]  # fmt: skip
    whole = compare(*pair)["whole"]
    assert [whole[key] for key in ("kept", "kept_low", "kept_high")] == pytest.approx([0.8] * 3)  # every song alike
    noisy = folder(tmp_path, "c", [line(s, 0, 0.8 * g + rng.normal()) for s, g in enumerate(songs)])
    whole = compare(pair[0], noisy)["whole"]
    assert whole["kept_low"] < whole["kept"] < whole["kept_high"]
    # Where the denominator hardly varies, the interval is that of the difference over it.
    assert whole["kept_high"] - whole["kept_low"] == pytest.approx((whole["high"] - whole["low"]) / 3.0, rel=0.25)
    none = compare(folder(tmp_path, "d", [line(s, 0, -1.0) for s in range(3)]), pair[0])["whole"]
    assert (none["kept"], none["kept_low"], none["kept_high"]) == (None, None, None)


def test_other_sounds_are_refused(tmp_path):
    first = folder(tmp_path, "a", [line(1, 0, 2.0), line(2, 2.5, 2.0)])
    second = folder(tmp_path, "b", [line(1, 0, 2.0), line(2, 2.5, 2.0, mixture=-3.1)])
    with pytest.raises(DataError, match=r"-3.00 and of -3.10 dB for guitar at 2.5 s of Track00002.*the same data"):
        compare(first, second)


def test_nothing_in_common_is_refused_with_what_to_do(tmp_path):
    first, second = folder(tmp_path, "a", [line(1, 0, 2.0)]), folder(tmp_path, "b", [line(1, 5, 2.0)])
    with pytest.raises(DataError, match=r"none in common; .*--clips .*clips.json"):
        compare(first, second)
    with pytest.raises(DataError, match="no such file"):
        compare(first, tmp_path / "nothing")


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_the_command_prints_a_table_and_writes_it(tmp_path):
    def lines(gain):
        return [
            line(s, 0, gain + s, node=node, level=level)
            for s in range(4)
            for node, level in (("plucked", "group"), ("guitar", "family"), ("keyboards", "family"))
        ]

    first, second = folder(tmp_path, "a", lines(1.0)), folder(tmp_path, "b", lines(1.5))
    done = run("--compare", first, second, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in done.stdout.splitlines() if row[:1] == "|"]
    assert rows[0] == ["level", "node", "first", "second", "second - first", "interval", "clips", "songs"]
    assert [row[1] for row in rows[2:]] == [
        "all of group", "all of family", "mean of the levels", "plucked", "guitar", "keyboards",
    ]  # fmt: skip
    assert rows[2] == ["2", "all of group", "2.5", "3.0", "+0.50", "+0.50 to +0.50", "4", "4"]
    assert (tmp_path / "out" / "comparison.md").read_text() == done.stdout
    as_json = run("--compare", first, second, "--json")
    assert json.loads(as_json.stdout) == json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert json.loads(as_json.stdout) == compare(first, second)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "got no CKPT and no --data and no --out"),
        (["best.safetensors", "--data", "data"], "got no --out"),
        (["best.safetensors", "--compare", "a", "b"], "expected two folders alone"),
        (["--compare", "a", "b"], "scores.csv: no such file"),
    ],
)
def test_words_that_do_not_go_together_are_one_line(arguments, words):
    done = run(*arguments)
    assert done.exit_code == 2
    (said,) = done.stderr.splitlines()
    assert said.startswith("hiersep: error: ")
    assert words in said
