"""The options of a training: each does what it says."""

import csv
import dataclasses
import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from hiersep import train
from hiersep.cli import app
from hiersep.compat import pytorch_lightning as pl
from hiersep.config import (
    DataConfig,
    ExperimentConfig,
    NetworkConfig,
    SeparatorConfig,
    SpectrumConfig,
    StageConfig,
    TrainingConfig,
    as_yaml,
    load_experiment,
)
from hiersep.errors import CheckpointError, ConfigError
from hiersep.losses import LOSSES
from hiersep.models import checkpoint
from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator
from hiersep.models.tree import TreeSeparator
from hiersep.training.callbacks import LowerRate, ShowProgress
from hiersep.training.data import make_dataset, make_loader
from hiersep.training.stages import HeldRows, held_outputs
from hiersep.training.system import SeparationSystem

NODES = TOP, GUITAR, CLEAN = ["strings_guitars_keyboards", "guitar", "clean_guitars"]
BAND_SPLIT = {
    "backbone": "bandsplit", "width": 4, "hidden_size": 4, "num_layers": 1, "num_heads": 1, "num_bands": 4,
    "dropout": 0.0,
}  # fmt: skip


@pytest.fixture
def experiment(rendered, monkeypatch):
    monkeypatch.setattr("hiersep.training.experiment._environment", dict)  # which takes as long as all the rest here

    def make(network=None, **training):
        settings = {"batch_size": 2, "max_epochs": 2, "num_workers": 0, "learning_rate": 1e-2, **training}
        return ExperimentConfig(
            data=DataConfig(folder=str(rendered), duration=0.5, num_train=6, num_validation=3),
            spectrum=SpectrumConfig(n_fft=256, hop_length=128),
            network=NetworkConfig(**(network or {"hidden_size": 4, "num_layers": 2, "dropout": 0.3})),
            training=TrainingConfig(tensorboard=False, **{"device": "cpu", **settings}),
        )

    return make


@pytest.fixture
def constant_loss(monkeypatch):
    """A loss that has nothing to learn: a level that stands still, and gradients that are zero."""

    def use(level):
        def loss(separation, references):
            return separation.masks.real.mean(dim=(2, 3, 4)) * 0.0 + level

        monkeypatch.setitem(LOSSES, "negative_snr", loss)

    return use


def curve(exp_dir):
    with (exp_dir / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def summary(exp_dir):
    return json.loads((exp_dir / "training.json").read_text())


def weights_of(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def watch(monkeypatch, look):
    """Let something look at the system after every batch."""
    undisturbed = ShowProgress.on_train_batch_end

    def looking(self, trainer, module, *args):
        undisturbed(self, trainer, module, *args)
        look(trainer, module)

    monkeypatch.setattr(ShowProgress, "on_train_batch_end", looking)


# The schedule


@pytest.mark.parametrize("level", [2.0, -5.0])
def test_the_rate_is_halved_after_patience_where_the_loss_stands_still_negative_or_not(level):
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([weight], lr=1.0)
    callback, rates = LowerRate(optimizer, patience=1), []
    for _ in range(7):
        callback.on_train_epoch_end(SimpleNamespace(callback_metrics={"val_loss": torch.tensor(level)}), None)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]


@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("reload", [True, False])
def test_with_reload_the_best_weights_come_back_when_the_rate_is_halved_and_the_moments_begin_anew(
    reload, ema, tmp_path
):
    torch.manual_seed(0)
    model = PathSeparator("slakh_ismir2020", NODES, network={"hidden_size": 2, "num_layers": 1})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0)
    system = SeparationSystem(model, optimizer, LOSSES["negative_snr"], [], ema=ema)
    best, path = weights_of(model), tmp_path / "best.safetensors"
    checkpoint.save(model, path)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    moved = weights_of(model)
    callback = LowerRate(optimizer, 0, path if reload else None)
    for loss, lowered in ((1.0, False), (2.0, True)):
        metrics = {"val_loss": torch.tensor(loss)}
        strategy = SimpleNamespace(barrier=lambda: None)
        callback.on_train_epoch_end(SimpleNamespace(callback_metrics=metrics, strategy=strategy), system)
        expected = best if reload and lowered else moved
        assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
        assert (len(optimizer.state) == 0) == (reload and lowered)
        assert optimizer.param_groups[0]["lr"] == (0.5 if lowered else 1.0)
    if ema and reload:
        assert all(torch.equal(tensor, best[name]) for name, tensor in system.kept.state_dict().items())


