"""Measure all tracks of a data set, in parallel, and go on where an interrupted run was.

What was ever measured of a file that has not changed since is not measured again: catalogs of other tables of splits,
and the journals of unfinished runs, are all read. Several processes may do the same work at once; each succeeds.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hiersep import audio
from hiersep.data import cache
from hiersep.data.journal import Journal, remove_done
from hiersep.data.measuring import BLOCK_S, Measurement, TrackMeasurement, TrackWork, measure_track
from hiersep.data.parallel import naming_deaths, without_interrupts
from hiersep.data.store import BLOCKS, SUFFIX, Block, BlockPlan, Store, load_store
from hiersep.errors import DataError
from hiersep.files import fingerprint, size_text, sweep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from hiersep.data.cache import Stamp
    from hiersep.data.tracks import Stem, Track

_STORE_PATTERN, _CATALOG_PATTERN = "store*.npz", "catalog*.npz"


class IndexPlan:
    """The tracks of a data set, and keys of what they and their files are.

    Attributes:
        tracks: All of them.
        sample_rate: Working rate in Hz.
        stamps: Per track, the stamps of its stems.
        keys: Per track, a digest of its files and of how they are measured.
        key: Digest of all.
    """

    def __init__(self, dataset: str, tracks: Sequence[Track], sample_rate: int):
        self.tracks, self.sample_rate = tuple(tracks), sample_rate
        self.stamps = [[_stamp(stem) for stem in track.stems] for track in self.tracks]
        mixtures = [_stamp(track.mixture) if track.mixture else None for track in self.tracks]
        how = [cache.FORMAT, sample_rate, BLOCK_S]
        self.keys = [fingerprint([how, *pair]) for pair in zip(self.stamps, mixtures, strict=True)]
        self.key = fingerprint([dataset, self.keys])

    def size(self, number: int) -> int:
        """Bytes of a track's stems."""
        return sum(size for _, _, size, _ in self.stamps[number])


@dataclass
class _Known:
    """What was found out before: by track, by stem, and the blocks of the store by their names."""

    tracks: dict[str, TrackMeasurement] = field(default_factory=dict)
    stems: dict[Stamp, Measurement | str] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)

    @classmethod
    def collect(cls, folder: Path) -> _Known:
        known = cls()
        for path in sorted(folder.glob(_CATALOG_PATTERN)):
            if kept := cache.load(path):
                known.tracks.update(kept.tracks)
                known.stems.update(kept.by_stamp())
        for path in sorted(folder.glob(_STORE_PATTERN)):
            if store := load_store(path):
                known.blocks.update(zip(store.names, store.blocks, strict=True))
        for key, track in Journal(folder).read():
            known.tracks[key] = track
            if track.block:
                known.blocks[_block_name(key, track.block.channels)] = track.block
        return known


def _stamp(stem: Stem) -> Stamp:
    stream = -1 if stem.stream is None else stem.stream
    try:
        status = stem.path.stat()
    except OSError:  # the file is gone, which listening to it will say
        return str(stem.path), stream, -1, -1
    return str(stem.path), stream, status.st_size, status.st_mtime_ns


def _block_name(key: str, channels: int) -> str:
    return f"{key}-{channels}{SUFFIX}"


@dataclass(frozen=True)
class Index:
    """What is known of every track.

    Attributes:
        tracks: In the plan's order.
        listened: How many of them were listened to, or their blocks checked, in this run.
        not_kept: Why it could not be kept for the next run; None where it is.
    """

    tracks: tuple[TrackMeasurement, ...]
    listened: int = 0
    not_kept: str | None = None


def load_index(plan: IndexPlan, folder: Path, splits: str | None) -> Index | None:
    """Read what was measured of exactly these files; None where there is nothing of the kind."""
    kept = cache.load(folder / cache.file_name("catalog", splits))
    if kept is None or kept.key != plan.key:
        return None
    tracks = tuple(track for _, track in kept.tracks)
    if [len(track.stems) for track in tracks] != [len(track.stems) for track in plan.tracks]:
        return None
    with contextlib.suppress(OSError):  # a cache that can be read alone
        sweep(folder)
        remove_done(folder, plan.key)
    return Index(tracks)


def build_index(plan: IndexPlan, folder: Path, *, splits: str | None, jobs: int, channels: int | None = None) -> Index:
    """Measure what is not known yet, and keep it; write a store of so many `channels` too, unless that is None.

    Raises:
        DataError: If a store is wanted and has no room or cannot be written, or a worker dies.
    """
    try:
        workshop = cache.Workshop(folder)
    except (DataError, OSError) as error:
        if channels:
            raise
        return replace(_measure_all(plan, _Known(), None, jobs, None), not_kept=str(error))
    with workshop:
        journal = Journal(folder, None if channels else plan.key)
        blocks = _Blocks(folder / BLOCKS, channels) if channels else None
        index = _measure_all(plan, _Known.collect(folder), journal, jobs, blocks)
        try:
            if blocks:
                store = blocks.store(plan, index.tracks)
                store.save(folder / cache.file_name("store", splits))
            named = list(zip(plan.keys, index.tracks, strict=True))
            stamps = [stamp for track in plan.stamps for stamp in track]
            cache.save(folder / cache.file_name("catalog", splits), plan.key, named, stamps)
        except (DataError, OSError) as error:
            if channels:
                raise
            return replace(index, not_kept=str(error))
        index = replace(index, not_kept=None)  # where the journal had no room, the catalog has
        alone = workshop.alone()
        journal.remove(others=alone)
        if blocks and alone:
            blocks.sweep(folder)
    return index


