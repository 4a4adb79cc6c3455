"""From a mixture's file to one file per node, written as it is made: hours take no more memory than minutes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hiersep import audio
from hiersep.confined import inside
from hiersep.errors import ConfigError, DataError, refuse_later
from hiersep.files import fingerprint, lock_folder, sweep, write_json
from hiersep.hierarchy import Hierarchy
from hiersep.separation.passage import RESIDUAL
from hiersep.separation.spans import Span

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from hiersep.separation.passage import Passage


ABOUT, FORMAT = "separation.json", 1


class Source(NamedTuple):
    """A span of an audio file, made ready to be read.

    Attributes:
        original: The file as it was named.
        path: The file that is read: the same, or what ffmpeg made of it.
        header: Of that.
        start: First frame.
        frames: Number of frames.
    """

    original: Path
    path: Path
    header: audio.AudioInfo
    start: int
    frames: int

    def slices(self) -> audio.Slices:
        """Give the span as an array of which slices can be had, in order."""
        blocks = audio.file_blocks(self.path, start=self.start, frames=self.frames)
        return audio.Slices(blocks, self.header.channels, self.frames)


@contextlib.contextmanager
def open_source(path: str | os.PathLike[str], span: Span | None = None) -> Iterator[Source]:
    """Make a span of a file ready to be read, decoded by ffmpeg if need be.

    Raises:
        DataError: If the file cannot be read, has no samples, or ends before the span begins.
    """
    with audio.decoded(path) as readable:
        header = audio.info(readable)
        yield Source(Path(path), readable, header, *(span or Span()).frames_of(header, path))


def write_estimates(
    path: Path,
    passage: Passage,
    out: Path,
    *,
    file_format: audio.FileFormat | None = None,
    residual: bool = False,
    span: Span | None = None,
) -> list[Path]:
    """Separate a file into ``out/NODE.wav``, at its own rate, channels and length.

    The files have their names when all of them are whole; after an interruption there is none of them. What they were
    made of stands beside them, in ``separation.json``: where all of that is the same, nothing is made again.

    Args:
        path: The mixture.
        passage: The network, and what is wanted of it.
        out: The folder; it is made.
        file_format: What is written. Default: wav of 32-bit float, which keeps what lies above full scale.
        residual: Write ``residual.wav`` as well: what the outermost of the nodes leave of the mixture, so that these
            and the residual sum to it.
        span: Of the mixture. Default: all.

    Returns:
        The files, coarse to fine; the residual last.

    Raises:
        ConfigError: If a node is called as the residual is.
        DataError: If the file cannot be read or the folder not written to, or another run writes into it.
    """
    with open_source(path, span) as source:
        return write_source(source, passage, out, file_format=file_format, residual=residual)


def write_source(
    source: Source,
    passage: Passage,
    out: Path,
    *,
    file_format: audio.FileFormat | None = None,
    residual: bool = False,
) -> list[Path]:
    """Do what `write_estimates` does, with a file that is ready to be read: what ffmpeg decodes, it decodes once.

    Args:
        source: A span of the mixture, of `open_source`.
        passage: As `write_estimates`.
        out: As `write_estimates`.
        file_format: As `write_estimates`.
        residual: As `write_estimates`.

    Raises:
        ConfigError: As `write_estimates`.
        DataError: As `write_estimates`.
    """
    file_format = file_format or audio.FileFormat.of("wav")
    files = output_files(passage, out, file_format, residual=residual)
    with lock_folder(out):
        sweep(out)
        about = _about(passage, source, files, file_format.subtype)
        if _lies_there(out, about, files):
            return list(files.values())
        (out / ABOUT).unlink(missing_ok=True)
        _write_all(source, passage, files, subtype=file_format.subtype, residual=residual)
        write_json(out / ABOUT, about)
    return list(files.values())


def _write_all(source: Source, passage: Passage, files: Mapping[str, Path], *, subtype: str, residual: bool) -> None:
    with contextlib.ExitStack() as stack:
        rate, channels = source.header.sample_rate, source.header.channels
        writers = [
            stack.enter_context(audio.Writer(file, rate, channels, frames=source.frames, subtype=subtype))
            for file in files.values()
        ]
        original, begin = source.slices(), 0
        for stretch in passage.estimates(source.slices(), rate):
            for writer, estimate in zip(writers, stretch, strict=False):
                writer.write(estimate)
            if residual:
                end = begin + stretch.shape[-1]
                writers[-1].write(passage.residual(original[:, begin:end], stretch))
                begin = end
        for writer in writers:
            writer.close()  # a disk that is full says so here, before any file has its name


def _about(passage: Passage, source: Source, files: Mapping[str, Path], subtype: str) -> dict[str, Any]:
    """Say what the files are made of."""
    stat = source.original.stat()
    made_of = [passage.key, stat.st_size, stat.st_mtime_ns, source.start, source.frames, source.header.sample_rate]
    return {
        "format": FORMAT,
        "mixture": source.original.name,
        "start": source.start,
        "frames": source.frames,
        "sample_rate": source.header.sample_rate,
        "settings": dataclasses.asdict(passage.settings),
        "hierarchy": passage.model.hierarchy.to_dict(),
        "subtype": subtype,
        "files": {name: file.name for name, file in files.items()},
        "key": passage.key and fingerprint(made_of),
    }


def _lies_there(out: Path, about: Mapping[str, Any], files: Mapping[str, Path]) -> bool:
    try:
        before = json.loads((out / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    # As JSON has it: a tuple is a list there.
    same = before == json.loads(json.dumps(about))
    return about["key"] is not None and same and all(file.is_file() for file in files.values())


class Separated(NamedTuple):
    """What `write_estimates` left in a folder: its files by node, of which hierarchy, and which span of the mixture."""

    files: dict[str, Path]
    hierarchy: Hierarchy
    span: Span


def read_separation(folder: str | os.PathLike[str]) -> Separated:
    """Read what stands beside estimates.

    Raises:
        DataError: If there is no such file, it says something else, or a file that it names lies elsewhere.
    """
    path = Path(folder) / ABOUT
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        refuse_later(about["format"], FORMAT, str(path), DataError)
        start, frames, rate = (about[name] for name in ("start", "frames", "sample_rate"))
        if not all(type(number) is int for number in (start, frames, rate)) or start < 0 or frames < 1 or rate < 1:
            raise ValueError("no span")
        span = Span(start / rate, (start + frames) / rate)
        if about["format"] != FORMAT or not isinstance(about["hierarchy"], Mapping):  # no file is read that it names
            raise ValueError("another format")
        hierarchy = Hierarchy.load(about["hierarchy"])
        files = {str(name): inside(path.parent, path, str(file)) for name, file in about["files"].items()}
        if missing := [file.name for file in files.values() if not file.is_file()]:
            raise ValueError(f"no file {missing[0]!r}")
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(
            f"{path}: expected what hiersep separate or query wrote beside its results, got none; name their folder"
        ) from error
    return Separated(files, hierarchy, span)


def output_files(passage: Passage, out: Path, file_format: audio.FileFormat, *, residual: bool) -> dict[str, Path]:
    """Name the files of a separation, by node, coarse to fine; the residual last.

    Raises:
        ConfigError: If a node is called as the residual is.
    """
    if residual and RESIDUAL in passage.nodes:
        raise ConfigError(f"residual: expected no node of this name, got one; leave out the residual, or '{RESIDUAL}'")
    names = [*passage.nodes, *([RESIDUAL] if residual else [])]
    return {name: out / f"{name}{file_format.suffix}" for name in names}
