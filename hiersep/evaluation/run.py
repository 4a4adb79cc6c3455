"""Score all clips: in batches that are the same for any number of jobs, and again from where a run was stopped.

The clips are cut into chunks, and a chunk into batches, by the settings alone; every process computes with one thread.
So the numbers do not depend on how many there are. What a chunk gave is kept in a file until all is done; a run that
was killed goes on behind the last one. Workers read all that they need from the disk, once: they may be wherever joblib
runs them, if the disk is the same.
"""

from __future__ import annotations

import functools
import shutil
import uuid
import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from hiersep import __version__
from hiersep.config import EvaluationConfig
from hiersep.data.catalog import open_dataset
from hiersep.data.parallel import one_thread
from hiersep.errors import HiersepWarning
from hiersep.evaluation.clips import choose_clips, read_clips, write_clips
from hiersep.evaluation.items import ClipSet
from hiersep.evaluation.lines import read_lines, write_lines
from hiersep.evaluation.passing import pass_on, refuse_to_pass
from hiersep.evaluation.scoring import score_clips
from hiersep.evaluation.static import fit_static
from hiersep.evaluation.summary import Evaluation
from hiersep.evaluation.workers import in_workers
from hiersep.files import atomic_path, fingerprint, write_text
from hiersep.models.loading import load_separator
from hiersep.separation import choose_device
from hiersep.typed import expect

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hiersep.evaluation.lines import Line
    from hiersep.evaluation.passing import Source
    from hiersep.models.separator import Separator

FORMAT = 2
CHUNK = 4  # batches that a process is given at a time
_CLIPS, _STATIC, _KEY = "clips.json", "static.safetensors", "key"


@dataclass(frozen=True)
class Plan:
    """All that the scores depend on.

    Attributes:
        model: The separator, on its device, in evaluation mode.
        clips: What it is scored on.
        settings: With the list's length of a clip.
        device: Where the separator runs.
        key: Digest of all this; of a function, whose doing nobody knows, one that no other plan has.
    """

    model: Separator
    clips: ClipSet
    settings: EvaluationConfig
    device: str
    key: str

    @property
    def chunks(self) -> list[range]:
        """Numbers of the clips of each chunk."""
        size, count = CHUNK * self.settings.batch_size, len(self.clips)
        return [range(start, min(start + size, count)) for start in range(0, count, size)]

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node that is wanted of some clip, in the hierarchy's order."""
        there = {node for number in range(len(self.clips)) for node in self.clips.nodes(number)}
        return tuple(node for node in self.model.hierarchy.ids if node in there)

    def evaluation(self, lines: Sequence[Line]) -> Evaluation:
        """Give the lines the plan's names."""
        return Evaluation(self.model.kind, tuple(dict.fromkeys(self.clips.levels)), self.nodes, tuple(lines))


def make_plan(
    model: Separator | str | os.PathLike[str] | Sequence[Any],
    data: str | os.PathLike[str],
    settings: EvaluationConfig | None = None,
    *,
    device: str | None = None,
) -> Plan:
    """Load the separator, open the data set and choose the clips.

    Raises:
        CheckpointError: If a checkpoint cannot be loaded.
        ConfigError: If there is no such device, or `load_separator` knows no such model.
        DataError: If the data cannot be used, or the list of clips is none, or of another data set.
    """
    device = choose_device(device)
    settings = settings or EvaluationConfig()
    separator = load_separator(model)
    clips, catalog = choose_clips(separator, data, settings)
    settings = replace(settings, duration=clips.duration, clips=None)
    own = separator.key or uuid.uuid4().hex
    key = fingerprint(
        [FORMAT, __version__, own, catalog.key, clips.to_dict(), settings.to_dict(), device, torch.__version__]
    )
    items = ClipSet(clips, catalog, separator, channels=settings.channels)
    return Plan(separator.to(device).eval(), items, settings, device, key)


def score_all(plan: Plan, folder: Path, *, jobs: int = 1) -> Evaluation:
    """Score every clip of a plan.

    Args:
        plan: What to score.
        folder: For what is kept until the scores are; for whoever holds its lock, and removes it then.
        jobs: Processes; -1: one per core.

    Raises:
        ConfigError: If `jobs` is none, or more than one where workers cannot load the separator.
        DataError: If the folder cannot be written to, or a worker dies.
    """
    expect(jobs >= 1 or jobs == -1, "jobs", "at least 1, or -1", jobs)
    if jobs != 1:
        refuse_to_pass(plan.model)
    _claim(folder, plan)
    with one_thread():
        _score_pending(plan, folder, jobs)
    return plan.evaluation(
        [line for number in range(len(plan.chunks)) for line in read_lines(_chunk_path(folder, number))]
    )


