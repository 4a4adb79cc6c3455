"""Disks that fill, files that vanish, processes that die, two runs at once: one line, nothing half-written.

A limit on the size of files stands for a full disk where there is no right to make one; `benchmarks.reliability.faults`
fills real ones.
"""

import contextlib
import fcntl
import multiprocessing
import os
import resource
import shutil
import signal
from pathlib import Path

import joblib
import pytest
import torch
from helpers import BASS, DRUMS, ELECTRIC_GUITAR, PIANO, noise, small_experiment, tone, write_slakh
from safetensors.torch import load_file

from hiersep import audio, train
from hiersep.data.catalog import index_dataset, open_dataset
from hiersep.data.findings import draw_report
from hiersep.data.reading import read_block, read_excerpt
from hiersep.data.writing import WriteSettings, write_mixtures
from hiersep.errors import DataError, HiersepWarning
from hiersep.files import TEMPORARY_PREFIX, atomic_path, lock_folder, write_text
from hiersep.render import RenderSettings, render
from hiersep.render import run as rendering
from hiersep.training.callbacks import ShowProgress

RATE = 8000


@contextlib.contextmanager
def room(size):
    """Let no file grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def songs(folder, splits=("train", "train", "validation")):
    return write_slakh(
        folder,
        {
            f"{split}/Track{number:05d}": [
                (ELECTRIC_GUITAR, tone(2.0, hz=200 + number, rate=RATE)),
                (PIANO, tone(2.0, hz=500 + number, rate=RATE)),
                (DRUMS, noise(2.0, seed=number, rate=RATE)),
                (BASS, tone(2.0, hz=80, rate=RATE)),
            ]
            for number, split in enumerate(splits, 1)
        },
        rate=RATE,
    )


def experiment(data, **training):
    return small_experiment(data, RATE, num_train=16, **training)


# A disk that fills


@pytest.mark.parametrize(("suffix", "subtype"), [("wav", "FLOAT"), ("flac", "PCM_16"), ("mp3", "MPEG_LAYER_III")])
def test_audio_that_has_no_room_is_named_and_not_there_however_little_is_missing(tmp_path, suffix, subtype):
    """libsndfile says nothing where it was the end of a flac or an mp3, which is written when the file is closed."""
    path, samples = tmp_path / f"a.{suffix}", noise(2.0, rate=RATE)
    audio.write(path, samples, RATE, subtype=subtype)
    whole = path.read_bytes()
    path.unlink()
    for missing in (1, 100, 1000, 5000, len(whole) // 2, len(whole)):
        with pytest.raises(DataError) as caught, room(len(whole) - missing):
            audio.write(path, samples, RATE, subtype=subtype)
        assert str(caught.value) == (
            f"{path}: cannot be written (File too large); make room, and run the same command again"
        )
        assert not list(tmp_path.iterdir())
    with room(len(whole)):
        audio.write(path, samples, RATE, subtype=subtype)
    assert path.read_bytes() == whole


def test_a_file_that_has_no_room_is_named_and_the_old_one_stays(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(DataError, match=r"a\.txt: cannot be written \(File too large\); make room"), room(1000):
        write_text(tmp_path / "a.txt", "x" * 2000)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert files(tmp_path) == ["a.txt"]


def test_another_error_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_path(tmp_path / "a.txt") as temporary:
        shutil.copy(tmp_path / "elsewhere", temporary)


def test_measurements_for_which_the_cache_has_no_room_cost_time_and_no_more(tmp_path, cache):
    data = songs(tmp_path / "data")
    with room(2000):  # what is said goes into a file too, here
        _, report = index_dataset(data, sample_rate=RATE, jobs=1)
        (note,) = report.notes
        assert "the measurements are not kept" in note
        assert "File too large" in note
        assert draw_report(report).splitlines()[1:] == [note]
        with pytest.raises(DataError, match=r"\.i16: cannot be written \(File too large\)"):
            index_dataset(data, sample_rate=RATE, jobs=1, store_channels=1)
    assert {Path(path).name for path in files(cache) if "journal" not in path} <= {"metadata.json"}
    catalog, report = index_dataset(data, sample_rate=RATE, jobs=1, store_channels=1)
    assert catalog.store is not None
    assert not report.notes
    assert not [path for path in files(cache) if "journal" in path]


def test_a_training_on_a_full_disk_ends_with_a_line_and_goes_on_from_the_last_state(tmp_path, monkeypatch):
    config = experiment(songs(tmp_path / "data"), tensorboard=True, save_every=1)
    before = ShowProgress.on_train_batch_end

    def fill(self, trainer, *arguments):
        before(self, trainer, *arguments)
        if trainer.global_step == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    monkeypatch.setattr(ShowProgress, "on_train_batch_end", fill)
    with pytest.raises(DataError, match=r"exp/.*: cannot be written \(File too large\); make room"), room(2**40):
        train(config, tmp_path / "exp")
    assert not list((tmp_path / "exp").glob(f"{TEMPORARY_PREFIX}*"))
    monkeypatch.setattr(ShowProgress, "on_train_batch_end", before)
    train(config, tmp_path / "exp")
    train(config, tmp_path / "whole")
    resumed, whole = (load_file(tmp_path / folder / "best.safetensors") for folder in ("exp", "whole"))
    assert resumed.keys() == whole.keys()  # the header also names the folder, so sizes may differ
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert (tmp_path / "exp/metrics.csv").read_bytes() == (tmp_path / "whole/metrics.csv").read_bytes()


# Files that vanish


def test_what_is_written_or_scored_once_and_for_all_refuses_a_stem_that_vanished(tmp_path, cache, monkeypatch):
    data = songs(tmp_path / "data")
    settings = WriteSettings(str(data), "slakh_ismir2020", 4, split="train", duration=0.5, sample_rate=RATE)
    whole = write_mixtures(tmp_path / "whole", settings, jobs=1)
    victim, kept = data / "train/Track00001/stems/S00.wav", tmp_path / "kept.wav"
    from hiersep.data import writing

    render_recipe, calls = writing.render_recipe, []

    def take_away(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            victim.rename(kept)
        return render_recipe(*arguments)

    monkeypatch.setattr(writing, "render_recipe", take_away)
    with pytest.raises(DataError, match=r"damaged since it was indexed: .*S00\.wav.*bring it back, and run the same"):
        write_mixtures(tmp_path / "out", settings, jobs=1)
    kept.rename(victim)
    assert write_mixtures(tmp_path / "out", settings, jobs=1).mixtures == whole.mixtures
    names = [name for name in files(tmp_path / "whole") if name.endswith(".wav")]
    assert [name for name in files(tmp_path / "out") if name.endswith(".wav")] == names
    assert all((tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes() for name in names)


def test_a_track_of_which_nothing_is_left_is_an_error_in_a_training_too(tmp_path, cache):
    catalog = open_dataset(songs(tmp_path / "data"), sample_rate=RATE, jobs=1)
    stems = [stem.path for stem in catalog.tracks[0].stems]
    for path in stems[1:]:
        path.unlink()
    with pytest.warns(HiersepWarning, match="silent from here on"):
        assert read_block(catalog, 0, 0.0, 100)[0].any()
    stems[0].unlink()
    for _ in range(2):
        with pytest.raises(DataError, match=r"as is all of the track '.*Track00001': .*go on without it"):
            read_excerpt(catalog, 0, 0, 0.0, 100)


@pytest.mark.filterwarnings("ignore:damaged since it was indexed")  # of the loader's worker
@pytest.mark.parametrize("name", ["data", "d" * 200], ids=["short", "long"])
def test_a_training_whose_data_vanish_ends_with_a_line(tmp_path, cache, monkeypatch, name):
    """The line of a worker comes with its traceback, before the line and however long that is."""
    data = songs(tmp_path / name)
    started = ShowProgress.on_train_start

    def take_away(self, *arguments):
        data.rename(tmp_path / "elsewhere")
        started(self, *arguments)

    monkeypatch.setattr(ShowProgress, "on_train_start", take_away)
    with pytest.raises(DataError) as caught:
        train(experiment(data, num_workers=1), tmp_path / "exp")
    assert str(caught.value).startswith("damaged since it was indexed, as is all of the track")
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("or run the same command again to go on without it")


# Processes that die


def test_a_worker_of_a_training_that_is_killed_is_said_in_a_line(tmp_path, cache, monkeypatch):
    config = experiment(songs(tmp_path / "data"), num_workers=1, save_every=1)
    after = ShowProgress.on_train_batch_end

    def kill(self, trainer, *arguments):
        after(self, trainer, *arguments)
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, signal.SIGKILL)

    monkeypatch.setattr(ShowProgress, "on_train_batch_end", kill)
    with pytest.raises(DataError, match=r"a process that mixes was ended from outside.*fewer training\.num_workers"):
        train(config, tmp_path / "exp")
    monkeypatch.setattr(ShowProgress, "on_train_batch_end", after)
    assert train(config, tmp_path / "exp").exists()


@pytest.mark.slow  # every one starts new workers
def test_a_worker_that_renders_and_is_killed_is_said_in_a_line(tmp_path, monkeypatch):
    settings = RenderSettings(tracks=2, seed=1, sample_rate=RATE, duration=2.0)
    monkeypatch.setattr(rendering, "render_track", lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(DataError, match=r"a process that renders was ended from outside.*run the same command again"):
        render(tmp_path / "out", settings, jobs=2)
    monkeypatch.undo()
    assert sum(render(tmp_path / "out", settings, jobs=1).tracks.values()) == 2


def test_the_death_of_a_process_that_renders_is_no_traceback(tmp_path, monkeypatch):
    def die(*_, **__):
        raise joblib.externals.loky.process_executor.TerminatedWorkerError

    monkeypatch.setattr(rendering, "render_track", die)
    with pytest.raises(DataError, match="a process that renders was ended from outside"):
        render(tmp_path / "out", RenderSettings(tracks=1, seed=1, sample_rate=RATE, duration=2.0), jobs=1)


# Two at once


def test_a_folder_that_its_run_removes_at_its_end_is_made_again_by_the_next(tmp_path, monkeypatch):
    """As `evaluate` removes what it keeps between its chunks; the next run had opened it by then."""
    folder, flock, removed = tmp_path / "parts", fcntl.flock, []

    def late(handle, how):
        if not removed:
            removed.append(folder.rmdir())
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with lock_folder(folder):
        assert removed
        (folder / "here").touch()
        with pytest.raises(DataError, match="another run is writing into it"), lock_folder(folder):
            pass


def test_the_second_training_into_a_folder_is_refused_before_it_changes_anything(tmp_path, cache):
    config = experiment(songs(tmp_path / "data"))
    with lock_folder(tmp_path / "exp"):
        with pytest.raises(DataError, match="another run is writing into it"):
            train(config, tmp_path / "exp")
        assert not files(tmp_path / "exp")
    assert train(config, tmp_path / "exp").exists()
