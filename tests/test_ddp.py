"""Training spread over processes: the gradient of the joint batch, the curve of one process, each file written once."""

import csv
import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn import functional

from hiersep import PathSeparator, QuerySeparator, TreeSeparator, train
from hiersep.config import DataConfig, ExperimentConfig, NetworkConfig, SpectrumConfig, TrainingConfig, as_yaml
from hiersep.errors import ConfigError
from hiersep.losses import negative_snr, phase_sensitive_l1
from hiersep.models.checkpoint import from_pretrained
from hiersep.training import experiment, trainer
from hiersep.training.callbacks import ShowProgress
from hiersep.training.data import make_dataset, make_loader, make_validation_loader
from hiersep.training.processes import Share, check_started, is_first
from hiersep.training.state import Interruption
from hiersep.training.system import SeparationSystem

PROCESSES = 2
PLAIN_NORM = nn.BatchNorm1d.forward


def by_its_statistics(self, features):
    """Normalise in training as when separating."""
    return functional.batch_norm(
        features, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
    )


def freeze_statistics():
    """Freeze batch normalisation: on a CPU no process sees all of a batch. The processes that do so end with a test."""
    nn.BatchNorm1d.forward = by_its_statistics


@pytest.fixture
def _frozen_statistics():
    freeze_statistics()
    yield
    nn.BatchNorm1d.forward = PLAIN_NORM


# The gradient


class Step(nn.Module):
    """The loss of a step, as DistributedDataParallel wants to call it."""

    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(0)
        network = {"hidden_size": 6, "num_layers": 2, "dropout": 0.0}
        options = {"spectrum": {"n_fft": 128, "hop_length": 64}, "network": network}
        if kind == "path":
            model = PathSeparator("slakh_ismir2020", ["guitar", "clean_guitars"], **options)
        elif kind == "query":
            model = QuerySeparator("slakh34", query={**network, "embedding_size": 3}, **options)
        else:
            model = TreeSeparator("musdb18", **options)
        optimizer = torch.optim.Adam(model.parameters())
        loss = negative_snr if kind == "tree" else phase_sensitive_l1
        self.system = SeparationSystem(model=model, optimizer=optimizer, loss_func=loss, train_loader=None)

    def forward(self, batch):
        return self.system.common_step(batch, 0)

    def batch(self):
        """Eight items; a node each is known in one process only, in all but one item, and nowhere."""
        generator = torch.Generator().manual_seed(588)
        count = len(self.system.model.nodes)
        sources = torch.randn(8, count, 1, 2000, generator=generator)
        known = torch.ones(8, count, dtype=torch.bool)
        known[1::PROCESSES, 0] = False
        known[2, 1] = False
        known[:, 2:3] = False
        query = torch.randn(8, 1, 1000, generator=generator)
        return {"mix": sources.sum(dim=1), "sources": sources, "known": known, "query": query}


def compare_gradients(rank, meeting_point, kinds, frozen):
    """Compare this process's averaged gradients, and the mean of the losses, with those of the whole batch."""
    torch.set_num_threads(1)
    if frozen:
        freeze_statistics()
    whole = {kind: Step(kind).train() for kind in kinds}
    expected = {}
    for kind, step in whole.items():
        expected[kind] = step(step.batch())
        expected[kind].backward()
    distributed.init_process_group("gloo", init_method=meeting_point, rank=rank, world_size=PROCESSES)
    try:
        for kind, step in whole.items():
            spread = nn.parallel.DistributedDataParallel(Step(kind).train())  # would complain of unused parameters
            loss = spread({name: tensor[rank::PROCESSES] for name, tensor in step.batch().items()})
            loss.backward()
            for (name, found), wanted in zip(spread.module.named_parameters(), step.parameters(), strict=True):
                difference = (found.grad - wanted.grad).abs().max() / wanted.grad.abs().max()
                assert difference < 1e-5, (kind, name, difference)
            mean = loss.detach() / PROCESSES
            distributed.all_reduce(mean)
            torch.testing.assert_close(mean, expected[kind].detach(), rtol=1e-5, atol=1e-7)
    finally:
        distributed.destroy_process_group()
    # DistributedDataParallel keeps threads of gloo alive; one that lets a tensor go while the interpreter ends aborts
    # the process: end without that.
    os._exit(0)


def spawn(function, *arguments):
    multiprocessing.spawn(function, arguments, nprocs=PROCESSES)


def test_two_processes_make_the_gradient_of_the_joint_batch_in_every_kind_of_network(tmp_path):
    spawn(compare_gradients, f"file://{tmp_path}/meeting", ["path", "query", "tree"], True)


@pytest.mark.slow
def test_processes_that_normalise_each_its_own_share_make_another_gradient(tmp_path):
    with pytest.raises(multiprocessing.ProcessRaisedException, match="AssertionError"):
        spawn(compare_gradients, f"file://{tmp_path}/meeting", ["path"], False)


# A whole training


