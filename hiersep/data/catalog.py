"""Know every stem of a data set: where, how long, how loud, where active.

Measuring means decoding everything once, so the result is kept in one file per data set and working rate in the user's
cache folder (``HIERSEP_CACHE`` names another), keyed by the size and modification time of every stem.

The salience of a node is judged by the *power sum* of its stems, which for stems that do not cohere is the power
of their submix within 1 dB.
"""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hiersep.data.cache import dataset_cache, file_name
from hiersep.data.findings import Finding, IndexReport, find
from hiersep.data.indexing import IndexPlan, build_index, load_index
from hiersep.data.measuring import BLOCK_S, Measurement
from hiersep.data.readers import find_reader
from hiersep.data.readers.memory import remembering
from hiersep.data.reading import Named
from hiersep.data.store import Store, load_store
from hiersep.data.tracks import Track
from hiersep.errors import DataError, HiersepWarning

if TYPE_CHECKING:
    import os

    from hiersep.data.indexing import Index
    from hiersep.data.readers import Reader

__all__ = ["BLOCK_S", "Catalog", "Measurement", "index_dataset", "open_dataset", "refuse_findings"]

_NOT_KEPT = (
    "the measurements are not kept and the next run measures again ({}); set HIERSEP_CACHE to a folder that can be "
    "written to"
)
_NO_STORE = "{}: the store is of other files, or damaged; it is not used, and `hiersep index --store` mends it"


@dataclass(frozen=True)
class Catalog:
    """A data set, read and measured.

    Attributes:
        folder: Where it lies.
        dataset: Name of the reader that recognised it; selects the block of a hierarchy's labels.
        sample_rate: Working rate in Hz at which it was measured.
        key: Digest of its files (paths, sizes, times) and of how they were measured; another key is other data.
        tracks: All tracks, sorted by split and name.
        measurements: Per track, one `Measurement` per stem.
        store: The stems at the working rate, where ``hiersep index --store`` wrote them.
        lenient: Whether a stem that was damaged since it was indexed is silent, with a warning, so that a training goes
            on. Else it is an error, as for whatever is written or scored once and for all.
        named: Which stems were named as damaged since.
    """

    folder: Path
    dataset: str
    sample_rate: int
    key: str
    tracks: tuple[Track, ...]
    measurements: tuple[tuple[Measurement, ...], ...]
    store: Store | None = None
    lenient: bool = True
    named: Named = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "named", Named([len(track.stems) for track in self.tracks]))

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that the data set has, in order of appearance."""
        return tuple(dict.fromkeys(track.split for track in self.tracks if track.split))

    def select(self, split: str | None) -> tuple[int, ...]:
        """Indices of the tracks of a split; of all tracks for None.

        Raises:
            DataError: If the data set has no such split.
        """
        chosen = tuple(i for i, track in enumerate(self.tracks) if split is None or track.split == split)
        if not chosen:
            raise DataError(
                f"{self.folder}: no tracks in split '{split}'; there are {', '.join(self.splits) or 'no splits at all'}"
            )
        return chosen

    def duration(self, track: int) -> float:
        """Length of a track in seconds: that of its longest stem."""
        return max((measurement.duration for measurement in self.measurements[track]), default=0.0)


def open_dataset(
    folder: str | os.PathLike[str],
    *,
    sample_rate: int = 16000,
    jobs: int = -1,
    splits: str | None = None,
    strict: bool = False,
    lenient: bool = True,
) -> Catalog:
    """Recognise a data set by its layout, and measure it unless that was done before.

    Args:
        folder: A data set in a layout that one of `hiersep.data.readers` knows.
        sample_rate: Working rate in Hz.
        jobs: Processes to measure with; -1 takes all cores.
        splits: Table of splits, for data sets that have several (Slakh2100: ``split2``, ``redux``, ...).
        strict: Make whatever is left out or mended an error.
        lenient: Let a stem that is damaged later be silent, with a warning, as in a training; see `Catalog`.

    Returns:
        The catalog. Its ``dataset`` says what was recognised. A stem that cannot be read is left out with a warning.

    Raises:
        DataError: If the folder is missing or empty, no reader recognises it, or nothing in it can be read.
    """
    catalog, report = index_dataset(folder, sample_rate=sample_rate, jobs=jobs, splits=splits)
    if strict:
        refuse_findings(report)
    for text in report.warnings():
        warnings.warn(text, HiersepWarning, stacklevel=2)
    return replace(catalog, lenient=lenient)


def index_dataset(
    folder: str | os.PathLike[str],
    *,
    sample_rate: int = 16000,
    jobs: int = -1,
    splits: str | None = None,
    store_channels: int | None = None,
) -> tuple[Catalog, IndexReport]:
    """Open a data set as `open_dataset` does, and report what was found in place of warning.

    Args:
        folder: The data set.
        sample_rate: Working rate in Hz.
        jobs: Processes to measure with; -1 takes all cores.
        splits: Table of splits.
        store_channels: Write a store of 1 or 2 channels too, or mend the one that is there.

    Raises:
        DataError: As `open_dataset`; or if the store has no room.
    """
    folder = Path(folder).resolve()
    reader = find_reader(folder)
    place = dataset_cache(folder, sample_rate)
    with remembering(place):
        tracks, said = _read_tracks(reader, folder, splits)
    plan = IndexPlan(reader.NAME, tracks, sample_rate)
    index = None if store_channels else load_index(plan, place, splits)
    if index is None:
        index = build_index(plan, place, splits=splits, jobs=jobs, channels=store_channels)
    notes = [] if index.not_kept is None else [_NOT_KEPT.format(index.not_kept)]
    kept_tracks, measurements = _assemble(folder, tracks, index)
    store = load_store(place / file_name("store", splits))
    if store and not (store.key == plan.key and store.holds([len(track.stems) for track in kept_tracks])):
        notes.append(_NO_STORE.format(store.folder))
        store = None
    catalog = Catalog(folder, reader.NAME, sample_rate, plan.key, kept_tracks, measurements, store)
    found = (*said, *find(tracks, index.tracks, sample_rate))
    return catalog, _report(catalog, index.listened, found, tuple(notes))


def refuse_findings(report: IndexReport) -> None:
    """Raise an error if anything was left out or mended.

    Raises:
        DataError: Naming the first finding, and how many there are.
    """
    if report.findings:
        counts = ", ".join(f"{count} {kind}" for kind, count in report.counts().items())
        raise DataError(
            f"{report.folder}: strict, and not all is as it should be ({counts}), first {report.findings[0].text}; "
            "mend the files, or leave out strict"
        )


def _read_tracks(reader: Reader, folder: Path, splits: str | None) -> tuple[tuple[Track, ...], list[Finding]]:
    """Read the layout; what the reader warns of becomes findings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tracks = tuple(reader.tracks(folder, splits))
    said = [Finding("layout", str(w.message)) for w in caught if issubclass(w.category, HiersepWarning)]
    for other in caught:
        if not issubclass(other.category, HiersepWarning):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    return tracks, said