def test_early_stop_ends_a_training_that_no_longer_improves(experiment, tmp_path, constant_loss):
    constant_loss(1.0)
    train(experiment(loss="negative_snr", max_epochs=9, early_stop=3), tmp_path / "exp")
    assert summary(tmp_path / "exp")["epochs"] == 4  # the first one is the best
    train(experiment(loss="negative_snr", max_epochs=3), tmp_path / "whole")
    assert summary(tmp_path / "whole")["epochs"] == 3


# Steps


def test_weight_decay_takes_its_share_of_every_weight(experiment, tmp_path, constant_loss, monkeypatch):
    constant_loss(1.0)
    seen = []
    watch(monkeypatch, lambda trainer, module: seen.append(weights_of(module.model.head)))
    train(experiment(loss="negative_snr", max_epochs=1, weight_decay=0.5, learning_rate=0.1), tmp_path / "exp")
    assert len(seen) == 3
    for before, after in itertools.pairwise(seen):
        torch.testing.assert_close(after["weight"], before["weight"] * (1 - 0.1 * 0.5))


def test_accumulated_batches_make_one_step_with_the_mean_of_their_gradients(experiment, tmp_path, monkeypatch):
    config = experiment({"hidden_size": 4, "num_layers": 1}, max_epochs=2, accumulate=2, clip_percentile=100)
    steps, first = [], {}
    watch(monkeypatch, lambda trainer, module: steps.append(trainer.global_step))
    undisturbed = SeparationSystem.on_before_optimizer_step

    def keep(self, optimizer):
        undisturbed(self, optimizer)
        first.setdefault("gradients", {name: p.grad.clone() for name, p in self.model.named_parameters()})

    def start(self):
        first.setdefault("weights", weights_of(self.model))

    monkeypatch.setattr(SeparationSystem, "on_before_optimizer_step", keep)
    monkeypatch.setattr(SeparationSystem, "on_train_start", start)
    train(config, tmp_path / "exp")
    assert steps == [0, 1, 2, 2, 3, 4]  # three batches: two, and the last alone
    assert summary(tmp_path / "exp")["steps"] == 4
    model = PathSeparator("slakh_ismir2020", NODES, spectrum=config.spectrum, network=config.network)
    model.load_state_dict(first["weights"])
    dataset = make_dataset(config, "train", 6)
    for batch, _ in zip(make_loader(dataset, 2, 0), range(2), strict=False):
        loss = LOSSES[config.training.loss](model.separate_batch(batch["mix"]), batch["sources"])
        (loss.mean() / 2).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, first["gradients"][name], atol=1e-6, rtol=1e-4)


