"""Write audio: whole, or block by block, in the formats that people ask for by name."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hiersep.errors import ConfigError, DataError, HiersepWarning
from hiersep.files import atomic_path, unwritable

if TYPE_CHECKING:
    import os
    from types import TracebackType

    import numpy.typing as npt
    from typing_extensions import Self

STEPS = {"PCM_16": 2**15, "PCM_24": 2**23}  # of integer formats, up to full scale
# By kind, libsndfile's name for the sample format of so many bits; the first is the default.
_FORMATS = {
    "wav": (("32f", "FLOAT"), ("24", "PCM_24"), ("16", "PCM_16")),
    "flac": (("24", "PCM_24"), ("16", "PCM_16")),
    "mp3": (("", "MPEG_LAYER_III"),),
}
_SET_ADD_PEAK_CHUNK = 0x1050  # libsndfile's SFC_SET_ADD_PEAK_CHUNK, which soundfile does not wrap
_LONGEST_WAV = 2**32 - 2**16  # bytes; a longer one takes RF64's header, which most programs read as well


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

    @staticmethod
    def choices() -> tuple[tuple[str, str | None], ...]:
        """List what `of` takes: every kind with each of its bits, the default of a kind first.

        Example:
            >>> FileFormat.choices()[:2]
            (('wav', '32f'), ('wav', '24'))
        """
        return tuple((kind, bits or None) for kind, formats in _FORMATS.items() for bits, _ in formats)


class _Sink:
    """The file that libsndfile writes into: it remembers what went wrong.

    libsndfile says nothing of it where it was the end of a flac or an mp3, which it writes when the file is closed.
    """

    def __init__(self, path: Path):
        self._path, self._file = path, path.open("wb", buffering=0)
        self.error: OSError | None = None

    def __repr__(self) -> str:
        return repr(str(self._path))  # for soundfile's errors

    def write(self, content: bytes) -> int:
        done = 0
        try:
            while done < len(content):
                done += self._file.write(content[done:])
        except OSError as error:  # which would end up on the terminal: libsndfile's callbacks cannot raise
            self.error = self.error or error
        return done

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


class Writer:
    """A file that is written block by block; it has its name when it is whole, and is gone if that never comes.

    Args:
        path: Where to; wav, flac or mp3, as the suffix says.
        sample_rate: In Hz.
        channels: How many.
        frames: About how many there will be; a wav of more than 4 GB is written as RF64.
        subtype: libsndfile's name for the sample format: ``PCM_16``, ``PCM_24``, ``FLOAT`` or ``MPEG_LAYER_III``;
            `FileFormat` knows them.

    Raises:
        DataError: On entering, writing or leaving, if the place cannot be written to, libsndfile has no such format,
            or a sample is NaN or infinite.

    Example:
        >>> with Writer("out.wav", 16000, 1) as file:  # doctest: +SKIP
        ...     file.write(np.zeros((1, 1000)))
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        channels: int,
        *,
        frames: int = 0,
        subtype: str = "PCM_16",
    ):
        self.path, self._rate, self._channels, self._subtype = Path(path), sample_rate, channels, subtype
        large = self.path.suffix == ".wav" and frames * channels * 4 > _LONGEST_WAV
        self._format = "RF64" if large else self.path.suffix[1:].upper()
        self._peak = 0.0

    def __enter__(self) -> Self:
        """Open the file, under a temporary name."""
        import soundfile

        with contextlib.ExitStack() as stack:
            self._temporary = stack.enter_context(atomic_path(self.path))
            try:
                self._sink = stack.enter_context(contextlib.closing(_Sink(self._temporary)))
                self._file = soundfile.SoundFile(
                    self._sink, "w", self._rate, self._channels, self._subtype, format=self._format
                )
            except OSError as error:
                raise unwritable(self.path, error) from error
            except (RuntimeError, TypeError, ValueError) as error:
                raise self._failed(error) from error
            # Of floats libsndfile writes a chunk with the peak and the time, which is another at every run.
            soundfile._snd.sf_command(self._file._file, _SET_ADD_PEAK_CHUNK, soundfile._ffi.NULL, 0)
            stack.push(self._leave)
            self._stack = stack.pop_all()
        return self

    def close(self) -> None:
        """Write what is left to write; the name comes on leaving. Of several files, close all before leaving any."""
        try:
            self._file.close()
        except RuntimeError as error:
            raise self._failed(error) from error
        if self._sink.error:
            raise self._failed(self._sink.error)

    def _leave(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            self.close()
        except DataError:
            if kind is None:  # else it would hide what happened first
                raise

    def _failed(self, error: Exception) -> DataError:
        if self._sink.error:
            return unwritable(self.path, self._sink.error)
        reason = str(error).replace(str(self._temporary), str(self.path)) or "an incomplete write"
        return DataError(f"{self.path}: cannot be written ({reason})")

    def write(self, samples: npt.NDArray[Any]) -> None:
        """Write the next block. Integer formats hold [-1, 1); what lies beyond is clipped.

        Shape:
            samples: (channel, any).
        """
        if not np.isfinite(samples).all():
            raise DataError(f"{self.path}: expected finite samples to write, got NaN or infinity")
        if self._subtype != "FLOAT":
            self._peak = max(self._peak, float(np.abs(samples).max(initial=0.0)))
            samples = np.clip(samples, -1.0, 1.0)
        if self._subtype in STEPS:  # left to libsndfile, wav rounds down and flac to the nearest
            samples = np.rint(samples * STEPS[self._subtype]) / STEPS[self._subtype]
        try:
            self._file.write(samples.T)
        except (RuntimeError, TypeError, ValueError, AssertionError) as error:  # an assertion: less written
            raise self._failed(error) from error
        if self._sink.error:
            raise self._failed(self._sink.error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file and give it its name; after an exception remove it."""
        self._stack.__exit__(kind, error, trace)
        if kind is None and self._peak > 1.0:
            warnings.warn(
                f"{self.path}: peak {self._peak:.2f} is above full scale and is clipped; write 32-bit float to keep it",
                HiersepWarning,
                stacklevel=3,  # whoever called `write`
            )


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
        subtype: As `Writer` takes it.

    Shape:
        samples: (channel, time) or (time,).

    Raises:
        DataError: If the place cannot be written to, libsndfile has no such format, or a sample is NaN or infinite.
    """
    samples = np.atleast_2d(samples)
    with Writer(path, sample_rate, len(samples), frames=samples.shape[1], subtype=subtype) as file:
        file.write(samples)