def _assemble(
    folder: Path, tracks: tuple[Track, ...], index: Index
) -> tuple[tuple[Track, ...], tuple[tuple[Measurement, ...], ...]]:
    """Join tracks and measurements, leaving out what cannot be read."""
    kept_tracks, kept_measurements = [], []
    for track, measured in zip(tracks, index.tracks, strict=True):
        good = tuple(stem for stem in measured.stems if isinstance(stem, Measurement))
        if len(good) < len(track.stems):
            pairs = zip(track.stems, measured.stems, strict=True)
            heard = tuple(stem for stem, result in pairs if isinstance(result, Measurement))
            track = Track(track.id, track.split, heard, track.mixture)
        if good:
            kept_tracks.append(track)
            kept_measurements.append(good)
    if not kept_tracks:
        reasons = [stem for track in index.tracks for stem in track.stems]
        first = f", first {reasons[0]}" if reasons else ""
        raise DataError(f"{folder}: none of the {len(reasons)} stems can be read{first}")
    return tuple(kept_tracks), tuple(kept_measurements)


def _report(catalog: Catalog, measured: int, found: tuple[Finding, ...], notes: tuple[str, ...]) -> IndexReport:
    return IndexReport(
        folder=str(catalog.folder),
        dataset=catalog.dataset,
        sample_rate=catalog.sample_rate,
        tracks=dict(Counter(track.split or "" for track in catalog.tracks)),
        stems=sum(len(track.stems) for track in catalog.tracks),
        minutes=sum(map(catalog.duration, range(len(catalog.tracks)))) / 60,
        measured=measured,
        store=catalog.store.size if catalog.store else None,
        findings=found,
        notes=notes,
    )