def _measure_all(plan: IndexPlan, known: _Known, journal: Journal | None, jobs: int, blocks: _Blocks | None) -> Index:
    """Measure every track of which something is to be found out; note each in the journal as soon as it is done."""
    results: dict[int, TrackMeasurement] = {}
    pending: dict[int, TrackWork] = {}
    for number, (key, track) in enumerate(zip(plan.keys, plan.tracks, strict=True)):
        before = known.tracks.get(key)
        if before and len(before.stems) != len(track.stems):
            before = None  # a damaged file said so
        stems = before.stems if before else tuple(known.stems.get(stamp) for stamp in plan.stamps[number])
        if before and not blocks:
            results[number] = before
            continue
        block = blocks.plan(key, known) if blocks else None
        pending[number] = TrackWork(track.stems, stems, None if before else track.mixture, plan.sample_rate, block)
    if blocks:
        blocks.announce(pending.values())
    not_kept = None
    for number, measured in _listen(plan, pending, jobs):
        results[number] = measured
        if pending[number].mixture is None and (before := known.tracks.get(plan.keys[number])):
            results[number] = replace(measured, difference_db=before.difference_db)
        if journal and not not_kept:
            try:
                journal.append(plan.keys[number], results[number])
            except OSError as error:
                not_kept = str(error)
    return Index(tuple(results[number] for number in range(len(plan.tracks))), len(pending), not_kept)


def _listen(plan: IndexPlan, pending: dict[int, TrackWork], jobs: int) -> Iterator[tuple[int, TrackMeasurement]]:
    """Run the work in parallel, wherever joblib runs it; yield what is done, as it is done."""
    if not pending:
        return
    from joblib import Parallel, delayed
    from tqdm import tqdm

    pool = Parallel(n_jobs=jobs, return_as="generator_unordered")
    with without_interrupts():
        finished = pool(delayed(_numbered)(number, work) for number, work in pending.items())
    total = sum(map(plan.size, pending))
    bar = tqdm(total=total, unit="B", unit_scale=True, desc="Indexing", disable=None, smoothing=0.0)
    with naming_deaths("measures"), bar as progress:
        for number, measured in finished:
            yield number, measured
            progress.update(plan.size(number))


def _numbered(number: int, work: TrackWork) -> tuple[int, TrackMeasurement]:
    return number, measure_track(work)


@dataclass(frozen=True)
class _Blocks:
    """The blocks of a store while it is built: where they lie, and their channels."""

    folder: Path
    channels: int

    def plan(self, key: str, known: _Known) -> BlockPlan:
        name = _block_name(key, self.channels)
        return BlockPlan(self.folder / name, self.channels, known.blocks.get(name))

    def announce(self, works: Iterable[TrackWork]) -> None:
        """Say how much room the blocks that are not there will take.

        Raises:
            DataError: If there is less.
        """
        from tqdm import tqdm

        missing = [work for work in works if work.block and not _is_there(work.block)]
        if not missing:
            return
        needed = sum(_seconds(work) * len(work.stems) * work.sample_rate * self.channels * 2 for work in missing)
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        wanted = f"about {size_text(needed)} in {len(missing)} tracks"
        if free < needed:
            raise DataError(
                f"{self.folder}: expected room for {wanted}, got {size_text(free)}; make room, set HIERSEP_CACHE to "
                "another disk, or take a lower --sample-rate"
            )
        tqdm.write(f"{self.folder}: {wanted}; {size_text(free)} free", file=sys.stderr)

    def store(self, plan: IndexPlan, tracks: Sequence[TrackMeasurement]) -> Store:
        """List the blocks of all tracks that have one."""
        there = [(_block_name(k, self.channels), t.block) for k, t in zip(plan.keys, tracks, strict=True) if t.block]
        names, blocks = tuple(name for name, _ in there), tuple(block for _, block in there if block)
        return Store(self.folder, plan.key, self.channels, names, blocks)

    def sweep(self, folder: Path) -> None:
        """Remove the blocks that no store of the data set lists: of files that have changed since."""
        stores = [store for path in folder.glob(_STORE_PATTERN) if (store := load_store(path))]
        listed = {name for store in stores for name in store.names}
        for path in self.folder.glob(f"*{SUFFIX}"):
            if path.name not in listed:
                path.unlink(missing_ok=True)


def _is_there(plan: BlockPlan) -> bool:
    return plan.block is not None and plan.path.is_file() and plan.path.stat().st_size == plan.block.size


def _seconds(work: TrackWork) -> float:
    """Length of a track, by what is known of its stems or by their headers."""
    lengths = [0.0]
    for stem, known in zip(work.stems, work.known, strict=True):
        if isinstance(known, Measurement):
            lengths.append(known.duration)
        elif known is None:
            try:
                lengths.append(audio.info(stem.path, stream=stem.stream).duration)
            except DataError:
                continue
    return max(lengths)