def test_what_is_validated_and_kept_is_the_moving_average_of_the_weights(experiment, tmp_path, monkeypatch):
    config, decay, seen = experiment(ema=0.6, accumulate=2, max_epochs=1), 0.6, []
    watch(monkeypatch, lambda trainer, module: seen.append((trainer.global_step, weights_of(module.model))))
    train(config, tmp_path / "exp")
    assert [step for step, _ in seen] == [0, 1, 2]
    (_, first), (_, second) = seen[1:]  # the weights after the two steps
    network = checkpoint.from_pretrained(tmp_path / "exp" / "best.safetensors")
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter, decay * first[name] + (1 - decay) * second[name])
        assert not torch.equal(parameter, second[name])
    # and its loss is the one that was measured
    dataset = make_dataset(config, "validation", 3)
    batch = {name: torch.stack([dataset[item][name] for item in range(3)]) for name in ("mix", "sources")}
    with torch.no_grad():
        loss = LOSSES[config.training.loss](network.separate_batch(batch["mix"]), batch["sources"]).mean()
    assert curve(tmp_path / "exp")[0]["val_loss"] == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_in_bf16_the_networks_are_narrow_and_spectra_masks_and_losses_are_not(loss, experiment, tmp_path, monkeypatch):
    seen, undisturbed = [], LOSSES[loss]

    def look(separation, references):
        values = undisturbed(separation, references)
        tensors = (separation.spectrum, separation.masks, separation.waveforms(), separation.stft(references), values)
        seen.append([tensor.dtype for tensor in tensors])
        return values

    monkeypatch.setitem(LOSSES, loss, look)
    narrow = []
    watch(monkeypatch, lambda trainer, module: module.model.head.register_forward_hook(
        lambda head, inputs, output: narrow.append(output.dtype)
    ))  # fmt: skip
    config = experiment(loss=loss, precision="bf16", max_epochs=1, learning_rate=1e-6)
    train(config, tmp_path / "bf16")
    assert set(map(tuple, seen)) == {(torch.complex64, torch.float32, torch.float32, torch.complex64, torch.float32)}
    assert set(narrow) == {torch.bfloat16}
    seen.clear()
    train(dataclasses.replace(config, training=dataclasses.replace(config.training, precision=32)), tmp_path / "full")
    narrow, full = (curve(tmp_path / name)[0]["val_loss"] for name in ("bf16", "full"))
    assert narrow == pytest.approx(full, rel=2e-2, abs=2e-2)
    assert narrow != full


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight:UserWarning")  # advice on speed
def test_complex_masks_can_be_trained_in_bf16(experiment, tmp_path):
    network = {**BAND_SPLIT, "mask": "complex", "constraint": "none"}
    train(experiment(network, loss="negative_snr", precision="bf16", max_epochs=1), tmp_path / "exp")
    assert np.isfinite(curve(tmp_path / "exp")[0]["val_loss"])


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # torch's own
def test_a_compiled_backbone_gives_the_same_training_and_a_checkpoint_like_any_other(experiment, tmp_path, monkeypatch):
    compiled, undisturbed = [], nn.Module.compile

    def traced(module):  # as inductor would, but for its minutes of C++
        compiled.append(module)
        undisturbed(module, backend="eager")

    monkeypatch.setattr(nn.Module, "compile", traced)
    train(experiment(BAND_SPLIT, max_epochs=1), tmp_path / "plain")
    assert compiled == []
    train(experiment(BAND_SPLIT, max_epochs=1, compile=True, ema=0.5), tmp_path / "averaged")
    train(experiment(BAND_SPLIT, max_epochs=1, compile=True), tmp_path / "compiled")
    assert [type(module).__name__ for module in compiled] == ["BandSplit"] * 2
    plain, other = (checkpoint.from_pretrained(tmp_path / n / "best.safetensors") for n in ("plain", "compiled"))
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch's own
@pytest.mark.parametrize("backbone", ["bandsplit", "tdconvnet"])
def test_a_backbone_that_is_really_compiled_gives_the_same_training(backbone, experiment, tmp_path):
    network = BAND_SPLIT if backbone == "bandsplit" else {
        "backbone": "tdconvnet", "width": 4, "hidden_size": 4, "num_layers": 1, "num_repeats": 1
    }  # fmt: skip
    for compiled in (False, True):
        train(experiment(network, compile=compiled, learning_rate=1e-3), tmp_path / str(compiled))
    plain, other = curve(tmp_path / "False"), curve(tmp_path / "True")
    assert [row["val_loss"] for row in other] == pytest.approx([row["val_loss"] for row in plain], rel=1e-4)


