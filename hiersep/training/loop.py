"""Fit a network: data, network, optimizer and callbacks of an experiment, put together and run by Lightning."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from hiersep.compat import pytorch_lightning as pl
from hiersep.data.dataset import node_axis
from hiersep.errors import ConfigError
from hiersep.hierarchy import Hierarchy
from hiersep.losses import LOSSES
from hiersep.models.factory import make_separator
from hiersep.models.transfer import take_over
from hiersep.provenance import git_commit
from hiersep.training.callbacks import KeepBest, LearningCurve, LowerRate, SeedBatches, ShowProgress, StopEarly
from hiersep.training.clip import AutoClip
from hiersep.training.data import make_dataset, make_loader, make_validation_loader
from hiersep.training.names import CHECKPOINT_NAME, CURVE_NAME, STATE_NAME
from hiersep.training.processes import Share, check_started, is_first, sockets_kept
from hiersep.training.stages import Stages, held_outputs
from hiersep.training.state import Interruption, Progress, SaveState, check_state
from hiersep.training.system import SeparationSystem
from hiersep.training.tensorboard import Logger, ShowInTensorBoard, full_disk_said_once
from hiersep.training.trainer import make_schedule, make_trainer, run_trainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from hiersep.config import ExperimentConfig, TrainingConfig
    from hiersep.models.separator import MaskingSeparator
    from hiersep.training.stages import Forgetful


def fit(config: ExperimentConfig, exp_dir: Path, *, resumed: bool, claim: Callable[[], None]) -> dict[str, Any]:
    """Train until the epochs or the minutes are over.

    Args:
        config: The experiment.
        exp_dir: Its folder.
        resumed: Whether to go on from the folder's training state.
        claim: Called when all has been checked and the data is open, before anything is written.

    Returns:
        Steps, epochs, the lowest validation loss, and the seconds that all sessions took.

    Raises:
        CheckpointError: If the training state, or the checkpoint to begin with, cannot be read.
        ConfigError: If the network has no node of a stage's, or the machine lacks what is asked for.
        KeyboardInterrupt: If the training was interrupted; its state is saved.
        DataError: If the data cannot be used.
        HierarchyError: If the hierarchy or a node is not known.
    """
    settings, state = config.training, exp_dir / STATE_NAME
    pl.seed_everything(settings.seed, verbose=False)
    _check_machine(config)
    model = _make_network(config)
    before = check_state(state, model) if resumed else Progress()
    _prepare(model, settings, resumed=resumed)
    training_set = make_dataset(config, "train", config.data.num_train)
    validation_set = make_dataset(config, "validation", config.data.num_validation)
    claim()
    optimizer = _optimizer(model, settings)
    keep_best, interruption = KeepBest(exp_dir / CHECKPOINT_NAME, _provenance(config, exp_dir)), Interruption()
    callbacks = _callbacks(settings, exp_dir, optimizer, keep_best)
    shown = [ShowInTensorBoard(validation_set[0])] if settings.tensorboard else []
    save_state = SaveState(state, settings.save_every, interruption, before)
    logger = Logger(exp_dir, before.steps) if settings.tensorboard else False
    trainer = make_trainer(
        settings,
        callbacks=[*callbacks, *shown, save_state],
        logger=logger,
        default_root_dir=exp_dir,
    )
    share = Share(trainer.global_rank, trainer.world_size)
    loader = make_loader(training_set, settings.batch_size, settings.num_workers, share)
    system = SeparationSystem(
        model=model,
        optimizer=optimizer,
        loss_func=LOSSES[settings.loss],
        train_loader=loader,
        val_loader=make_validation_loader(validation_set, settings.batch_size, share),
        scheduler=make_schedule(settings, optimizer, len(loader)),
        ema=settings.ema,
        skip_silent=settings.silent_targets == "skip",
    )
    with interruption.listening(), sockets_kept(), full_disk_said_once(exp_dir):
        run_trainer(trainer, system, state if resumed else None)
    return {
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "validation_loss": keep_best.best,
        "seconds": round(save_state.seconds, 1),
    }


def _check_machine(config: ExperimentConfig) -> None:
    """Find before any work starts what the machine lacks for it."""
    settings = config.training
    compiler = os.environ.get("CXX", "g++")
    if settings.compile and shutil.which(compiler) is None:
        raise ConfigError(
            f"training.compile: expected a C++ compiler, found no {compiler}; install one, or name it in CXX"
        )
    trainer = make_trainer(settings, logger=False)
    processes = trainer.num_devices * trainer.num_nodes
    check_started(processes)
    config.check_shares(processes)


def _make_network(config: ExperimentConfig) -> MaskingSeparator:
    """Make the network; what it estimates follows from the hierarchy, and needs no data."""
    hierarchy, is_query = Hierarchy.load(config.data.hierarchy), config.separator.kind == "query"
    nodes = node_axis(hierarchy, config.data.target, query=is_query, levels=config.separator.levels)
    return make_separator(config, hierarchy, nodes)


def _prepare(model: MaskingSeparator, settings: TrainingConfig, *, resumed: bool) -> None:
    """Make a network ready to be trained."""
    for stage in settings.stages or []:
        held_outputs(model, stage.nodes)
    if settings.init_from is not None and not resumed:
        taken = take_over(model, settings.init_from)
        if is_first(settings):
            tqdm.write("\n".join(taken.lines()))
    if settings.compile:
        model.backbone.compile()  # in place: the names of its weights stay as they are


def _optimizer(model: MaskingSeparator, settings: TrainingConfig) -> torch.optim.Optimizer:
    """Without decay this is the paper's Adam."""
    rate, decay = settings.learning_rate, settings.weight_decay
    return torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay)


def _provenance(config: ExperimentConfig, exp_dir: Path) -> dict[str, Any]:
    return {
        "experiment": exp_dir.name,
        "data": config.data.folder,
        "target": config.data.target,
        "loss": config.training.loss,
        "init_from": config.training.init_from,
        "commit": git_commit(Path(__file__).parent),
    }


def _callbacks(
    settings: TrainingConfig, exp_dir: Path, optimizer: torch.optim.Optimizer, keep_best: KeepBest
) -> list[pl.Callback]:
    """Put the callbacks in their order.

    At the end of an epoch the curve is written before the rate is changed, and a stage begun after that; at a step
    gradients are clipped after a stage has left out what it holds.
    """
    best, clip = exp_dir / CHECKPOINT_NAME, AutoClip(settings.clip_percentile)
    callbacks = [SeedBatches(settings.seed), keep_best, LearningCurve(exp_dir / CURVE_NAME)]
    forgetful: list[Forgetful] = [clip, keep_best]
    if settings.schedule == "plateau":
        lower_rate = LowerRate(optimizer, settings.patience, best if settings.reload else None)
        callbacks.append(lower_rate)
        forgetful.append(lower_rate)
    if settings.early_stop is not None:
        callbacks.append(StopEarly(settings.early_stop))
    if settings.stages:
        callbacks.append(Stages(settings.stages, best, forgetful))
    return [*callbacks, clip, ShowProgress()]
