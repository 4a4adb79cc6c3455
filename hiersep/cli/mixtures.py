"""What the commands that take mixtures apart do alike: a folder for each, and one that fails holds up no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hiersep.cli.command import NOTHING_STARTED, SOME_FAILED, say_error
from hiersep.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

# Options that these commands share.
Device = Annotated[str | None, typer.Option(help="cpu, cuda or mps. Default: the fastest at hand.")]
Kind = Annotated[str, typer.Option("--format", help="What is written: wav, flac or mp3.")]
Bits = Annotated[
    str | None, typer.Option(help="Bits of a sample: 16, 24 or, of wav, 32f: float. Default: the most there are.")
]


def result_folders(mixtures: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Give each mixture a folder named after it.

    Raises:
        ConfigError: If two are named alike.
    """
    names = [mixture.stem for mixture in mixtures]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two mixtures are named '{name}' and would share the folder {out / name}; rename one")
    return {mixture: out / mixture.stem for mixture in mixtures}


def take_apart(folders: Mapping[Path, Path], write: Callable[[Path, Path], list[Path]]) -> None:
    """Write each mixture's estimates into its folder, and print the files; name what cannot be read.

    Raises:
        typer.Exit: If any could not be taken apart.
    """
    failed = 0
    for mixture, folder in folders.items():
        try:
            print("\n".join(map(str, write(mixture, folder))))
        except DataError as error:
            say_error(error)
            failed += 1
    if failed:
        raise typer.Exit(SOME_FAILED if failed < len(folders) else NOTHING_STARTED)


def names_of(words: str | None) -> list[str] | None:
    """Split names at commas; None stays."""
    return None if words is None else [word.strip() for word in words.split(",")]
