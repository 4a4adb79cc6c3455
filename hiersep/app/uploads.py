"""What a visitor of the page brings: how much of it, what it is called, and what it is by its content."""

from __future__ import annotations

import contextlib
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hiersep.errors import DataError, HiersepError, printable
from hiersep.files import clock, size_text
from hiersep.typed import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hiersep.audio import AudioInfo

# An example goes through the network as a whole, and of one sound more than this says nothing new.
MOST_EXAMPLE_S = 60.0
MOST_EXAMPLES = 8
MOST_CHANNELS, HIGHEST_RATE = 8, 192_000


@dataclass(frozen=True)
class Limits:
    """What a visitor may bring, and for how long it is kept.

    Attributes:
        max_mb: Size of a file, in megabytes.
        max_minutes: Length of a mixture.
        keep_minutes: How long a visit lasts in which nothing is asked for.

    Raises:
        ConfigError: If one is not positive.
    """

    max_mb: float = 200.0
    max_minutes: float = 15.0
    keep_minutes: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name, value in vars(self).items():
            expect(value > 0, name, "more than 0", value)

    @property
    def max_bytes(self) -> int:
        """Size of a file, in bytes."""
        return round(self.max_mb * 1e6)

    @property
    def too_large(self) -> str:
        """What is said of a file that is too large, after its name."""
        return f"expected at most {size_text(self.max_bytes)}, got more; cut it, or convert it to flac or mp3"

    def check(self, name: str, sound: AudioInfo, most_s: float) -> None:
        """Refuse a sound that is too long, or of too many channels or samples in a second.

        Raises:
            DataError: If it is.
        """
        if sound.duration > most_s:
            raise DataError(f"{name}: expected at most {clock(most_s)} (minutes:seconds), got more; cut it")
        if sound.channels > MOST_CHANNELS or sound.sample_rate > HIGHEST_RATE:
            raise DataError(
                f"{name}: expected at most {MOST_CHANNELS} channels and {HIGHEST_RATE} Hz, got {sound.channels} and "
                f"{sound.sample_rate} Hz; convert it"
            )


def shown_name(name: str) -> str:
    """Make of a file's name as a browser tells it one that may be shown: its last step, in one line, not long.

    Example:
        >>> shown_name("../../etc/passwd")
        'passwd'
    """
    last = re.split(r"[/\\]", name)[-1]
    return printable(last)[-100:] or "unnamed"


def stem_of(name: str) -> str:
    """Make of a shown name one for a file or folder of results, that is safe on any system.

    Example:
        >>> stem_of("a <song>: *live*.wav"), stem_of("..."), stem_of("CON.wav")
        ('a _song_ _live', 'mixture', 'CON_')
    """
    stem = re.sub(r"[^\w ()+,-]+", "_", Path(name).stem).strip(" _.")[:80] or "mixture"
    reserved = re.fullmatch(r"(?i)con|prn|aux|nul|com\d|lpt\d", stem)
    return f"{stem}_" if reserved else stem


@dataclass(frozen=True)
class Upload:
    """A file that was brought: where it lies, what it is called, what its content is, and whether ffmpeg made that."""

    path: Path
    name: str
    sound: AudioInfo
    is_decoded: bool = False

    @property
    def media_type(self) -> str:
        """What a browser is told that it is: some kind of audio, whatever its name says."""
        kind = "audio/wav" if self.is_decoded else mimetypes.guess_type(self.name)[0] or ""
        return kind if kind.startswith("audio/") else "application/octet-stream"

    def __str__(self) -> str:
        channels = {1: "mono", 2: "stereo"}.get(self.sound.channels, f"{self.sound.channels} channels")
        return f"{self.name}: {clock(self.sound.duration)}, {self.sound.sample_rate} Hz, {channels}"


@contextlib.contextmanager
def naming(names: dict[Path, str]) -> Iterator[None]:
    """Let errors call files as their owners do, and not tell where they lie.

    Args:
        names: What each file is called.
    """
    try:
        yield
    except HiersepError as error:
        text = str(error)
        for path, name in names.items():
            text = text.replace(str(path), name)
        raise type(error)(text) from error
    except OSError as error:
        raise DataError(f"{', '.join(names.values())}: {error.strerror or error}; try again") from error
