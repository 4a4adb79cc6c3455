"""A training that is killed, wherever, goes on as if nothing had been: the same losses, to the last bit."""

import dataclasses
import itertools
import json
import multiprocessing
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

from hiersep import train
from hiersep.compat import pytorch_lightning as pl
from hiersep.config import (
    DataConfig,
    ExperimentConfig,
    NetworkConfig,
    QueryConfig,
    SeparatorConfig,
    SpectrumConfig,
    StageConfig,
    TrainingConfig,
    as_yaml,
)
from hiersep.data.catalog import open_dataset
from hiersep.errors import CheckpointError
from hiersep.files import TEMPORARY_PREFIX
from hiersep.hierarchy import Hierarchy
from hiersep.models.checkpoint import from_pretrained
from hiersep.training import callbacks, loop, state
from hiersep.training import experiment as experiment_folder
from hiersep.training.system import SeparationSystem

assert loop  # imported here, once for all the processes that are to be killed
FORK = multiprocessing.get_context("fork")
TOP, GUITAR, CLEAN = ["strings_guitars_keyboards", "guitar", "clean_guitars"]

# Each training has three epochs of five batches, of which the last is smaller, and saves its state every other step.
# All have dropout, and something else to forget.
TRAININGS = {
    "papers": {"patience": 0, "reload": True, "learning_rate": 3e-2},
    "two workers, averaged": {"num_workers": 2, "schedule": "cosine", "ema": 0.5, "accumulate": 2, "save_every": 1},
    "stages": {"stages": [StageConfig([TOP], 1), StageConfig([GUITAR, CLEAN], trunk=False)], "weight_decay": 0.1},
    "query": {"kind": "query"},
    "tree": {"kind": "tree", "silent_targets": "skip"},
    "early stop": {"early_stop": 2, "learning_rate": 0.1, "precision": "bf16", "max_epochs": 7},
}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    """Each start of a training lists what is installed, which takes as long as all the rest here."""
    monkeypatch.setattr(experiment_folder, "_environment", dict)


@pytest.fixture(scope="module")
def measured(rendered, tmp_path_factory):
    """The data, measured here: the pool that measures would keep a forked process from ending.

    Its songs to learn from are there to validate too, as a query comes from another song than the mixture.
    """
    folder = shutil.copytree(rendered, tmp_path_factory.mktemp("resume") / "data")
    for song in (folder / "train").iterdir():
        shutil.copytree(song, folder / "validation" / song.name.replace("Track0", "Track9"))
    open_dataset(folder, sample_rate=16000, jobs=1)
    return folder


def experiment(rendered, **training):
    settings = {
        "batch_size": 2,
        "max_epochs": 3,
        "num_workers": 0,
        "save_every": 2,
        "learning_rate": 1e-2,
        "tensorboard": False,
        **training,
    }
    kind = settings.pop("kind", "path")
    target = [TOP, GUITAR, CLEAN] if kind == "tree" else CLEAN
    return ExperimentConfig(
        data=DataConfig(folder=str(rendered), target=target, duration=0.5, num_train=9, num_validation=2),
        separator=SeparatorConfig(kind=kind),
        query=QueryConfig(hidden_size=4, num_layers=2, embedding_size=3),
        spectrum=SpectrumConfig(n_fft=256, hop_length=128),
        network=NetworkConfig(hidden_size=8, num_layers=2, dropout=0.3),
        training=TrainingConfig(device="cpu", clip_percentile=50, **settings),
    )


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def after(cls, method, number, do):
    """Do something after a method's so-manyth call in this process."""
    undisturbed, calls = getattr(cls, method), [0]

    def disturbed(self, *args, **kwargs):
        result = undisturbed(self, *args, **kwargs)
        calls[0] += 1
        if calls[0] == number:
            do(*args)
        return result

    setattr(cls, method, disturbed)


