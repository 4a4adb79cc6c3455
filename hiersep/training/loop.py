"""Fit a network: data, network, optimizer and callbacks of an experiment, put together and run by Lightning."""

from __future__ import annotations

import signal
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hiersep.compat import pytorch_lightning as pl
from hiersep.errors import CheckpointError
from hiersep.files import git_commit
from hiersep.losses import LOSSES
from hiersep.models.factory import make_separator
from hiersep.training.callbacks import KeepBest, LearningCurve, LowerRate, SeedEpochs, ShowProgress
from hiersep.training.clip import AutoClip
from hiersep.training.data import make_dataset, make_loader
from hiersep.training.names import CHECKPOINT_NAME, CURVE_NAME, STATE_NAME
from hiersep.training.system import SeparationSystem

if TYPE_CHECKING:
    from hiersep.config import ExperimentConfig, TrainingConfig


def fit(config: ExperimentConfig, exp_dir: Path) -> dict[str, Any]:
    """Train until the epochs or the minutes are over, from the folder's training state where there is one.

    Returns:
        Steps, epochs and the lowest validation loss.

    Raises:
        CheckpointError: If the training state cannot be read.
        KeyboardInterrupt: If the training was interrupted; the state of its last whole epoch is saved.
        DataError: If the data cannot be used.
        HierarchyError: If the hierarchy or a node is not known.
    """
    pl.seed_everything(config.training.seed, verbose=False)
    settings = config.training
    training_set = make_dataset(config, "train", config.data.num_train)
    validation_set = make_dataset(config, "validation", config.data.num_validation)
    model = make_separator(config, training_set.hierarchy, training_set.nodes)
    keep_best = KeepBest(exp_dir / CHECKPOINT_NAME, _provenance(config, exp_dir))
    state = exp_dir / STATE_NAME
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.999), eps=1e-8)
    schedule = [LowerRate(optimizer, settings.patience)] if settings.schedule == "plateau" else []
    trainer = _trainer(settings, exp_dir, [keep_best, LearningCurve(exp_dir / CURVE_NAME), *schedule])
    training_loader = make_loader(training_set, settings.batch_size, settings.num_workers)
    system = SeparationSystem(
        model=model,
        optimizer=optimizer,
        loss_func=LOSSES[settings.loss],
        train_loader=training_loader,
        val_loader=make_loader(validation_set, settings.batch_size, 0),
        scheduler=None if schedule else _cosine(optimizer, settings.max_epochs * len(training_loader)),
    )
    _check_state(state)
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(system, ckpt_path=state if state.exists() else None, weights_only=True)
    except SystemExit:
        if not trainer.interrupted:
            raise
        # Lightning makes Ctrl-C an exit, and ignores it from then on.
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None
    return {"steps": trainer.global_step, "epochs": trainer.current_epoch, "validation_loss": keep_best.best}


def _cosine(optimizer: torch.optim.Optimizer, steps: int) -> dict[str, Any]:
    """Let the learning rate fall to 0 over all steps; as asteroid's System takes it."""
    return {"scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps), "interval": "step"}


def _check_state(path: Path) -> None:
    """Find a training state broken before Lightning does, which would speak of pickles."""
    if not path.exists():
        return
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has many ways to say that a file is broken
        raise CheckpointError(
            f"{path}: expected a training state to go on from, got something else or half of one; delete it to start "
            "anew"
        ) from error


def _provenance(config: ExperimentConfig, exp_dir: Path) -> dict[str, Any]:
    return {
        "experiment": exp_dir.name,
        "data": config.data.folder,
        "target": config.data.target,
        "loss": config.training.loss,
        "commit": git_commit(Path(__file__).parent),
    }


def _trainer(settings: TrainingConfig, exp_dir: Path, callbacks: list[pl.Callback]) -> pl.Trainer:
    save_state = pl.callbacks.ModelCheckpoint(
        dirpath=exp_dir, filename="last", save_top_k=1, enable_version_counter=False
    )
    return pl.Trainer(
        accelerator=settings.device,
        devices=1,
        max_epochs=settings.max_epochs,
        max_time=timedelta(minutes=settings.max_minutes) if settings.max_minutes else None,
        callbacks=[
            SeedEpochs(settings.seed),
            AutoClip(settings.clip_percentile),
            *callbacks,
            ShowProgress(),
            save_state,
        ],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