@pytest.fixture
def config(rendered):
    """Three steps an epoch, labels missing in some; five clips of validation, which two processes cannot halve."""
    return ExperimentConfig(
        data=DataConfig(
            folder=str(rendered), duration=1.0, num_train=12, num_validation=5, remove="leaf", remove_fraction=0.5
        ),
        spectrum=SpectrumConfig(n_fft=256, hop_length=128),
        network=NetworkConfig(hidden_size=8, num_layers=2, dropout=0.0),
        training=TrainingConfig(
            batch_size=4, max_epochs=2, num_workers=0, device="cpu", learning_rate=1e-2, patience=0, clip_percentile=50
        ),
    )


def with_training(config, **changes):
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **changes))


def launch_as_torchrun_would(rank, port):
    launched = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": PROCESSES, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in launched.items()})
    os.environ.update(LOCAL_WORLD_SIZE=str(PROCESSES), MASTER_ADDR="127.0.0.1", TORCHELASTIC_RUN_ID="test")
    torch.set_num_threads(1)
    freeze_statistics()


def train_together(rank, port, config, exp_dir):
    launch_as_torchrun_would(rank, port)
    train(config, exp_dir)


def be_interrupted(rank, port, config, exp_dir):
    """Press Ctrl-C in the first process, in the midst of the second epoch; the other one must stop with it."""
    launch_as_torchrun_would(rank, port)
    undisturbed = ShowProgress.on_train_batch_end

    def press(self, trainer, module, outputs, batch, batch_idx):
        undisturbed(self, trainer, module, outputs, batch, batch_idx)
        Interruption.wanted = rank == 0 and trainer.current_epoch == 1

    ShowProgress.on_train_batch_end = press
    with pytest.raises(KeyboardInterrupt):
        train(config, exp_dir)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def curve(exp_dir):
    with (exp_dir / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def check_same_curve(alone, together):
    first, second = curve(alone), curve(together)
    assert len(first) == len(second) == 2
    for one, two in zip(first, second, strict=True):
        assert list(one) == list(two)
        # Scores in dB are rounded less finely than losses.
        wanted = {name: pytest.approx(float(v), rel=1e-5, abs=1e-3 * ("si_sdr" in name)) for name, v in one.items()}
        assert {name: float(v) for name, v in two.items()} == wanted


@pytest.mark.usefixtures("_frozen_statistics")
def test_two_processes_train_as_one_does_and_write_each_file_once(config, tmp_path):
    items = make_dataset(config, "train", 12)
    known = torch.stack([items[index]["known"] for index in range(12)])
    assert 0 < known[:, -1].sum() < 12
    alone, together = tmp_path / "alone", tmp_path / "together"
    train(config, alone)
    spawn(train_together, free_port(), with_training(config, devices=PROCESSES), together)
    check_same_curve(alone, together)
    weights, others = (from_pretrained(d / "best.safetensors").state_dict() for d in (alone, together))
    for name, weight in weights.items():
        torch.testing.assert_close(others[name], weight, rtol=1e-5, atol=1e-5)
    assert {path.name for path in alone.iterdir()} == {path.name for path in together.iterdir()}
    assert len(list((together / "tensorboard").iterdir())) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("_frozen_statistics")
def test_two_processes_stop_together_and_go_on_as_if_nothing_had_happened(config, tmp_path):
    spread = with_training(config, devices=PROCESSES)
    train(config, tmp_path / "alone")
    spawn(be_interrupted, free_port(), spread, tmp_path / "together")
    assert len(curve(tmp_path / "together")) == 1
    spawn(train_together, free_port(), spread, tmp_path / "together")
    check_same_curve(tmp_path / "alone", tmp_path / "together")


TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(PROCESSES), "--no-python"]
# What srun would say to the processes that it starts.
SLURM = {"SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "train", "SLURM_NODELIST": "127.0.0.1", "SLURM_NODEID": "0"}
SLURM |= {"SLURM_NTASKS": str(PROCESSES), "SLURM_NTASKS_PER_NODE": str(PROCESSES), "MASTER_ADDR": "127.0.0.1"}
LAUNCHES = {
    "lightning": [({}, [])],
    "torchrun": [({}, TORCHRUN)],
    "srun": [({**SLURM, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}, []) for rank in range(PROCESSES)],
}


@pytest.mark.slow
@pytest.mark.parametrize("launch", LAUNCHES)
def test_the_command_trains_in_two_processes(config, tmp_path, launch):
    (tmp_path / "my.yml").write_text(as_yaml(with_training(config, max_epochs=1)), encoding="utf-8")
    hiersep = str(Path(sys.executable).with_name("hiersep"))
    command = [hiersep, "train", "my.yml", "--exp-dir", "exp", "--training.devices", str(PROCESSES)]
    for _ in range(2):  # the second time there is nothing to do
        started = [
            subprocess.Popen(
                [*prefix, *command], cwd=tmp_path, env={**os.environ, **environment}, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for environment, prefix in LAUNCHES[launch]
        ]  # fmt: skip
        said = [process.communicate() for process in started]
        assert [process.returncode for process in started] == [0] * len(started), said
        assert "".join(out for out, _ in said).count("Trained:") == 1
    assert [row["steps"] for row in curve(tmp_path / "exp")] == ["3"]
    assert from_pretrained(tmp_path / "exp" / "best.safetensors").nodes


# What each process takes


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_each_process_takes_its_share_of_every_batch(processes):
    joint = [list(range(0, 6)), list(range(6, 12)), list(range(12, 15))]
    for rank in range(processes):
        loader = make_loader(range(15), 6, 0, Share(rank, processes))
        assert [batch.tolist() for batch in loader] == [batch[rank::processes] for batch in joint]
        loader.load_state_dict({"taken": 2})
        assert [batch.tolist() for batch in loader] == [joint[2][rank::processes]]


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
@pytest.mark.parametrize("items", [4, 5, 9, 12, 13])
def test_processes_validate_every_item_once_in_equally_many_batches(processes, items):
    loaders = [make_validation_loader(range(items), 4, Share(rank, processes)) for rank in range(processes)]
    batches = [[batch.tolist() for batch in loader] for loader in loaders]
    assert len({len(own) for own in batches}) == 1
    assert sorted(item for own in batches for batch in own for item in batch) == list(range(items))
    # One more only where the others would have none.
    assert max(len(batch) for own in batches for batch in own) <= 4 // processes + (items % processes > 0)


# What is refused


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"devices": 3}, "batch_size"), ({"devices": 2, "nodes": 4}, "batch_size"), ({"batch_size": 5}, "num_train")],
)
def test_sizes_that_processes_cannot_share_are_contradictions(config, changes, name):
    with pytest.raises(ConfigError, match=rf"{name}: expected a multiple of the \d+ processes"):
        with_training(config, **{"devices": 5, **changes} if name == "num_train" else changes)


