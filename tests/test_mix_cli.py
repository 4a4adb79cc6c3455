"""``hiersep mix``: written, read by nussl, rebuilt bit for bit, whatever the number of jobs and the interruptions."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer
from helpers import ACOUSTIC_GUITAR, BASS, PIANO, RATE, WHISTLE, error_db, noise, read_audio, write_audio, write_slakh
from typer.testing import CliRunner

from hiersep.cli.mix import mix as mix_command
from hiersep.compat import nussl, scaper
from hiersep.data.writing import WriteSettings, rebuild_mixtures, write_mixtures
from hiersep.errors import ConfigError, DataError, HierarchyError
from hiersep.hierarchy import Hierarchy

ISMIR = Hierarchy.load("slakh_ismir2020")
PATH = ISMIR.path("clean_guitars")[1:]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three tracks of 3 s in two splits; a whistle, which no node claims, in each."""
    folder = tmp_path_factory.mktemp("mix") / "data"
    programs = [ACOUSTIC_GUITAR, PIANO, BASS, WHISTLE]
    names = ["train/Track00000", "train/Track00001", "test/Track00002"]
    tracks = {name: [(p, noise(3.0, db=-22.0, seed=10 * n + p)) for p in programs] for n, name in enumerate(names)}
    return write_slakh(folder, tracks)