def leave_half(path):
    os.truncate(path, path.stat().st_size // 2)
    die()


# Where to kill: what is called, the so-manyth time, and what then happens.
DEATHS = {
    "in the first epoch, before any state": (callbacks.ShowProgress, "on_train_batch_end", 1, lambda *args: die()),
    "after the third batch": (callbacks.ShowProgress, "on_train_batch_end", 3, lambda *args: die()),
    "while a state is written": (pl.Trainer, "save_checkpoint", 2, leave_half),
    "in the validation": (SeparationSystem, "validation_step", 1, lambda *args: die()),
    "at the epoch's end, before the state": (callbacks.LearningCurve, "on_train_epoch_end", 1, lambda *args: die()),
    "at the epoch's end, after the state": (state.SaveState, "on_train_epoch_end", 1, lambda *args: die()),
}


def run(config, exp_dir, death=None):
    """Train in a process of its own; give its exit code and the batches that it came to, with their losses."""
    heard = exp_dir.parent / "heard.txt"
    heard.parent.mkdir(exist_ok=True)
    heard.write_text("")

    def work():
        if death is not None:
            after(*DEATHS[death])
        remember(heard)
        train(config, exp_dir)

    process = FORK.Process(target=work)
    process.start()
    process.join()
    return process.exitcode, dict(line.split(": ") for line in heard.read_text().splitlines())


def remember(path):
    """Write each batch's place, and loss and learning rate to the last bit, before anything else hears of it."""
    undisturbed = callbacks.ShowProgress.on_train_batch_end

    def write(self, trainer, module, outputs, batch, number):
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        with path.open("a") as file:
            file.write(f"{trainer.current_epoch}/{number}: {float(outputs['loss']).hex()} {float(rate).hex()}\n")
        undisturbed(self, trainer, module, outputs, batch, number)

    callbacks.ShowProgress.on_train_batch_end = write


def results(exp_dir):
    """What a training leaves behind, but for its duration."""
    summary = json.loads((exp_dir / "training.json").read_text())
    del summary["seconds"]
    return summary, (exp_dir / "metrics.csv").read_text(), (exp_dir / "best.safetensors").read_bytes()


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_killed_wherever_goes_on_as_if_nothing_had_been(name, measured, tmp_path):
    config = experiment(measured, **TRAININGS[name])
    code, undisturbed = run(config, tmp_path / "undisturbed" / "exp")
    assert code == 0
    assert len(undisturbed) >= 10
    exp_dir = tmp_path / "killed" / "exp"
    lived_through = {}
    *_, every_epoch = DEATHS
    for death in itertools.chain(DEATHS, ["after the third batch"], itertools.repeat(every_epoch)):
        code, heard = run(config, exp_dir, death)
        assert heard.items() <= undisturbed.items(), death
        lived_through |= heard
        if code == 0:  # the training was over when it was to be killed
            break
        assert code == -signal.SIGKILL, death
    assert death == every_epoch
    assert lived_through == undisturbed
    assert results(exp_dir) == results(tmp_path / "undisturbed" / "exp")


# What is saved, and when


def test_a_state_is_saved_every_so_many_steps_and_at_the_end_of_every_epoch(measured, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(state.SaveState, "_save", lambda self, trainer: saved.append(trainer.global_step))
    train(experiment(measured, save_every=3, max_epochs=2), tmp_path / "exp")
    assert saved == [3, 5, 6, 9, 10]  # five steps an epoch
    saved.clear()
    train(experiment(measured, save_every=1, accumulate=2, max_epochs=1), tmp_path / "accumulated")
    assert saved == [1, 2, 3]  # three steps of two, two, and one batch


def test_what_is_shared_and_what_is_gone_on_from_are_different_files(measured, tmp_path):
    config = experiment(measured, max_epochs=1, ema=0.9)
    best = train(config, tmp_path / "exp")
    kept = torch.load(tmp_path / "exp" / "last.ckpt", weights_only=True)  # and it can be read so
    assert {"optimizer_states", "callbacks", "loops", "state_dict"} <= kept.keys()
    assert set(from_pretrained(best).state_dict()) == {
        name.removeprefix("model.") for name in kept["state_dict"] if name.startswith("model.")
    }


@pytest.mark.parametrize("change", [{"hiersep": 1}, {"hiersep": 99}, {"hiersep": None}])
def test_a_state_of_another_version_is_refused_in_one_line(change, measured, tmp_path):
    config = experiment(measured, max_epochs=1)
    train(config, tmp_path / "exp")
    (tmp_path / "exp" / "training.json").unlink()
    path = tmp_path / "exp" / "last.ckpt"
    content = {**torch.load(path, weights_only=True), **change}
    if content["hiersep"] is None:  # as hiersep 0.1 wrote it
        del content["hiersep"]
    torch.save(content, path)
    with pytest.raises(
        CheckpointError, match=r"last\.ckpt: expected a training state of format 3, got .*delete"
    ) as error:
        train(config, tmp_path / "exp")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("part", ["state_dict", "loops", "optimizer_states", "network"])
def test_a_state_of_which_half_is_missing_is_refused_in_one_line(part, begun):
    config, exp_dir = begun
    content = torch.load(exp_dir / "last.ckpt", weights_only=True)
    del content[part]
    torch.save(content, exp_dir / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"last\.ckpt: expected a training state.*delete it") as error:
        train(config, exp_dir)
    assert "\n" not in str(error.value)


def test_a_hierarchy_that_was_changed_since_is_another_network(measured, tmp_path):
    """Two siblings that change places would else go on in each other's rows."""
    hierarchy = Hierarchy.load("slakh_ismir2020").to_dict()
    (tmp_path / "mine.json").write_text(json.dumps(hierarchy))
    config = experiment(measured, max_epochs=1)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, hierarchy=str(tmp_path / "mine.json")))
    train(config, tmp_path / "exp")
    (tmp_path / "exp" / "training.json").unlink()
    top = hierarchy["tree"]["mixture"]
    changed = {**hierarchy, "tree": {"mixture": dict(reversed(top.items()))}}
    (tmp_path / "mine.json").write_text(json.dumps(changed))
    with pytest.raises(CheckpointError, match=r"last\.ckpt: expected the state of the network .* restore it"):
        train(config, tmp_path / "exp")
    (tmp_path / "mine.json").write_text(json.dumps(hierarchy))
    train(config, tmp_path / "exp")


