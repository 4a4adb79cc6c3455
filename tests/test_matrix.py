"""The matrix of the paper's experiments: what each configuration is, which runs are chosen, what the tables say."""

import itertools
import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_evaluation_comparison import line
from test_recipes import RECIPES, run, times

from hiersep.config import load_experiment
from hiersep.evaluation import Evaluation
from hiersep.evaluation.lines import read_lines, write_lines
from hiersep.files import write_json

CONF = RECIPES / "slakh" / "conf"
RENDERED = RECIPES / "rendered" / "conf"
PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
REMOVED = [f"multi_{what}{share}" for what in ("all", "leaf") for share in (50, 90)]
ROWS = ["multi", "multi_none", *(f"single_level{n}" for n in (1, 2, 3)), *REMOVED]
NAMES = sorted(f"{kind}_{row}" for kind in ("sss", "qbe") for row in ROWS)


def test_every_experiment_of_the_paper_is_a_short_file_over_one_base():
    assert sorted(path.stem for path in CONF.glob("???_*.yml")) == NAMES
    for name in NAMES:
        lines = (CONF / f"{name}.yml").read_text().splitlines()
        assert 3 <= len(lines) <= 20
        assert any(re.fullmatch(r"base: (base|sss_multi|qbe_multi)\.yml", text) for text in lines)


@pytest.mark.parametrize("kind", ["sss", "qbe"])
def test_the_networks_differ_in_what_is_compared_and_in_nothing_else(kind):
    multi, none, *singles = (load_experiment(CONF / f"{kind}_{row}.yml") for row in ROWS[:5])
    assert none == replace(multi, network=replace(multi.network, constraint="none"))
    for number, single in enumerate(singles, 1):
        if kind == "sss":
            same = {"salient": ["clean_guitars"]}  # the clips of all levels
            assert single.data == replace(none.data, target=[PATH[-number]], **same)
            assert replace(single, data=none.data) == replace(none, evaluation=replace(none.evaluation, **same))
        else:
            level = ["class", "family", "group"][number - 1]
            assert single == replace(none, separator=replace(none.separator, levels=[level]))
    for row, (what, share) in zip(REMOVED, itertools.product(("all", "leaf"), (0.5, 0.9)), strict=True):
        less = load_experiment(CONF / f"{kind}_{row}.yml")
        assert less == replace(multi, data=replace(multi.data, remove=what, remove_fraction=share))


def test_the_values_are_the_posters_and_the_profile_published_has_the_others():
    poster = load_experiment(CONF / "sss_multi.yml")
    assert (poster.data.num_train, poster.data.num_validation, poster.evaluation.num_test) == (10000, 5000, 3000)
    assert (poster.data.duration, poster.spectrum.n_fft, poster.spectrum.hop_length) == (10.0, 1024, 512)
    assert (poster.network.num_layers, poster.network.hidden_size, poster.network.dropout) == (4, 600, 0.3)
    assert (poster.training.learning_rate, poster.training.batch_size, poster.training.max_epochs) == (1e-4, 25, 100)
    assert (poster.data.splits, poster.evaluation.splits, poster.data.sample_rate) == ("split2", "split2", 16000)
    query = load_experiment(CONF / "qbe_multi.yml").query
    assert (query.num_layers, query.hidden_size, query.dropout, query.embedding_size) == (2, 600, 0.3, 20)
    other = load_experiment(CONF / "sss_multi.yml", ["--profile", str(CONF / "published.yml")])
    assert (other.data.num_train, other.data.num_validation, other.evaluation.num_test) == (20000, 3000, 3000)
    assert other.data.duration * other.data.sample_rate / other.spectrum.hop_length == 400  # frames


@pytest.mark.parametrize("profile", ["tiny", "small", "full"])
@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_runs_on_rendered_songs_at_every_size(name, profile):
    config = load_experiment(CONF / f"{name}.yml", ["--profile", str(RENDERED / f"{profile}.yml")])
    on_slakh = load_experiment(CONF / f"{name}.yml")
    assert (config.data.splits, config.evaluation.splits, config.training.loss) == (None, None, "negative_snr")
    for key in ("hierarchy", "target", "salient", "remove", "remove_fraction"):
        assert getattr(config.data, key) == getattr(on_slakh.data, key)
    assert (config.separator, config.network.constraint) == (on_slakh.separator, on_slakh.network.constraint)


@pytest.mark.parametrize("profile", ["tiny", "small", "full"])
def test_the_networks_of_equal_size_are_within_a_tenth_and_take_as_many_steps(profile):
    from hiersep.hierarchy import Hierarchy
    from hiersep.models.factory import make_separator

    sizes, lengths = [], []
    for name in ("sss_equal_blstm", "sss_equal_bands"):
        config = load_experiment(
            RENDERED / profile / f"{name}.yml", ["--profile", str(RENDERED / f"{profile}.yml"), "--network.dropout=0.0"]
        )
        model = make_separator(config, Hierarchy.load(config.data.hierarchy), PATH)
        sizes.append(sum(parameter.numel() for parameter in model.parameters()))
        lengths.append((config.data.num_train, config.training.batch_size, config.training.max_epochs))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)
    assert lengths[0] == lengths[1]


