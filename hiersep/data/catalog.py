"""Know every stem of a data set: where, how long, where active.

Measuring means decoding everything once, so the result is kept in one file per data set in the user's cache
folder (``HIERSEP_CACHE`` names another), keyed by the size and modification time of every stem. Power is kept per
half-second block; by its running sum the mean power of any window costs two look-ups.

The salience of a node is judged by the *power sum* of its stems, which for stems that do not cohere is the power
of their submix within 1 dB.
"""

from __future__ import annotations

import json
import os
import warnings
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hiersep import audio
from hiersep.data.readers import find_reader
from hiersep.data.tracks import Stem, Track
from hiersep.errors import DataError, HiersepWarning
from hiersep.files import atomic_path, fingerprint

if TYPE_CHECKING:
    import numpy.typing as npt

FORMAT = 1
BLOCK_S = 0.5


@dataclass(frozen=True)
class Measurement:
    """What listening to a stem once tells.

    Attributes:
        frames: Length at the file's own rate.
        sample_rate: The file's own rate in Hz.
        channels: Number of channels.
        power: Mean square per block of `BLOCK_S` seconds at the working rate, of the channels' mean.
    """

    frames: int
    sample_rate: int
    channels: int
    power: npt.NDArray[np.float32] = field(repr=False)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate

    @cached_property
    def _energy(self) -> npt.NDArray[np.float64]:
        return np.concatenate([[0.0], np.cumsum(self.power, dtype=np.float64) * BLOCK_S])

    def window_power(self, starts: npt.NDArray[np.float64], duration: float) -> npt.NDArray[np.float64]:
        """Mean square of the windows that begin at `starts` seconds; past the end is silence.

        Exact where a window begins and ends on multiples of `BLOCK_S`; within a block, power is taken as constant.
        """
        edges = np.arange(len(self._energy)) * BLOCK_S
        energy = np.interp(starts + duration, edges, self._energy) - np.interp(starts, edges, self._energy)
        return np.asarray(energy / duration)


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
    """

    folder: Path
    dataset: str
    sample_rate: int
    key: str
    tracks: tuple[Track, ...]
    measurements: tuple[tuple[Measurement, ...], ...]

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


def open_dataset(folder: str | os.PathLike[str], *, sample_rate: int = 16000, jobs: int = -1) -> Catalog:
    """Recognise a data set by its layout, and measure it unless that was done before.

    Args:
        folder: Slakh2100's layout, or one folder of audio files per song.
        sample_rate: Working rate in Hz.
        jobs: Processes to measure with; -1 takes all cores.

    Returns:
        The catalog. Its ``dataset`` says what was recognised. A stem that cannot be read is left out with a warning.

    Raises:
        DataError: If the folder is missing or empty, or no reader recognises it.
    """
    folder = Path(folder).resolve()
    reader = find_reader(folder)
    tracks = tuple(reader.tracks(folder))
    key = fingerprint([FORMAT, reader.NAME, sample_rate, BLOCK_S, [_stamp(s) for t in tracks for s in t.stems]])
    cache = cache_folder() / "catalogs" / f"{fingerprint(str(folder))}-{sample_rate}.npz"
    measured = _load(cache, key)
    if measured is None:
        measured = _measure_all(tracks, sample_rate, jobs)
        _keep(cache, key, measured)
    kept_tracks, kept_measurements = _assemble(folder, tracks, measured)
    return Catalog(folder, reader.NAME, sample_rate, key, kept_tracks, kept_measurements)


def cache_folder() -> Path:
    """Folder for what can be computed again: ``HIERSEP_CACHE``, or the system's place for caches."""
    import platformdirs

    return Path(os.environ.get("HIERSEP_CACHE") or platformdirs.user_cache_dir("hiersep"))


def _stamp(stem: Stem) -> tuple[str, int, int]:
    status = stem.path.stat()
    return str(stem.path), status.st_size, status.st_mtime_ns