def test_where_there_is_no_compiler_it_says_so_before_any_work(experiment, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr("hiersep.training.loop.make_dataset", None)
    with pytest.raises(ConfigError, match=r"training\.compile: expected a C\+\+ compiler, found no no-such-compiler"):
        train(experiment(BAND_SPLIT, compile=True), tmp_path / "exp")


# Another network's weights


def test_a_training_begins_with_another_networks_weights_and_tells_what_was_taken_over(experiment, tmp_path, capsys):
    best = train(experiment(max_epochs=1), tmp_path / "first")
    learned = checkpoint.from_pretrained(best).state_dict()
    config = experiment(max_epochs=1, init_from=str(best), learning_rate=1e-12)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, target=[TOP, GUITAR]))
    path = train(config, tmp_path / "second")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Taken over")]
    assert str(best) in line
    begun = checkpoint.from_pretrained(path)
    assert begun.nodes == (TOP, GUITAR)
    for name, parameter in begun.named_parameters():
        torch.testing.assert_close(parameter.detach(), learned[name][: len(parameter)], atol=1e-9, rtol=0)
    assert checkpoint.describe(path)["provenance"]["init_from"] == str(best)


def test_weights_that_are_not_there_are_named_before_any_work(experiment, tmp_path, monkeypatch):
    monkeypatch.setattr("hiersep.training.loop.make_dataset", None)
    with pytest.raises(CheckpointError, match=r"gone\.safetensors"):
        train(experiment(init_from=str(tmp_path / "gone.safetensors")), tmp_path / "exp")


def test_a_resumed_training_does_not_ask_for_the_weights_that_it_began_with(experiment, tmp_path):
    best = train(experiment(max_epochs=1), tmp_path / "first")
    config = experiment(max_epochs=1, init_from=str(best))
    train(config, tmp_path / "second")
    best.unlink()
    (tmp_path / "second" / "training.json").unlink()
    train(config, tmp_path / "second")


def test_the_commands_init_from_is_the_setting(experiment, tmp_path):
    (tmp_path / "conf.yml").write_text(as_yaml(experiment(max_epochs=1)))
    words = [
        "train",
        tmp_path / "conf.yml",
        "--exp-dir",
        tmp_path / "exp",
        "--init-from",
        tmp_path / "yes: no.safetensors",
    ]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 2
    assert "yes: no.safetensors" in result.stderr
    assert "no such" in result.stderr
    assert not list((tmp_path / "exp").iterdir())


# Stages


def test_a_stage_learns_its_nodes_and_holds_what_makes_the_masks_above(experiment, tmp_path, monkeypatch):
    """First the top and its trunk, then the two nodes below it, with trunk and top held, whatever the decay."""
    stages = [StageConfig([TOP], 2), StageConfig([CLEAN, GUITAR], trunk=False)]
    network = {"hidden_size": 4, "num_layers": 2, "dropout": 0.3, "constraint": "none"}
    seen = []
    watch(monkeypatch, lambda trainer, module: seen.append((trainer.current_epoch, weights_of(module.model))))
    kept = {}
    undisturbed = SeparationSystem.go_on_from

    def look(self, path):
        undisturbed(self, path)
        kept["best"] = weights_of(checkpoint.from_pretrained(path))

    monkeypatch.setattr(SeparationSystem, "go_on_from", look)
    train(experiment(network, stages=stages, max_epochs=4, weight_decay=0.1), tmp_path / "exp")
    first, second = ([weights for epoch, weights in seen if epoch in epochs] for epochs in ((0, 1), (2, 3)))
    n_freq = 129
    rows = {node: slice(position * n_freq, (position + 1) * n_freq) for position, node in enumerate(NODES)}
    for weights in second:  # all that the top's mask is made of is bitwise that of the first stage's best network
        assert all(torch.equal(weights[name], kept["best"][name]) for name in weights if not name.startswith("head."))
        for name in ("head.weight", "head.bias"):
            assert torch.equal(weights[name][rows[TOP]], kept["best"][name][rows[TOP]])
            assert not torch.equal(weights[name][rows[GUITAR]], kept["best"][name][rows[GUITAR]])
            assert not torch.equal(weights[name][rows[CLEAN]], kept["best"][name][rows[CLEAN]])
    assert not torch.equal(first[0]["backbone.lstm.weight_hh_l0"], first[-1]["backbone.lstm.weight_hh_l0"])
    assert not torch.equal(first[0]["head.weight"][rows[TOP]], first[-1]["head.weight"][rows[TOP]])
    for row in curve(tmp_path / "exp"):
        nodes = [TOP] if row["epoch"] < 2 else [GUITAR, CLEAN]
        for name in ("loss", "val_loss"):
            assert row[name] == pytest.approx(np.mean([row[f"{name}/{node}"] for node in nodes]), rel=1e-5)
    assert checkpoint.describe(tmp_path / "exp" / "best.safetensors")["provenance"]["epoch"] >= 2
    last = curve(tmp_path / "exp")[-1]
    assert last[f"val_loss/{TOP}"] == curve(tmp_path / "exp")[2][f"val_loss/{TOP}"]


