"""Training: clipping, means, loaders, and experiments that can be repeated."""

import csv
import dataclasses
import json
import pickle
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import noise, tone
from torch import nn

from hiersep import train
from hiersep.compat import pytorch_lightning as pl
from hiersep.config import (
    DataConfig,
    ExperimentConfig,
    NetworkConfig,
    SpectrumConfig,
    StageConfig,
    TrainingConfig,
    load_experiment,
)
from hiersep.data.dataset import HierarchicalMixtureDataset
from hiersep.errors import CheckpointError, ConfigError, DataError, HiersepError
from hiersep.files import lock_folder
from hiersep.losses import LOSSES, negative_snr
from hiersep.metrics import si_sdr
from hiersep.models.checkpoint import describe, from_pretrained
from hiersep.models.path import PathSeparator
from hiersep.training.callbacks import KeepBest
from hiersep.training.clip import AutoClip
from hiersep.training.data import EpochLoader, EpochSampler, make_loader
from hiersep.training.means import NodeMeans
from hiersep.training.system import SeparationSystem

NODES = ["strings_guitars_keyboards", "guitar", "clean_guitars"]
CURVE = [
    "epoch", "steps", "learning_rate", "loss", "val_loss",
    *(f"{name}/{node}" for name in ("loss", "val_loss", "val_si_sdri") for node in NODES),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def config(rendered):
    """Two epochs of two steps; dropout and a varying learning rate, so that resuming has something to forget."""
    return ExperimentConfig(
        data=DataConfig(folder=str(rendered), duration=1.0, num_train=4, num_validation=2),
        spectrum=SpectrumConfig(n_fft=256, hop_length=128),
        network=NetworkConfig(hidden_size=8, num_layers=2, dropout=0.3),
        training=TrainingConfig(
            batch_size=2, max_epochs=2, num_workers=0, device="cpu", learning_rate=1e-2, patience=0, clip_percentile=50
        ),
    )


def with_training(config, **changes):
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **changes))


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    exp_dir = tmp_path_factory.mktemp("exp") / "tiny"
    best = train(config, exp_dir)
    assert best == exp_dir / "best.safetensors"
    return exp_dir


def curve(exp_dir):
    with (exp_dir / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# AutoClip


class Weight(nn.Module):
    def __init__(self, *gradient):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(len(gradient)))
        self.unused = nn.Parameter(torch.zeros(1))
        self.weight.grad = torch.tensor(gradient, dtype=torch.float32)


@pytest.mark.parametrize("percentile", [10.0, 50.0, 100.0])
def test_autoclip_clips_at_the_percentile_of_all_norms_so_far(rng, percentile):
    clip, seen = AutoClip(percentile), []
    for norm in rng.uniform(0.1, 10, 20):
        module = Weight(0.6 * norm, 0.8 * norm)
        clip.on_before_optimizer_step(None, module, None)
        seen.append(norm)
        expected = min(norm, np.percentile(seen, percentile))
        assert module.weight.grad.norm().item() == pytest.approx(expected, rel=1e-4)
        assert (module.weight.grad[0] / module.weight.grad[1]).item() == pytest.approx(0.75)
    assert clip.history == pytest.approx(seen)


def test_autoclip_goes_on_with_the_history_of_an_earlier_run():
    first, second = AutoClip(), AutoClip()
    for norm in (1.0, 2.0, 3.0):
        first.on_before_optimizer_step(None, Weight(norm), None)
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    module = Weight(4.0)
    second.on_before_optimizer_step(None, module, None)
    assert module.weight.grad.item() == pytest.approx(np.percentile([1, 2, 3, 4], 10))


@pytest.mark.parametrize("broken", [np.inf, np.nan])
def test_a_broken_gradient_moves_nothing_and_is_not_remembered(broken):
    module, clip = Weight(1.0, broken), AutoClip()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    clip.on_before_optimizer_step(None, module, optimizer)
    optimizer.step()
    assert module.weight.tolist() == [0, 0]
    assert clip.history == []


# Keeping the best