def _measure_all(tracks: tuple[Track, ...], sample_rate: int, jobs: int) -> list[Measurement | str]:
    """Measure every stem, in parallel; a stem that cannot be read becomes the reason, a string."""
    from joblib import Parallel, delayed
    from tqdm import tqdm

    paths = [stem.path for track in tracks for stem in track.stems]
    work = Parallel(n_jobs=jobs, return_as="generator")(delayed(measure)(path, sample_rate) for path in paths)
    return list(tqdm(work, total=len(paths), desc="Indexing", unit="stem", disable=None))


def measure(path: Path, sample_rate: int) -> Measurement | str:
    """Listen to one stem.

    Returns:
        The measurement, or, where the file cannot be read, the reason.
    """
    try:
        header = audio.info(path)
        samples, _ = audio.read(path)
    except DataError as error:
        return str(error)
    if not samples.size:
        return f"{path}: expected audio, got a file with 0 samples"
    frames = samples.shape[-1]  # a damaged file may hold fewer than its header says
    samples = audio.resample(samples, header.sample_rate, sample_rate)
    block = round(BLOCK_S * sample_rate)
    mono = samples.mean(axis=0)
    blocks = audio.fit_length(mono, -(-len(mono) // block) * block).reshape(-1, block)
    power = np.mean(np.square(blocks, dtype=np.float64), axis=1).astype(np.float32)
    return Measurement(frames, header.sample_rate, header.channels, power)


def _assemble(
    folder: Path, tracks: tuple[Track, ...], measured: list[Measurement | str]
) -> tuple[tuple[Track, ...], tuple[tuple[Measurement, ...], ...]]:
    """Join tracks and measurements, leaving out what cannot be read."""
    remaining = iter(measured)
    kept_tracks, kept_measurements = [], []
    for track in tracks:
        pairs = [(stem, next(remaining)) for stem in track.stems]
        for _, reason in pairs:
            if isinstance(reason, str):
                warnings.warn(f"left out of the mixture: {reason}", HiersepWarning, stacklevel=3)
        good = [(stem, measurement) for stem, measurement in pairs if isinstance(measurement, Measurement)]
        if good:
            kept_tracks.append(Track(track.id, track.split, tuple(stem for stem, _ in good)))
            kept_measurements.append(tuple(measurement for _, measurement in good))
    if not kept_tracks:
        raise DataError(f"{folder}: none of the {len(measured)} stems can be read")
    return tuple(kept_tracks), tuple(kept_measurements)


def _keep(cache: Path, key: str, measured: list[Measurement | str]) -> None:
    """Write a catalog for the next time; where that cannot be, say so and go on."""
    try:
        with atomic_path(cache) as temporary:
            _save(temporary, key, measured)
    except (DataError, OSError) as error:
        warnings.warn(
            f"the measurements are not kept and the next run measures again ({error}); set HIERSEP_CACHE to a folder "
            "that can be written to",
            HiersepWarning,
            stacklevel=3,
        )


def _save(path: Path, key: str, measured: list[Measurement | str]) -> None:
    rows: list[Any] = [
        m if isinstance(m, str) else [m.frames, m.sample_rate, m.channels, len(m.power)] for m in measured
    ]
    powers = [m.power for m in measured if isinstance(m, Measurement)]
    header = json.dumps({"format": FORMAT, "key": key, "stems": rows}).encode()
    power = np.concatenate(powers) if powers else np.zeros(0, np.float32)
    np.savez(path, header=np.frombuffer(header, np.uint8), power=power)


def _load(path: Path, key: str) -> list[Measurement | str] | None:
    """Read a cached catalog; None where there is none, or it is not of these files and settings."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            header, power = json.loads(arrays["header"].tobytes()), arrays["power"]
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None
    if not isinstance(header, dict) or header.get("key") != key:
        return None
    measured: list[Measurement | str] = []
    offset = 0
    for row in header["stems"]:
        if isinstance(row, str):
            measured.append(row)
        else:
            frames, sample_rate, channels, blocks = row
            measured.append(Measurement(frames, sample_rate, channels, power[offset : offset + blocks]))
            offset += blocks
    return measured