def test_without_the_constraint_what_lies_below_a_stage_does_not_move(experiment, tmp_path, monkeypatch):
    network, seen = {"hidden_size": 4, "num_layers": 1, "constraint": "none"}, []
    watch(monkeypatch, lambda trainer, module: seen.append(weights_of(module.model.head)["weight"]))
    train(experiment(network, stages=[StageConfig([TOP])], max_epochs=1), tmp_path / "exp")
    assert torch.equal(seen[0][129:], seen[-1][129:])
    assert not torch.equal(seen[0][:129], seen[-1][:129])


def test_a_stage_begins_with_the_first_rate_and_forgets_norms_and_losses(experiment, tmp_path, constant_loss):
    constant_loss(1.0)
    stages = [StageConfig([TOP], 3), StageConfig([GUITAR])]
    config = experiment(loss="negative_snr", stages=stages, max_epochs=5, patience=0, learning_rate=0.5)
    train(config, tmp_path / "exp")
    assert [row["learning_rate"] for row in curve(tmp_path / "exp")] == [0.5, 0.5, 0.25, 0.5, 0.5]
    assert len(torch.load(tmp_path / "exp" / "last.ckpt", weights_only=True)["callbacks"]["AutoClip"]["history"]) == 6
    assert checkpoint.describe(tmp_path / "exp" / "best.safetensors")["provenance"]["epoch"] == 3


SIZES = {"network": {"hidden_size": 2, "num_layers": 1}}


def test_what_is_held_of_a_path_are_the_coarser_nodes_that_are_not_learned():
    path = PathSeparator("slakh_ismir2020", NODES, **SIZES)
    held = {(CLEAN,): [0, 1], (GUITAR,): [0], (TOP,): [], (TOP, CLEAN): [1], (CLEAN, TOP, GUITAR): []}
    for nodes, expected in held.items():
        assert held_outputs(path, nodes) == (3, expected)
    query = QuerySeparator("slakh34", query={"hidden_size": 2, "num_layers": 1}, **SIZES)
    assert held_outputs(query, [query.nodes[-1]]) == (len(query.nodes), list(range(len(query.nodes) - 1)))


def test_what_is_held_of_a_tree_leaves_the_masks_above_the_stage_as_they_were():
    torch.manual_seed(0)
    model = TreeSeparator("slakh_ismir2020", NODES, **SIZES).eval()
    assert held_outputs(model, [GUITAR]) == (6, [0, 1, 4, 5])  # each node's rows, and those of the rest beside it
    spectrum = model.stft(torch.randn(1, 1, 4000))
    before = model.estimate_masks(spectrum)
    rows = HeldRows(model.head, *held_outputs(model, [GUITAR]))
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter += torch.randn_like(parameter)
    rows.put_back()
    after = model.estimate_masks(spectrum)
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1], after[:, 1])


def test_gradients_of_held_rows_count_for_nothing():
    layer = nn.Linear(3, 6)
    layer(torch.ones(2, 3)).sum().backward()
    HeldRows(layer, 3, [0, 2]).clear_gradients()
    assert layer.weight.grad.abs().sum(dim=1).tolist() == [0, 0, 6, 6, 0, 0]
    assert layer.bias.grad.tolist() == [0, 0, 2, 2, 0, 0]


