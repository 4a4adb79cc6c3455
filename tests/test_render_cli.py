"""``hiersep render``: what it prints, looks over, and refuses with one line."""

import json
import shutil
import struct

import pytest
import typer
from helpers import tone, write_folder
from typer.testing import CliRunner

from hiersep import Hierarchy, open_dataset
from hiersep.cli.render import render as render_command
from hiersep.errors import ConfigError
from hiersep.render import RenderSettings, RenderSummary
from hiersep.render.audit import audit, summary


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tracks": 0}, "tracks: expected at least 1, got 0"),
        ({"seed": -1}, "seed: expected 0 or more, got -1"),
        ({"splits": (0.5, 0.1, 0.1)}, r"splits: expected shares that add up to 1, got 0.5/0.1/0.1 \(sum 0.7\)"),
        (
            {"splits": (1.2, -0.1, -0.1)},
            "splits: expected three shares of 0 or more like 0.8/0.1/0.1, got 1.2/-0.1/-0.1",
        ),
        ({"sample_rate": 4000}, "sample_rate: expected 8000-96000 Hz, got 4000"),
        ({"duration": -3.0}, "duration: expected at least 1 second, got -3"),
        ({"duration": float("nan")}, "duration: expected at least 1 second, got nan"),
        ({"format": "mp3"}, "format: expected flac or wav, got 'mp3'"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        RenderSettings(**{"tracks": 2, **options})


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(render_command)

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


def test_the_command_says_where_the_data_are(run, tmp_path):
    arguments = (tmp_path / "out", "--tracks", 1, "--duration", 1, "--sample-rate", 8000, "--jobs", 1)
    result = run(*arguments)
    n_stems = len(list(tmp_path.rglob("stems/*.flac")))
    line = f"{tmp_path}/out: train 1, validation 0, test 0 tracks, {n_stems} stems, 0.0 minutes"
    assert (result.exit_code, result.stdout) == (0, f"{line}\n")
    again = run(*arguments)
    assert (again.exit_code, again.stdout) == (0, f"{line}; 1 tracks were there already\n")
    other = run(*arguments, "--seed", 7)
    assert other.exit_code == 2
    assert other.stderr == (
        f"hiersep: error: {tmp_path}/out: holds another rendering (seed 0 there, 7 here); choose another folder\n"
    )


def test_every_option_reaches_the_settings(run, tmp_path, monkeypatch):
    given = {}

    def render(out, settings, *, jobs):
        given.update(out=out, settings=settings, jobs=jobs)
        return RenderSummary(out, {"train": 3}, 20, 2.0, 0)

    monkeypatch.setattr("hiersep.render.render", render)
    result = run(
        tmp_path, "--tracks", 3, "--seed", 5, "--splits", "0.5/0.2/0.3", "--midi", tmp_path, "--soundfont", "a.sf2",
        "--soundfont", "b.sf2", "--test-soundfont", "c.sf2", "--test-soundfont", "d.sf3", "--effects",
        "--sample-rate", 8000, "--duration", 9, "--format", "wav", "--jobs", 2,
    )  # fmt: skip
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}: train 3 tracks, 20 stems, 2.0 minutes\n")
    settings = RenderSettings(
        tracks=3, seed=5, splits=(0.5, 0.2, 0.3), midi=tmp_path, soundfonts=("a.sf2", "b.sf2"),
        test_soundfonts=("c.sf2", "d.sf3"), effects=True, sample_rate=8000, duration=9.0, format="wav",
    )  # fmt: skip
    assert given == {"out": tmp_path, "settings": settings, "jobs": 2}
    run(tmp_path, "--tracks", 1)
    assert given["settings"] == RenderSettings(tracks=1)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--tracks", 0], "tracks: expected at least 1, got 0"),
        (["--splits", "0.8/0.2"], "splits: expected three shares like 0.8/0.1/0.1, got '0.8/0.2'"),
        (["--jobs", 0], "jobs: expected at least 1, got 0"),
        (["--midi", "{tmp}/none"], "{tmp}/none: expected a folder of MIDI files, found none; check the path"),
        (["--midi", "{tmp}/full"], "{tmp}/full: no .mid or .midi file in it; give a folder of General MIDI files"),
        (
            ["--soundfont", "{tmp}/full/some.txt"],
            "{tmp}/full/some.txt: expected a soundfont that FluidSynth reads (.sf2, .sf3), got something else; "
            "choose another file",
        ),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(run, tmp_path, arguments, line):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "some.txt").write_text("not audio")
    given = [str(argument).format(tmp=tmp_path) for argument in arguments]
    result = run(tmp_path / "out", "--tracks", 2, *given)
    assert result.exit_code == 2
    assert result.stderr == f"hiersep: error: {line.format(tmp=tmp_path)}\n"
    assert not (tmp_path / "out").exists()


def test_an_unknown_soundfont_is_answered_with_the_known_ones(run, tmp_path):
    result = run(tmp_path / "out", "--tracks", 1, "--soundfont", "TimGM6mb.sf3")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "hiersep: error: TimGM6mb.sf3: no such soundfont; give a .sf2 or .sf3 file, or one of "
    )
    assert result.stderr.endswith("; did you mean 'TimGM6mb.sf2'?\n")


