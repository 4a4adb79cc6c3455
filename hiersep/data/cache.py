"""What is kept of a data set in the user's cache folder: its measurements, and the lock of whoever works on them.

One folder per data set and working rate. The file of measurements holds, beside them, the stamps of the files
that they were taken of, so that a changed data set costs no more than its changed files.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hiersep.data.arrays import read_arrays
from hiersep.data.measuring import Measurement, TrackMeasurement, checked, checked_difference, checked_power
from hiersep.files import atomic_path, fingerprint, make_folder, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FORMAT = 3
_COLUMNS: dict[str, type[np.generic]] = {
    "header": np.uint8,
    "stamps": np.uint8,
    "numbers": np.int64,
    "loudness": np.float64,
    "power": np.float32,
}

Stamp = tuple[str, int, int, int]  # path, stream (-1: none), size, time


def cache_folder() -> Path:
    """Folder for what can be computed again: ``HIERSEP_CACHE``, or the system's place for caches."""
    import platformdirs

    return Path(os.environ.get("HIERSEP_CACHE") or platformdirs.user_cache_dir("hiersep"))


def dataset_cache(folder: Path, sample_rate: int) -> Path:
    """Folder in the cache of a data set at a working rate in Hz."""
    return cache_folder() / "datasets" / f"{fingerprint(str(folder))}-{sample_rate}"


def file_name(name: str, splits: str | None) -> str:
    """Name of a file for a table of splits, which orders and leaves out tracks: ``catalog.npz`` without one."""
    return f"{name}.npz" if splits is None else f"{name}-{fingerprint(splits)}.npz"


class Workshop:
    """A data set's cache folder while work is done in it; several processes may hold it at once.

    Args:
        folder: Is made where it is not there.

    Raises:
        DataError: If it cannot be made.
    """

    def __init__(self, folder: Path):
        make_folder(folder)
        self.folder = folder
        self._lock = os.open(folder, os.O_RDONLY)
        sweep(folder, deep=True)
        with contextlib.suppress(OSError):  # a file system that knows no locks
            fcntl.flock(self._lock, fcntl.LOCK_SH)

    def alone(self) -> bool:
        """Say whether no other process works here."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._lock)


@dataclass(frozen=True)
class Kept:
    """A file of measurements as it is read.

    Attributes:
        key: Of all its files and settings.
        tracks: Key and measurement per track.
        stamps: JSON of the stamps of all stems.
    """

    key: str
    tracks: tuple[tuple[str, TrackMeasurement], ...]
    stamps: bytes

    def by_stamp(self) -> Iterator[tuple[Stamp, Measurement | str]]:
        """Yield what is known of every stem's file."""
        stems = (stem for _, track in self.tracks for stem in track.stems)
        try:
            stamps = [(path, stream, size, time) for path, stream, size, time in json.loads(self.stamps)]
            pairs = dict(zip(stamps, stems, strict=True))
        except (ValueError, TypeError, RecursionError):  # damaged: what is known by track is not touched by it
            return
        yield from pairs.items()


def save(path: Path, key: str, tracks: Sequence[tuple[str, TrackMeasurement]], stamps: Sequence[Stamp]) -> None:
    """Write measurements atomically.

    Raises:
        DataError, OSError: If they cannot be written.
    """
    stems = [stem for _, track in tracks for stem in track.stems]
    reasons = {number: stem for number, stem in enumerate(stems) if isinstance(stem, str)}
    heard = [stem for stem in stems if isinstance(stem, Measurement)]
    header = {
        "format": FORMAT,
        "key": key,
        "tracks": [[name, len(track.stems), track.difference_db] for name, track in tracks],
        "reasons": reasons,
    }
    numbers = [(m.frames, m.sample_rate, m.channels, m.lost, len(m.power)) for m in heard]
    arrays = {
        "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
        "stamps": np.frombuffer(json.dumps(stamps).encode(), np.uint8),
        "numbers": np.array(numbers, np.int64).reshape(-1, 5),
        "loudness": np.array([m.loudness for m in heard], np.float64),
        "power": np.concatenate([np.zeros(0, np.float32), *(m.power for m in heard)]),
    }
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> Kept | None:
    """Read measurements; None where there are none, or the file is damaged or of another format."""
    try:
        arrays = read_arrays(path, _COLUMNS)
        header = json.loads(arrays["header"].tobytes())
        if header["format"] != FORMAT:
            return None
        power = checked_power(arrays["power"])
        stems = _measurements(header["reasons"], arrays["numbers"], arrays["loudness"], power)
        tracks = []
        for key, count, difference_db in header["tracks"]:
            if not isinstance(key, str):
                return None
            measured = tuple(next(stems) for _ in range(count))
            tracks.append((key, TrackMeasurement(measured, checked_difference(difference_db))))
        if next(stems, None) is not None:
            return None
        return Kept(header["key"], tuple(tracks), arrays["stamps"].tobytes())
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):  # the last of a list that ends too early
        return None


def _measurements(reasons: dict[str, str], numbers: Any, loudness: Any, power: Any) -> Iterator[Measurement | str]:
    """Join the columns of a file, stem by stem."""
    number = first = 0
    for (frames, sample_rate, channels, lost, blocks), lufs in zip(numbers.tolist(), loudness.tolist(), strict=True):
        while str(number) in reasons:
            yield reasons[str(number)]
            number += 1
        if not 0 <= blocks <= len(power) - first:
            raise ValueError(f"blocks: {blocks}")
        yield checked(frames, sample_rate, channels, power[first : first + blocks], lufs, lost)
        first += blocks
        number += 1
    while str(number) in reasons:
        yield reasons[str(number)]
        number += 1
