"""Plain folders: one folder per song, one audio file per stem, named by what it holds.

Layout: ``[train|validation|test/]SONG/{vocals.wav, drums.wav, ...}``. A file named ``mixture`` or ``mix`` is the
mixture and no stem. The stem's attribute is ``filename``; a hierarchy matches it by ``match: filename`` and globs
(``drums``, ``gtr_*``).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from hiersep.audio import SUFFIXES
from hiersep.data.tracks import Stem, Track
from hiersep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "folder"
SPLITS = ("train", "validation", "test")
MIXTURE_NAMES = ("mixture", "mix")


def _stem_files(song: Path) -> list[Path]:
    return sorted(
        path
        for path in song.iterdir()
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not path.name.startswith(".")  # macOS leaves ._NAME.wav beside NAME.wav
        and path.stem.lower() not in MIXTURE_NAMES
    )


def _songs(folder: Path) -> Iterator[tuple[str | None, Path]]:
    splits: list[str | None] = [split for split in SPLITS if (folder / split).is_dir()]
    for split in splits or [None]:
        parent = folder / split if split else folder
        for song in sorted(parent.iterdir()):
            if song.is_dir() and not song.name.startswith(".") and _stem_files(song):
                yield split, song


def recognises(folder: Path) -> bool:
    """Say whether `folder`, or a split of it, holds folders with audio files."""
    return next(_songs(folder), None) is not None


def tracks(folder: Path) -> Iterator[Track]:
    """Yield a track per song folder.

    Raises:
        DataError: If two files of a song differ in their suffix only: the mixture would hold that stem twice.
    """
    for split, song in _songs(folder):
        stems = tuple(Stem(path.stem, path, {"filename": path.name}) for path in _stem_files(song))
        for one, other in itertools.pairwise(sorted(stems, key=lambda stem: stem.id)):
            if one.id == other.id:
                both = f"{one.path.name} and {other.path.name}"
                raise DataError(f"{song}: expected one file per stem, got {both}; remove one")
        yield Track(song.name, split, stems)
