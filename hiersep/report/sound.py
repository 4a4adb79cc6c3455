"""Sound as a page carries it: FLAC of 16 bits, in text, so short that a browser can hold all of it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hiersep import audio
from hiersep.files import scratch_folder

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from hiersep.audio.reading import Audio

LONGEST_S = 600.0
# Of all sounds and channels together: half a gigabyte once a browser has decoded them, and a page of 100 to 200 MB.
MOST_SAMPLES = 2**27
# A sound's mean square lies this far under full scale, unless its peaks forbid it. With 16 bits the rounding then lies
# 75 dB under the sound, whatever its level: less would be heard, and more makes the page larger.
_LEVEL_DB = -26.0


class Sound(NamedTuple):
    """An audio file within a page.

    Attributes:
        text: FLAC, in base64.
        scale: What its samples are to be multiplied by.
    """

    text: str
    scale: float


def seconds_that_fit(files: Iterable[str | os.PathLike[str]]) -> float:
    """Say how many seconds of these files, all played together, a page holds."""
    headers = [audio.info(path) for path in files]
    return min(LONGEST_S, MOST_SAMPLES / sum(header.sample_rate * _channels(header.channels) for header in headers))


def _channels(channels: int) -> int:
    return channels if channels <= 2 else 1


def read_excerpt(path: str | os.PathLike[str], start_s: float, duration: float) -> tuple[Audio, int]:
    """Read what a page plays of a file: mono and stereo as they are, the mean of more channels.

    Args:
        path: Any audio file.
        start_s: First second.
        duration: Seconds, at most.

    Returns:
        The samples and the sample rate in Hz.

    Shape:
        output: (channel, time), one or two channels.
    """
    rate = audio.info(path).sample_rate
    samples, _ = audio.read(path, start=round(start_s * rate), frames=round(duration * rate))
    if _channels(len(samples)) != len(samples):
        samples = samples.mean(axis=0, keepdims=True)
    return samples, rate


def embed(samples: Audio, sample_rate: int) -> Sound:
    """Write a sound as text; what a browser decodes of it, times the scale, is the sound within 75 dB.

    Sounds whose peaks are more than 26 dB above their mean square are rounded a little more coarsely.

    Shape:
        samples: (channel, time), one or two channels.

    Example:
        >>> sound = embed(np.full((1, 1000), 0.5, np.float32), 16000)
        >>> round(sound.scale, 1)
        10.0
    """
    peak = float(np.abs(samples).max(initial=0.0))
    power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
    # The highest sample is the last but one step of 16 bits.
    scale = max(peak / (1 - 2**-15), np.sqrt(power) * 10 ** (-_LEVEL_DB / 20)) or 1.0
    with scratch_folder() as folder:
        path = folder / "sound.flac"
        audio.write(path, samples / np.float32(scale), sample_rate)
        return Sound(base64.b64encode(path.read_bytes()).decode(), float(np.float32(scale)))
