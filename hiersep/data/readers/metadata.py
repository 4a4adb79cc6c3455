"""What the readers share: read what a data set says of itself, and trust none of it.

Metadata are data from elsewhere: they are read by parsers that only make data, their entries are checked where they
are taken, and a file name in them never leads out of the folder of the track that it belongs to.
"""

from __future__ import annotations

import itertools
import json
import os
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from hiersep.data.readers.memory import remembered
from hiersep.data.tracks import Stem
from hiersep.errors import DataError, HiersepWarning

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping
    from pathlib import Path

    Kind = TypeVar("Kind")

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is the same language, ten times faster
_MOST_BYTES = 1 << 22
_MOST_NESTED = 5000  # libyaml's C stack overflows, and the process dies, from some 30,000 on
_MOST_LEVELS, _MOST_VALUES = 100, 200_000  # of what is read; an alias counts for all that it stands for
_MOST_BITS = 4096  # of a whole number: Python shows none of more than 4300 digits
_KINDS: dict[type, str] = {dict: "a mapping", list: "a list", str: "a text"}


def read_metadata(path: Path) -> dict[str, Any]:
    """Read a YAML or JSON file; what is no mapping counts as an empty one.

    Raises:
        DataError: If it cannot be read, is neither, or is too large, too deep or full of aliases.
    """
    language = "JSON" if path.suffix == ".json" else "YAML"
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
        content = json.loads(text) if language == "JSON" else remembered(text, _load_yaml)
        _weigh(content)
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
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        _weigh_node(node)
        return None if node is None else loader.construct_document(node)
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:  # of values that do not fit their tags
        raise ValueError(f"a value that is not what its tag says: {error!r}") from error
    finally:
        loader.dispose()


def _weigh_node(top: yaml.Node | None) -> None:
    """Refuse aliases that stand for more than could be written out, and those that hold themselves."""
    sizes: dict[int, int] = {}
    begun: set[int] = set()
    pending: list[tuple[yaml.Node, bool]] = [] if top is None else [(top, False)]
    while pending:
        node, is_done = pending.pop()
        below = [one for pair in node.value for one in pair] if isinstance(node, yaml.MappingNode) else node.value
        below = below if isinstance(below, list) else []
        if is_done:
            sizes[id(node)] = 1 + sum(sizes[id(one)] for one in below)
            if sizes[id(node)] > _MOST_VALUES:
                raise ValueError(f"more than {_MOST_VALUES} values, written out")
        elif id(node) not in sizes:
            if id(node) in begun:
                raise ValueError("an alias of what it stands in")
            begun.add(id(node))
            pending.append((node, True))
            pending.extend((one, False) for one in below if id(one) not in sizes)


def _weigh(content: Any) -> None:
    """Refuse what is nested deeper than anything needs, and whole numbers that could not be shown."""
    level = [content]
    for _ in range(_MOST_LEVELS + 1):
        if not level:
            return
        for value in level:
            if isinstance(value, int) and value.bit_length() > _MOST_BITS:
                raise ValueError(f"a number of {value.bit_length()} bits")
        level = [one for value in level for one in _values(value)]
    raise ValueError(f"nested deeper than {_MOST_LEVELS} levels")


def _values(value: Any) -> Iterable[Any]:
    """What stands right below a value: of a mapping, its keys too."""
    if isinstance(value, dict):
        return itertools.chain(value, value.values())
    return value if isinstance(value, list | tuple | set) else ()


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
