"""Evaluate, and leave in a folder what people and programs read of it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hiersep.errors import DataError, refuse_later
from hiersep.evaluation.clips import write_clips
from hiersep.evaluation.lines import ROWS, read_lines, write_lines
from hiersep.evaluation.names import (
    CLIPS_NAME,
    INPUT_NAME,
    LEVELS_NAME,
    PARTS_NAME,
    RESULTS_NAME,
    SCORES_NAME,
    TABLE_NAME,
)
from hiersep.evaluation.run import FORMAT, make_plan, score_all
from hiersep.evaluation.tables import table
from hiersep.files import begin_folder, lock_folder, scratch_folder, write_json, write_text
from hiersep.plots import plot_boxes, plot_over_input
from hiersep.provenance import git_commit, machine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hiersep.config import EvaluationConfig
    from hiersep.config.sections import Section
    from hiersep.evaluation.run import Plan
    from hiersep.evaluation.summary import Evaluation
    from hiersep.models.separator import Separator


def evaluate(
    model: Separator | str | os.PathLike[str] | Sequence[Any],
    data: str | os.PathLike[str],
    settings: EvaluationConfig | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    device: str | None = None,
) -> Evaluation:
    """Score a separator on fixed clips of a data set.

    The scores do not depend on `jobs`. A run that was stopped goes on where it was, if it had a folder.

    Args:
        model: What `hiersep.models.loading.load_separator` takes: a separator or its name, several networks in a list
            as one, or a foreign model. The data are opened at its rate.
        data: A data set with the split to score, and ``train``, on which the static masks are fitted.
        settings: What to score.
        out: Folder for the clips, scores, results, table and pictures. What lies there already of the same weights,
            data and settings is not scored again; of a function, whose doing nobody knows, it always is.
        jobs: Processes; -1: one per core. 1 for a foreign model that was not loaded by its name.
        device: Where the separator runs: ``cpu``, ``cuda``, ``mps``. Default: a GPU where there is one.

    Raises:
        CheckpointError: If a checkpoint cannot be loaded, or gives infinite numbers.
        ConfigError: If there is no such device, `jobs` is none, or the models make no separator.
        DataError: If the data cannot be used, or the folder not be written to.
    """
    plan = make_plan(model, data, settings, device=device)
    if out is None:
        with scratch_folder() as folder:
            return score_all(plan, folder, jobs=jobs)
    out = Path(out)
    begin_folder(out)  # found unwritable now and not after minutes of work
    before = read_results(out)
    parts = out / PARTS_NAME
    if before is not None and before.get("key") == plan.key and (out / SCORES_NAME).is_file():
        evaluation = plan.evaluation(read_lines(out / SCORES_NAME))
        _write(out, plan, evaluation, before)
        _remove_left(parts)
        return evaluation
    with lock_folder(parts):
        (out / RESULTS_NAME).unlink(missing_ok=True)
        started = time.monotonic()
        evaluation = score_all(plan, parts, jobs=jobs)
        write_lines(out / SCORES_NAME, evaluation.lines)
        place = plan.clips.catalog.folder
        about = origin(model, place, plan.settings, device=plan.device, key=plan.key, started=started)
        before = {**evaluation.summary(), "format": FORMAT, **about}
        _write(out, plan, evaluation, before)
        shutil.rmtree(parts)  # not before the results are there: what a kill cuts off costs no scoring
    return evaluation


def _remove_left(parts: Path) -> None:
    """Remove what a run left that was killed after its results were there; not what another run is at work in."""
    if parts.exists():
        with contextlib.suppress(DataError), lock_folder(parts):
            shutil.rmtree(parts, ignore_errors=True)


def read_results(
    out: str | os.PathLike[str], name: str = RESULTS_NAME, *, known: int = FORMAT
) -> dict[str, Any] | None:
    """Read the ``results.json`` of a folder, or a file of another name; None where there is none that is whole.

    Args:
        out: The folder.
        name: Of the file.
        known: Its highest format that is read.

    Raises:
        DataError: If a later version wrote it.
    """
    try:
        results = json.loads((Path(out) / name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(results, dict):
        return None
    refuse_later(results.get("format"), known, str(Path(out) / name), DataError)
    return results


def _called(model: object) -> str:
    """What a model is called in the results."""
    if isinstance(model, list | tuple):
        return ", ".join(map(_called, model))
    name = getattr(model, "name", None) or type(model).__name__
    return str(model) if isinstance(model, str | os.PathLike) else str(name)


def origin(model: object, data: Path, settings: Section, *, device: str, key: str, started: float) -> dict[str, Any]:
    """Say where the figures of a file come from.

    Args:
        model: The network, or what names it.
        data: Folder of the data set.
        settings: What was scored.
        device: Where the network ran.
        key: Digest of all that the figures depend on.
        started: When, by the clock `time.monotonic`.
    """
    gpus = [torch.cuda.get_device_name(device)] if device.startswith("cuda") else []
    return {
        "model": _called(model),
        "data": str(data),
        "settings": settings.to_dict(),
        "seconds": round(time.monotonic() - started, 3),
        "machine": machine(gpus),
        "device": device,
        "torch": torch.__version__,
        "commit": git_commit(Path(__file__).parent),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "key": key,
    }


def _write(out: Path, plan: Plan, evaluation: Evaluation, results: dict[str, Any]) -> None:
    """Write what is missing; the results last, so that a folder that has them is whole."""
    fresh = not (out / RESULTS_NAME).is_file()
    scored = {level: evaluation.scored(level=level) for level in evaluation.levels}
    gains = {
        level: {row: [getattr(line, row) - line.mixture for line in lines] for row in ROWS if row != "mixture"}
        for level, lines in scored.items()
    }
    inputs = {level: [line.mixture for line in lines] for level, lines in scored.items()}
    writers: dict[str, Callable[[Path], None]] = {
        CLIPS_NAME: lambda path: write_clips(path, plan.clips.clips),
        TABLE_NAME: lambda path: write_text(path, table(results) + "\n"),
        LEVELS_NAME: lambda path: plot_boxes(path, gains),
        INPUT_NAME: lambda path: plot_over_input(
            path, inputs, {level: rows["estimate"] for level, rows in gains.items()}
        ),
        RESULTS_NAME: lambda path: write_json(path, results),
    }
    for name, write in writers.items():
        if fresh or not (out / name).is_file():
            write(out / name)
