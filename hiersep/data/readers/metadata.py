"""What the readers share: read what a data set says of itself, and trust none of it.

Metadata are data from elsewhere: they are read by parsers that only make data, their entries are checked where they
are taken, and a file name in them never leads out of the folder of the track that it belongs to.
"""

from __future__ import annotations

import json
import os
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from hiersep.data.readers.memory import remembered
from hiersep.data.tracks import Stem
from hiersep.errors import DataError, HiersepWarning

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping
    from pathlib import Path

    Kind = TypeVar("Kind")

_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is the same language, ten times faster
_MOST_NESTED = 5000  # libyaml's C stack overflows, and the process dies, from some 30,000 on
_KINDS: dict[type, str] = {dict: "a mapping", list: "a list", str: "a text"}


def read_metadata(path: Path) -> dict[str, Any]:
    """Read a YAML or JSON file; what is no mapping counts as an empty one.

    Raises:
        DataError: If it cannot be read, or is neither.
    """
    language = "JSON" if path.suffix == ".json" else "YAML"
    try:
        text = path.read_bytes()
        content = json.loads(text) if language == "JSON" else remembered(text, _load_yaml)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        number = mark.line + 1 if mark else getattr(error, "lineno", None)
        line = f":{number}" if number else ""
        reason = " ".join(str(getattr(error, "problem", None) or getattr(error, "msg", None) or error).split())
        raise DataError(f"{path}{line}: expected {language}, got something else ({reason})") from error
    return content if isinstance(content, dict) else {}


def _load_yaml(text: bytes) -> Any:
    if sum(map(text.count, b"[{-?")) > _MOST_NESTED:  # an upper bound of how deep it may nest
        raise ValueError(f"more than {_MOST_NESTED} brackets and dashes")
    return yaml.load(text, Loader=_Loader)


def entry(path: Path, mapping: Any, key: str, kind: type[Kind], of: str = "") -> Kind:
    """Take an entry out of metadata.

    Args:
        path: The metadata, for the message.
        mapping: What should hold the entry.
        key: Its key.
        kind: Its type: dict, list or str.
        of: What the mapping describes, for the message.

    Raises:
        DataError: If it is missing or of another type.
    """
    value = mapping.get(key) if isinstance(mapping, dict) else None
    if not isinstance(value, kind):
        of = f" of {of}" if of else ""
        raise DataError(f"{path}: expected '{key}'{of} to be {_KINDS[kind]}, got {type(value).__name__}")
    return value


def inside(folder: Path, said_by: Path, *names: str) -> Path:
    """Join the name of a file that metadata say to the track's folder.

    Args:
        folder: The track's.
        said_by: The metadata, for the message.
        names: Of the folders below and the file.

    Raises:
        DataError: If it leads out of the folder: as an absolute path, by ``..`` or by a link.
    """
    path = folder.joinpath(*names)
    if "\0" in str(path) or not path.resolve().is_relative_to(folder.resolve()):
        name = "/".join(names)
        raise DataError(f"{said_by}: expected a file in the folder of its track, got {name!r}, which leads out of it")
    return path


def plain_files(folder: Path) -> frozenset[str]:
    """Name the files in a folder that are no links, if it is none: joined to it, none of them leads out of it.

    One listing in place of a few questions to the file system per stem, of which a large data set has 25,000.
    """
    try:
        with os.scandir(folder) as entries:
            names = frozenset(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    except OSError:
        return frozenset()
    return frozenset() if folder.is_symlink() else names


def present(stems: Iterator[Stem], said_by: Path, listed: Container[str] = ()) -> tuple[Stem, ...]:
    """Keep the stems whose file is there; a warning names each other one.

    Args:
        stems: Of a track.
        said_by: The metadata, for the message.
        listed: Names of files that are known to be there, if all stems are to lie in one folder.

    Raises:
        DataError: If two stems have one file: the mixture would hold it twice.
    """
    kept: dict[Path, Stem] = {}
    for stem in stems:
        if stem.path in kept:
            raise DataError(f"{said_by}: expected a file per stem, got {stem.path.name} for two; remove one")
        if stem.path.name in listed or stem.path.is_file():
            kept[stem.path] = stem
        else:
            warnings.warn(
                f"{stem.path}: {said_by.name} lists this stem but there is no file; it is left out of the mixture",
                HiersepWarning,
                stacklevel=3,
            )
    return tuple(kept.values())


def mixture_at(path: Path) -> Stem | None:
    """Make a mixture of a file, if it is there."""
    return Stem("mixture", path, {}) if path.is_file() else None


def each_once(places: Iterator[tuple[str, Path]]) -> Iterator[Path]:
    """Pass the places of tracks on, given their ids.

    Raises:
        DataError: If two have one id: the data set would hold that track twice.
    """
    seen: dict[str, Path] = {}
    for id, place in places:
        if id in seen:
            raise DataError(f"{place}: expected every track once, got '{id}' in {seen[id].parent} too; remove one")
        seen[id] = place
        yield place


def refuse_splits(dataset: str, splits: str | None, known: Mapping[str, Any] | tuple[str, ...] = ()) -> None:
    """Refuse the name of a table of splits that a data set does not have.

    Raises:
        DataError: If `splits` is neither None nor among the known.
    """
    if splits is not None and splits not in known:
        tables = f"one of {', '.join(known)}" if known else "none: it has no tables of splits"
        raise DataError(f"splits of {dataset}: expected {tables}, got '{splits}'")
