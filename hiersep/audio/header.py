"""What the header of an audio file says, and the one line about a file that cannot be read."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hiersep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says: `frames` per channel, `sample_rate` in Hz, `channels`."""

    frames: int
    sample_rate: int
    channels: int

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


RATES = (100, 768_000)  # Hz; of a lower one, a short file would become hours at a working rate


def refuse_rate(path: Path, rate: int) -> None:
    """Refuse a sample rate at which no audio is kept.

    Raises:
        DataError: If it lies outside of `RATES`.
    """
    low, high = RATES
    if not low <= rate <= high:
        raise DataError(f"{path}: expected a sample rate of {low} to {high} Hz, got {rate}; repair the header")


@contextlib.contextmanager
def quiet(path: str | os.PathLike[str]) -> Iterator[None]:
    """Keep what libmpg123 prints about a damaged mp3 off the terminal: it writes past Python, and says it to nobody.

    Args:
        path: The file; of another kind nothing is kept back.
    """
    if Path(path).suffix.lower() != ".mp3":
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def unreadable(path: Path, reason: object, stream: int | None = None) -> DataError:
    """Say why a file cannot be read, as an error to raise.

    Args:
        path: The file, which may be missing.
        reason: What the library said.
        stream: Number of the audio stream that was wanted, in a container of several.
    """
    if path.is_dir():
        return DataError(f"{path}: expected an audio file, got a folder; name the file in it")
    if not path.exists():
        return DataError(f"{path}: no such file; check the path")
    if path.stat().st_size == 0:
        return DataError(f"{path}: expected audio, got an empty file (0 bytes)")
    detail = str(reason).strip().rstrip(".").removeprefix(f"Error opening {str(path)!r}: ")
    if stream is not None:
        return DataError(f"{path}: expected audio in stream {stream} that ffmpeg reads, got none or damaged ({detail})")
    return DataError(
        f"{path}: expected audio that libsndfile reads (wav, flac, ogg, mp3), got something else or "
        f"a damaged file ({detail}); "
        "convert it, for example with `ffmpeg -i FILE out.wav`"
    )
