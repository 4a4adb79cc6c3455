"""Lightning's Trainer as the settings ask for it, for whatever is trained."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch

from hiersep.compat import pytorch_lightning as pl
from hiersep.data.parallel import ended
from hiersep.errors import ConfigError, HiersepError
from hiersep.training.processes import placement
from hiersep.training.state import StateFile

if TYPE_CHECKING:
    from pathlib import Path

    from hiersep.config import TrainingConfig

_Misconfiguration = pl.utilities.exceptions.MisconfigurationException  # type: ignore[attr-defined]  # no __all__ there


def make_trainer(settings: TrainingConfig, **options: Any) -> pl.Trainer:
    """Make Lightning's Trainer, which writes nothing and shows nothing but by callbacks.

    Args:
        settings: How long, how precisely, where.
        **options: Lightning's.

    Raises:
        ConfigError: If the machine lacks what is asked for.
    """
    try:
        trainer = pl.Trainer(
            **placement(settings),
            precision="bf16-mixed" if settings.precision == "bf16" else "32-true",
            max_epochs=settings.max_epochs,
            max_time=timedelta(minutes=settings.max_minutes) if settings.max_minutes else None,
            accumulate_grad_batches=settings.accumulate,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            plugins=[StateFile()],
            **options,
        )
    except _Misconfiguration as error:
        raise ConfigError(
            f"training.device, training.devices: expected what this machine has, got {settings.device}, "
            f"{settings.devices}: {' '.join(str(error).split())}"
        ) from error
    environment = trainer._accelerator_connector.cluster_environment  # no public way leads there
    if hasattr(environment, "auto_requeue"):  # SLURM's: a requeued job would write, and read, a state beside ours
        environment.auto_requeue = False
    return trainer


def run_trainer(trainer: pl.Trainer, system: pl.LightningModule, state: Path | None) -> None:
    """Fit, from the beginning or from a training state.

    Raises:
        DataError: If a process that makes the mixtures was ended from outside.
        HiersepError: Whatever of ours such a process, or this one, raises.
        KeyboardInterrupt: If it was interrupted.
    """
    try:
        trainer.fit(system, ckpt_path=state, weights_only=True)
    except SystemExit:
        if not trainer.interrupted:
            raise
        raise KeyboardInterrupt from None  # Lightning makes Ctrl-C an exit
    except HiersepError as error:  # one of a worker comes with its traceback in the message
        raise type(error)(str(error.args[0]).rpartition(f"{type(error).__name__}: ")[2].strip()) from error
    except (RuntimeError, ConnectionError) as error:  # a connection: it was killed while it handed a batch over
        if isinstance(error, RuntimeError) and "DataLoader worker (pid" not in str(error):
            raise
        raise ended("mixes", "with fewer training.num_workers") from error


def make_schedule(settings: TrainingConfig, optimizer: torch.optim.Optimizer, batches: int) -> dict[str, Any] | None:
    """Let the learning rate fall to 0 over all steps, as asteroid's System takes it, if the settings say ``cosine``.

    Args:
        settings: How long.
        optimizer: Whose rate.
        batches: Of an epoch.
    """
    if settings.schedule != "cosine":
        return None
    steps = settings.max_epochs * math.ceil(batches / settings.accumulate)
    return {"scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps), "interval": "step"}