def _claim(folder: Path, plan: Plan) -> None:
    """Empty the folder of what another plan left, and put down what workers read."""
    key = folder / _KEY
    if key.is_file() and key.read_text(encoding="utf-8") == plan.key:
        return
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_clips(folder / _CLIPS, plan.clips.clips)
    write_text(key, plan.key)


def _chunk_path(folder: Path, number: int) -> Path:
    return folder / f"chunk-{number:06d}.csv"


def _score_pending(plan: Plan, folder: Path, jobs: int) -> None:
    """Score the chunks that are not there yet."""
    from joblib import effective_n_jobs

    pending = [number for number in range(len(plan.chunks)) if not _chunk_path(folder, number).is_file()]
    done = len(plan.clips) - sum(len(plan.chunks[number]) for number in pending)
    if not pending:
        return
    static = _static_masks(plan, folder)
    jobs = min(effective_n_jobs(jobs), len(pending))
    with tqdm(total=len(plan.clips), initial=done, desc="Evaluating", unit="clip", disable=None) as bar:
        for number in _in_parallel(plan, folder, pending, jobs) if jobs > 1 else pending:
            if jobs == 1:
                _score_chunk(plan, static, folder, number)
            bar.update(len(plan.chunks[number]))


def _static_masks(plan: Plan, folder: Path) -> dict[str, torch.Tensor]:
    """Fit the static masks, or read those that a stopped run fitted."""
    from safetensors.torch import load_file
    from safetensors.torch import save as to_bytes

    path = folder / _STATIC
    if not path.is_file():
        place = plan.clips.catalog.folder
        masks = fit_static(plan.model, place, plan.nodes, plan.settings, device=plan.device)
        with atomic_path(path) as temporary:
            # save_file would speak of a full disk in an error of its own.
            temporary.write_bytes(to_bytes({node: mask.cpu().contiguous() for node, mask in masks.items()}))
    return {node: mask.to(plan.device) for node, mask in load_file(path).items()}


def _score_chunk(plan: Plan, static: dict[str, torch.Tensor], folder: Path, number: int) -> None:
    numbers, size = plan.chunks[number], plan.settings.batch_size
    lines = [
        line
        for start in range(0, len(numbers), size)
        for line in score_clips(plan.model, static, plan.clips, numbers[start : start + size])
    ]
    write_lines(_chunk_path(folder, number), lines)


@dataclass(frozen=True)
class _Work:
    """Where a worker finds all that it needs; the key tells one plan from another in the same folder."""

    folder: Path
    source: Source
    data: Path
    settings: EvaluationConfig = field(hash=False)  # it may hold lists
    device: str
    key: str


def _in_parallel(plan: Plan, folder: Path, pending: Sequence[int], jobs: int) -> Iterator[int]:
    """Let workers score chunks, wherever joblib runs them; yield the number of each that is done."""
    folder = folder.resolve()
    source = pass_on(plan.model, folder)
    work = _Work(folder, source, plan.clips.catalog.folder, plan.settings, plan.device, plan.key)
    yield from in_workers(functools.partial(_work_on, work), pending, jobs)


def _work_on(work: _Work, number: int) -> int:
    with one_thread():
        plan, static = _read_work(work)
        _score_chunk(plan, static, work.folder, number)
    return number


@functools.lru_cache(maxsize=1)
def _read_work(work: _Work) -> tuple[Plan, dict[str, torch.Tensor]]:
    """Open in a worker what the main process put down; that has told of what is wrong with the data."""
    separator = work.source.load().to(work.device).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HiersepWarning)
        catalog = open_dataset(work.data, sample_rate=int(separator.sample_rate), jobs=1, splits=work.settings.splits)
    clips = ClipSet(read_clips(work.folder / _CLIPS), catalog, separator, channels=work.settings.channels)
    plan = Plan(separator, clips, work.settings, work.device, work.key)
    return plan, _static_masks(plan, work.folder)
