"""MedleyDB 1.0 and 2.0.

Origin: Bittner, Salamon, Tierney, Mauch, Cannam, Bello, "MedleyDB", ISMIR 2014; version 2: ISMIR 2016, late-breaking.
Size: 122 songs and 74 more, 44.1 kHz, stems stereo. Licence: CC BY-NC-SA 4.0.
Get it: zenodo.org/record/1649325 and 1715175 (on request); metadata: github.com/marl/medleydb, ``Metadata/``.
Layout: ``[Audio|V1|V2/]SONG/{SONG_MIX.wav, SONG_STEMS/SONG_STEM_01.wav, SONG_RAW/...}``; ``SONG_METADATA.yaml`` lies
beside them, or in ``Metadata/`` of the data set. A stem has ``instrument``, ``component`` (``melody``, ``bass`` or
empty), ``filename`` and the song's ``has_bleed``.
Splits: none.
Traps: ``has_bleed`` is said of a whole song, and not of every song that has some; instruments ``Main System`` and
``Unlabeled`` may hold anything; the mixture was mastered, and is rarely the sum of its stems; what lies in ``_RAW`` is
in the stems already, and is no stem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hiersep.confined import inside, own
from hiersep.data.readers.metadata import each_once, entry, mixture_at, present, read_metadata, refuse_splits
from hiersep.data.tracks import Stem, Track
from hiersep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "medleydb"
LAYOUT = "MedleyDB's: SONG/SONG_METADATA.yaml and SONG_STEMS/"
_PARENTS = (".", "Audio", "V1", "V2")


def _songs(folder: Path) -> Iterator[Path]:
    for parent in _PARENTS:
        yield from sorted(path.parent for path in (folder / parent).glob("*/*_STEMS") if _is_own(path))


def _is_own(stems: Path) -> bool:
    return stems.is_dir() and stems.name == f"{stems.parent.name}_STEMS"


def recognises(folder: Path) -> bool:
    """Say whether a ``SONG/SONG_STEMS`` stands below `folder`, or below its ``Audio``, ``V1`` or ``V2``."""
    return next(_songs(folder), None) is not None


def tracks(folder: Path, splits: str | None = None) -> Iterator[Track]:
    """Yield the songs below `folder`, sorted by name within a version.

    Args:
        folder: Of the data set.
        splits: None: there are no tables of splits.

    Raises:
        DataError: If a song is there twice, or its metadata are missing, cannot be read, or lead out of its folder.
    """
    refuse_splits(NAME, splits)
    for song in each_once((place.name, place) for place in _songs(folder)):
        path = _metadata_of(song, folder)
        content = read_metadata(path)
        mixture = inside(song, path, str(content.get("mix_filename") or f"{song.name}_MIX.wav"))
        yield Track(song.name, None, present(_stems(song, path, content), path), mixture_at(mixture))


def _metadata_of(song: Path, folder: Path) -> Path:
    name = f"{song.name}_METADATA.yaml"
    places = (song / name, folder / "Metadata" / name)
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise DataError(
            f"{song}: expected {name} here or in {places[1].parent}, found neither; copy Metadata/ from "
            "github.com/marl/medleydb"
        )
    return own(found.parent, found.name)


def _stems(song: Path, path: Path, content: dict[str, Any]) -> Iterator[Stem]:
    parent = str(content.get("stem_dir") or f"{song.name}_STEMS")
    has_bleed = content.get("has_bleed") in ("yes", True)
    stems = entry(path, content, "stems", dict)
    for id in sorted(stems, key=str):
        filename = entry(path, stems[id], "filename", str, f"stem '{id}'")
        about = {key: stems[id].get(key) for key in ("instrument", "component")}
        file = inside(song, path, parent, filename)
        yield Stem(str(id), file, {**about, "filename": filename, "has_bleed": has_bleed})