def chosen(recipe, *words):
    """Names and seeds of the runs that a command would train, in its order."""
    done = run(RECIPES / recipe / "run.sh", Path.cwd(), "--dry_run", "--stage", "1", *words)
    assert done.returncode == 0, done.stderr
    return re.findall(r"(?:hiersep train \S+ --exp-dir|peer.py \S+) \S*?/(\w+-\d+) ", done.stdout)


def test_an_experiment_chooses_its_runs_and_shares_take_each_once():
    first = [f"{kind}_{row}-588" for row in ("multi", "multi_none") for kind in ("qbe", "sss")]
    assert chosen("slakh", "--experiment", "1") == first
    assert sorted(chosen("slakh", "--experiment", "2")) == sorted(
        f"{kind}_{row}-588" for kind in ("sss", "qbe") for row in ("multi", *ROWS[2:5])
    )
    assert sorted(chosen("slakh")) == [f"{name}-588" for name in NAMES]
    words = ["--experiment", "3", "--seeds", "1,2"]
    shares = [chosen("slakh", *words, "--share", f"{n}/3") for n in (1, 2, 3)]
    assert sorted(itertools.chain(*shares)) == sorted(
        f"{kind}_{row}-{seed}" for kind in ("sss", "qbe") for row in ("multi", *REMOVED) for seed in (1, 2)
    )
    beyond = ["sss_equal_bands-588", "sss_equal_blstm-588", "sss_peer-588", "sss_tree-588"]
    rendered = chosen("rendered", "--experiment", "all", "--profile", "tiny")
    assert sorted(rendered) == sorted([*(f"{name}-588" for name in NAMES), *beyond])


def test_an_experiment_that_is_none_is_one_line(tmp_path):
    done = run(RECIPES / "slakh" / "run.sh", tmp_path, "--experiment", "4")
    assert done.returncode == 2
    assert done.stderr.startswith("hiersep: error: --experiment 4: expected 1, 2, 3, all, or names of configurations")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def write_run(root, name, gains, *, kind="path", songs=12):
    """Make a run of scores: gains of the levels, coarse to fine, the same in every song but for a small ripple."""
    levels = ("group", "family", "class")
    lines = [
        replace(
            line(song, 0, gain + 0.1 * np.sin(song), node=node, level=level, mixture=0.1 * song),
            clip=song,
            estimate=gain + 0.1 * np.sin(song) + 0.1 * song,
        )
        for song in range(songs)
        for node, level, gain in zip(PATH, levels, gains, strict=True)
        if gain is not None
    ]
    folder = root / name
    folder.mkdir(parents=True)
    write_lines(folder / "scores.csv", lines)
    found = Evaluation(kind, levels, PATH, tuple(lines)).summary()
    found = {**found, "nodes": {line.node: found["nodes"][line.node] for line in lines}}
    write_json(folder / "results.json", {**found, "machine": "a machine", "torch": "2", "commit": "abc", "key": ""})


def tables(*words):
    runpy.run_path(str(RECIPES / "slakh" / "tables.py"))["main"](*map(str, words))


def test_the_tables_have_the_published_figures_and_say_which_findings_hold(tmp_path, capsys):
    root = tmp_path / "exp"
    for seed, more in ((588, 0.0), (589, 0.2)):
        write_run(root, f"sss_multi-{seed}", (3.0 + more, 4.0 + more, 5.0 + more))
        write_run(root, f"sss_multi_none-{seed}", (4.0, 5.0, 6.0))  # the constraint hurts by 0.9 dB
    for number, gains in ((3, (3.0, None, None)), (2, (None, 4.0, None)), (1, (None, None, 4.0))):
        write_run(root, f"sss_single_level{number}-588", gains)
    write_run(root, "sss_multi_all90-588", (1.0, 1.0, 1.0))
    write_run(root, "sss_multi_leaf90-588", (3.0, 3.9, 4.8))
    write_run(root, "sss_equal_blstm-588", (1.0, 1.0, 1.0))
    write_run(root, "sss_equal_bands-588", (2.6, 2.6, 2.0))  # too little at the target
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- begin exp table -->\n<!-- end exp table -->\nbelow\n")
    tables(root, page)
    said = capsys.readouterr().out
    rows = {cells[0]: cells[1:] for cells in map(cells_of, said.splitlines()) if cells}
    assert rows["with the constraint"][:6] == ["4.1", "3.1", "4.1", "5.1", "0.1", "2"]
    assert rows["with the constraint"][6:] == ["3.8", "3.5", "4.0", "4.0"]  # the poster's
    assert rows["single-level, three networks"][:6] == ["3.7", "3.0", "4.0", "4.0", "-", "1"]
    assert rows["90 % removed, all of it"][6:] == ["0.1", "1.5", "-0.7", "-0.5"]
    assert rows["mixture, its own SI-SDR"][6:] == []  # the last table's: nothing published beyond the paper
    verdicts = dict(re.findall(r"- \*(.+?)\*: (.+?)[:(]", said))
    assert {text: verdict.strip() for text, verdict in verdicts.items()} == {
        "the constraint helps or does not hurt": "does not hold",
        "multi-level at least equals single-level at the target": "holds",
        "multi-level at least equals single-level over all levels": "holds",
        "with 90 % of the target's labels missing most is kept": "holds",
        "that is above 90 % of all data missing": "holds",
        "the band-split network is above the BLSTM of equal size": "does not hold",
    }
    assert "QBE" not in said.replace("published", "")
    assert (
        page.read_text()
        == f"above\n<!-- begin exp table -->\n{said.rsplit('Written', 1)[0]}<!-- end exp table -->\nbelow\n"
    )


