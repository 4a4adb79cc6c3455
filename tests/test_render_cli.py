"""``hiersep render``: what it prints, and what it refuses with one line."""

import pytest
import typer
from typer.testing import CliRunner

from hiersep.cli.render import render as render_command
from hiersep.errors import ConfigError
from hiersep.render import RenderSettings


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