def test_the_best_network_is_kept_even_after_a_loss_that_is_no_number(tmp_path):
    network = PathSeparator("slakh_ismir2020", NODES, network={"hidden_size": 1, "num_layers": 1})
    keep, module = KeepBest(tmp_path / "best.safetensors", {"data": "here"}), SimpleNamespace(kept=network)
    for epoch, loss in enumerate([float("nan"), 3.0, 2.0, float("nan"), 2.5]):
        metrics = {"val_loss": torch.tensor(loss)}
        trainer = SimpleNamespace(
            sanity_checking=False, callback_metrics=metrics, current_epoch=epoch, global_step=10 * epoch,
            is_global_zero=True,
        )  # fmt: skip
        keep.on_validation_end(trainer, module)
    assert keep.best == 2.0
    made = describe(tmp_path / "best.safetensors")["provenance"]
    assert (made["epoch"], made["steps"], made["validation_loss"], made["data"]) == (2, 20, 2.0, "here")


# Loaders


class Listening(pl.LightningModule):
    """Learns nothing; remembers what came in each epoch."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.heard = {}

    def training_step(self, batch, index):
        self.heard.setdefault(self.current_epoch, []).append(batch["mix"].clone())
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def listen(dataset, num_workers):
    module = Listening()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=3, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, make_loader(dataset, 2, num_workers))
    return [torch.cat(module.heard[epoch]) for epoch in range(3)]


def training_set(rendered):
    return HierarchicalMixtureDataset(
        rendered, "slakh_ismir2020", split="train", target="clean_guitars", num_mixtures=4, duration=0.5, seed=3
    )


def test_every_epoch_draws_other_clips_with_any_number_of_workers(rendered):
    expected = []
    for epoch in range(3):
        dataset = training_set(rendered)
        dataset.set_epoch(epoch)
        expected.append(torch.stack([dataset[index]["mix"] for index in range(4)]))
    assert not torch.equal(expected[0], expected[1])
    assert not torch.equal(expected[1], expected[2])
    for num_workers in (0, 1):
        for heard, drawn in zip(listen(training_set(rendered), num_workers), expected, strict=True):
            torch.testing.assert_close(heard, drawn, atol=0, rtol=0)


def test_the_loader_yields_every_item_once_in_order(rendered):
    dataset = training_set(rendered)
    loader = make_loader(dataset, 3, 0)
    assert isinstance(loader, EpochLoader)
    assert isinstance(loader.sampler, EpochSampler)
    assert [len(batch["mix"]) for batch in loader] == [3, 1]
    torch.testing.assert_close(
        torch.cat([batch["sources"] for batch in loader]), torch.stack([dataset[i]["sources"] for i in range(4)])
    )


# A step


@pytest.mark.adapters
@pytest.mark.parametrize("train_step", [True, False])
def test_a_step_of_asteroids_system_leaves_out_what_is_not_known(train_step, monkeypatch):
    torch.manual_seed(0)
    model = PathSeparator("slakh_ismir2020", NODES, network={"hidden_size": 2, "num_layers": 1}).eval()
    system = SeparationSystem(model, torch.optim.SGD(model.parameters(), lr=1), negative_snr, [])
    logged = {}
    monkeypatch.setattr(system, "log", lambda name, value, **options: logged.update({name: value.item()}))
    sources = torch.from_numpy(np.stack([noise(0.1, seed=seed) for seed in range(6)])).float().view(2, 3, 1, -1)
    batch = {"mix": sources.sum(1), "sources": sources, "known": torch.tensor([[True, True, False], [True] * 3])}
    values = negative_snr(model.separate_batch(batch["mix"]), sources)
    expected = [values[:, 0].mean().item(), values[:, 1].mean().item(), values[1, 2].item()]
    assert system.common_step(batch, 0, train=train_step).item() == pytest.approx(np.mean(expected), abs=1e-5)
    system.on_validation_epoch_end()
    name = "loss" if train_step else "val_loss"
    assert [logged[f"{name}/{node}"] for node in NODES] == pytest.approx(expected, abs=1e-5)
    assert logged[name] == pytest.approx(np.mean(expected), abs=1e-5)


def test_silent_targets_may_be_skipped(monkeypatch):
    """Also by the epoch's means; a node is silent 60 dB under the mixture. Where all are silent nothing is learned."""
    torch.manual_seed(0)
    model = PathSeparator("slakh_ismir2020", NODES, network={"hidden_size": 2, "num_layers": 1}).eval()
    system = SeparationSystem(model, torch.optim.SGD(model.parameters(), lr=1), negative_snr, [], skip_silent=True)
    logged = {}
    monkeypatch.setattr(system, "log", lambda name, value, **options: logged.update({name: value.item()}))
    sources = torch.from_numpy(np.stack([noise(0.1, seed=seed) for seed in range(6)])).float().view(2, 3, 1, -1)
    mixture = sources.sum(1)
    sources[0, 1] *= 1e-4
    sources[1, 2] *= 1e-2
    sources[:, 0] = 0
    values = negative_snr(model.separate_batch(mixture), sources)
    expected = [0.0, values[1, 1].item(), values[:, 2].mean().item()]
    batch = {"mix": mixture, "sources": sources, "known": torch.ones(2, 3, dtype=torch.bool)}
    assert system.common_step(batch, 0).item() == pytest.approx(sum(expected) / 3, abs=1e-5)
    system.on_validation_epoch_end()
    assert [logged[f"loss/{node}"] for node in NODES[1:]] == pytest.approx(expected[1:], abs=1e-5)
    batch["sources"] = torch.zeros_like(sources)
    assert system.common_step(batch, 0).item() == 0


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_what_is_not_known_may_be_anything(loss):
    """A loss that is not finite has no finite gradient, even where it is left out."""
    torch.manual_seed(0)
    model = PathSeparator("slakh_ismir2020", NODES, network={"hidden_size": 2, "num_layers": 1})
    system = SeparationSystem(model, torch.optim.SGD(model.parameters(), lr=1), loss, [])
    sources = torch.from_numpy(np.stack([noise(0.1, seed=seed) for seed in range(6)])).float().view(2, 3, 1, -1)
    batch = {
        "mix": sources.sum(1),
        "sources": sources.clone(),
        "known": torch.tensor([[True, True, False], [True] * 3]),
    }
    batch["sources"][0, 2] = torch.nan
    system.common_step(batch, 0).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_the_means_of_an_epoch_are_over_items_however_they_fall_into_batches(rng, monkeypatch):
    """Batches of three sizes that know the nodes unequally often: a mean of their means would be another one."""
    torch.manual_seed(0)
    model = PathSeparator("slakh_ismir2020", NODES, network={"hidden_size": 2, "num_layers": 1}).eval()
    system = SeparationSystem(model, torch.optim.SGD(model.parameters(), lr=1), negative_snr, [])
    logged = {}
    monkeypatch.setattr(system, "log", lambda name, value, **options: logged.update({name: value.item()}))
    sources = (
        torch.from_numpy(rng.standard_normal((6, 3, 1, 1600))).float() * torch.tensor([0.3, 0.2, 0.1])[:, None, None]
    )
    sources[4, 2] = 0  # has no SI-SDR
    known = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 0], [1, 0, 1], [1, 1, 1]], dtype=torch.bool)
    mixture = sources.sum(1)
    for items in (slice(3), slice(3, 5), slice(5, 6)):
        system.validation_step({"mix": mixture[items], "sources": sources[items], "known": known[items]}, 0)
    system.on_validation_epoch_end()
    separation = model.separate_batch(mixture)
    losses = negative_snr(separation, sources)
    gains = si_sdr(separation.waveforms(), sources) - si_sdr(mixture[:, None].expand_as(sources), sources)
    expected = [losses[known[:, node], node].mean().item() for node in range(3)]
    assert [logged[f"val_loss/{node}"] for node in NODES] == pytest.approx(expected, abs=1e-4)
    assert logged["val_loss"] == pytest.approx(np.mean(expected), abs=1e-4)
    known[4, 2] = False
    expected = [gains[known[:, node], node].mean().item() for node in range(3)]
    assert [logged[f"val_si_sdri/{node}"] for node in NODES] == pytest.approx(expected, abs=1e-4)


