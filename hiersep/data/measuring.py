"""Listen to a track once: how long, how loud and where active its stems are, and whether they sum to its mixture.

Power is kept per half-second block; by its running sum the mean power of any window costs two look-ups. All is
measured on the mean of a stem's channels, at the working rate. The same pass can leave the track's block in a store.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hiersep import audio
from hiersep.data.reading import fold
from hiersep.data.store import Block, BlockPlan, quantise, write_block
from hiersep.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt

    from hiersep.data.tracks import Stem

    Samples = npt.NDArray[np.float32]

BLOCK_S = 0.5


@dataclass(frozen=True)
class Measurement:
    """What listening to a stem once tells.

    Attributes:
        frames: Length at the file's own rate.
        sample_rate: The file's own rate in Hz.
        channels: Number of channels.
        power: Mean square per block of `BLOCK_S` seconds at the working rate, of the channels' mean.
        loudness: Integrated loudness in LUFS at the working rate, of the channels' mean; ``-inf`` for silence.
        lost: Frames that the file's header promises beyond those that it holds.
    """

    frames: int
    sample_rate: int
    channels: int
    power: npt.NDArray[np.float32] = field(repr=False)
    loudness: float
    lost: int = 0

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
class TrackMeasurement:
    """What listening to a track once tells.

    Attributes:
        stems: Per stem its measurement, or the reason why it cannot be read.
        difference_db: RMS of its mixture file minus the sum of its stems, relative to the mixture; a reason where
            the mixture cannot be read; None where there is none, or a stem is missing in the sum.
        block: What lies in the store, where one is built and the track has a stem that can be read.
    """

    stems: tuple[Measurement | str, ...]
    difference_db: float | str | None = None
    block: Block | None = None


def checked(
    frames: object,
    sample_rate: object,
    channels: object,
    power: npt.NDArray[np.float32],
    loudness: object,
    lost: object,
) -> Measurement:
    """Make a `Measurement` of what was kept in a file.

    `power` is what `checked_power` gave, or a part of it.

    Raises:
        ValueError: If it cannot have been measured.
    """
    limits = {"frames": (frames, 1), "sample_rate": (sample_rate, 1), "channels": (channels, 1), "lost": (lost, 0)}
    for name, (value, least) in limits.items():
        if type(value) is not int or not least <= value < 2**63:
            raise ValueError(f"{name}: {value!r}")
    level = _number("loudness", loudness)
    if level == math.inf:
        raise ValueError("loudness: infinite")
    return Measurement(frames, sample_rate, channels, power, level, lost)  # type: ignore[arg-type]


def checked_power(power: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Give the power of blocks, (block,), as it was kept in a file.

    Raises:
        ValueError: If it is none.
    """
    if power.ndim != 1 or not np.isfinite(power).all() or (power < 0).any():
        raise ValueError("power: not finite, or negative")
    return power


def checked_difference(value: object) -> float | str | None:
    """Give a track's difference from its mixture, as it was kept in a file.

    Raises:
        ValueError: If it is none.
    """
    return value if value is None or isinstance(value, str) else _number("difference_db", value)


def _number(name: str, value: object) -> float:
    """Give a number of a file that may hold anything, whole numbers of more digits than a float can hold among it."""
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        number = math.nan
    if math.isnan(number):
        raise ValueError(f"{name}: no number")
    return number


@dataclass(frozen=True)
class TrackWork:
    """What is to be found out of a track.

    Attributes:
        stems: Its stems.
        known: Per stem what is known already; None where it is to be listened to.
        mixture: The file to compare with the sum of the stems; None where there is none, or this was done.
        sample_rate: Working rate in Hz.
        block: Block of the store to write, or to check where it is there.
    """

    stems: tuple[Stem, ...]
    known: tuple[Measurement | str | None, ...]
    mixture: Stem | None
    sample_rate: int
    block: BlockPlan | None = None


def measure_track(work: TrackWork) -> TrackMeasurement:
    """Listen to the stems of a track that are not known yet; to all where its mixture or its block needs them.

    Raises:
        OSError, DataError: If the block cannot be written.
    """
    block = work.block.there() if work.block else None
    store = work.block if block is None else None
    stems: list[Measurement | str] = []
    total = np.zeros(0, np.float32)
    kept: list[tuple[npt.NDArray[np.int16], float]] = []
    for source, known in zip(work.stems, work.known, strict=True):
        if isinstance(known, str) or (known and not store and not work.mixture):
            stems.append(known)
            continue
        try:
            measurement, mono, heard = _hear(source, work.sample_rate, store.channels if store else 1)
        except DataError as error:
            stems.append(str(error))
            continue
        stems.append(measurement)
        if work.mixture:
            total = _add(total, mono[0])
        if store:
            kept.append(quantise(np.broadcast_to(heard, (store.channels, heard.shape[1]))))
    complete = bool(stems) and not any(isinstance(stem, str) for stem in stems)
    difference_db = _difference_db(work.mixture, work.sample_rate, total) if work.mixture and complete else None
    return TrackMeasurement(tuple(stems), difference_db, write_block(store, kept) if store and kept else block)


def _hear(source: Stem, sample_rate: int, channels: int) -> tuple[Measurement, Samples, Samples]:
    """Decode and measure a stem.

    Returns:
        The measurement; the mean of its channels, and `channels` of it (or one, if it has no more), at `sample_rate`.

    Shape:
        second output: (1, time); third: (channel, time).

    Raises:
        DataError: If it cannot be read.
    """
    header = audio.info(source.path, stream=source.stream)
    samples, own_rate = audio.read(source.path, stream=source.stream)
    if not samples.size:
        raise DataError(f"{source.path}: expected audio, got a file with 0 samples")
    frames = samples.shape[-1]  # a damaged file may hold fewer than its header says
    mono = audio.resample(fold(samples, 1), own_rate, sample_rate)
    block = round(BLOCK_S * sample_rate)
    blocks = audio.fit_length(mono[0], -(-mono.shape[1] // block) * block).reshape(-1, block)
    power = np.mean(np.square(blocks, dtype=np.float64), axis=1).astype(np.float32)
    lost = max(0, header.frames - frames)
    measured = Measurement(frames, own_rate, len(samples), power, audio.loudness(mono, sample_rate), lost)
    if channels == 1 or len(samples) == 1:
        return measured, mono, mono
    return measured, mono, audio.resample(fold(samples, channels), own_rate, sample_rate)


def _add(total: Samples, samples: Samples) -> Samples:
    length = max(len(total), len(samples))
    return np.asarray(audio.fit_length(total, length) + audio.fit_length(samples, length))


def _difference_db(mixture: Stem, sample_rate: int, total: Samples) -> float | str:
    """Compare the sum of the stems, (time,), with the mixture file; a reason where that cannot be read."""
    try:
        heard = _hear(mixture, sample_rate, 1)[1][0]
    except DataError as error:
        return str(error)
    difference = np.square(_add(heard, -total), dtype=np.float64).sum()
    power = np.square(heard, dtype=np.float64).sum()
    if not difference:
        return -math.inf
    return float(10 * np.log10(difference / power)) if power else math.inf
