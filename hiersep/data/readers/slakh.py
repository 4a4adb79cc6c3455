"""Slakh2100, and whatever ``hiersep render`` writes in its layout.

Origin: Manilow, Wichern, Seetharaman, Le Roux, "Cutting Music Source Separation Some Slakh", WASPAA 2019.
Size: 2,100 tracks, 145 h, about 100 GB of flac, 44.1 kHz mono. Licence: CC BY 4.0.
Get it: zenodo.org/record/4599666 (redux), zenodo.org/record/4603870 (babyslakh, 20 tracks, 16 kHz).
Layout: ``[train|validation|test/]TrackNNNNN/{metadata.yaml, mix.flac, stems/SXX.flac}``; wav instead of flac also
occurs.
Traps: a stem with ``audio_rendered: false`` has no file and is no stem; drums have ``program_num`` 128; the
``audio_dir`` of Track00616 is an absolute path, so the folder is always ``stems``.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

import yaml

from hiersep.data.tracks import Stem, Track
from hiersep.errors import DataError, HiersepWarning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "slakh"
SPLITS = ("train", "validation", "test", "omitted")
_TRACK = re.compile(r"Track\d{5}")
_STEM = re.compile(r"S\d{2,}")
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is the same language, ten times faster


def _track_folders(folder: Path) -> Iterator[tuple[str | None, Path]]:
    for split, parent in ((None, folder), *((split, folder / split) for split in SPLITS)):
        if parent.is_dir():
            for entry in sorted(parent.iterdir()):
                if _TRACK.fullmatch(entry.name) and (entry / "metadata.yaml").is_file():
                    yield split, entry


def recognises(folder: Path) -> bool:
    """Say whether a ``TrackNNNNN/metadata.yaml`` stands below `folder`, or below a split of it."""
    return next(_track_folders(folder), None) is not None


def tracks(folder: Path) -> Iterator[Track]:
    """Yield the tracks below `folder`.

    Raises:
        DataError: If a track's metadata cannot be read.
    """
    for split, track_folder in _track_folders(folder):
        yield Track(track_folder.name, split, tuple(_stems(track_folder)))


def _stems(track_folder: Path) -> Iterator[Stem]:
    for stem_id, attributes in sorted(_read_metadata(track_folder / "metadata.yaml").items()):
        if not attributes.get("audio_rendered", True):
            continue
        candidates = [track_folder / "stems" / f"{stem_id}{suffix}" for suffix in (".flac", ".wav")]
        path = next((path for path in candidates if path.is_file()), None)
        if path is None:
            warnings.warn(
                f"{candidates[0]}: metadata.yaml lists this stem but there is no file; it is left out of the mixture",
                HiersepWarning,
                stacklevel=2,
            )
            continue
        yield Stem(stem_id, path, attributes)


def _read_metadata(path: Path) -> dict[str, dict[str, Any]]:
    try:
        metadata = yaml.load(path.read_bytes(), Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        raise DataError(f"{path}{line}: expected YAML, got something else ({reason})") from error
    stems = metadata.get("stems") if isinstance(metadata, dict) else None
    if not isinstance(stems, dict):
        raise DataError(
            f"{path}: expected a mapping 'stems' of stem names to their attributes, got {type(stems).__name__}"
        )
    for stem_id, attributes in stems.items():
        if not isinstance(stem_id, str) or not _STEM.fullmatch(stem_id):
            raise DataError(f"{path}: expected stem names such as 'S00', got {stem_id!r}")
        if not isinstance(attributes, dict):
            raise DataError(
                f"{path}: expected the attributes of {stem_id} as a mapping, got {type(attributes).__name__}"
            )
    return stems
