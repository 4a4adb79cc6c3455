"""Score whole songs, as the field's results on MUSDB18 are given: by museval, and by ratios over all of a song.

Songs are scored one by one, each into a file of its own, so that a run that was stopped goes on with the next song; and
each with one thread, so that the scores do not depend on how many are scored at once.
"""

from __future__ import annotations

import functools
import shutil
import time
import uuid
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from hiersep import __version__
from hiersep.config import SongsConfig
from hiersep.data.catalog import open_dataset
from hiersep.data.parallel import one_thread
from hiersep.errors import ConfigError, HiersepWarning
from hiersep.evaluation.lines import read_lines, write_lines
from hiersep.evaluation.names import SONGS_FOLDER, SONGS_NAME, SONGS_TABLE_NAME
from hiersep.evaluation.passing import Source, pass_on
from hiersep.evaluation.results import origin, read_results
from hiersep.evaluation.song_scores import SongLine, score_song
from hiersep.evaluation.song_tables import song_table, summarise_songs
from hiersep.evaluation.workers import in_workers
from hiersep.files import begin_folder, fingerprint, lock_folder, make_folder, sweep, write_json, write_text
from hiersep.models.loading import load_separator
from hiersep.models.query import QuerySeparator
from hiersep.separation import choose_device
from hiersep.typed import expect

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from hiersep.data.catalog import Catalog
    from hiersep.models.separator import Separator

FORMAT = 1
_MODEL, _KEY = ".model", ".key"


@dataclass(frozen=True)
class SongPlan:
    """All that the scores depend on: the network on its device, the data set, its songs, the levels, and a digest."""

    model: Separator
    catalog: Catalog
    songs: tuple[int, ...]
    levels: tuple[str, ...]
    settings: SongsConfig
    device: str
    key: str

    def path(self, folder: Path, song: int) -> Path:
        """The file of a song."""
        name = self.catalog.tracks[song].id.replace("/", "-")
        return folder / f"{self.songs.index(song):03d} {name}.csv"


def score_songs(
    model: Separator | str | os.PathLike[str] | Sequence[Any],
    data: str | os.PathLike[str],
    settings: SongsConfig | None = None,
    *,
    out: str | os.PathLike[str],
    jobs: int = 1,
    device: str | None = None,
) -> dict[str, Any]:
    """Score a separator on whole songs of a data set, a level of the hierarchy at a time.

    Songs are taken at the network's rate, with the channels that they have, at most two. What was scored before with
    the same weights, data and settings is not scored again.

    Args:
        model: The separator, or what `load_separator` takes; not one that takes queries.
        data: A data set with the split to score.
        settings: What to score.
        out: Folder for a file per song in ``songs``, the figures (``songs.json``) and the table (``songs.md``).
        jobs: Songs that are scored at the same time, each by a process; -1: one per core. A stereo song of four minutes
            at 44.1 kHz in four nodes takes some GB.
        device: Where the network runs: ``cpu``, ``cuda``, ``mps``. Default: a GPU where there is one.

    Returns:
        The content of ``songs.json``.

    Raises:
        CheckpointError: If the checkpoint cannot be loaded.
        ConfigError: If there is no such device, `jobs` is none, or the network takes queries.
        DataError: If the data cannot be used, the folder not be written to, or another run is at work in it.
        HierarchyError: If a level is none, or the network estimates no node of it.
    """
    expect(jobs >= 1 or jobs == -1, "jobs", "at least 1, or -1", jobs)
    plan, out = _make_plan(model, data, settings or SongsConfig(), device), Path(out)
    begin_folder(out)  # found unwritable now and not after hours of work
    results = read_results(out, SONGS_NAME, known=FORMAT)
    if results is None or results.get("key") != plan.key:
        started = time.monotonic()
        lines = _score_all(plan, out / SONGS_FOLDER, jobs)
        about = origin(model, plan.catalog.folder, plan.settings, device=plan.device, key=plan.key, started=started)
        results = {"format": FORMAT, "sample_rate": plan.catalog.sample_rate, **summarise_songs(lines), **about}
        write_text(out / SONGS_TABLE_NAME, song_table(results) + "\n")
        write_json(out / SONGS_NAME, results)
    return results