def test_a_node_that_is_known_nowhere_has_no_loss_and_one_that_is_broken_spoils_the_mean():
    means = NodeMeans(3)
    means.add(torch.tensor([[1.0, 5.0, 7.0], [3.0, 5.0, 9.0]]), torch.tensor([[True, False, True]] * 2))
    per_node, mean = means.means([0, 1, 2])
    assert per_node.tolist() == [2, pytest.approx(np.nan, nan_ok=True), 8]
    assert mean == 5
    means.add(torch.tensor([[torch.nan, 5.0, 7.0]]), torch.tensor([[True, False, True]]))
    assert means.means([0, 1, 2])[1].isnan()


# Experiments


def test_an_experiments_folder_holds_what_is_needed_to_judge_and_repeat_it(config, trained):
    names = {path.name for path in trained.iterdir()}
    assert names == {
        "conf.yml", "environment.json", "best.safetensors", "last.ckpt", "metrics.csv", "training.json", "tensorboard"
    }  # fmt: skip
    assert load_experiment(trained / "conf.yml") == config
    summary = json.loads((trained / "training.json").read_text())
    assert (summary["epochs"], summary["steps"]) == (2, 4)
    assert summary["seconds"] > 0
    environment = json.loads((trained / "environment.json").read_text())
    assert environment["commit"]
    assert any(package.startswith("torch==") for package in environment["packages"])