def test_a_stage_of_a_node_that_the_network_has_not_is_named_with_its_near_miss(experiment, tmp_path):
    with pytest.raises(ConfigError, match=r"training\.stages: nodes: unknown node 'guitars'; did you mean 'guitar'\?"):
        train(experiment(stages=[StageConfig(["guitars"])]), tmp_path / "exp")
    assert not (tmp_path / "exp" / "metrics.csv").exists()


# Contradictions


@pytest.mark.parametrize(
    ("training", "network", "message"),
    [
        ({"ema": 1.0}, {}, r"training\.ema: expected a decay between 0 and 1, got 1\.0"),
        ({"ema": 0.0}, {}, r"training\.ema"),
        ({"accumulate": 0}, {}, r"training\.accumulate: expected a positive number, got 0"),
        ({"save_every": 0}, {}, r"training\.save_every"),
        ({"early_stop": 0}, {}, r"training\.early_stop"),
        ({"weight_decay": 1.0}, {}, r"training\.weight_decay"),
        ({"early_stop": 3, "schedule": "cosine"}, {}, r"training\.early_stop: expected null, as the schedule cosine"),
        ({"reload": True, "schedule": "cosine"}, {}, r"training\.reload: expected false, as only the schedule plateau"),
        ({"early_stop": 3, "stages": [StageConfig([TOP])]}, {}, r"training\.early_stop: expected null, as the stages"),
        (
            {"stages": [StageConfig([TOP], 3)]},
            {},
            r"training\.stages: expected a number of epochs for each but the last",
        ),
        ({"stages": [StageConfig([TOP]), StageConfig([TOP])]}, {}, r"training\.stages: .* got \[None, None\]"),
        ({"stages": [StageConfig([TOP], 2), StageConfig([TOP])]}, {}, r"fewer epochs before .*max_epochs \(2\), got 2"),
        ({"compile": True}, {"backbone": "dprnn"}, r"training\.compile: expected false for the backbone dprnn"),
        (
            {"early_stop": 3, "patience": 3, "reload": True},
            {},
            r"training\.early_stop: expected more than training\.pat",
        ),
        ({"seed": 2**32}, {}, r"training\.seed: expected a whole number in \[0, 2\^32\), got 4294967296"),
        ({}, {"backbone": "bandsplit", "num_bands": 514}, r"network\.num_bands: expected at most the 513 bins of spec"),
        (
            {"stages": [StageConfig([TOP], trunk=False)], "devices": 2, "batch_size": 2},
            {},
            r"training\.stages: trunk: expected true, as 2 processes",
        ),
        ({"compile": True}, {"backbone": "blstm"}, r"training\.compile: expected false for the backbone blstm"),
    ],
)
def test_a_contradiction_is_found_before_any_work(training, network, message):
    with pytest.raises(ConfigError, match=message):
        ExperimentConfig(training=TrainingConfig(**{"max_epochs": 2, **training}), network=NetworkConfig(**network))


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"separator": SeparatorConfig(kind="tree"), "network": NetworkConfig(constraint="none")},
            r"network\.constraint: expected max for a tree",
        ),
        (
            {"data": DataConfig(num_validation=1), "training": TrainingConfig(devices=2, batch_size=2)},
            r"data\.num_validation: expected a clip for each of 2 processes, got 1",
        ),
    ],
)
def test_a_contradiction_of_sections_is_found_too(sections, message):
    with pytest.raises(ConfigError, match=message):
        ExperimentConfig(**sections)


@pytest.mark.parametrize("name", ["weights", "splits"])
def test_what_is_said_of_each_data_set_is_said_of_all(name):
    given = {"weights": [1.0, 2.0], "splits": ["split2", None]}[name]
    with pytest.raises(ConfigError, match=rf"data\.{name}: expected one for each of the 3 in data\.folder"):
        DataConfig(folder=["a", "b", "c"], **{name: given})
    assert DataConfig(folder=["a", "b"], **{name: given})