def _make_plan(
    model: Separator | str | os.PathLike[str] | Sequence[Any],
    data: str | os.PathLike[str],
    settings: SongsConfig,
    device: str | None,
) -> SongPlan:
    device = choose_device(device)
    network = load_separator(model)
    if isinstance(network, QuerySeparator):
        raise ConfigError(
            "model: expected a network of fixed nodes to score whole songs, got one that takes queries; score its clips"
        )
    catalog = open_dataset(data, sample_rate=int(network.sample_rate), splits=settings.splits, lenient=False)
    songs, levels = catalog.select(settings.split), _chosen_levels(network, settings.levels)
    versions = [FORMAT, __version__, torch.__version__]
    key = fingerprint(
        [*versions, network.key or uuid.uuid4().hex, catalog.key, list(songs), list(levels), settings.to_dict(), device]
    )
    return SongPlan(network.to(device).eval(), catalog, songs, levels, settings, device, key)


def _chosen_levels(model: Separator, wanted: Sequence[str] | None) -> tuple[str, ...]:
    hierarchy = model.hierarchy
    estimated = tuple(dict.fromkeys(hierarchy.node(node).level for node in model.nodes))
    for name in wanted or ():
        hierarchy.depth_of(name)
        expect(name in estimated, "songs.levels", f"levels that the network estimates ({', '.join(estimated)})", name)
    return tuple(name for name in estimated if wanted is None or name in wanted)


def _score_all(plan: SongPlan, folder: Path, jobs: int) -> list[SongLine]:
    """Score the songs that were not yet, and read the lines of all."""
    from joblib import effective_n_jobs

    with lock_folder(folder):
        sweep(folder)
        _claim(folder, plan.key)
        pending = [song for song in plan.songs if not plan.path(folder, song).is_file()]
        jobs = min(effective_n_jobs(jobs), len(pending))
        done = len(plan.songs) - len(pending)
        with tqdm(total=len(plan.songs), initial=done, desc="Scoring", unit="song", disable=None, smoothing=0.0) as bar:
            for _ in _in_parallel(plan, folder, pending, jobs) if jobs > 1 else _in_turn(plan, folder, pending):
                bar.update()
        shutil.rmtree(folder / _MODEL, ignore_errors=True)
        return [line for song in plan.songs for line in read_lines(plan.path(folder, song), SongLine)]


def _claim(folder: Path, key: str) -> None:
    """Remove from the folder the songs that were scored with other weights, data or settings."""
    place = folder / _KEY
    if place.is_file() and place.read_text(encoding="utf-8") == key:
        return
    shutil.rmtree(folder / _MODEL, ignore_errors=True)
    for path in folder.glob("*.csv"):
        path.unlink()
    write_text(place, key)


def _score_one(plan: SongPlan, folder: Path, song: int) -> None:
    with one_thread():
        lines = score_song(
            plan.model, plan.catalog, song, plan.levels, bss_eval=plan.settings.bss_eval, device=plan.device
        )
    write_lines(plan.path(folder, song), lines, SongLine)


def _in_turn(plan: SongPlan, folder: Path, pending: Iterable[int]) -> Iterable[None]:
    for song in pending:
        _score_one(plan, folder, song)
        yield


def _in_parallel(plan: SongPlan, folder: Path, pending: Sequence[int], jobs: int) -> Iterable[None]:
    folder = folder.resolve()
    make_folder(folder / _MODEL)
    source = pass_on(plan.model, folder / _MODEL)
    work = _Work(source, plan.catalog.folder, plan.settings, plan.device)
    yield from in_workers(functools.partial(_work_on, folder, work), pending, jobs)


@dataclass(frozen=True)
class _Work:
    """Where a worker finds all that it needs."""

    source: Source
    data: Path
    settings: SongsConfig = field(hash=False)  # it may hold lists
    device: str


def _work_on(folder: Path, work: _Work, song: int) -> None:
    _score_one(_read_work(work), folder, song)


@functools.lru_cache(maxsize=1)
def _read_work(work: _Work) -> SongPlan:
    """Open in a worker, once for all of its songs, what it reads; what is wrong with the data was told of before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HiersepWarning)
        return _make_plan(work.source.load(), work.data, work.settings, work.device)
