"""What the commands that take mixtures apart do alike: options, which files are meant, one after the other."""

from __future__ import annotations

import glob
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from hiersep.cli.command import NOTHING_STARTED, SOME_FAILED, say_error
from hiersep.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hiersep.audio import FileFormat
    from hiersep.separation import Passage, SeparationSettings, Span

# Options that these commands share.
Mixtures = Annotated[
    list[Path], typer.Argument(metavar="MIX...", help="Audio files, folders of them, or patterns like 'live/*.mp3'.")
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or mps. Default: the fastest at hand.")]
Kind = Annotated[str, typer.Option("--format", help="What is written: wav, flac or mp3.")]
Bits = Annotated[
    str | None, typer.Option(help="Bits of a sample: 16, 24 or, of wav, 32f: float. Default: the most there are.")
]
Residual = Annotated[
    bool, typer.Option("--residual", help="Write residual too: what the outermost nodes leave of the mixture.")
]
From = Annotated[str | None, typer.Option("--from", metavar="TIME", help="Begin here: 70, 1:10 or 1:02:30.5.")]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="End here.")]
Overlap = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="What neighbouring segments of 13 s share. Default: 1.")
]
Shifts = Annotated[
    int, typer.Option(min=1, metavar="N", help="Average N passes, a part of a frame apart: N times as slow.")
]
Downmix = Annotated[
    bool, typer.Option("--downmix", help="Listen to the mean of the channels only: faster, keeps places in the stereo.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the files' names.")]

# What is taken from a folder; what is named itself is tried whatever its suffix.
_SUFFIXES = {
    *(".aac", ".aif", ".aiff", ".amr", ".ape", ".au", ".caf", ".flac", ".m4a", ".mka", ".mkv", ".mov", ".mp3", ".mp4"),
    *(".oga", ".ogg", ".opus", ".tta", ".w64", ".wav", ".webm", ".wma", ".wv"),
}


class Output(NamedTuple):
    """What is written of each mixture, and what is said of it."""

    file_format: FileFormat
    residual: bool
    span: Span
    dry_run: bool
    as_json: bool


def make_settings(overlap: float | None, shifts: int, *, downmix: bool) -> SeparationSettings:
    """Make settings of what the options say.

    Raises:
        ConfigError: If they make none.
    """
    from hiersep.separation.settings import OVERLAP_S, SeparationSettings

    return SeparationSettings(overlap_s=OVERLAP_S if overlap is None else overlap, shifts=shifts, downmix=downmix)


def find_mixtures(words: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Find the files that are meant, each with a folder for its results, named after it.

    Those of a folder have the folders between it and them between the results and `out`.

    Raises:
        ConfigError: If two are named alike.
        DataError: If a folder holds no audio, or a pattern fits nothing.
        typer.Exit: If none of the files is there; each is named.
    """
    found: dict[Path, Path] = {}
    for word in words:
        for mixture, place in _expand(word).items():
            if mixture in found:
                continue
            folder = out / place
            if folder in found.values():
                raise ConfigError(f"two mixtures are named '{place}' and would share the folder {folder}; rename one")
            found[mixture] = folder
    if not any(mixture.exists() for mixture in found):
        for mixture in found:
            say_error(f"{mixture}: no such file; check the path")
        raise typer.Exit(NOTHING_STARTED)
    return found


def _expand(word: Path) -> dict[Path, Path]:
    if word.is_dir():
        files = sorted(path for path in word.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
        if not files:
            raise DataError(f"{word}: expected audio files in this folder, got none; name another, or the files")
        return {path: path.relative_to(word).with_suffix("") for path in files}
    if not word.exists() and glob.has_magic(str(word)):
        names = glob.glob(str(word), recursive=True)  # noqa: PTH207  # a Path's takes no absolute patterns
        files = sorted(path for path in map(Path, names) if not path.is_dir())
        if not files:
            raise DataError(f"{word}: expected a pattern of files, got one that fits none; check the path")
        return {path: Path(path.stem) for path in files}
    return {word: Path(word.stem)}


def take_apart(folders: Mapping[Path, Path], output: Output, passage_for: Callable[[Path], Passage]) -> None:
    """Write each mixture's estimates into its folder, and print the files; one that cannot be read holds up no other.

    Args:
        folders: Mixtures, each with the folder for its results.
        output: What is wanted.
        passage_for: Gives the network, made ready for a mixture.

    Raises:
        typer.Exit: If any could not be taken apart.
    """
    done: list[dict[str, Any]] = []
    for mixture, folder in folders.items():
        try:
            about = _take_one(mixture, folder, output, passage_for(mixture))
            if not output.as_json:
                print("\n".join(about["files"].values()))
        except DataError as error:
            say_error(error)
            about = {"error": str(error)}
        done.append({"mixture": str(mixture), **about})
    if output.as_json:
        print(json.dumps({"dry_run": output.dry_run, "mixtures": done}, indent=2, ensure_ascii=False))
    failed = sum("error" in about for about in done)
    if failed:
        raise typer.Exit(SOME_FAILED if failed < len(done) else NOTHING_STARTED)


def _take_one(mixture: Path, folder: Path, output: Output, passage: Passage) -> dict[str, Any]:
    from hiersep.separation import output_files, write_estimates
    from hiersep.separation.files import open_source

    files = output_files(passage, folder, output.file_format, residual=output.residual)
    with open_source(mixture, output.span) as source:
        header = source.header
        about = {"files": {name: str(path) for name, path in files.items()}, "sample_rate": header.sample_rate}
        about |= {"channels": header.channels, "frames": source.frames}
    if not output.dry_run:
        write_estimates(
            mixture,
            passage,
            folder,
            file_format=output.file_format,
            residual=output.residual,
            span=output.span,
        )
    return about


def names_of(words: str | None) -> list[str] | None:
    """Split names at commas; None stays."""
    return None if words is None else [word.strip() for word in words.split(",")]