def cells_of(text):
    return [cell.strip() for cell in text.strip("|").split("|")] if text.startswith("| ") else []


def test_a_finding_that_the_clips_cannot_decide_is_said_to_be_so(tmp_path, capsys, rng):
    for name in ("sss_multi", "sss_multi_none"):
        write_run(tmp_path, f"{name}-588", (1.0, 1.0, 1.0), songs=1)
    tables(tmp_path)
    assert "not decided: the clips are of one song" in capsys.readouterr().out


@pytest.mark.parametrize("scored", [0, 1])
def test_a_target_that_is_scored_in_one_song_or_none_decides_nothing_and_no_other_level_stands_for_it(
    tmp_path, capsys, scored
):
    write_run(tmp_path, "sss_multi-588", (3.0, 4.0, 5.0))
    for number, gains in ((3, (3.0, None, None)), (2, (None, 4.0, None)), (1, (None, None, 4.0))):
        write_run(tmp_path, f"sss_single_level{number}-588", gains)
    write_run(tmp_path, "sss_equal_blstm-588", (1.0, 1.0, 1.0))
    write_run(tmp_path, "sss_equal_bands-588", (2.6, 2.6, 2.6))
    for name in ("sss_multi", "sss_equal_bands"):
        path = tmp_path / f"{name}-588" / "scores.csv"
        lines = [
            line if line.node != PATH[-1] or line.clip < scored else replace(line, status="soft")
            for line in read_lines(path)
        ]
        write_lines(path, lines)
    tables(tmp_path)
    said = capsys.readouterr().out
    text = "multi-level at least equals single-level"
    assert f"*{text} at the target*: not decided: at the target both have scored clips of one song, or of none." in said
    assert re.search(rf"\*{text} over all levels\*: holds", said)
    assert ("+1.60 dB (of one song) at class" in said) == bool(scored)


def test_a_share_of_next_to_nothing_is_not_decided(tmp_path, capsys):
    write_run(tmp_path, "sss_multi-588", (0.02, 0.02, 0.02))
    write_run(tmp_path, "sss_multi_leaf90-588", (0.05, 0.05, 0.05))
    tables(tmp_path)
    assert "not decided (90% wanted), as the network on all data improves too little" in capsys.readouterr().out


def test_a_folder_without_runs_is_one_line(tmp_path):
    with pytest.raises(Exception, match="expected runs with scores"):
        tables(tmp_path)


@pytest.mark.slow
@pytest.mark.recipe
def test_the_paper_on_slakhs_layout_goes_through_all_stages_once(tmp_path):
    script = RECIPES / "slakh" / "run.sh"
    done = run(script, tmp_path, "--smoke")
    assert done.returncode == 0, done.stderr
    root = tmp_path / "exp" / "slakh-smoke"
    assert sorted(path.name for path in root.glob("*-588")) == ["sss_multi-588", "sss_multi_none-588"]
    assert "### Experiment 1: does the hierarchical constraint help?" in done.stdout
    before = times(tmp_path)
    again = run(script, tmp_path, "--smoke")
    assert again.returncode == 0, again.stderr
    assert times(tmp_path) == before

    # The same seed gives the same network, and so the same scores, to the last digit.
    anew = run(script, tmp_path, "--smoke", "--experiment", "sss_multi", "--exp_root", "exp/anew", "--stop_stage", "2")
    assert anew.returncode == 0, anew.stderr
    one, two = ((folder / "sss_multi-588" / "scores.csv").read_bytes() for folder in (root, tmp_path / "exp" / "anew"))
    assert one == two
