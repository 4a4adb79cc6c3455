"""An experiment's folder, and what is in it: claim it, train in it, find it done.

The folder holds

- ``conf.yml`` the resolved configuration, ``environment.json`` commit, versions and machine;
- ``best.safetensors`` the network with the lowest validation loss, a checkpoint to share;
- ``last.ckpt`` the training state, to go on from; ``metrics.csv`` the losses per epoch;
- ``training.json`` written when the training is over.

Nothing heavy is imported before there is something to train, so that finding an experiment done takes no time.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiersep.config import as_yaml
from hiersep.errors import ConfigError
from hiersep.files import atomic_path, git_commit, write_json
from hiersep.training.names import CHECKPOINT_NAME, CURVE_NAME, STATE_NAME, SUMMARY_NAME

if TYPE_CHECKING:
    from hiersep.config import ExperimentConfig


def train(config: ExperimentConfig, exp_dir: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Train a separator, or go on with a training that was interrupted, from the last finished epoch.

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
    if _claim(exp_dir, config, overwrite):
        return exp_dir / CHECKPOINT_NAME
    from hiersep.training.loop import fit

    started = time.monotonic()
    summary = fit(config, exp_dir)
    if summary["validation_loss"] is None:
        raise ConfigError(
            f"{exp_dir}: the validation loss was never a finite number, so there is no network to keep; "
            "lower training.learning_rate"
        )
    write_json(exp_dir / SUMMARY_NAME, {**summary, "seconds": round(time.monotonic() - started, 1)})
    return exp_dir / CHECKPOINT_NAME


def _claim(exp_dir: Path, config: ExperimentConfig, overwrite: bool) -> bool:
    """Claim the folder for this configuration; say whether its training is over already."""
    text = as_yaml(config)
    conf = exp_dir / "conf.yml"
    made = [exp_dir / name for name in (SUMMARY_NAME, STATE_NAME, CHECKPOINT_NAME, CURVE_NAME)]
    same = conf.exists() and conf.read_text(encoding="utf-8") == text
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
        "packages": packages,
    }
