"""Audio that is larger than memory: read, resampled, cut and looked at block by block.

Blocks are float32, ``(channel, any)``, which laid end to end are the whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hiersep.audio.containers import CODEC_FRAMES
from hiersep.audio.header import quiet, unreadable
from hiersep.audio.resampling import QUALITY
from hiersep.errors import DataError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]

BLOCK_FRAMES = 2**18


def file_blocks(path: str | os.PathLike[str], *, start: int = 0, frames: int) -> Iterator[Audio]:
    """Read an excerpt of a file.

    Args:
        path: Any format that libsndfile reads.
        start: First frame.
        frames: Number of frames.

    Raises:
        DataError: If the file is damaged, ends before its header says, or holds NaN or infinity.
    """
    import soundfile

    read = 0
    try:
        with quiet(path):
            file = soundfile.SoundFile(str(path))
            file.seek(start)
        with file:
            while read < frames:
                with quiet(path):
                    block = file.read(min(BLOCK_FRAMES, frames - read), dtype="float32", always_2d=True)
                if not len(block):
                    break
                if not np.isfinite(block).all():
                    raise DataError(f"{path}: expected finite samples, got NaN or infinity; repair the file")
                read += len(block)
                yield np.ascontiguousarray(block.T)
    except (OSError, RuntimeError, TypeError) as error:
        raise unreadable(Path(path), error) from error
    if read < frames - CODEC_FRAMES:
        raise DataError(
            f"{path}: expected {frames} samples, as its header says, got {read}; the file is cut short: "
            "keep what is left by `ffmpeg -i FILE out.wav`"
        )


def resample_blocks(blocks: Iterable[Audio], source_rate: int, target_rate: int) -> Iterator[Audio]:
    """Change the sample rate; what comes out is `hiersep.audio.resample`'s, to the bit.

    Args:
        blocks: The audio, all of the same number of channels.
        source_rate: Its rate in Hz.
        target_rate: Rate wanted in Hz.
    """
    if source_rate == target_rate:
        yield from blocks
        return
    import soxr

    stream = None
    for block in blocks:
        if stream is None:
            stream = soxr.ResampleStream(source_rate, target_rate, len(block), dtype="float32", quality=QUALITY)
            rest = np.zeros((0, len(block)), np.float32)
        yield stream.resample_chunk(block.T.astype(np.float32, copy=False)).T
    if stream is not None:
        yield stream.resample_chunk(rest, last=True).T


def fit_blocks(blocks: Iterable[Audio], length: int) -> Iterator[Audio]:
    """Cut the end, or pad it with zeros, so that there are `length` samples in all."""
    missing, block = length, None
    for block in blocks:  # the last one says how many channels there are
        if missing:
            kept = block[:, :missing]
            missing -= kept.shape[-1]
            yield kept
    if missing and block is not None:
        yield np.zeros((len(block), missing), np.float32)


class Slices:
    """Blocks as an array of which slices of time can be had, in order: each begins where the one before did, or later.

    No more of it is kept than what lies between the last slice's beginning and the furthest end.

    Args:
        blocks: The audio.
        channels: Its channels.
        frames: Its length in samples; what the blocks lack is zeros.

    Attributes:
        shape: (channel, time).

    Example:
        >>> slices = Slices(iter([np.zeros((1, 3)), np.ones((1, 3))]), 1, 6)
        >>> slices[:, 1:4]
        array([[0., 0., 1.]], dtype=float32)
    """

    def __init__(self, blocks: Iterable[Audio], channels: int, frames: int):
        self.shape = (channels, frames)
        self._blocks = fit_blocks(self._not_empty(blocks, channels), frames)
        self._kept, self._start = np.zeros((channels, 0), np.float32), 0

    @staticmethod
    def _not_empty(blocks: Iterable[Audio], channels: int) -> Iterator[Audio]:
        yield np.zeros((channels, 0), np.float32)
        yield from blocks

    def __getitem__(self, place: tuple[slice, slice]) -> Audio:
        """Give a slice of time, of all channels."""
        start, stop, _ = place[1].indices(self.shape[1])
        parts, end = [self._kept[:, start - self._start :]], self._start + self._kept.shape[1]
        while end < stop:
            block = next(self._blocks)
            parts.append(block[:, max(0, start - end) :])
            end += block.shape[1]
        self._kept, self._start = np.concatenate(parts, axis=1, dtype=np.float32), start
        return self._kept[:, : stop - start]
