"""An experiment's folder, and what is in it: claim it, train in it, find it done.

The folder holds

- ``conf.yml`` the resolved configuration, ``environment.json`` commit, versions and machine;
- ``best.safetensors`` the network with the lowest validation loss, a checkpoint to share;
- ``last.ckpt`` the training state, to go on from; ``metrics.csv`` the losses per epoch;
- ``tensorboard`` curves, pictures and sound for TensorBoard;
- ``training.json`` written when the training is over.

Nothing heavy is imported before there is something to train, so that finding an experiment done takes no time.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiersep.config import as_yaml, load_experiment
from hiersep.errors import ConfigError
from hiersep.files import git_commit, write_json, write_text
from hiersep.training.names import CHECKPOINT_NAME, CURVE_NAME, STATE_NAME, SUMMARY_NAME, TENSORBOARD_NAME
from hiersep.training.processes import is_first

if TYPE_CHECKING:
    from hiersep.config import ExperimentConfig

_PATIENCE_S = 60


def train(config: ExperimentConfig, exp_dir: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Train a separator, or go on with a training that was interrupted, from the last saved step.

    Args:
        config: The experiment, from `hiersep.config.load_experiment`.
        exp_dir: Its folder. A finished training of the same configuration is not repeated.
        overwrite: Start anew where the folder holds a training of another configuration.

    Returns:
        Path of the best checkpoint.

    Raises:
        CheckpointError: If the training state, or the checkpoint to begin with, cannot be read.
        ConfigError: If the folder holds a training of another configuration and `overwrite` is not set, or the
            configuration cannot be trained.
        DataError: If the data cannot be used.
        HierarchyError: If the hierarchy or a node is not known.
        KeyboardInterrupt: If the training was interrupted; its state is saved.
    """
    exp_dir = Path(exp_dir)
    first = is_first(config.training)
    if _claim(exp_dir, config, overwrite) if first else _follow(exp_dir, config):
        return exp_dir / CHECKPOINT_NAME
    from hiersep.training.loop import fit

    started = time.monotonic()
    summary = fit(config, exp_dir)
    if summary["validation_loss"] is None:
        raise ConfigError(
            f"{exp_dir}: the validation loss was never a finite number, so there is no network to keep; "
            "lower training.learning_rate"
        )
    if first:
        write_json(exp_dir / SUMMARY_NAME, {**summary, "seconds": round(time.monotonic() - started, 1)})
    return exp_dir / CHECKPOINT_NAME


def _claim(exp_dir: Path, config: ExperimentConfig, overwrite: bool) -> bool:
    """Claim the folder for this configuration; say whether its training is over already."""
    conf = exp_dir / "conf.yml"
    made = [exp_dir / name for name in (STATE_NAME, CHECKPOINT_NAME, CURVE_NAME, SUMMARY_NAME)]
    same = conf.exists() and _holds(conf, config)
    over = same and (exp_dir / SUMMARY_NAME).exists()
    if over and (exp_dir / CHECKPOINT_NAME).exists():
        return True
    if not same and not overwrite and any(path.exists() for path in made):
        raise ConfigError(
            f"{exp_dir}: holds a training of another configuration (see its conf.yml); choose another folder, or "
            "say --overwrite"
        )
    if over or not same:  # over, but its result is lost; or another training's
        for path in filter(Path.exists, made):
            path.unlink()
        shutil.rmtree(exp_dir / TENSORBOARD_NAME, ignore_errors=True)
    write_text(conf, as_yaml(config))
    write_json(exp_dir / "environment.json", _environment())
    return False


def _follow(exp_dir: Path, config: ExperimentConfig) -> bool:
    """Wait until the first process has claimed the folder; say whether its training is over already.

    torchrun and SLURM start all at once. What another training left is gone before the configuration is written.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if _holds(exp_dir / "conf.yml", config):  # from here on, what lies here is this training's
            over = (exp_dir / SUMMARY_NAME).exists()
            if not over or (exp_dir / CHECKPOINT_NAME).exists():
                return over
        time.sleep(0.1)
    raise ConfigError(
        f"{exp_dir}: expected the first process to begin the training here within {_PATIENCE_S} s; see what it says, "
        "and whether all machines see this folder"
    )


def _holds(conf: Path, config: ExperimentConfig) -> bool:
    """Say whether a file says the same; settings that it does not know yet had their defaults when it was written."""
    try:
        return load_experiment(conf) == config
    except ConfigError:
        return False


def _environment() -> dict[str, Any]:
    described = (distribution.metadata for distribution in importlib.metadata.distributions())  # reads a file each
    packages = sorted(f"{metadata['Name']}=={metadata['Version']}" for metadata in described)
    return {
        "commit": git_commit(Path(__file__).parent),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "packages": packages,
    }