@pytest.mark.parametrize(
    "training",
    [{"stages": [StageConfig(["guitars"])]}, {"device": "gpu"}, {"init_from": "of another rate"}],
    ids=["stage", "device", "rate"],
)
def test_what_needs_no_data_is_found_before_any_is_opened(training, experiment, tmp_path, monkeypatch):
    if "init_from" in training:
        checkpoint.save(PathSeparator("musdb18", ["drums"], sample_rate=8000), tmp_path / "other.safetensors")
        training = {"init_from": str(tmp_path / "other.safetensors")}
    monkeypatch.setattr("hiersep.training.loop.make_dataset", None)
    with pytest.raises(ConfigError):
        train(experiment(**training), tmp_path / "exp")
    assert not list((tmp_path / "exp").iterdir())


def test_the_bar_ends_with_the_minutes_where_those_are_limited(monkeypatch):
    timer = pl.callbacks.Timer(duration={"seconds": 1000})
    monkeypatch.setattr(timer, "time_remaining", lambda: 20.0)
    trainer = SimpleNamespace(
        max_epochs=1000, num_training_batches=5, callbacks=[timer], is_global_zero=True,
        fit_loop=SimpleNamespace(total_batch_idx=99),
    )  # fmt: skip
    bar = SimpleNamespace(n=100, initial=100, disable=False, total=0, format_dict={"elapsed": 10.0})
    bar.update = lambda: setattr(bar, "n", bar.n + 30)
    monkeypatch.setattr("hiersep.training.callbacks.tqdm", lambda **settings: bar)
    progress = ShowProgress()
    progress.on_train_start(trainer, None)
    progress.on_train_batch_end(trainer, None, None, None, 0)
    assert bar.total == 130 + 20 * 3  # at three batches a second


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("precision: 16", "precision: expected 32 or bf16, got 16; did you mean 'bf16'?"),
        ("precision: '32'", "precision: expected 32 or bf16, got '32'"),
        ("stages: []", "stages: expected a list, each a mapping (nodes, epochs, trunk) or null, got []"),
        ("stages: [guitar]", "stages: expected a list, each a mapping (nodes, epochs, trunk) or null, got ['guitar']"),
        ("stages: [{epochs: 3}]", "stages: expected the key nodes, got {'epochs': 3}"),
        ("stages: [{nods: [guitar]}]", "stages: unknown key 'nods'; did you mean 'nodes'?"),
        ("stages: [{nodes: guitar}]", "stages: nodes: expected a list, each text, got 'guitar'"),
        ("stages: [{nodes: [guitar], trunk: 1}]", "stages: trunk: expected true or false, got 1"),
    ],
)
def test_a_mistake_in_a_file_gives_this_line(text, message, tmp_path):
    (tmp_path / "x.yml").write_text(f"training: {{{text}}}")
    with pytest.raises(ConfigError) as caught:
        load_experiment(tmp_path / "x.yml")
    assert str(caught.value) == f"{tmp_path / 'x.yml'}:1: {message}"


def test_stages_and_precision_come_back_from_the_file_that_they_are_written_to(experiment, tmp_path):
    config = experiment(stages=[StageConfig([TOP], 1), StageConfig([CLEAN], trunk=False)], precision="bf16")
    (tmp_path / "x.yml").write_text(as_yaml(config))
    assert load_experiment(tmp_path / "x.yml") == config
    assert load_experiment(tmp_path / "x.yml", ["--training.precision", "32"]).training.precision == 32


@pytest.mark.parametrize(
    ("stage", "message"),
    [({"nodes": [TOP], "epochs": 0}, "epochs: expected a positive"), ({"nodes": [TOP, TOP]}, "each node once")],
)
def test_a_stage_that_cannot_be_is_refused(stage, message):
    with pytest.raises(ConfigError, match=message):
        StageConfig(**stage)
