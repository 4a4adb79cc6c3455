"""Streams of containers of several (``.stem.mp4``), by stempeg and ffmpeg; and what only ffmpeg decodes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from hiersep.audio.header import AudioInfo, refuse_rate, unreadable
from hiersep.errors import DataError

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]

# How containers begin: the boxes of MP4 and its kin; Matroska and WebM, Ogg, RIFF.
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
_OTHERS = (b"\x1a\x45\xdf\xa3", b"OggS", b"RIFF")
CODEC_FRAMES = 4096  # that a codec may withhold at an end; whoever misses more is damaged


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


def probe(path: Path, stream: int) -> tuple[Any, AudioInfo]:
    """Read the header of a container, as a `stempeg.Info`, and what it says of a stream."""
    need_ffmpeg(path)
    import ffmpeg
    import stempeg

    place = str(path.absolute())  # a name such as concat:a or -i would be taken for more than a file
    _refuse_playlists(path, stream)
    try:
        header = stempeg.Info(place)
        if not 0 <= stream < header.nb_audio_streams:
            raise DataError(f"{path}: expected an audio stream {stream}, got {header.nb_audio_streams} streams, from 0")
        rate = header.sample_rate(stream)
        refuse_rate(path, rate)
        return header, AudioInfo(round(header.duration(stream) * rate), rate, header.channels(stream))
    except DataError:
        raise
    # Whatever ffprobe finds in a damaged header: no number, an infinite one, or none.
    except (ffmpeg.Error, ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
        lines = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        reason = lines[-1].removeprefix(f"{place}: ") if lines else error
        raise unreadable(path, reason, stream) from error


def _refuse_playlists(path: Path, stream: int) -> None:
    """Refuse what is no container by its first bytes: ffmpeg also takes texts that name other files and hosts.

    stempeg passes no list of formats on to it, as `decode` does.
    """
    if not path.is_file():
        raise unreadable(path, "no file", stream)
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise unreadable(path, error, stream) from error
    if not (head[4:] in _BOXES or head.startswith(_OTHERS)):
        raise unreadable(path, "Invalid data found when processing input", stream)


def read_stream(path: Path, stream: int, start: int, frames: int) -> tuple[Audio, int]:
    """Decode an excerpt of a stream, exact to the sample."""
    header, found = probe(path, stream)
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
        raise unreadable(path, error, stream) from error
    if samples.shape[1] < expected - CODEC_FRAMES:
        raise unreadable(path, f"{samples.shape[1]} samples where its header says {expected}", stream)
    return np.ascontiguousarray(samples[0].T), found.sample_rate  # (channel, time)


# What ffmpeg may take a file for; not playlists and the like, which name other files and hosts.
_FORMATS = "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,tta,w64,wav,webm,wv"


def decode(path: Path, out: Path, refusal: DataError, most_s: float | None = None) -> Path:
    """Write what ffmpeg hears in a file as wav, 32-bit float, at the file's rate and channels.

    Args:
        path: The file.
        out: Where to.
        refusal: What libsndfile said of it.
        most_s: Seconds after which to stop. Default: at the end.

    Returns:
        `out`.

    Raises:
        DataError: The `refusal`, if ffmpeg cannot read the file either, or is not there; or if `out` has no room.
    """
    if shutil.which("ffmpeg") is None:
        raise DataError(f"{refusal}; ffmpeg, which reads more formats, is not installed") from refusal
    import ffmpeg

    source = ffmpeg.input(str(path.absolute()), protocol_whitelist="file", format_whitelist=_FORMATS)
    stop = {} if most_s is None else {"t": most_s}
    target = source.audio.output(str(out), acodec="pcm_f32le", rf64="auto", loglevel="error", **stop)
    try:
        target.run(capture_stdout=True, capture_stderr=True, overwrite_output=True)
    except ffmpeg.Error as error:
        if b"No space left" in error.stderr:
            raise DataError(
                f"{path}: expected room in {out.parent.parent} for what ffmpeg makes of it, got none; make room there, "
                "or name another folder in TMPDIR"
            ) from error
        raise refusal from error
    return out