def test_time_and_places_of_all_sessions_are_told(begun, monkeypatch):
    config, exp_dir = begun
    content = torch.load(exp_dir / "last.ckpt", weights_only=True)
    torch.save({**content, "seconds": 3600.0}, exp_dir / "last.ckpt")
    monkeypatch.setattr(experiment_folder, "_environment", lambda: {"machine": "another"})
    train(config, exp_dir)
    assert 3600 < json.loads((exp_dir / "training.json").read_text())["seconds"] < 3700
    assert json.loads((exp_dir / "environment.json").read_text()) == {"resumed": [{"machine": "another"}]}


def test_a_state_is_written_beside_its_place_and_not_where_the_system_keeps_temporary_files(
    measured, tmp_path, monkeypatch
):
    """There it might not fit; and what a kill leaves there nobody removes."""
    monkeypatch.setattr(tempfile, "mkstemp", lambda *a, **k: pytest.fail("a file elsewhere"))
    train(experiment(measured, max_epochs=1), tmp_path / "exp")
    assert (tmp_path / "exp" / "last.ckpt").is_file()


# A command that is killed after its third batch; in a process of its own, as a fork of a fork cannot start workers.
KILLED = """
import os, signal
from hiersep.cli import main
from hiersep.training.callbacks import ShowProgress

def die(self, trainer, *rest):
    if trainer.global_step == 3:
        os.kill(os.getpid(), signal.SIGKILL)

ShowProgress.on_train_batch_end = die
main()
"""


@pytest.mark.slow
def test_what_the_workers_of_a_killed_training_left_among_the_temporary_files_is_removed(measured, tmp_path):
    with tempfile.TemporaryDirectory() as short:  # the path of a socket has 108 characters at most
        _kill_and_go_on(measured, tmp_path, Path(short))


