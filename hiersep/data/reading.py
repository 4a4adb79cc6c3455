"""Read excerpts of stems at a catalog's working rate: from its store where it has one, else from the files.

What lies past a stem's end is silence. In a training so is a stem whose file was removed or damaged after it was
measured, while another of its track can be read: the training goes on, and one warning names the file.
"""

from __future__ import annotations

import mmap
import warnings
from typing import TYPE_CHECKING

import numpy as np

from hiersep import audio
from hiersep.errors import DataError, HiersepWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hiersep.data.catalog import Catalog

    Samples = npt.NDArray[np.float32]

# Margin around an excerpt of another rate, so that the resampler's filter has settled at its edges.
_MARGIN_S = 0.1


class Named:
    """Which stems were named as damaged: one flag each, in memory that forked processes share.

    So the workers of a loader name a file once between them. A copy sent to a spawned process begins anew.

    Args:
        stems: Number of stems per track.
    """

    def __init__(self, stems: Sequence[int]):
        self._stems = tuple(stems)
        self._first = np.cumsum([0, *self._stems])
        self._flags = mmap.mmap(-1, max(1, int(self._first[-1])))

    def __reduce__(self) -> tuple[type[Named], tuple[tuple[int, ...]]]:
        return Named, (self._stems,)

    def first_time(self, track: int, stem: int) -> bool:
        """Say whether a stem is asked for here for the first time."""
        place = int(self._first[track]) + stem
        if self._flags[place]:
            return False
        self._flags[place] = 1
        return True

    def __len__(self) -> int:
        return self._flags[:].count(1)

    def all_of(self, track: int) -> bool:
        """Say whether every stem of a track was named."""
        first, last = self._first[track : track + 2]
        return all(self._flags[first:last])


def fold(samples: Samples, channels: int) -> Samples:
    """Bring a file's channels to the wanted number, or leave its only one to be copied.

    Args:
        samples: Audio.
        channels: 1 takes the mean of all; 2 the first two.

    Shape:
        samples: (channel, time); output: (1 or channels, time).
    """
    if channels == 1 and len(samples) > 1:
        return np.asarray(samples.mean(axis=0, keepdims=True))
    return samples[:channels]


def read_excerpt(catalog: Catalog, track: int, stem: int, start_s: float, length: int, channels: int = 1) -> Samples:
    """Read an excerpt of one stem.

    Args:
        catalog: The data set.
        track: Index of the track in the catalog.
        stem: Index of the stem in the track.
        start_s: First second, 0 or later.
        length: Number of samples at the working rate; what lies past the stem's end is zeros.
        channels: 1 takes the mean of the stem's channels; 2 its first two, and a mono stem on both sides.

    Shape:
        output: (channel, length).

    Raises:
        DataError: If the file, or the last one of a track, was damaged since; see `Catalog.lenient`.
    """
    stored = _read_store(catalog, track, start_s, length, channels, stem)
    if stored is not None:
        return np.asarray(stored[0])
    excerpt = np.zeros((channels, length), np.float32)
    _read_file(catalog, track, stem, start_s, excerpt)
    return excerpt


def read_block(catalog: Catalog, track: int, start_s: float, length: int, channels: int = 1) -> Samples:
    """Read the same excerpt of all stems of a track, in their order; see `read_excerpt`.

    From a store it is one slice.

    Shape:
        output: (stem, channel, length).

    Raises:
        DataError: As `read_excerpt`.
    """
    stored = _read_store(catalog, track, start_s, length, channels)
    if stored is not None:
        return stored
    block = np.zeros((len(catalog.tracks[track].stems), channels, length), np.float32)
    for stem, excerpt in enumerate(block):
        _read_file(catalog, track, stem, start_s, excerpt)
    return block


def read_song(catalog: Catalog, track: int) -> Samples:
    """Read all of all stems of a track, with the channels that they have, at most two.

    Args:
        catalog: The data set.
        track: Index of the track.

    Shape:
        output: (stem, channel, time).
    """
    channels = min(2, max(measured.channels for measured in catalog.measurements[track]))
    return read_block(catalog, track, 0.0, round(catalog.duration(track) * catalog.sample_rate), channels)


def _read_store(
    catalog: Catalog, track: int, start_s: float, length: int, channels: int, stem: int | None = None
) -> Samples | None:
    """Read all stems of a track, or one, from the store; None where it has not what is wanted."""
    store = catalog.store
    if store is None:
        return None
    if channels > store.channels and any(m.channels > 1 for m in catalog.measurements[track]):
        return None
    try:
        samples = store.read(track, round(start_s * catalog.sample_rate), length, stem)  # (stem, channel, length)
    except (OSError, RuntimeError, ValueError) as error:  # torch raises the second
        if catalog.named.first_time(track, 0):
            place = store.folder / store.names[track]
            message = f"{place}: the store was damaged since it was opened ({error}); the files are read in its place"
            warnings.warn(message, HiersepWarning, stacklevel=3)
        return None
    if channels < store.channels:
        return np.asarray(samples.mean(axis=1, keepdims=True))
    return samples if channels == store.channels else np.repeat(samples, channels, axis=1)


def _read_file(catalog: Catalog, track: int, stem: int, start_s: float, excerpt: Samples) -> None:
    """Fill `excerpt`, (channel, time) zeros, from a stem's file; leave it silent where the file cannot be read.

    Raises:
        DataError: If it cannot, and the catalog is not lenient, or nothing is left of the track.
    """
    measured, source = catalog.measurements[track][stem], catalog.tracks[track].stems[stem]
    channels, length = excerpt.shape
    after = 0.0 if measured.sample_rate == catalog.sample_rate else _MARGIN_S
    before = min(after, start_s)
    start = round((start_s - before) * measured.sample_rate)
    frames = round((before + length / catalog.sample_rate + after) * measured.sample_rate)
    try:
        samples, rate = audio.read(source.path, start=start, frames=frames, stream=source.stream)
        expected = min(frames, measured.frames - start)
        if source.stream is None and samples.shape[1] < expected:  # a stream says so itself
            raise DataError(f"{source.path}: expected {expected} frames from {start} on, got {samples.shape[1]}")
    except DataError as error:
        first = catalog.named.first_time(track, stem)
        if not catalog.lenient or catalog.named.all_of(track):
            lost, advice = "", "and run the same command again"
            if catalog.lenient:
                lost = f", as is all of the track '{catalog.tracks[track].id}'"
                advice = "or run the same command again to go on without it"
            raise DataError(f"damaged since it was indexed{lost}: {error}; bring it back, {advice}") from error
        if first:
            warnings.warn(f"damaged since it was indexed, silent from here on: {error}", HiersepWarning, stacklevel=3)
        return
    samples = audio.resample(fold(samples, channels), rate, catalog.sample_rate)
    excerpt[...] = audio.fit_length(samples[:, round(before * catalog.sample_rate) :], length)
