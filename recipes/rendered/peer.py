"""Train a flat peer, asteroid's ConvTasNet, on the data of a path's experiment, and score it on the same clips.

Usage: python recipes/rendered/peer.py CONF.yml EXP_DIR [--size SIZE] [--section.key VALUE ...]

The peer knows no hierarchy. Its sources are the parts that the path cuts a mixture into: the finest node, each node
above it without the next finer one, and what the mixture holds besides; so they sum to the mixture. A node's estimate
is the sum of the parts within it.

Clips, batches, epochs, schedule and seed are the experiment's; design, learning rate and clipping are those of
asteroid's recipe (egs/librimix/ConvTasNet), without its permutations: the order of the parts is fixed. The loss is
negative SNR with a floor, as for the other networks: sums need gains that SI-SDR leaves open, and asteroid's SNR has no
gradient where a part is silent, as many are.

EXP_DIR holds what that of a training holds, best.safetensors in asteroid's form (its arguments in the metadata); with
results.json, scores.csv and all else of an evaluation of the plain sums, which are what a user of the peer hears. In
EXP_DIR/shares the same parts are reconciled with the tree, as `hiersep.models.foreign` does it. What is done is not
done again.
"""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hiersep.cli.command import run_script
from hiersep.compat import asteroid
from hiersep.compat import pytorch_lightning as pl
from hiersep.config import load_experiment
from hiersep.data.dataset import target_nodes
from hiersep.errors import CheckpointError, ConfigError
from hiersep.evaluation import evaluate, read_results, table
from hiersep.files import atomic_path
from hiersep.hierarchy import Hierarchy
from hiersep.losses import mean_over_known, negative_snr_of_waveforms
from hiersep.models.constraints import kind_of
from hiersep.models.foreign import by_channel, of_asteroid
from hiersep.training.callbacks import KeepBest, LearningCurve, LowerRate, SeedBatches, ShowProgress, StopEarly
from hiersep.training.data import make_dataset, make_loader, make_validation_loader
from hiersep.training.experiment import train
from hiersep.training.names import CHECKPOINT_NAME, CURVE_NAME, STATE_NAME
from hiersep.training.state import Interruption, Progress, SaveState, check_state
from hiersep.training.trainer import make_schedule, make_trainer, run_trainer
from hiersep.typed import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from hiersep.config import ExperimentConfig

# The learned transform's hop in milliseconds, then asteroid's names. `full` is asteroid's own design; its hop of 1 ms
# is 8 samples at its recipe's 8 kHz. `tiny` is for minutes on two cores: cost goes with the number of frames.
_NAMES = ("hop_ms", "n_filters", "n_blocks", "n_repeats", "bn_chan", "hid_chan", "skip_chan")
SIZES: dict[str, dict[str, Any]] = {
    "tiny": dict(zip(_NAMES, (4, 256, 6, 2, 64, 128, 64), strict=True)),
    "small": dict(zip(_NAMES, (1, 256, 8, 2, 128, 256, 128), strict=True)),
    "full": dict(zip(_NAMES, (1, 512, 8, 3, 128, 512, 128), strict=True)),
}
LEARNING_RATE, CLIP_NORM = 1e-3, 5.0
METADATA = "asteroid"


def main(conf: str, exp_dir: str, *words: str) -> None:
    size, overrides = _size(words)
    config, folder = load_experiment(conf, overrides), Path(exp_dir)
    nodes = _path(config)
    checkpoint = train(config, folder, fit=functools.partial(fit, size=size))
    peer, made = load(checkpoint)
    expect(size == made["size"], "--size", f"{made['size']}, of which {folder} holds a peer; or another folder", size)
    for out, shares in ((folder, False), (folder / "shares", True)):
        separator = of_asteroid(
            peer, [*reversed(nodes), None], config.data.hierarchy, spectrum=config.spectrum, shares=shares
        )
        evaluate(separator, config.data.folder, config.evaluation, out=out)
    print(table(read_results(folder) or {}))
    print(f"Scores: {folder / 'results.json'}; of shares of the mixture {folder / 'shares' / 'results.json'}")


def _size(words: tuple[str, ...]) -> tuple[str, list[str]]:
    """Take --size SIZE out of the words of the command line."""
    rest, size = list(words), "small"
    if "--size" in rest:
        place = rest.index("--size")
        size = "".join(rest[place + 1 : place + 2])
        del rest[place : place + 2]
    expect(size in SIZES, "--size", f"one of {', '.join(SIZES)}", size)
    return size, rest


def _path(config: ExperimentConfig) -> tuple[str, ...]:
    """Name the nodes of the experiment, which must be of one path: only that cuts a mixture into parts."""
    hierarchy = Hierarchy.load(config.data.hierarchy)
    nodes = target_nodes(hierarchy, config.data.target)
    if config.separator.kind == "query" or kind_of(hierarchy, nodes) != "path":
        raise ConfigError(
            f"data.target: expected nodes of one path, got {config.data.target} for a separator of the kind "
            f"{config.separator.kind}; name a node, whose path is meant"
        )
    return nodes