def test_sizes_are_checked_where_the_devices_are_counted_late(config):
    automatic = with_training(config, devices="auto")
    automatic.check_shares(4)
    with pytest.raises(ConfigError, match=r"training\.batch_size: expected a multiple of the 8 processes"):
        automatic.check_shares(8)


def test_fewer_clips_than_processes_are_refused():
    with pytest.raises(ConfigError, match=r"data\.num_validation: expected clips for each of 3 processes, got 2"):
        make_validation_loader(range(2), 6, Share(0, 3))


def test_a_training_by_another_number_than_torchrun_started_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")  # Lightning leaves it behind where it starts processes itself
    check_started(1)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "some")
    check_started(2)
    with pytest.raises(ConfigError, match="expected the 2 processes that torchrun started, got 1"):
        check_started(1)


def test_a_device_that_is_not_there_is_a_mistake_in_the_configuration(config, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("a GPU is there")
    with pytest.raises(ConfigError, match=r"training\.device.*got gpu"):
        train(with_training(config, device="gpu"), tmp_path)


def test_slurm_is_not_asked_to_start_a_job_again(config, monkeypatch):
    """Lightning would then write a state of its own, and read it in place of ours."""
    for name, value in {
        "NTASKS": 1,
        "JOB_ID": 1,
        "JOB_NAME": "training",
        "PROCID": 0,
        "LOCALID": 0,
        "NODEID": 0,
    }.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    environment = trainer.make_trainer(config.training, logger=False)._accelerator_connector.cluster_environment
    assert type(environment).__name__ == "SLURMEnvironment"
    assert not environment.auto_requeue


# Which process writes


@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False),  # torchrun, first of the second machine
        ({"LOCAL_RANK": "1"}, False),  # Lightning
        ({"LOCAL_RANK": "1", "SLURM_PROCID": "0"}, False),  # Lightning, within SLURM
        ({"NODE_RANK": "1"}, False),  # Lightning, before it starts others on the second machine
        ({"SLURM_PROCID": "3"}, False),
        ({"SLURM_PROCID": "0", "RANK": "1"}, False),  # torchrun, within SLURM
    ],
)
def test_one_process_is_the_first(monkeypatch, environment, first):
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_first(TrainingConfig(devices=5)) is first
    assert is_first(TrainingConfig())  # one of several trainings that SLURM started: each writes its own


def test_other_processes_wait_for_the_first_and_write_nothing(config, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(experiment, "_PATIENCE_S", 0.3)
    spread = with_training(config, devices=PROCESSES)
    with pytest.raises(ConfigError, match="expected the first process to begin the training here"):
        train(spread, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "over").mkdir()
    for name in ("best.safetensors", "training.json"):
        (tmp_path / "over" / name).touch()
    (tmp_path / "over" / "conf.yml").write_text(as_yaml(config), encoding="utf-8")
    with pytest.raises(ConfigError, match="expected the first process"):  # another training, which it may overwrite
        train(spread, tmp_path / "over", overwrite=True)
    (tmp_path / "over" / "conf.yml").write_text(as_yaml(spread), encoding="utf-8")
    assert train(spread, tmp_path / "over") == tmp_path / "over" / "best.safetensors"
    assert np.all([path.stat().st_size == 0 for path in (tmp_path / "over").glob("[bt]*")])
