"""The only door for audio: read, write, resample and measure it.

Arrays are float32, ``(channel, time)``, full scale 1.0 = 0 dBFS. Reading goes through libsndfile, resampling
through soxr, loudness through pyloudnorm (ITU-R BS.1770-4).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hiersep.errors import DataError
from hiersep.files import atomic_path

if TYPE_CHECKING:
    import os

    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]

STEPS = {"PCM_16": 2**15, "PCM_24": 2**23}  # of integer formats, up to full scale
SUFFIXES = (".wav", ".flac", ".ogg", ".aiff", ".aif", ".mp3")


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


def _unreadable(path: Path, reason: object) -> DataError:
    if path.is_dir():
        return DataError(f"{path}: expected an audio file, got a folder; name the file in it")
    if not path.exists():
        return DataError(f"{path}: no such file; check the path")
    if path.stat().st_size == 0:
        return DataError(f"{path}: expected audio, got an empty file (0 bytes)")
    detail = str(reason).strip().rstrip(".").removeprefix(f"Error opening {str(path)!r}: ")
    return DataError(
        f"{path}: expected audio that libsndfile reads (wav, flac, ogg, mp3), got something else or "
        f"a damaged file ({detail}); "
        "convert it, for example with `ffmpeg -i FILE out.wav`"
    )


def info(path: str | os.PathLike[str]) -> AudioInfo:
    """Read the header of an audio file.

    Raises:
        DataError: If it is missing, empty or not audio.
    """
    import soundfile

    try:
        header = soundfile.info(str(path))
    except (OSError, RuntimeError, TypeError) as error:  # a TypeError is about headerless formats
        raise _unreadable(Path(path), error) from error
    return AudioInfo(header.frames, header.samplerate, header.channels)


def read(path: str | os.PathLike[str], *, start: int = 0, frames: int = -1) -> tuple[Audio, int]:
    """Read a file, or an excerpt of it.

    Args:
        path: Any format that libsndfile reads.
        start: First frame, at the file's own rate.
        frames: Number of frames; -1 reads to the end. What lies past the end is not padded.

    Returns:
        The samples, float32, and the sample rate in Hz.

    Shape:
        output: (channel, time).

    Raises:
        DataError: If the file is missing, empty, not audio, or holds NaN or infinity.
    """
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as file:
            file.seek(min(start, file.frames))
            samples = file.read(frames, dtype="float32", always_2d=True)
            sample_rate = file.samplerate
    except (OSError, RuntimeError, TypeError) as error:
        raise _unreadable(Path(path), error) from error
    if not np.isfinite(samples).all():
        raise DataError(f"{path}: expected finite samples, got NaN or infinity; repair or leave out the file")
    return np.ascontiguousarray(samples.T), int(sample_rate)  # (channel, time)


def write(
    path: str | os.PathLike[str],
    samples: npt.NDArray[Any],
    sample_rate: int,
    *,
    subtype: str = "PCM_16",
) -> None:
    """Write audio atomically, in the format that the suffix names.

    Args:
        path: Where to; wav or flac.
        samples: Audio. Integer formats hold [-1, 1); what lies beyond is clipped, and a warning says so.
        sample_rate: In Hz.
        subtype: libsndfile's name for the sample format: ``PCM_16``, ``PCM_24`` or ``FLOAT``.

    Shape:
        samples: (channel, time) or (time,).

    Raises:
        DataError: If the place cannot be written to, libsndfile has no such format, or a sample is NaN or infinite.
    """
    import soundfile

    from hiersep.errors import HiersepWarning

    samples = np.atleast_2d(samples)
    if not np.isfinite(samples).all():
        raise DataError(f"{path}: expected finite samples to write, got NaN or infinity")
    peak = float(np.abs(samples).max(initial=0.0))
    if subtype != "FLOAT" and peak > 1.0:
        warnings.warn(
            f"{path}: peak {peak:.2f} is above full scale and is clipped; write 32-bit float to keep it",
            HiersepWarning,
            stacklevel=2,
        )
        samples = np.clip(samples, -1.0, 1.0)
    if subtype in STEPS:  # left to libsndfile, wav rounds down and flac to the nearest
        samples = np.rint(samples * STEPS[subtype]) / STEPS[subtype]
    with atomic_path(path) as temporary:
        try:
            soundfile.write(str(temporary), samples.T, sample_rate, subtype=subtype)
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            reason = str(error).replace(str(temporary), str(path))
            raise DataError(f"{path}: cannot be written ({reason})") from error


def resample(samples: npt.NDArray[Any], source_rate: int, target_rate: int, *, length: int | None = None) -> Audio:
    """Change the sample rate with soxr's high-quality polyphase filter.

    Args:
        samples: Audio.
        source_rate: Rate of `samples` in Hz.
        target_rate: Rate wanted in Hz.
        length: Exact number of samples wanted; the end is cut or zero-padded to it. Default: as soxr gives.

    Shape:
        samples: (channel, time); output: (channel, length).
    """
    import soxr

    if source_rate != target_rate and samples.shape[-1]:
        samples = soxr.resample(samples.T, source_rate, target_rate, quality="HQ").T
    if length is not None:
        samples = fit_length(samples, length)
    return np.ascontiguousarray(samples, dtype=np.float32)


def fit_length(samples: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """Cut or zero-pad the end of the time axis (the last) to `length` samples."""
    missing = length - samples.shape[-1]
    if missing <= 0:
        return samples[..., :length]
    return np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(0, missing)])


def loudness(samples: npt.NDArray[Any], sample_rate: int) -> float:
    """Measure the integrated loudness by ITU-R BS.1770-4.

    Args:
        samples: Audio.
        sample_rate: In Hz.

    Returns:
        LUFS; ``-inf`` for silence, and for less than the 400 ms that one gating block needs.

    Shape:
        samples: (channel, time).
    """
    import pyloudnorm

    block_s = 0.4
    if samples.shape[-1] < block_s * sample_rate or not np.any(samples):
        return -math.inf
    with warnings.catch_warnings():
        # pyloudnorm divides by the number of gated blocks, which is zero for near-silence: -inf or nan follows.
        warnings.simplefilter("ignore", RuntimeWarning)
        lufs = float(pyloudnorm.Meter(sample_rate, block_size=block_s).integrated_loudness(samples.T))
    return -math.inf if math.isnan(lufs) else lufs
