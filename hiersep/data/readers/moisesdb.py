"""MoisesDB.

Origin: Pereira, Araujo, Korzeniowski, Vogl, "MoisesDB: A Dataset for Source Separation Beyond 4-Stems", ISMIR 2023.
Size: 240 songs, 14 h, about 90 GB of wav, 44.1 kHz stereo. Licence: CC BY-NC-SA 4.0.
Get it: music.ai/research (on request).
Layout: ``[moisesdb_v0.1/]UUID/{data.json, STEM_NAME/TRACK_ID.wav}``. A stem of theirs has one or several tracks; each
track is a stem here, with ``stem_name``, ``track_type``, ``has_bleed``, ``artist``, ``song`` and ``genre``.
Splits: none were published. ``artists`` deals the songs by a hash of the artist, about 70 % to ``train``, 10 % to
``validation`` and 20 % to ``test``, so that no artist is heard on both sides: ours, the same for everybody.
Traps: there is no mixture file; ``has_bleed`` is a truth value, or a list of what bleeds in; spellings vary, and types
occur that the published list lacks (hi-hats): those that `hierarchies/moisesdb.yaml` does not know are reported, and
claimed by their stem's node.
"""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

from hiersep.confined import inside, own
from hiersep.data.readers.metadata import each_once, entry, present, read_metadata, refuse_splits
from hiersep.data.tracks import Stem, Track
from hiersep.errors import HiersepWarning
from hiersep.hierarchy import Hierarchy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "moisesdb"
LAYOUT = "MoisesDB's: UUID/data.json"
TABLES = ("artists",)
SPLITS = ("train", "validation", "test")
_PARENTS = (".", "moisesdb_v0.1")
_UP_TO = {"train": 0.7, "validation": 0.8, "test": 1.0}  # of the hash, as a share of the largest


def _songs(folder: Path) -> Iterator[Path]:
    for parent in _PARENTS:
        yield from sorted(path.parent for path in (folder / parent).glob("*/data.json") if path.is_file())


def recognises(folder: Path) -> bool:
    """Say whether a folder below `folder`, or below its ``moisesdb_v0.1``, has a ``data.json``."""
    return next(_songs(folder), None) is not None


def tracks(folder: Path, splits: str | None = None) -> Iterator[Track]:
    """Yield the songs below `folder`, sorted by split and name (a UUID).

    Track types that the hierarchy ``moisesdb`` does not know are named in a warning each, at the end.

    Args:
        folder: Of the data set.
        splits: ``artists``; None: the songs have no split.

    Raises:
        DataError: If a song's metadata cannot be read, or lead out of its folder, or there is no such table of splits.
    """
    refuse_splits(NAME, splits, TABLES)
    unknown: Counter[str] = Counter()
    songs = [_track(song, splits) for song in each_once((place.name, place) for place in _songs(folder))]
    for song in sorted(songs, key=lambda song: (SPLITS.index(song.split) if song.split else -1, song.id)):
        types = (stem.attributes["track_type"] for stem in song.stems)
        unknown.update(track_type for track_type in types if not _is_known(track_type))
        yield song
    for track_type, count in sorted(unknown.items()):
        warnings.warn(
            f"{folder}: track type '{track_type}' is not in MoisesDB's list ({count} of the stems have it); it counts "
            "as its stem, of no type",
            HiersepWarning,
            stacklevel=2,
        )


@functools.cache
def _is_known(track_type: str) -> bool:
    return Hierarchy.load("moisesdb").claim({"track_type": track_type}) is not None


def _track(song: Path, splits: str | None) -> Track:
    path = own(song, "data.json")
    content = read_metadata(path)
    split = None if splits is None else split_of(str(content.get("artist") or song.name))
    return Track(song.name, split, present(_stems(song, path, content), path))


def split_of(artist: str) -> str:
    """Deal an artist to a split, by the SHA-256 of the name in capitals; a song of nobody stands for itself.

    Example:
        >>> [split_of(artist) for artist in ("Mira", "Old Harbour", "Tin Roof Band")]
        ['train', 'train', 'test']
    """
    digest = hashlib.sha256(artist.strip().upper().encode(errors="backslashreplace")).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return next(split for split, edge in _UP_TO.items() if share < edge)


def _stems(song: Path, path: Path, content: dict[str, Any]) -> Iterator[Stem]:
    about: dict[str, Any] = {key: content.get(key) for key in ("artist", "song", "genre")}
    for stem in entry(path, content, "stems", list):
        name = entry(path, stem, "stemName", str, "a stem")
        for track in entry(path, stem, "tracks", list, f"stem '{name}'"):
            id, extension, kind = (entry(path, track, key, str, "a track") for key in ("id", "extension", "trackType"))
            attributes = {"stem_name": name, "track_type": kind, "has_bleed": track.get("has_bleed", False)}
            file = inside(song, path, name, f"{id}.{extension}")
            yield Stem(f"{name}-{id}", file, {**attributes, "filename": file.name, **about})