def make_peer(size: str, parts: int, sample_rate: int) -> Any:
    """Make the network."""
    sizes = dict(SIZES[size])
    hop = round(sizes.pop("hop_ms") * sample_rate / 1000)
    return asteroid.models.ConvTasNet(
        n_src=parts, kernel_size=2 * hop, stride=hop, mask_act="relu", sample_rate=sample_rate, **sizes
    )


def parts_of(mixture: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
    """Cut a mixture by the nodes of a path, fine to coarse: what each holds besides the one before it.

    Shape:
        mixture: (batch, channel, time); sources: (batch, node, channel, time), coarse to fine;
        output: (batch, node + 1, channel, time).
    """
    nested = torch.cat([mixture[:, None], sources], dim=1)
    between = nested[:, :-1] - nested[:, 1:]
    return torch.cat([sources[:, -1:], between.flip(1)], dim=1)


class PeerSystem(asteroid.engine.System):  # type: ignore[misc]
    """asteroid's `System`, which finds inputs and targets in a batch of `HierarchicalMixtureDataset`."""

    @property
    def kept(self) -> Any:
        """The network that is validated and written."""
        return self.model

    def common_step(self, batch: dict[str, torch.Tensor], batch_nb: int, train: bool = True) -> torch.Tensor:
        """Return the loss of a batch: per part the mean over the items in which it is known, and of these the mean."""
        mixture, nodes_known = batch["mix"], batch["known"]
        sources = torch.where(nodes_known[:, :, None, None], batch["sources"], 0.0)
        nested = torch.cat([torch.ones_like(nodes_known[:, :1]), nodes_known], dim=1)
        known = torch.cat([nested[:, -1:], (nested[:, :-1] & nested[:, 1:]).flip(1)], dim=1)  # (batch, part)
        losses = self.loss_func(by_channel(self.model, mixture), parts_of(mixture, sources), mixture)
        return mean_over_known(losses, known)

    def training_step(self, batch: dict[str, torch.Tensor], batch_nb: int) -> torch.Tensor:
        """Log the loss; asteroid's own method, and that below, want a logger."""
        loss = self.common_step(batch, batch_nb, train=True)
        self.log("loss", loss)
        return loss

    def on_validation_epoch_end(self) -> None:
        """Log nothing more."""


def fit(
    config: ExperimentConfig, exp_dir: Path, *, resumed: bool, claim: Callable[[], None], size: str
) -> dict[str, Any]:
    """Train the peer, as `hiersep.training.loop.fit` trains a network."""
    settings, state = replace(config.training, precision=32, devices=1, nodes=1), exp_dir / STATE_NAME
    pl.seed_everything(settings.seed, verbose=False)
    peer = make_peer(size, len(_path(config)) + 1, config.data.sample_rate)
    before = check_state(state, peer) if resumed else Progress()
    training_set = make_dataset(config, "train", config.data.num_train)
    validation_set = make_dataset(config, "validation", config.data.num_validation)
    claim()
    optimizer = torch.optim.Adam(peer.parameters(), lr=LEARNING_RATE)
    keep_best, interruption = KeepBest(exp_dir / CHECKPOINT_NAME, {"size": size}, save), Interruption()
    callbacks = [SeedBatches(settings.seed), keep_best, LearningCurve(exp_dir / CURVE_NAME)]
    if settings.schedule == "plateau":
        callbacks.append(LowerRate(optimizer, settings.patience))
    if settings.early_stop is not None:
        callbacks.append(StopEarly(settings.early_stop))
    save_state = SaveState(state, settings.save_every, interruption, before)
    trainer = make_trainer(
        settings,
        callbacks=[*callbacks, ShowProgress(), save_state],
        logger=False,
        default_root_dir=exp_dir,
        gradient_clip_val=CLIP_NORM,
    )
    loader = make_loader(training_set, settings.batch_size, settings.num_workers)
    system = PeerSystem(
        model=peer,
        optimizer=optimizer,
        loss_func=negative_snr_of_waveforms,
        train_loader=loader,
        val_loader=make_validation_loader(validation_set, settings.batch_size),
        scheduler=make_schedule(settings, optimizer, len(loader)),
    )
    with interruption.listening():
        run_trainer(trainer, system, state if resumed else None)
    return {
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "validation_loss": keep_best.best,
        "seconds": round(save_state.seconds, 1),
        "parameters": sum(parameter.numel() for parameter in peer.parameters()),
    }


def save(peer: Any, path: Path, provenance: dict[str, Any]) -> None:
    """Write an asteroid model as safetensors, with the arguments that make it again."""
    from safetensors.torch import save_file

    about = {"model_name": type(peer).__name__, "model_args": peer.get_model_args(), "provenance": provenance}
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in peer.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(weights, temporary, {METADATA: json.dumps(about)})


def load(path: Path) -> tuple[Any, dict[str, Any]]:
    """Load what `save` wrote: the model, in evaluation mode, and the provenance."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()[METADATA])
        weights = load_file(path)
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: expected a peer that this script trained, got something else; name a folder of its own"
        ) from error
    return asteroid.models.BaseModel.from_pretrained({**about, "state_dict": weights}).eval(), about["provenance"]


if __name__ == "__main__":
    run_script(main)