def test_the_curve_has_a_line_per_epoch_with_the_loss_of_every_node(trained):
    rows = curve(trained)
    assert sorted(rows[0]) == sorted(CURVE)
    assert [(row["epoch"], row["steps"]) for row in rows] == [("0", "2"), ("1", "4")]
    for row in rows:
        values = {name: float(value) for name, value in row.items()}
        assert np.isfinite(list(values.values())).all()
        for name in ("loss", "val_loss"):
            assert values[name] == pytest.approx(np.mean([values[f"{name}/{node}"] for node in NODES]), rel=1e-4)


def test_the_checkpoint_is_the_network_of_the_lowest_validation_loss(config, trained):
    losses = [float(row["val_loss"]) for row in curve(trained)]
    provenance = describe(trained / "best.safetensors")["provenance"]
    assert provenance["validation_loss"] == pytest.approx(min(losses))
    assert provenance["epoch"] == losses.index(min(losses))
    assert provenance["target"] == "clean_guitars"
    network = from_pretrained(trained / "best.safetensors")
    assert network.nodes == tuple(NODES)
    assert network.network_config == config.network
    assert json.loads((trained / "training.json").read_text())["validation_loss"] == provenance["validation_loss"]


def test_the_same_seed_trains_the_same_network_and_another_seed_another(config, trained, tmp_path):
    train(config, tmp_path / "again")
    assert curve(tmp_path / "again") == curve(trained)
    first, second = (from_pretrained(d / "best.safetensors").state_dict() for d in (trained, tmp_path / "again"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    train(with_training(config, seed=1), tmp_path / "other")
    assert curve(tmp_path / "other") != curve(trained)


def test_a_finished_training_is_not_repeated(config, trained):
    before = {path.name: path.stat().st_mtime_ns for path in trained.iterdir()}
    started = time.monotonic()
    assert train(config, trained) == trained / "best.safetensors"
    assert time.monotonic() - started < 1
    assert {path.name: path.stat().st_mtime_ns for path in trained.iterdir()} == before


def test_another_configuration_in_the_same_folder_is_refused_unless_it_may_overwrite(config, tmp_path):
    train(with_training(config, max_epochs=1), tmp_path)
    other = with_training(config, max_epochs=1, learning_rate=1e-3)
    with pytest.raises(ConfigError, match=r"another configuration.*--overwrite"):
        train(other, tmp_path)
    assert curve(tmp_path)[0]["learning_rate"] == "0.01"
    train(other, tmp_path, overwrite=True)
    assert curve(tmp_path)[0]["learning_rate"] == "0.001"
    assert load_experiment(tmp_path / "conf.yml") == other


def test_a_time_limit_ends_the_training_with_a_checkpoint(config, tmp_path):
    limited = with_training(config, max_epochs=1000, max_minutes=0.001)
    best = train(limited, tmp_path)
    assert from_pretrained(best).nodes == tuple(NODES)
    assert json.loads((tmp_path / "training.json").read_text())["epochs"] < 1000
    assert train(limited, tmp_path) == best


@pytest.mark.parametrize("content", ["malice", "text", "empty", "half"])
def test_a_training_state_that_is_none_is_refused_and_executes_nothing(config, trained, tmp_path, content):
    class Malice:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    exp_dir = shutil.copytree(trained, tmp_path / "exp")
    (exp_dir / "training.json").unlink()
    state = {
        "malice": pickle.dumps({"epoch": Malice()}, protocol=2),
        "text": b"not a state",
        "empty": b"",
        "half": (trained / "last.ckpt").read_bytes()[:5000],
    }
    (exp_dir / "last.ckpt").write_bytes(state[content])
    with pytest.raises(CheckpointError, match=r"last\.ckpt: .*delete it"):
        train(config, exp_dir)
    assert not (tmp_path / "executed").exists()


def test_a_mistake_in_a_configuration_can_be_corrected_in_the_same_folder(config, tmp_path):
    data = dataclasses.replace(config.data, folder=str(tmp_path / "nothing"))
    with pytest.raises(DataError):
        train(dataclasses.replace(config, data=data), tmp_path / "exp")
    short = with_training(config, max_epochs=1)
    assert train(short, tmp_path / "exp").exists()
    assert load_experiment(tmp_path / "exp" / "conf.yml") == short


def test_a_lost_checkpoint_is_made_again(config, tmp_path):
    short = with_training(config, max_epochs=1)
    best = train(short, tmp_path)
    best.unlink()
    assert train(short, tmp_path) == best
    assert from_pretrained(best).nodes == tuple(NODES)


def test_a_training_without_a_finite_loss_says_so(config, tmp_path, monkeypatch):
    def broken(separation, references):
        return negative_snr(separation, references) * torch.nan

    monkeypatch.setitem(LOSSES, config.training.loss, broken)
    with pytest.raises(ConfigError, match=r"never a finite number.*training\.learning_rate"):
        train(with_training(config, max_epochs=1), tmp_path)


def test_data_that_cannot_be_used_is_an_error_of_ours(config, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, error in ((tmp_path / "nothing", "no such folder"), (tmp_path / "empty", "the folder is empty")):
        data = dataclasses.replace(config.data, folder=str(folder))
        with pytest.raises(DataError, match=error):
            train(dataclasses.replace(config, data=data), tmp_path / "exp")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HiersepError, match="cannot be made a folder"):
        train(config, tmp_path / "file" / "exp")


@pytest.mark.parametrize("change", ["weights to begin with", "its own weights", "a stage's node", "data", "device"])
def test_what_cannot_be_trained_overwrites_nothing(change, config, trained, tmp_path):
    exp_dir = shutil.copytree(trained, tmp_path / "exp")
    before = {path: path.read_bytes() for path in sorted(exp_dir.rglob("*")) if path.is_file()}
    changes = {
        "weights to begin with": {"init_from": str(tmp_path / "gone.safetensors")},
        "its own weights": {"init_from": str(exp_dir / "best.safetensors")},
        "a stage's node": {"stages": [StageConfig(["guitars"])], "schedule": "cosine"},
        "device": {"device": "gpu"},
    }
    other = with_training(config, **changes.get(change, {}))
    if change == "data":
        other = dataclasses.replace(config, data=dataclasses.replace(config.data, folder=str(tmp_path)))
    with pytest.raises(HiersepError):
        train(other, exp_dir, overwrite=True)
    assert {path: path.read_bytes() for path in sorted(exp_dir.rglob("*")) if path.is_file()} == before


def test_two_trainings_do_not_share_a_folder(config, tmp_path):
    with lock_folder(tmp_path / "exp"), pytest.raises(DataError, match="another run"):
        train(config, tmp_path / "exp")


def test_a_network_learns_to_take_one_batch_apart():
    """Two tones and noise, with the step that training takes: the parts rise by several decibels over the mixture."""
    torch.manual_seed(0)
    low, high, hiss = tone(0.5, hz=200, rate=8000), tone(0.5, hz=3000, rate=8000), noise(0.5, db=-26, rate=8000)
    sources = torch.from_numpy(np.stack([low + high, low])[None]).float()
    mixture = torch.from_numpy((low + high + hiss)[None]).float()
    spectrum, network = {"n_fft": 256, "hop_length": 128}, {"hidden_size": 16, "num_layers": 1}
    model = PathSeparator("slakh_ismir2020", NODES[:2], sample_rate=8000, spectrum=spectrum, network=network)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    clip = AutoClip(50)
    losses = []
    for _ in range(80):
        optimizer.zero_grad()
        values = negative_snr(model.separate_batch(mixture), sources)
        values.mean().backward()
        clip.on_before_optimizer_step(None, model, optimizer)
        optimizer.step()
        losses.append(values[0].detach())
    gain = losses[0] - losses[-1]
    assert (gain > 6).all(), gain
    assert (losses[-1] < torch.tensor([-12.0, -12.0])).all(), losses[-1]
