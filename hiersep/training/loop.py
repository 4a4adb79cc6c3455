"""Run an experiment: from a configuration to a checkpoint, resumable at the last finished epoch.

An experiment's folder holds

- ``conf.yml`` the resolved configuration, ``environment.json`` commit, versions and machine;
- ``best.safetensors`` the network with the lowest validation loss, a checkpoint to share;
- ``last.ckpt`` the training state, to go on from; ``metrics.csv`` the losses per epoch;
- ``training.json`` written when the training is over.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hiersep.compat import pytorch_lightning as pl
from hiersep.config import as_yaml
from hiersep.errors import ConfigError
from hiersep.files import atomic_path, fingerprint, git_commit, write_json
from hiersep.losses import LOSSES
from hiersep.models.path import PathSeparator
from hiersep.training.callbacks import KeepBest, LearningCurve, ShowProgress
from hiersep.training.clip import AutoClip
from hiersep.training.data import make_dataset, make_loader
from hiersep.training.system import SeparationSystem

if TYPE_CHECKING:
    from hiersep.config import ExperimentConfig, TrainingConfig

CHECKPOINT_NAME = "best.safetensors"
STATE_NAME = "last.ckpt"


def train(config: ExperimentConfig, exp_dir: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Train a separator, or go on with a training that was interrupted.

    Args:
        config: The experiment, from `hiersep.config.load_experiment`.
        exp_dir: Its folder. A finished training of the same configuration is not repeated.
        overwrite: Start anew where the folder holds a training of another configuration.

    Returns:
        Path of the best checkpoint.

    Raises:
        ConfigError: If the folder holds a training of another configuration and `overwrite` is not set.
        DataError: If the data cannot be used.
        HierarchyError: If the hierarchy or a node is not known.
    """
    exp_dir = Path(exp_dir)
    best = exp_dir / CHECKPOINT_NAME
    if _prepare(exp_dir, config, overwrite):
        return best
    started = time.monotonic()
    pl.seed_everything(config.training.seed, verbose=False)
    settings = config.training
    training_set = make_dataset(config, "train", config.data.num_train)
    validation_set = make_dataset(config, "validation", config.data.num_validation)
    model = PathSeparator(
        training_set.hierarchy,
        training_set.nodes,
        sample_rate=config.data.sample_rate,
        spectrum=config.spectrum,
        network=config.network,
    )
    keep_best = KeepBest(best, _provenance(config, exp_dir))
    trainer = _trainer(settings, exp_dir, keep_best)
    state = exp_dir / STATE_NAME
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.999), eps=1e-8)
    system = SeparationSystem(
        model=model,
        optimizer=optimizer,
        loss_func=LOSSES[settings.loss],
        train_loader=make_loader(training_set, settings.batch_size, settings.num_workers),
        val_loader=make_loader(validation_set, settings.batch_size, 0),
        scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=settings.patience),
    )
    trainer.fit(system, ckpt_path=state if state.exists() else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    summary = {
        "config": fingerprint(config.to_dict()),
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "seconds": round(time.monotonic() - started, 1),
        "validation_loss": keep_best.best,
    }
    write_json(exp_dir / "training.json", summary)
    return best


def _prepare(exp_dir: Path, config: ExperimentConfig, overwrite: bool) -> bool:
    """Claim the folder for this configuration; say whether its training is over already."""
    text = as_yaml(config)
    conf = exp_dir / "conf.yml"
    same = conf.exists() and conf.read_text(encoding="utf-8") == text
    if conf.exists() and not same:
        if not overwrite:
            raise ConfigError(
                f"{exp_dir}: holds a training of another configuration (see its conf.yml); choose another folder, or "
                "say --overwrite"
            )
        for name in ("training.json", STATE_NAME, CHECKPOINT_NAME, "metrics.csv"):
            (exp_dir / name).unlink(missing_ok=True)
    if same and (exp_dir / "training.json").exists() and (exp_dir / CHECKPOINT_NAME).exists():
        return True
    with atomic_path(conf) as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_json(exp_dir / "environment.json", _environment())
    return False


def _environment() -> dict[str, Any]:
    packages = sorted(f"{d.metadata['Name']}=={d.version}" for d in importlib.metadata.distributions())
    return {
        "commit": git_commit(Path(__file__).parent),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": packages,
    }


def _provenance(config: ExperimentConfig, exp_dir: Path) -> dict[str, Any]:
    return {
        "experiment": exp_dir.name,
        "data": config.data.folder,
        "target": config.data.target,
        "loss": config.training.loss,
        "commit": git_commit(Path(__file__).parent),
    }


def _trainer(settings: TrainingConfig, exp_dir: Path, keep_best: KeepBest) -> pl.Trainer:
    save_state = pl.callbacks.ModelCheckpoint(
        dirpath=exp_dir, filename="last", save_top_k=1, enable_version_counter=False
    )
    curve = LearningCurve(exp_dir / "metrics.csv")
    return pl.Trainer(
        accelerator=settings.device,
        devices=1,
        max_epochs=settings.max_epochs,
        max_time=timedelta(minutes=settings.max_minutes) if settings.max_minutes else None,
        callbacks=[AutoClip(settings.clip_percentile), keep_best, curve, ShowProgress(), save_state],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
