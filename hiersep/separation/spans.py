"""Stretches of time as people write them: ``1:10-1:40``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hiersep.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pathlib import Path

    from hiersep.audio import AudioInfo

_TIME = re.compile(r"(?:(?:(?P<hours>\d+):)?(?P<minutes>\d+):)?(?P<seconds>\d+(?:\.\d+)?)", re.ASCII)
_LONGEST = 40  # characters; more digits than these no file needs, and no float holds


def parse_time(text: str) -> float:
    """Read a time: seconds, minutes and seconds, or hours as well.

    Returns:
        Seconds.

    Raises:
        ConfigError: If it is none.

    Example:
        >>> parse_time("1:10"), parse_time("75.5"), parse_time("1:00:00")
        (70.0, 75.5, 3600.0)
    """
    match = _TIME.fullmatch(text.strip())
    if match is None or len(text) > _LONGEST:
        raise ConfigError(f"expected a time like 75, 1:15 or 1:02:30.5, got {text!r}")
    hours, minutes, seconds = (float(match[part] or 0) for part in ("hours", "minutes", "seconds"))
    return 3600 * hours + 60 * minutes + seconds


class Span(NamedTuple):
    """From when to when, in seconds; None: to the end."""

    start_s: float = 0.0
    stop_s: float | None = None

    @staticmethod
    def fits(text: str) -> bool:
        """Whether a word looks like a span, and not like a file's name."""
        start, dash, stop = text.partition("-")
        return bool(dash and _TIME.fullmatch(start.strip()) and _TIME.fullmatch(stop.strip()))

    @classmethod
    def of(cls, text: str) -> Span:
        """Read ``0:10-0:15``.

        Raises:
            ConfigError: If it is no span, or ends before it begins.
        """
        start, dash, stop = text.partition("-")
        if not dash:
            raise ConfigError(f"expected a span like 0:10-0:15, got {text!r}")
        return cls.between(start, stop)

    @classmethod
    def between(cls, start: str | None, stop: str | None) -> Span:
        """Read two times; None: the beginning, or the end.

        Raises:
            ConfigError: If one is no time, or the second is not later.
        """
        span = cls(0.0 if start is None else parse_time(start), None if stop is None else parse_time(stop))
        if span.stop_s is not None and span.stop_s <= span.start_s:
            raise ConfigError(f"expected a span that ends after it begins, got {start or 0} to {stop}")
        return span

    def frames_of(self, header: AudioInfo, place: object) -> tuple[int, int]:
        """Find the span in a file.

        Args:
            header: Of the file.
            place: What to call the file in an error.

        Returns:
            First frame, and number of frames: at least one, at most what there is.

        Raises:
            DataError: If the file has no samples, or ends before the span begins.
        """
        if not header.frames:
            raise DataError(f"{place}: expected audio, got a file with 0 samples")
        start = round(self.start_s * header.sample_rate)
        stop = header.frames if self.stop_s is None else min(header.frames, round(self.stop_s * header.sample_rate))
        if start >= stop:
            raise DataError(
                f"{place}: expected something from {self.start_s:g} s on, got a file of {header.duration:.2f} s; "
                "name a span within it"
            )
        return start, stop - start


@dataclass(frozen=True)
class Excerpt:
    """A span of an audio file."""

    path: Path
    span: Span
