"""An experiment's folder, and what is in it: claim it, train in it, find it done.

The folder holds

- ``conf.yml`` the resolved configuration, ``environment.json`` commit, versions and machine, and those that a resumed
  training went on with;
- ``best.safetensors`` the network with the lowest validation loss, a checkpoint to share;
- ``last.ckpt`` the training state, to go on from; ``metrics.csv`` the losses per epoch;
- ``tensorboard`` curves, pictures and sound for TensorBoard;
- ``training.json`` written when the training is over.

Nothing heavy is imported before there is something to train, so that finding an experiment done takes no time.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import os
import platform
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiersep.config import as_yaml, load_experiment
from hiersep.errors import ConfigError, DataError
from hiersep.files import lock_folder, sweep, write_json, write_text
from hiersep.provenance import git_commit, machine
from hiersep.training.names import (
    CHECKPOINT_NAME,
    CURVE_NAME,
    ENVIRONMENT_NAME,
    STATE_NAME,
    SUMMARY_NAME,
    TENSORBOARD_NAME,
)
from hiersep.training.processes import is_first

if TYPE_CHECKING:
    from collections.abc import Callable

    from hiersep.config import ExperimentConfig

    Fit = Callable[..., dict[str, Any]]

_PATIENCE_S = 60
_CONF = "conf.yml"
_MADE = (STATE_NAME, CHECKPOINT_NAME, CURVE_NAME, SUMMARY_NAME)


def train(
    config: ExperimentConfig, exp_dir: str | os.PathLike[str], *, overwrite: bool = False, fit: Fit | None = None
) -> Path:
    """Train a separator, or go on with a training that was interrupted, from the last saved step.

    Args:
        config: The experiment, from `hiersep.config.load_experiment`.
        exp_dir: Its folder. A finished training of the same configuration is not repeated.
        overwrite: Start anew where the folder holds a training of another configuration.
        fit: Does the work, in the form of `hiersep.training.loop.fit`, which is the default.

    Returns:
        Path of the best checkpoint.

    Raises:
        CheckpointError: If the training state, or the checkpoint to begin with, cannot be read.
        ConfigError: If the folder holds a training of another configuration and `overwrite` is not set, or the
            configuration cannot be trained.
        DataError: If the data cannot be used, or another training is at work in the folder.
        HierarchyError: If the hierarchy or a node is not known.
        KeyboardInterrupt: If the training was interrupted, by Ctrl-C or SIGTERM; its state is saved.
    """
    exp_dir = Path(exp_dir)
    if _is_over(exp_dir, config):
        sweep(exp_dir)
        return exp_dir / CHECKPOINT_NAME
    first = is_first(config.training)
    with lock_folder(exp_dir) if first else contextlib.nullcontext():
        same = _holds(exp_dir, config)
        # A training that is over, its result lost, begins anew.
        resumed = same and (exp_dir / STATE_NAME).exists() and not os.path.lexists(exp_dir / SUMMARY_NAME)
        if not resumed:
            _refuse_to_begin(exp_dir, config, overwrite=overwrite or same)
        if fit is None:
            from hiersep.training import loop

            fit = loop.fit
        claim = functools.partial(_claim, resumed=resumed) if first else _follow
        summary = fit(config, exp_dir, resumed=resumed, claim=lambda: claim(exp_dir, config))
        if summary["validation_loss"] is None:
            raise ConfigError(
                f"{exp_dir}: the validation loss was never a finite number, so there is no network to keep; "
                "lower training.learning_rate"
            )
        if first:
            write_json(exp_dir / SUMMARY_NAME, summary)
    return exp_dir / CHECKPOINT_NAME


def _is_over(exp_dir: Path, config: ExperimentConfig) -> bool:
    """Say whether this training is over, and its result still there."""
    return all((exp_dir / name).exists() for name in (SUMMARY_NAME, CHECKPOINT_NAME)) and _holds(exp_dir, config)


def _refuse_to_begin(exp_dir: Path, config: ExperimentConfig, *, overwrite: bool) -> None:
    """Refuse to remove what is not meant to be."""
    if not overwrite and any((exp_dir / name).exists() for name in _MADE):
        raise ConfigError(
            f"{exp_dir}: holds a training of another configuration (see its conf.yml); choose another folder, or "
            "say --overwrite"
        )
    source = config.training.init_from
    if source is not None and Path(source).resolve().parent == exp_dir.resolve():
        raise ConfigError(
            f"training.init_from: expected a checkpoint of another folder, got {source}, which this training would "
            "replace; choose another folder for it"
        )


def _claim(exp_dir: Path, config: ExperimentConfig, *, resumed: bool) -> None:
    """Make the folder this training's: all has been checked, and the work begins."""
    sweep(exp_dir)
    if not resumed:
        for name in _MADE:
            (exp_dir / name).unlink(missing_ok=True)
        shutil.rmtree(exp_dir / TENSORBOARD_NAME, ignore_errors=True)
        write_text(exp_dir / _CONF, as_yaml(config))
    _write_environment(exp_dir / ENVIRONMENT_NAME, resumed=resumed)


def _follow(exp_dir: Path, config: ExperimentConfig) -> None:
    """Wait until the first process has claimed the folder.

    torchrun and SLURM start all at once. What another training left is gone before the configuration is written.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if _holds(exp_dir, config) and not (exp_dir / SUMMARY_NAME).exists():
            return  # from here on, what lies here is this training's
        time.sleep(0.1)
    raise ConfigError(
        f"{exp_dir}: expected the first process to begin the training here within {_PATIENCE_S} s; see what it says, "
        "and whether all machines see this folder"
    )


def _holds(exp_dir: Path, config: ExperimentConfig) -> bool:
    """Say whether the folder is this configuration's; settings that its file does not know yet had their defaults."""
    try:
        return load_experiment(exp_dir / _CONF) == config
    except ConfigError:
        return False


def _write_environment(path: Path, *, resumed: bool) -> None:
    """Say where the training runs; of one that goes on elsewhere, or by another commit, all places in turn."""
    here = _environment()
    if resumed and path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            later = list(before.pop("resumed", []))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(
                f"{path}: expected where the training has run so far, got something else ({error}); delete the file"
            ) from error
        if here != [before, *later][-1]:
            later.append(here)
        here = {**before, "resumed": later} if later else before
    write_json(path, here)


def _environment() -> dict[str, Any]:
    import torch

    described = (distribution.metadata for distribution in importlib.metadata.distributions())  # reads a file each
    packages = sorted(f"{metadata['Name']}=={metadata['Version']}" for metadata in described)
    return {
        "commit": git_commit(Path(__file__).parent),
        "python": platform.python_version(),
        "machine": machine(map(torch.cuda.get_device_name, range(torch.cuda.device_count()))),
        "packages": packages,
    }