def test_folders_that_cannot_be_used_are_refused(run, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "some.txt").write_text("mine")
    result = run(tmp_path / "full", "--tracks", 1)
    assert result.exit_code == 2
    assert result.stderr == (
        f"hiersep: error: {tmp_path}/full: is not empty and holds no render.json; choose another folder\n"
    )
    result = run(tmp_path / "full" / "some.txt", "--tracks", 1)
    assert result.exit_code == 2
    assert result.stderr == (
        f"hiersep: error: {tmp_path}/full/some.txt: cannot be made a folder (File exists); "
        "choose a folder that can be written to\n"
    )
    (tmp_path / "full" / "render.json").write_text("{")
    result = run(tmp_path / "full", "--tracks", 1)
    assert result.stderr == (
        f"hiersep: error: {tmp_path}/full/render.json: expected JSON, got something else; choose another folder\n"
    )


# --audit


@pytest.fixture
def data(tmp_path, rendered):
    return shutil.copytree(rendered, tmp_path / "data")


def test_an_audit_prints_a_table_and_keeps_it_as_json_and_as_a_picture(run, data):
    result = run(data, "--audit", "--jobs", 1)
    assert result.exit_code == 0, result.output
    found, hierarchy = audit(data, "slakh_ismir2020", jobs=1), Hierarchy.load("slakh_ismir2020")
    written = f"Written: {data / 'audit.json'}, {data / 'audit.png'}"
    assert result.stdout == f"{summary(found, hierarchy)}\n{written}\n"
    assert json.loads((data / "audit.json").read_text()) == json.loads(json.dumps(found.to_dict()))
    picture = (data / "audit.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    assert width > height > 500


def test_an_audit_of_another_hierarchy_as_json(run, data):
    result = run(data, "--audit", "--hierarchy", "slakh34", "--json", "--jobs", 1)
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content == json.loads((data / "audit.json").read_text())
    assert content["coverage"]["hierarchy"] == "slakh34"
    assert (content["songs"], content["splits"]["train"]["tracks"]) == (6, 3)
    assert content["unread"] == content["identical"] == content["crossing"] == []


def test_an_audit_disturbs_neither_rendering_nor_reading(run, tmp_path):
    arguments = (tmp_path / "out", "--tracks", 2, "--splits", "1/0/0", "--duration", 1, "--sample-rate", 8000)
    assert run(*arguments, "--jobs", 1).exit_code == 0
    before = open_dataset(tmp_path / "out", jobs=1)
    assert run(tmp_path / "out", "--audit", "--jobs", 1).exit_code == 0
    after = open_dataset(tmp_path / "out", jobs=1)
    assert (after.key, after.tracks) == (before.key, before.tracks)
    again = run(*arguments, "--jobs", 1)
    assert again.exit_code == 0
    assert again.stdout.endswith("; 2 tracks were there already\n")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"audit.json", "audit.png", "render.json", "train"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "tracks: expected --tracks to render as many, or --audit to look over what is there, got neither"),
        (
            ["--audit", "--tracks", 2],
            "tracks: expected --tracks to render as many, or --audit to look over what is there",
        ),
        (["--tracks", 2, "--json"], "json: expected --audit beside it, got none"),
        (["--audit"], "{out}: the folder is empty; expected multitracks, for example from `hiersep render`"),
        (
            ["--audit", "--hierarchy", "slakh_ismir202"],
            "unknown hierarchy 'slakh_ismir202'; did you mean 'slakh_ismir2020'?",
        ),
        (["--audit", "--jobs", 0], "jobs: expected at least 1, got 0"),
    ],
)
def test_what_can_be_neither_rendered_nor_looked_over_is_one_line(run, tmp_path, arguments, line):
    (tmp_path / "out").mkdir()
    result = run(tmp_path / "out", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (said,) = result.stderr.splitlines()
    assert said.startswith(f"hiersep: error: {line.format(out=tmp_path / 'out')}")
    assert list((tmp_path / "out").iterdir()) == []


def test_folders_that_are_no_rendering_are_not_looked_over(run, tmp_path):
    result = run(tmp_path / "none", "--audit")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert f"{tmp_path}/none: no such folder" in result.stderr
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "render.json").write_text("{}")
    result = run(tmp_path / "begun", "--audit")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert f"{tmp_path}/begun: expected multitracks in a layout that is known" in result.stderr
    write_folder(tmp_path / "plain", {"song": {"bass": tone(1.0)}})
    result = run(tmp_path / "plain", "--audit", "--jobs", 1)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "got plain folders" in result.stderr
    assert not list(tmp_path.rglob("audit.*"))


def test_a_dry_run_tells_how_much_and_writes_nothing(run, tmp_path):
    words = (tmp_path / "out", "--tracks", 2, "--duration", 2, "--sample-rate", 8000, "--format", "wav", "--jobs", 1)
    result = run(*words, "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{tmp_path}/out: about 0.")
    assert " MB in 2 tracks; " in result.stdout
    assert list(tmp_path.iterdir()) == []
    told = float(result.stdout.split("about ")[1].split()[0])
    assert run(*words).exit_code == 0
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.wav")) / 1e6
    assert told == pytest.approx(size, rel=0.2, abs=0.06)
    assert run(*words, "--dry-run").stdout == f"{tmp_path}/out: all 2 tracks are there\n"
    other = run(*words, "--seed", 7, "--dry-run")
    assert other.exit_code == 2
    assert "holds another rendering (seed 0 there, 7 here)" in other.stderr
