"""Whole songs: what museval and plain ratios say of them, a level at a time, resumable, whoever computes it."""

import json
import math

import numpy as np
import pytest
import torch
from helpers import noise, tone, write_folder
from typer.testing import CliRunner

from hiersep import Hierarchy, open_dataset
from hiersep.cli import app
from hiersep.config import SongsConfig
from hiersep.errors import ConfigError, DataError, HierarchyError
from hiersep.evaluation import score_songs, song_table, songs
from hiersep.evaluation.lines import read_lines, write_lines
from hiersep.evaluation.song_scores import REMAINDER, SongLine, score_song
from hiersep.files import lock_folder
from hiersep.metrics import score_track, si_sdr, snr
from hiersep.models import checkpoint
from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator
from hiersep.models.tree import TreeSeparator
from hiersep.separation import separate

RATE, SECONDS = 4000, 2.5
OPTIONS = {
    "sample_rate": RATE,
    "network": {"hidden_size": 3, "num_layers": 1},
    "spectrum": {"n_fft": 256, "hop_length": 128},
}
STEMS = ("vocals", "drums", "bass", "other")
PLAIN = SongsConfig(bss_eval=False)


def band(seed, channels=1):
    """Four stems that have little in common."""
    return {
        "vocals": tone(SECONDS, hz=600 + 40 * seed, rate=RATE, channels=channels, db=-18),
        "drums": noise(SECONDS, rate=RATE, channels=channels, db=-22, seed=seed),
        "bass": tone(SECONDS, hz=80 + seed, rate=RATE, channels=channels, db=-16),
        "other": noise(SECONDS, rate=RATE, channels=channels, db=-25, seed=100 + seed),
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """In MUSDB18's names: a song of one channel and one of two, and a third in which nobody sings."""
    folder = tmp_path_factory.mktemp("songs") / "data"
    third = {**band(3), "vocals": 0 * band(3)["vocals"]}
    write_folder(folder, {"train/a": band(0), "test/mono": band(1), "test/stereo": band(2, 2), "test/third": third},
                 rate=RATE)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return TreeSeparator("musdb18", **OPTIONS).eval()


@pytest.fixture(scope="module")
def model(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "best.safetensors"
    checkpoint.save(network, path)
    return path


@pytest.fixture(scope="module")
def done(model, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("done")
    score_songs(model, data, PLAIN, out=out, device="cpu")
    return out


def files(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "songs").glob("*.csv"))}


@pytest.mark.adapters
def test_a_song_is_scored_as_a_whole_in_its_channels_a_level_at_a_time(network, data):
    catalog = open_dataset(data, sample_rate=RATE, jobs=1)
    track = next(n for n, track in enumerate(catalog.tracks) if track.id == "stereo")
    lines = score_song(network, catalog, track, ("group", "stem"))
    found = {(line.level, line.node, line.row): line for line in lines}
    references = {node: torch.from_numpy(np.float32(samples)) for node, samples in band(2, 2).items()}
    references["accompaniment"] = sum(references[node] for node in ("drums", "bass", "other"))
    mixture = sum(references[node] for node in STEMS)
    estimates = dict(zip(network.nodes, separate(mixture.numpy(), RATE, network), strict=True))
    levels = {"group": ("vocals", "accompaniment"), "stem": STEMS}
    assert set(found) == {(level, node, row) for level, nodes in levels.items() for node in nodes
                          for row in ("network", "mixture")}  # fmt: skip
    for level, nodes in levels.items():
        truth = torch.stack([references[node] for node in nodes])
        outputs = torch.from_numpy(np.stack([estimates[node] for node in nodes]))
        scores = score_track(outputs, truth, RATE)
        for place, node in enumerate(nodes):
            line, mixed = found[level, node, "network"], found[level, node, "mixture"]
            assert line.si_sdr == pytest.approx(si_sdr(outputs[place], truth[place]).item(), abs=1e-2)
            assert line.usdr == pytest.approx(snr(outputs[place], truth[place]).item(), abs=1e-2)
            bss = [getattr(scores, name)[place] for name in ("sdr", "isr", "sir", "sar")]
            assert [line.sdr, line.isr, line.sir, line.sar] == pytest.approx(bss, abs=0.1)
            assert line.frames == 2
            assert mixed.si_sdr == pytest.approx(si_sdr(mixture, truth[place]).item(), abs=1e-3)
            assert math.isnan(mixed.sir)
            assert math.isfinite(mixed.sdr)


def test_the_nodes_of_a_path_are_scored_beside_what_they_leave(data, tmp_path):
    torch.manual_seed(0)
    path = PathSeparator("musdb18", ["accompaniment", "drums"], **OPTIONS)
    results = score_songs(path, data, PLAIN, out=tmp_path, device="cpu")
    assert {level: list(nodes) for level, nodes in results["levels"].items()} == {
        "group": ["accompaniment", REMAINDER],
        "stem": ["drums", REMAINDER],
    }
    # In the third song nobody sings, so that the accompaniment leaves nothing of it.
    assert results["levels"]["group"][REMAINDER]["songs"] == 2
    assert results["levels"]["stem"][REMAINDER]["songs"] == 3


def test_what_is_not_known_in_a_song_is_not_scored_there(data, tmp_path):
    hierarchy = Hierarchy.load("universal").to_dict()
    hierarchy["labels"] = {"folder": {"match": "filename", **{node: node for node in STEMS}}}
    torch.manual_seed(0)
    nodes = ["vocals", "drums", "bass", "other", "drum_kit", "guitar", "keyboards"]
    ordered = [node for node in Hierarchy.load(hierarchy).ids if node in nodes]
    results = score_songs(TreeSeparator(hierarchy, ordered, **OPTIONS), data, PLAIN, out=tmp_path, device="cpu")
    assert {level: list(nodes) for level, nodes in results["levels"].items()} == {"stem": list(STEMS)}


def test_the_figures_are_means_over_songs_and_medians_of_musevals(tmp_path):
    def line(track, row, value):
        return SongLine(track, "stem", "drums", row, value, value, value, math.nan, 3, value, value)

    lines = [line(str(n), row, value) for row in ("network", "mixture") for n, value in enumerate((0.0, 1.0, 8.0))]
    found = songs.summarise_songs(lines)["levels"]["stem"]["drums"]
    figures = {"sdr": 1.0, "isr": 1.0, "sir": 1.0, "sar": None, "si_sdr": 3.0, "usdr": 3.0}
    assert found == {"songs": 3, "network": figures, "mixture": figures}
    write_lines(tmp_path / "song.csv", lines, SongLine)
    again = read_lines(tmp_path / "song.csv", SongLine)
    assert str(again) == str(lines)  # nan is not itself
    with pytest.raises(DataError, match="its columns are others"):
        read_lines(tmp_path / "song.csv")


def test_the_folder_says_what_was_scored_and_holds_a_file_per_song(done, model, data):
    results = json.loads((done / "songs.json").read_text())
    assert (results["songs"], results["sample_rate"], results["data"]) == (3, RATE, str(data))
    assert {"commit", "seconds", "machine", "device", "torch", "command", "settings", "key"} <= set(results)
    assert list(files(done)) == ["000 mono.csv", "001 stereo.csv", "002 third.csv"]
    vocals = results["levels"]["stem"]["vocals"]
    assert vocals["network"]["sdr"] is None  # museval was not asked
    assert (vocals["songs"], results["levels"]["stem"]["bass"]["songs"]) == (2, 3)  # in one nobody sings
    assert (done / "songs.md").read_text() == song_table(results) + "\n"
    assert "| stem  | vocals" in song_table(results)
    assert {path.name for path in (done / "songs").iterdir()} == {*files(done), ".key"}


def test_a_run_that_was_stopped_goes_on_with_the_next_song(done, model, data, tmp_path, monkeypatch):
    real, scored = songs.score_song, []

    def stopping(model, catalog, track, *arguments, **options):
        if len(scored) == 1:
            raise KeyboardInterrupt
        scored.append(track)
        return real(model, catalog, track, *arguments, **options)

    monkeypatch.setattr(songs, "score_song", stopping)
    with pytest.raises(KeyboardInterrupt):
        score_songs(model, data, PLAIN, out=tmp_path, device="cpu")
    assert list(files(tmp_path)) == ["000 mono.csv"]
    monkeypatch.setattr(
        songs, "score_song", lambda m, c, track, *a, **k: scored.append(track) or real(m, c, track, *a, **k)
    )
    score_songs(model, data, PLAIN, out=tmp_path, device="cpu")
    assert len(scored) == len(set(scored)) == 3
    assert files(tmp_path) == files(done)


def test_what_is_done_is_not_done_again_but_with_other_weights_it_is(done, model, data, tmp_path, monkeypatch):
    monkeypatch.setattr(songs, "score_song", lambda *a, **k: pytest.fail("scored again"))
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*")}
    score_songs(model, data, PLAIN, out=done, device="cpu")
    assert {path: path.stat().st_mtime_ns for path in done.rglob("*")} == before
    monkeypatch.undo()
    torch.manual_seed(1)
    other = TreeSeparator("musdb18", **OPTIONS)
    score_songs(model, data, PLAIN, out=tmp_path, device="cpu")
    score_songs(other, data, PLAIN, out=tmp_path, device="cpu")
    assert set(files(tmp_path)) == set(files(done))
    assert all(files(tmp_path)[name] != content for name, content in files(done).items())


def test_two_jobs_give_what_one_gives(done, model, data, tmp_path):
    score_songs(model, data, PLAIN, out=tmp_path, jobs=2, device="cpu")
    assert files(tmp_path) == files(done)
    assert {path.name for path in (tmp_path / "songs").iterdir()} == {*files(done), ".key"}


def test_what_cannot_be_scored_is_refused_in_a_line(model, data, tmp_path):
    with pytest.raises(ConfigError, match=r"songs.levels: expected levels that the network estimates \(group, stem\)"):
        score_songs(model, data, SongsConfig(levels=["mixture"]), out=tmp_path)
    with pytest.raises(HierarchyError, match="has no level 'stems'; did you mean 'stem'"):
        score_songs(model, data, SongsConfig(levels=["stems"]), out=tmp_path)
    with pytest.raises(ConfigError, match="expected a network of fixed nodes to score whole songs"):
        score_songs(QuerySeparator("musdb18", **OPTIONS), data, out=tmp_path)
    with pytest.raises(DataError, match="no tracks in split 'validation'"):
        score_songs(model, data, SongsConfig(split="validation"), out=tmp_path)
    with (
        pytest.raises(DataError, match="another run is writing"),
        lock_folder(tmp_path / "songs"),
    ):
        score_songs(model, data, PLAIN, out=tmp_path)


def test_the_command_prints_the_table_and_refuses_what_belongs_to_clips(model, data, tmp_path):
    words = ["evaluate", str(model), "--data", str(data), "--songs", "--no-bss-eval", "--level", "stem", "--jobs", "1"]
    result = CliRunner().invoke(app, [*words, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    results = json.loads((tmp_path / "songs.json").read_text())
    assert list(results["levels"]) == ["stem"]
    assert song_table(results) in result.stdout
    as_json = CliRunner().invoke(app, [*words, "--out", str(tmp_path), "--json"])
    assert json.loads(as_json.stdout) == results
    refused = CliRunner().invoke(app, [*words, "--out", str(tmp_path), "--example", str(tmp_path / "x")])
    assert refused.exit_code == 2
    assert "--example: expected none with --songs" in refused.stderr
    missing = CliRunner().invoke(app, words)
    assert missing.exit_code == 2
    assert "got no --out" in missing.stderr
