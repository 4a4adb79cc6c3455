"""Slakh2100, and whatever ``hiersep render`` writes in its layout.

Origin: Manilow, Wichern, Seetharaman, Le Roux, "Cutting Music Source Separation Some Slakh", WASPAA 2019.
Size: 2,100 tracks, 145 h, about 100 GB of flac, 44.1 kHz mono. Licence: CC BY 4.0.
Get it: zenodo.org/record/4599666 (redux), zenodo.org/record/4603870 (babyslakh, 20 tracks, 16 kHz wav).
Layout: ``[train|validation|test|omitted/]TrackNNNNN/{metadata.yaml, mix.flac, stems/SXX.flac}``, with MERL's ``val``
for ``validation``, wav for flac, or without folders for the splits.
Splits: as the folders say, or dealt by track number as the data set's own tables do, in whatever folder a track lies:
``orig`` (1500/375/225; songs recur across splits), ``split2`` (same sizes, no song in two splits; the ISMIR 2020
paper's) and ``redux`` (1289/270/151, the rest is ``omitted``).
Traps: a stem with ``audio_rendered: false`` has no file and is no stem; others have none either, and are named; drums
have ``program_num`` 128; one ``plugin_name`` is a path, and only a text here; ``audio_dir`` and ``midi_dir`` of
Track00616 are absolute paths, so the folder is always ``stems``.
"""

from __future__ import annotations

import functools
import re
import reprlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiersep.confined import inside, own
from hiersep.data.readers.metadata import (
    each_once,
    entry,
    mixture_at,
    plain_files,
    present,
    read_metadata,
    refuse_splits,
)
from hiersep.data.tracks import Stem, Track
from hiersep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "slakh"
LAYOUT = "Slakh2100's: TrackNNNNN/metadata.yaml and stems/"
SPLITS = ("train", "validation", "test", "omitted")
TABLES = ("orig", "split2", "redux")
_FOLDERS = {**{split: split for split in SPLITS}, "val": "validation"}
_TRACK = re.compile(r"Track(\d{5})")
_STEM = re.compile(r"S\d{2,}")
_SUFFIXES = (".flac", ".wav")


def _track_folders(folder: Path) -> Iterator[Path]:
    for parent in (folder, *(folder / name for name in _FOLDERS)):
        if parent.is_dir():
            for place in sorted(parent.iterdir()):
                if _TRACK.fullmatch(place.name) and (place / "metadata.yaml").is_file():
                    yield place


def recognises(folder: Path) -> bool:
    """Say whether a ``TrackNNNNN/metadata.yaml`` stands below `folder`, or below a split of it."""
    return next(_track_folders(folder), None) is not None


def tracks(folder: Path, splits: str | None = None) -> Iterator[Track]:
    """Yield the tracks below `folder`, sorted by split and number.

    Args:
        folder: Of the data set.
        splits: ``orig``, ``split2`` or ``redux``; None takes the folders that the tracks lie in.

    Raises:
        DataError: If a track's metadata cannot be read or lead out of its folder, a track is there twice, there is no
            such table of splits, or a track is not in it.
    """
    refuse_splits(NAME, splits, TABLES)
    places = each_once((place.name, place) for place in _track_folders(folder))
    dealt = [(_split(place, folder) if splits is None else _deal(place, splits), place) for place in places]
    for split, place in sorted(dealt, key=lambda pair: (SPLITS.index(pair[0]) if pair[0] else -1, pair[1].name)):
        mixtures = (mixture_at(own(place, f"mix{suffix}")) for suffix in _SUFFIXES)
        files = plain_files(place / "stems")
        stems = present(_stems(place, files), place / "metadata.yaml", files)
        yield Track(place.name, split, stems, next(filter(None, mixtures), None))


def _split(place: Path, folder: Path) -> str | None:
    return None if place.parent == folder else _FOLDERS[place.parent.name]


@functools.cache
def _table(name: str) -> dict[int, str]:
    path = Path(__file__).with_name("slakh_splits.json")
    content: dict[str, Any] = read_metadata(path)
    table = {n: split for split, (first, last) in content["orig"].items() for n in range(first, last + 1)}
    if name != "orig":
        table |= {number: split for split, moved in content[name].items() for number in moved}
    return table


def _deal(place: Path, splits: str) -> str:
    number = int(place.name.removeprefix("Track"))
    split = _table(splits).get(number)
    if split is None:
        raise DataError(f"{place}: expected a track from 1 to 2100 for the splits '{splits}', got {number}")
    return split


def _stems(place: Path, files: frozenset[str]) -> Iterator[Stem]:
    path, folder = own(place, "metadata.yaml"), place / "stems"
    for stem_id, attributes in sorted(_read_stems(path).items()):
        if attributes.get("audio_rendered", True):
            names = [f"{stem_id}{suffix}" for suffix in _SUFFIXES]
            name = next((name for name in names if name in files), None)
            if name is None:  # a link, or nothing
                name = next((name for name in names if (folder / name).is_file()), names[0])
                yield Stem(stem_id, inside(place, path, "stems", name), attributes)
            else:
                yield Stem(stem_id, folder / name, attributes)


def _read_stems(path: Path) -> dict[str, dict[str, Any]]:
    stems: dict[str, dict[str, Any]] = entry(path, read_metadata(path), "stems", dict)
    for stem_id in stems:
        if not isinstance(stem_id, str) or not _STEM.fullmatch(stem_id):
            raise DataError(f"{path}: expected stem names such as 'S00', got {reprlib.repr(stem_id)}")
        entry(path, stems, stem_id, dict)
    return stems
