"""``hiersep index``."""

import json

import numpy as np
import pytest
from helpers import BASS, PIANO, noise, tone, write_audio, write_slakh
from typer.testing import CliRunner

from hiersep.cli import app
from hiersep.data.catalog import open_dataset

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def data(tmp_path):
    tracks = {"train/Track00001": [(PIANO, tone(3.0)), (BASS, noise(3.0))], "test/Track00002": [(PIANO, tone(1.0))]}
    return write_slakh(tmp_path / "data", tracks)


def run(*arguments):
    return CliRunner().invoke(app, ["index", "--jobs", "1", *map(str, arguments)])


def test_a_sound_data_set_is_said_in_a_line(data):
    result = run(data)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{data}: slakh; train 1, test 1; 3 stems, 0.1 minutes, at 16000 Hz\n"
    assert run(data, "--strict").exit_code == 0


def test_each_damage_is_named_once_with_its_reason(data):
    stems = data / "train/Track00001/stems"
    write_slakh(data, {"train/Track00001": [(PIANO, tone(3.0)) for _ in range(9)]})
    (stems / "S01.wav").write_bytes(b"")
    (stems / "S02.wav").write_text("some text")
    write_audio(stems / "S03.wav", np.full((1, 100), np.nan))
    write_audio(stems / "S04.wav", tone(2.5))
    write_audio(stems / "S05.wav", tone(3.0, rate=8000), 8000)
    (stems / "S06.wav").unlink()
    write_audio(stems / "S07.wav", tone(3.0, channels=3))
    (stems / "S08.wav").unlink()
    flac = write_audio(stems / "S08.flac", noise(3.0))
    flac.write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])
    result = run(data, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    assert report["counts"] == {"layout": 1, "left out": 4, "shorter": 1, "resampled": 1, "channels": 1}
    assert report["tracks"] == {"train": 1, "test": 1}
    assert (report["stems"], report["measured"], report["store"]) == (5, 2, None)
    texts = [finding["text"] for finding in report["findings"]]
    for number in range(1, 9):
        assert sum(f"/S{number:02d}." in text for text in texts) == 1
    assert f"{stems / 'S04.wav'}: 2.500 s of its track's 3.000 s" in texts
    assert f"{stems / 'S05.wav'}: 8000 Hz, resampled to 16000 Hz" in texts
    text = run(data).stdout
    assert all(found in text for found in texts)
    assert "left out: 4 (cannot be read, and is in no mixture)" in text


def test_what_all_stems_share_is_said_once(tmp_path):
    folder = write_slakh(tmp_path / "cd", {"Track00001": [(PIANO, tone(1.0, rate=44100))] * 3}, rate=44100)
    report = json.loads(run(folder, "--json").stdout)
    assert report["findings"] == [{"kind": "resampled", "text": "all 3 stems: 44100 Hz, resampled to 16000 Hz"}]
    assert json.loads(run(folder, "--json", "--sample-rate", 44100).stdout)["findings"] == []


def test_a_mixture_that_is_not_the_sum_is_named_with_the_difference(data):
    # The sum is twice the mixture file, so what is missing in the file is as loud as the file.
    one, other = tone(3.0), tone(3.0, hz=1000)
    write_slakh(data, {"train/Track00001": [(PIANO, one), (BASS, other)]})
    write_audio(data / "train/Track00001/mix.wav", one + other)
    write_audio(data / "test/Track00002/mix.wav", 0.5 * tone(1.0))
    report = json.loads(run(data, "--json").stdout)
    (finding,) = report["findings"]
    assert finding["kind"] == "not the sum"
    assert finding["text"].startswith(
        f"{data / 'test/Track00002/mix.wav'}: not the sum of its stems, differs by 0.0 dB"
    )


def test_strict_reports_and_exits_2(data):
    (data / "test/Track00002/stems/S00.wav").write_bytes(b"")
    result = run(data, "--strict")
    assert result.exit_code == 2
    assert "left out: 1" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"hiersep: error: {data}: strict, and not all is as it should be (1 left out), first ")


def test_a_store_is_written_and_used(data):
    result = run(data, "--jobs", 2, "--store", "--channels", 2, "--json")
    assert result.exit_code == 0
    size = json.loads(result.stdout)["store"]
    assert open_dataset(data).store.size == size == (2 * 3 + 1) * 16000 * 2 * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--jobs", "0"], "jobs: expected at least 1, or -1, got 0"),
        (["--channels", "3"], "channels: expected 1 or 2, got 3"),
        (["--sample-rate", "0"], "sample_rate: expected at least 1000 Hz, got 0"),
        (["--splits", "nonsense"], "nonsense"),
    ],
)
def test_options_out_of_range_exit_2_with_one_line(data, options, message):
    result = run(data, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert message in line


def test_a_folder_that_is_not_there_exits_2(tmp_path):
    result = run(tmp_path / "nowhere")
    assert result.exit_code == 2
    assert result.stderr == f"hiersep: error: {tmp_path / 'nowhere'}: no such folder; check the path to the data set\n"
