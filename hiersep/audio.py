"""The only door for audio: read, write, resample and measure it.

Arrays are float32, ``(channel, time)``, full scale 1.0 = 0 dBFS. Reading goes through libsndfile, and for a stream of
a container of several (``.stem.mp4``) through stempeg and ffmpeg; resampling through soxr, loudness through pyloudnorm
(ITU-R BS.1770-4).
"""

from __future__ import annotations

import math
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hiersep.errors import ConfigError, DataError
from hiersep.files import atomic_path

if TYPE_CHECKING:
    import os

    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]

STEPS = {"PCM_16": 2**15, "PCM_24": 2**23}  # of integer formats, up to full scale
SUFFIXES = (".wav", ".flac", ".ogg", ".aiff", ".aif", ".mp3")
# By kind, libsndfile's name for the sample format of so many bits; the first is the default.
_FORMATS = {
    "wav": (("32f", "FLOAT"), ("24", "PCM_24"), ("16", "PCM_16")),
    "flac": (("24", "PCM_24"), ("16", "PCM_16")),
    "mp3": (("", "MPEG_LAYER_III"),),
}
_CODEC_FRAMES = 4096  # that a codec may withhold at an end; whoever misses more is damaged


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


def _unreadable(path: Path, reason: object, stream: int | None = None) -> DataError:
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


def info(path: str | os.PathLike[str], *, stream: int | None = None) -> AudioInfo:
    """Read the header of an audio file.

    Args:
        path: Any format that libsndfile reads; with `stream`, that ffmpeg reads.
        stream: Number of the audio stream, from 0, in a container that holds several.

    Raises:
        DataError: If it is missing, empty or not audio, or has no such stream.
    """
    if stream is not None:
        return _probe(Path(path), stream)[1]
    import soundfile

    try:
        header = soundfile.info(str(path))
    except (OSError, RuntimeError, TypeError) as error:  # a TypeError is about headerless formats
        raise _unreadable(Path(path), error) from error
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
        return _read_stream(Path(path), stream, start, frames)
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


def need_ffmpeg(path: str | os.PathLike[str]) -> None:
    """Make sure that the programs are there that read a stream of a container.

    Args:
        path: What they are needed for.

    Raises:
        DataError: If ffmpeg or ffprobe is not installed.
    """
    missing = [program for program in ("ffmpeg", "ffprobe") if shutil.which(program) is None]
    if missing:
        raise DataError(
            f"{path}: expected {' and '.join(missing)} to read its streams, found none; install ffmpeg, for example "
            "with `apt-get install ffmpeg`"
        )


def _probe(path: Path, stream: int) -> tuple[Any, AudioInfo]:
    """Read the header of a container, as a `stempeg.Info`, and what it says of a stream."""
    need_ffmpeg(path)
    import ffmpeg
    import stempeg

    place = str(path.absolute())  # a name such as concat:a or -i would be taken for more than a file
    try:
        header = stempeg.Info(place)
        if not 0 <= stream < header.nb_audio_streams:
            raise DataError(f"{path}: expected an audio stream {stream}, got {header.nb_audio_streams} streams, from 0")
        rate = header.sample_rate(stream)
        return header, AudioInfo(round(header.duration(stream) * rate), rate, header.channels(stream))
    except (ffmpeg.Error, OSError, KeyError) as error:
        lines = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        reason = lines[-1].removeprefix(f"{place}: ") if lines else error
        raise _unreadable(path, reason, stream) from error


def _read_stream(path: Path, stream: int, start: int, frames: int) -> tuple[Audio, int]:
    """Decode an excerpt of a stream, exact to the sample."""
    header, found = _probe(path, stream)
    import stempeg

    expected = max(0, found.frames - start)
    expected = expected if frames < 0 else min(frames, expected)
    if expected == 0:
        return np.zeros((found.channels, 0), np.float32), found.sample_rate
    try:
        samples, _ = stempeg.read_stems(
            str(path.absolute()),
            start=start / found.sample_rate,  # rounded to microseconds, from where ffmpeg takes the nearest sample
            duration=None if frames < 0 else expected / found.sample_rate,
            stem_id=header.audio_stream_idx()[stream],
            always_3d=True,
            dtype=np.float32,
            info=header,
            sample_rate=found.sample_rate,
        )
    except (RuntimeError, ValueError, Warning) as error:  # stempeg raises warnings
        raise _unreadable(path, error, stream) from error
    if samples.shape[1] < expected - _CODEC_FRAMES:
        raise _unreadable(path, f"{samples.shape[1]} samples where its header says {expected}", stream)
    return np.ascontiguousarray(samples[0].T), found.sample_rate  # (channel, time)


class FileFormat(NamedTuple):
    """What results are written as: the suffix, and libsndfile's name for the sample format, as `write` takes it."""

    suffix: str
    subtype: str

    @classmethod
    def of(cls, kind: str = "wav", bits: str | None = None) -> FileFormat:
        """Name a format as people do.

        Args:
            kind: ``wav``, ``flac`` or ``mp3``.
            bits: ``16``, ``24``, or of wav ``32f``, 32-bit float. Default: the most that the kind has. Of mp3 none.

        Raises:
            ConfigError: If there is no such kind, or it does not come in these bits.

        Example:
            >>> FileFormat.of("flac", "16")
            FileFormat(suffix='.flac', subtype='PCM_16')
        """
        if kind not in _FORMATS:
            raise ConfigError(f"format: expected {', '.join(_FORMATS)}, got {kind!r}")
        if bits is None:
            return cls(f".{kind}", _FORMATS[kind][0][1])
        for name, subtype in _FORMATS[kind]:
            if name == bits:
                return cls(f".{kind}", subtype)
        names = " or ".join(name for name, _ in _FORMATS[kind] if name) or "none"
        raise ConfigError(f"bits: expected {names} for {kind}, got {bits!r}; leave it out for the default")


def write(
    path: str | os.PathLike[str],
    samples: npt.NDArray[Any],
    sample_rate: int,
    *,
    subtype: str = "PCM_16",
) -> None:
    """Write audio atomically, in the format that the suffix names.

    Args:
        path: Where to; wav, flac or mp3.
        samples: Audio. Integer formats hold [-1, 1); what lies beyond is clipped, and a warning says so.
        sample_rate: In Hz.
        subtype: libsndfile's name for the sample format: ``PCM_16``, ``PCM_24``, ``FLOAT`` or
            ``MPEG_LAYER_III``; `FileFormat` knows them.

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