def _kill_and_go_on(measured, tmp_path, temporary):
    (tmp_path / "conf.yml").write_text(as_yaml(experiment(measured, max_epochs=1, num_workers=1)))
    words = ["train", str(tmp_path / "conf.yml"), "--exp-dir", str(tmp_path / "exp")]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    killed = subprocess.run([sys.executable, "-c", KILLED, *words], env=environment, check=False, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    assert list(temporary.rglob("listener-*"))
    subprocess.run([sys.executable, "-m", "hiersep", *words], env=environment, check=True, timeout=300)
    assert not list(temporary.iterdir())


def test_what_a_training_left_that_was_killed_at_its_very_end_is_removed(begun):
    config, exp_dir = begun
    train(config, exp_dir)
    (exp_dir / f"{TEMPORARY_PREFIX}abc").mkdir()
    train(config, exp_dir)
    assert not list(exp_dir.glob(f"{TEMPORARY_PREFIX}*"))


def test_what_a_killed_training_had_begun_to_write_is_removed(begun):
    config, exp_dir = begun
    (exp_dir / f"{TEMPORARY_PREFIX}abc").mkdir()
    (exp_dir / f"{TEMPORARY_PREFIX}abc" / "last.ckpt").touch()
    train(config, exp_dir)
    assert not list(exp_dir.glob(f"{TEMPORARY_PREFIX}*"))


@pytest.fixture
def begun(measured, tmp_path):
    """A training, one of two epochs done."""
    config = experiment(measured, max_epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks.LearningCurve, "on_train_epoch_end", callbacks.LearningCurve.on_train_epoch_end)
        patch.setattr(state.SaveState, "on_train_epoch_end", state.SaveState.on_train_epoch_end)  # to be put back
        after(state.SaveState, "on_train_epoch_end", 1, _interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "exp")
    return config, tmp_path / "exp"


def _interrupt(*args):
    raise KeyboardInterrupt


# Ctrl-C


@pytest.fixture
def _default_signals():
    """A shell's background job ignores Ctrl-C, and so do its children."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("_default_signals")
@pytest.mark.parametrize("moment", ["in a step", "in the validation"])
def test_ctrl_c_ends_the_step_or_the_validation_and_saves(moment, measured, tmp_path, monkeypatch):
    config = experiment(measured, save_every=1000)
    train(config, tmp_path / "undisturbed" / "exp")
    exp_dir = tmp_path / "interrupted" / "exp"
    method = {"in a step": "training_step", "in the validation": "validation_step"}[moment]
    number = {"in a step": 7, "in the validation": 2}[moment]  # both in the second epoch
    with monkeypatch.context() as patch:
        patch.setattr(SeparationSystem, method, getattr(SeparationSystem, method))  # to be put back
        after(SeparationSystem, method, number, lambda *args: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            train(config, exp_dir)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    steps = torch.load(exp_dir / "last.ckpt", weights_only=True)["global_step"]
    assert steps == {"in a step": 7, "in the validation": 10}[moment]
    assert not (exp_dir / "training.json").exists()
    train(config, exp_dir)
    assert results(exp_dir) == results(tmp_path / "undisturbed" / "exp")


def test_sigterm_by_which_clusters_end_a_job_saves_too(measured, tmp_path, monkeypatch):
    config = experiment(measured, save_every=1000)
    monkeypatch.setattr(SeparationSystem, "training_step", SeparationSystem.training_step)  # to be put back
    after(SeparationSystem, "training_step", 7, lambda *args: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "exp")
    assert torch.load(tmp_path / "exp" / "last.ckpt", weights_only=True)["global_step"] == 7


@pytest.mark.usefixtures("_default_signals")
def test_a_second_ctrl_c_stops_at_once(measured, tmp_path, monkeypatch):
    def twice(*args):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(SeparationSystem, "training_step", SeparationSystem.training_step)  # to be put back
    after(SeparationSystem, "training_step", 2, twice)
    with pytest.raises(KeyboardInterrupt):
        train(experiment(measured), tmp_path / "exp")
    assert not (tmp_path / "exp" / "last.ckpt").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_a_terminal_saves_and_says_how_to_go_on(measured, tmp_path):
    """The command itself, with workers, which a terminal's Ctrl-C reaches too."""
    config = experiment(measured, num_workers=2, save_every=1, max_epochs=1000, schedule="cosine")
    (tmp_path / "my conf.yml").write_text(as_yaml(config))
    words = ["train", "my conf.yml", "--exp-dir", "exp", "--training.seed", "3"]
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    script += "from hiersep.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, *words],
        cwd=tmp_path, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (tmp_path / "exp" / "last.ckpt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    *_, saving, line = error.splitlines()
    assert saving.startswith("Saving the state")
    assert line.startswith("hiersep: error: interrupted; ")
    assert shlex.split(line.partition("step: ")[2]) == ["hiersep", *words]
    assert "Traceback" not in error
