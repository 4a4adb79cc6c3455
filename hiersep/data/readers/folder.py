"""Plain folders: one folder per song, one audio file per stem, named by what it holds.

Origin, size, licence: yours.
Layout: ``[train|validation|test/]SONG/{vocals.wav, drums.wav, ...}``; ``val`` is ``validation`` too. A file named
``mixture`` or ``mix`` is the mixture and no stem. The stem's attribute is ``filename``; a hierarchy matches it by
``match: filename`` and globs (``drums``, ``gtr_*``).
Traps: a song whose name occurs in several splits is called ``SPLIT/SONG``, for every track needs a name of its own.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from typing import TYPE_CHECKING

from hiersep.audio import SUFFIXES
from hiersep.confined import own
from hiersep.data.readers.metadata import refuse_splits
from hiersep.data.tracks import Stem, Track
from hiersep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "folder"
LAYOUT = "plain folders: SONG/STEM.wav"
MIXTURE_NAMES = ("mixture", "mix")
_FOLDERS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


def _audio_files(song: Path) -> list[Path]:
    with os.scandir(song) as entries:  # which knows what is a file without asking again
        names = [
            entry.name
            for entry in entries
            if os.path.splitext(entry.name)[1].lower() in SUFFIXES  # noqa: PTH122
            # Of a link a path says so itself: a circle of them is no file there, and an error here.
            and ((song / entry.name).is_file() if entry.is_symlink() else entry.is_file())
            and not entry.name.startswith(".")  # macOS leaves ._NAME.wav beside NAME.wav
        ]
    return [song / name for name in sorted(names)]


def _is_mixture(path: Path) -> bool:
    return path.stem.lower() in MIXTURE_NAMES


def _songs(folder: Path) -> Iterator[tuple[str | None, Path, list[Path]]]:
    named = [name for name in _FOLDERS if (folder / name).is_dir()]
    for name in named or ["."]:
        split, parent = _FOLDERS.get(name), folder / name
        for song in sorted(parent.iterdir()):
            if song.is_dir() and not song.name.startswith("."):
                files = _audio_files(song)
                if not all(map(_is_mixture, files)):
                    yield split, song, files


def recognises(folder: Path) -> bool:
    """Say whether `folder`, or a split of it, holds folders with audio files."""
    return next(_songs(folder), None) is not None


def tracks(folder: Path, splits: str | None = None) -> Iterator[Track]:
    """Yield a track per song folder.

    Args:
        folder: Of the data set.
        splits: None: there are no tables of splits.

    Raises:
        DataError: If two files of a song differ in their suffix only: the mixture would hold that stem twice.
    """
    refuse_splits(NAME, splits)
    songs = list(_songs(folder))
    names = Counter(song.name for _, song, _ in songs)
    for split, song, paths in songs:
        files = [Stem(path.stem, own(song, path.name), {"filename": path.name}) for path in paths]
        stems = sorted((stem for stem in files if not _is_mixture(stem.path)), key=lambda stem: stem.id)
        for one, other in itertools.pairwise(stems):
            if one.id == other.id:
                both = f"{one.path.name} and {other.path.name}"
                raise DataError(f"{song}: expected one file per stem, got {both}; remove one")
        mixture = next((stem for stem in files if _is_mixture(stem.path)), None)
        yield Track(song.name if names[song.name] == 1 else f"{split}/{song.name}", split, tuple(stems), mixture)