@pytest.fixture(scope="module")
def settings(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("mixing") / "mixing.yml"
    path.write_text("gain: [normal, 0, 3]\noffset: [choose, [0, 0.1]]\nnodes: {guitar: {num_sources: [const, 2]}}\n")
    return WriteSettings(str(data), "slakh_ismir2020", 6, duration=0.5, target="clean_guitars", mixing=str(path))


@pytest.fixture(scope="module")
def written(settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("written") / "out"
    write_mixtures(out, settings, jobs=1)
    return out


def digests(folder, *, apart_from=()):
    """Digest of every file; annotations name the folder that they lie in, which is left out."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            path.read_bytes().replace(str(folder).encode(), b"")
        ).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in apart_from
    }


def test_what_is_written_is_the_mixture_its_nodes_and_its_events(written):
    manifest = json.loads((written / "manifest.json").read_text())
    assert [entry["name"] for entry in manifest["mixtures"]] == [f"{n:06d}" for n in range(6)]
    for entry in manifest["mixtures"]:
        assert list(entry["nodes"]) == list(PATH)
        mixture = read_audio(written / entry["mixture"])
        nodes = [read_audio(written / path) for path in entry["nodes"].values()]
        events = sorted((written / "mix" / f"{entry['name']}_events").iterdir())
        assert mixture.shape == (1, RATE // 2)
        assert len(events) == entry["events"] == 5  # two guitars by number, and what else the song has
        assert np.abs(sum(map(read_audio, events)) - mixture).max() < 1e-6
        guitars = [path for path in events if "guitar" in path.name]
        assert len(guitars) == 2
        assert np.abs(sum(map(read_audio, guitars)) - nodes[-1]).max() < 1e-6
        assert (written / entry["jams"]).is_file()


@pytest.mark.adapters
def test_nussl_reads_the_folder_as_both_of_its_data_sets(written):
    folders = nussl.datasets.MixSourceFolder(str(written))
    annotated = nussl.datasets.Scaper(str(written))
    assert len(folders) == len(annotated) == 6
    assert sorted(folders.source_folders) == sorted(PATH)
    for one, other in zip(folders, annotated, strict=True):
        assert np.array_equal(one["mix"].audio_data, other["mix"].audio_data)
        assert set(one["sources"]) == set(PATH)
        events = sum(signal.audio_data for signal in other["sources"].values())
        assert np.abs(events - one["mix"].audio_data).max() < 1e-6
        guitars = [s.audio_data for label, s in other["sources"].items() if label.startswith("acoustic_guitar")]
        assert np.abs(sum(guitars) - one["sources"]["clean_guitars"].audio_data).max() < 1e-6


@pytest.mark.adapters
def test_scaper_rebuilds_what_is_written(written):
    for path in sorted(written.glob("*.jams")):
        mixture, _, _, _ = scaper.generate_from_jams(str(path))
        assert error_db(mixture.T, read_audio(written / "mix" / f"{path.stem}.wav")) < -60


def test_rebuilt_from_its_annotations_every_byte_of_audio_is_the_same(written, tmp_path):
    summary = rebuild_mixtures(written, tmp_path / "again", jobs=1)
    assert (summary.mixtures, summary.nodes, summary.skipped, summary.failed) == (6, PATH, 0, ())
    assert digests(tmp_path / "again", apart_from=["manifest.json"]) == digests(written, apart_from=["manifest.json"])


def test_killed_and_started_again_with_two_jobs_it_writes_the_same_bytes(written, settings, tmp_path):
    out = tmp_path / "killed"
    code = (
        "import sys; from hiersep.data.writing import WriteSettings, write_mixtures\n"
        "write_mixtures(sys.argv[1], WriteSettings(sys.argv[2], 'slakh_ismir2020', 6, duration=0.5, "
        "target='clean_guitars', mixing=sys.argv[3]), jobs=1)"
    )
    command = [sys.executable, "-c", code, str(out), settings.data, settings.mixing]
    begun = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True, cwd=Path(__file__).parents[1])
    while not any(out.glob("*.jams")):
        assert begun.poll() is None
        time.sleep(0.002)
    os.killpg(begun.pid, signal.SIGKILL)
    assert begun.wait() == -signal.SIGKILL
    (out / ".hiersep-part-left").mkdir()
    (out / "mix" / ".hiersep-part-left").mkdir()
    again = write_mixtures(out, settings, jobs=2)
    assert 1 <= again.skipped < 5  # both have something to do
    assert digests(out) == digests(written)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("format", ["wav", "flac"])
def test_every_format_is_written_and_rebuilt(data, tmp_path, channels, format):
    settings = WriteSettings(
        str(data), "slakh_ismir2020", 1, split="test", duration=0.5, channels=channels, format=format
    )
    summary = write_mixtures(tmp_path / "out", settings, jobs=1)
    rebuild_mixtures(tmp_path / "out", tmp_path / "again", jobs=1)
    assert "clean_guitars" in summary.nodes  # without a target: all that a stem belongs to
    assert "drums" not in summary.nodes
    mixture = read_audio(tmp_path / "out" / "mix" / f"000000.{format}")
    assert mixture.shape == (channels, RATE // 2)
    events = list((tmp_path / "out").rglob(f"foreground*.{format}"))
    assert np.abs(sum(map(read_audio, events)) - mixture).max() < 1e-6
    assert digests(tmp_path / "again" / "mix") == digests(tmp_path / "out" / "mix")


def test_a_data_set_that_moved_is_named_and_one_that_changed_is_noticed(data, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    shutil.copytree(data, here)
    settings = WriteSettings(str(here), "slakh_ismir2020", 3, split="test", duration=0.5, target="clean_guitars")
    write_mixtures(tmp_path / "out", settings, jobs=1)
    here.rename(there)
    with pytest.raises(DataError, match="here: no such folder"):
        rebuild_mixtures(tmp_path / "out", tmp_path / "lost", jobs=1)
    assert rebuild_mixtures(tmp_path / "out", tmp_path / "again", data=there, jobs=1).failed == ()
    assert digests(tmp_path / "again" / "mix") == digests(tmp_path / "out" / "mix")
    write_audio(there / "test/Track00002/stems/S00.wav", noise(3.0, db=-22.0, seed=1234))
    changed = rebuild_mixtures(tmp_path / "out", tmp_path / "changed", data=there, jobs=1)
    assert [reason[:6] for reason in changed.failed] == ["000000", "000001", "000002"]
    assert "its samples are not those that were annotated" in changed.failed[0]
    (there / "test/Track00002/stems/S00.wav").unlink()
    with pytest.warns(match="there is no file"):
        missing = rebuild_mixtures(tmp_path / "out", tmp_path / "missing", data=there, jobs=1)
    assert "has no stem test/Track00002/stems/S00.wav" in missing.failed[0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num": 0}, ConfigError, "num: expected 1 to 1000000 mixtures, got 0"),
        ({"duration": 0.0}, ConfigError, "duration: expected more than 0, at most 600 seconds, got 0.0"),
        ({"seed": -1}, ConfigError, "seed: expected 0 or more, got -1"),
        ({"sample_rate": 100}, ConfigError, "sample_rate: expected 4000 to 192000 Hz, got 100"),
        ({"channels": 3}, ConfigError, "channels: expected 1 or 2, got 3"),
        ({"format": "mp3"}, ConfigError, "format: expected wav or flac, got 'mp3'"),
        ({"mixing": "none.yml"}, ConfigError, "none.yml: cannot be read"),
        ({"split": "dev"}, DataError, "no tracks in split 'dev'"),
        ({"target": "gitar"}, HierarchyError, "gitar"),
        ({"target": "mixture"}, HierarchyError, "expected a target below the root"),
        ({"target": "drums"}, DataError, "drums"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(data, tmp_path, options, error, message):
    with pytest.raises(error) as caught:
        write_mixtures(
            tmp_path / "out",
            WriteSettings(**{"data": str(data), "hierarchy": "slakh_ismir2020", "num": 1, "duration": 0.5, **options}),
            jobs=1,
        )
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


# --- the command


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(mix_command)

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


def test_the_command_writes_goes_on_and_rebuilds(run, data, tmp_path):
    out = tmp_path / "out"
    words = [data, "--hierarchy", "slakh_ismir2020", "--num", 2, "--out", out, "--duration", 0.5, "--jobs", 1]
    words += ["--target", "clean_guitars"]
    first, second = run(*words), run(*words)
    line = f"{out}: 2 mixtures of 3 nodes"
    assert (first.exit_code, first.stdout) == (0, f"{line}\n")
    assert (second.exit_code, second.stdout) == (0, f"{line}; 2 were there already\n")
    other = run(*words, "--seed", 1)
    assert other.exit_code == 2
    assert f"{out}: holds other mixtures (another seed); choose another folder" in other.stderr
    rebuilt = run("--from-jams", out, "--out", tmp_path / "again", "--jobs", 1)
    assert (rebuilt.exit_code, rebuilt.stdout) == (0, f"{tmp_path}/again: 2 mixtures of 3 nodes\n")
    sandbox = json.loads((out / "000001.jams").read_text())
    sandbox["sandbox"]["hiersep"]["digest"] = "0" * 64
    (out / "000001.jams").write_text(json.dumps(sandbox))
    differs = run("--from-jams", out, "--out", tmp_path / "differs", "--jobs", 1)
    assert differs.exit_code == 1
    assert "hiersep: error: 000001: its samples are not those that were annotated" in differs.stderr
    assert not (tmp_path / "differs" / "000001.jams").exists()


def test_stems_that_no_node_claims_are_counted(run, data, tmp_path):
    tree = "name: small\nlevels: [mixture, class]\ntree: {mixture: [guitar, bass]}\nmatch: program_num\n"
    (tmp_path / "small.yaml").write_text(tree + f"labels: {{guitar: {ACOUSTIC_GUITAR}, bass: {BASS}}}\n")
    words = [
        data,
        "--hierarchy",
        tmp_path / "small.yaml",
        "--num",
        1,
        "--duration",
        0.5,
        "--split",
        "test",
        "--jobs",
        1,
    ]
    result = run(*words, "--out", tmp_path / "out")
    assert result.exit_code == 0
    said = "2 of 4 stems in split 'test' are claimed by no node of hierarchy 'small' and sound in the mixture only"
    assert said in result.stderr
    labels = {path.stem.partition("_")[2] for path in (tmp_path / "out").rglob("foreground*.wav")}
    assert labels == {"guitar", "bass", "unclaimed"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "OUT"], "got no DATA and no --hierarchy and no --num"),
        (["DATA", "--num", "3", "--out", "OUT"], "got no --hierarchy"),
        (["--from-jams", "DATA", "--num", "3", "--out", "OUT"], "from-jams: expected neither --hierarchy nor --num"),
        (["--from-jams", "DATA", "--out", "OUT"], "expected annotations (*.jams) of mixtures, found none"),
        (["--from-jams", "DATA", "--out", "OUT", "--jobs", "0"], "jobs: expected at least 1, got 0"),
        (["DATA", "--hierarchy", "slakh34", "--num", "1", "--out", "DATA"], "is not empty and holds no manifest.json"),
        (["NONE", "--hierarchy", "slakh34", "--num", "1", "--out", "OUT"], "no such folder"),
    ],
)
def test_what_cannot_start_ends_with_2_and_one_line(run, data, tmp_path, words, message):
    places = {"DATA": data, "OUT": tmp_path / "out", "NONE": tmp_path / "none"}
    result = run(*(places.get(word, word) for word in words))
    assert result.exit_code == 2
    (line,) = [line for line in result.stderr.splitlines() if "error" in line]
    assert message in line


def test_a_folder_of_others_is_left_alone(data, settings, tmp_path):
    (tmp_path / "manifest.json").write_text("nonsense")
    with pytest.raises(DataError, match=r"manifest\.json: expected JSON"):
        write_mixtures(tmp_path, settings, jobs=1)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(DataError, match="holds other mixtures"):
        write_mixtures(tmp_path, settings, jobs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_a_dry_run_tells_how_much_and_writes_nothing(run, data, tmp_path):
    words = (data, "--hierarchy", "slakh_ismir2020", "--num", 4, "--duration", 0.5, "--target", "clean_guitars")
    result = run(*words, "--out", tmp_path / "out", "--dry-run")
    assert result.exit_code == 0, result.output
    assert (
        result.stdout == f"4 mixtures of 3 nodes, about 0.5 MB: {', '.join(PATH)}\n"
    )  # 4 * 4 * 8000 samples of 4 bytes
    assert not (tmp_path / "out").exists()
    refused = run("--from-jams", tmp_path, "--out", tmp_path / "out", "--dry-run")
    assert refused.exit_code == 2
    assert "dry-run: expected no --from-jams beside it" in refused.stderr
