"""Read audio files: headers, whole files, excerpts."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hiersep.audio.containers import decode, probe, read_stream
from hiersep.audio.header import AudioInfo, quiet, refuse_rate, unreadable
from hiersep.errors import DataError
from hiersep.files import scratch_folder

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import numpy.typing as npt
    import soundfile

    Audio = npt.NDArray[np.float32]

SUFFIXES = (".wav", ".flac", ".ogg", ".aiff", ".aif", ".mp3")


def info(path: str | os.PathLike[str], *, stream: int | None = None) -> AudioInfo:
    """Read the header of an audio file.

    Args:
        path: Any format that libsndfile reads; with `stream`, that ffmpeg reads.
        stream: Number of the audio stream, from 0, in a container that holds several.

    Raises:
        DataError: If it is missing, empty or not audio, or has no such stream.
    """
    if stream is not None:
        return probe(Path(path), stream)[1]
    import soundfile

    try:
        with quiet(path):
            header = soundfile.info(str(path))
    except (OSError, RuntimeError, TypeError) as error:  # a TypeError is about headerless formats
        raise unreadable(Path(path), error) from error
    refuse_rate(Path(path), header.samplerate)
    return AudioInfo(header.frames, header.samplerate, header.channels)


def read(
    path: str | os.PathLike[str], *, start: int = 0, frames: int = -1, stream: int | None = None
) -> tuple[Audio, int]:
    """Read a file, or an excerpt of it.

    Args:
        path: Any format that libsndfile reads; with `stream`, that ffmpeg reads.
        start: First frame, at the file's own rate.
        frames: Number of frames; -1 reads to the end. What lies past the end is not padded.
        stream: Number of the audio stream, from 0, in a container that holds several. It is decoded from its
            beginning, wherever the excerpt lies.

    Returns:
        The samples, float32, and the sample rate in Hz.

    Shape:
        output: (channel, time).

    Raises:
        DataError: If the file is missing, empty, not audio, has no such stream, is cut short (a stream), or holds NaN
            or infinity.
    """
    if stream is not None:
        return read_stream(Path(path), stream, start, frames)
    import soundfile

    try:
        with quiet(path), soundfile.SoundFile(str(path)) as file:
            sample_rate = file.samplerate
            refuse_rate(Path(path), sample_rate)
            file.seek(min(start, file.frames))
            samples = _read(file, Path(path), frames)
    except (OSError, RuntimeError, TypeError) as error:
        raise unreadable(Path(path), error) from error
    if not np.isfinite(samples).all():
        raise DataError(f"{path}: expected finite samples, got NaN or infinity; repair or leave out the file")
    return np.ascontiguousarray(samples.T), int(sample_rate)  # (channel, time)


def _read(file: soundfile.SoundFile, path: Path, frames: int) -> Audio:
    """Read frames, (time, channel); of room that a header asks for in vain nothing is used, where it can be had."""
    try:
        return np.asarray(file.read(frames, dtype="float32", always_2d=True))
    except (MemoryError, OverflowError, ValueError) as error:  # numpy's, of an array that no memory holds
        raise DataError(
            f"{path}: expected audio that fits into memory, got a header that promises {file.frames} frames of "
            f"{file.channels} channels; cut the file, or repair its header by `ffmpeg -i FILE out.wav`"
        ) from error


@contextlib.contextmanager
def decoded(path: str | os.PathLike[str], *, most_s: float | None = None) -> Iterator[Path]:
    """Give a file that libsndfile reads: the file itself, or else what ffmpeg makes of it.

    Args:
        path: Audio, or a film with sound, in any of the usual formats.
        most_s: Seconds after which ffmpeg stops. Default: it goes on to the end.

    Yields:
        The file; one that ffmpeg made is temporary, and gone afterwards.

    Raises:
        DataError: If it is missing, empty or not audio, or could be read by ffmpeg alone, which is not installed.
    """
    path = Path(path)
    with contextlib.ExitStack() as stack:
        try:
            info(path)
        except DataError as error:
            if not path.is_file() or not path.stat().st_size:
                raise
            folder = stack.enter_context(scratch_folder())
            path = decode(path, folder / "decoded.wav", error, most_s)
        yield path
