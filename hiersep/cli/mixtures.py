"""What the commands that take mixtures apart do alike: options, which files are meant, one after the other."""

from __future__ import annotations

import dataclasses
import functools
import glob
import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from hiersep.cli.command import NOTHING_STARTED, SOME_FAILED, say, say_error
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
Report = Annotated[bool, typer.Option("--report", help="Write report.html too: a page to listen and to look.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the files' names.")]

# What is taken from a folder; what is named itself is tried whatever its suffix.
_SUFFIXES = {
    *(".aac", ".aif", ".aiff", ".amr", ".ape", ".au", ".caf", ".flac", ".m4a", ".mka", ".mkv", ".mov", ".mp3", ".mp4"),
    *(".oga", ".ogg", ".opus", ".tta", ".w64", ".wav", ".webm", ".wma", ".wv"),
}


@dataclass(frozen=True)
class Options:
    """What may be said of every separation; `with_options` makes a command's options of the fields."""

    residual: Residual = False
    start: From = None
    stop: To = None
    kind: Kind = "wav"
    bits: Bits = None
    overlap: Overlap = None
    shifts: Shifts = 1
    downmix: Downmix = False
    device: Device = None
    report: Report = False
    dry_run: DryRun = False
    as_json: Json = False

    def check(self) -> None:
        """Refuse options that cannot be, before anything heavy is loaded.

        Raises:
            ConfigError: If one cannot.
        """
        for what in (self.file_format, self.span, self.settings):
            what()

    def file_format(self) -> FileFormat:
        """Name the format.

        Raises:
            ConfigError: If there is none of the kind.
        """
        from hiersep.audio import FileFormat

        return FileFormat.of(self.kind, self.bits)

    def span(self) -> Span:
        """Name the span.

        Raises:
            ConfigError: If a time is none.
        """
        from hiersep.separation.spans import Span

        return Span.between(self.start, self.stop)

    def settings(self) -> SeparationSettings:
        """Make the settings of the separation.

        Raises:
            ConfigError: If they make none.
        """
        from hiersep.separation.settings import OVERLAP_S, SeparationSettings

        overlap = OVERLAP_S if self.overlap is None else self.overlap
        return SeparationSettings(overlap_s=overlap, shifts=self.shifts, downmix=self.downmix)


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that all separations share, in the place of its parameter ``options``."""

    @functools.wraps(function)
    def wrapped(**words: Any) -> None:
        shared = {field.name: words.pop(field.name) for field in dataclasses.fields(Options)}
        function(**words, options=Options(**shared))

    own = inspect.signature(function, eval_str=True)
    hints = get_type_hints(Options, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in dataclasses.fields(Options)
    ]
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own.parameters.values()]
    kept = [one for one in parameters if one.name != "options"]
    wrapped.__signature__ = own.replace(parameters=[*kept, *shared])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {one.name: one.annotation for one in [*kept, *shared]}
    return wrapped


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
        return {path: path.relative_to(word).parent / _folder_name(path) for path in files}
    if not word.exists() and glob.has_magic(str(word)):
        names = glob.glob(str(word), recursive=True)  # noqa: PTH207  # a Path's takes no absolute patterns
        files = sorted(path for path in map(Path, names) if not path.is_dir())
        if not files:
            raise DataError(f"{word}: expected a pattern of files, got one that fits none; check the path")
        return {path: Path(_folder_name(path)) for path in files}
    return {word: Path(_folder_name(word))}


def _folder_name(mixture: Path) -> str:
    """Name the folder of a mixture's results after it; ``...wav`` gives no folder above."""
    return mixture.stem if mixture.stem.strip(".") else "mixture"


def take_apart(
    folders: Mapping[Path, Path],
    options: Options,
    passage_for: Callable[[Path], Passage],
    *,
    example: Path | None = None,
) -> None:
    """Write each mixture's estimates into its folder, and print the files; one that cannot be read holds up no other.

    Args:
        folders: Mixtures, each with the folder for its results.
        options: What is wanted.
        passage_for: Gives the network, made ready for a mixture.
        example: What the pages let hear of what was asked with.

    Raises:
        typer.Exit: If any could not be taken apart.
    """
    done: list[dict[str, Any]] = []
    for mixture, folder in folders.items():
        try:
            about = _take_one(mixture, folder, options, passage_for(mixture), example)
            if not options.as_json:
                say("\n".join([*about["files"].values(), *filter(None, [about.get("report")])]))
        except DataError as error:
            say_error(error)
            about = {"error": str(error)}
        done.append({"mixture": str(mixture), **about})
    if options.as_json:
        print(json.dumps({"dry_run": options.dry_run, "mixtures": done}, indent=2))
    failed = sum("error" in about for about in done)
    if failed:
        raise typer.Exit(SOME_FAILED if failed < len(done) else NOTHING_STARTED)


def _take_one(mixture: Path, folder: Path, options: Options, passage: Passage, example: Path | None) -> dict[str, Any]:
    from hiersep.separation.files import open_source, output_files, write_source

    file_format, residual = options.file_format(), options.residual
    files = output_files(passage, folder, file_format, residual=residual)
    with open_source(mixture, options.span()) as source:
        header = source.header
        about = {"files": {name: str(path) for name, path in files.items()}, "sample_rate": header.sample_rate}
        about |= {"channels": header.channels, "frames": source.frames}
        if not options.dry_run:
            write_source(source, passage, folder, file_format=file_format, residual=residual)
    if options.report:
        from hiersep.report import PAGE_NAME, report_folder

        about["report"] = str(folder / PAGE_NAME)
        if not options.dry_run:
            report_folder(mixture, folder, query=example)
    return about


def names_of(words: str | None) -> list[str] | None:
    """Split names at commas; None stays."""
    return None if words is None else [word.strip() for word in words.split(",")]
