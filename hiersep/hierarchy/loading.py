"""Find a hierarchy by name, file or dict, and check all of it."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hiersep import strict_yaml
from hiersep.errors import HierarchyError, near_miss
from hiersep.hierarchy import fields, nested
from hiersep.hierarchy.branches import Branches
from hiersep.hierarchy.claims import read_blocks
from hiersep.hierarchy.nodes import grow

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from hiersep.hierarchy.labels import Block
    from hiersep.hierarchy.nodes import Node

SUFFIXES = (".yaml", ".yml", ".json")


class Parts(NamedTuple):
    """What a hierarchy consists of."""

    name: str
    levels: tuple[str, ...]
    nodes: tuple[Node, ...]
    blocks: tuple[Block, ...]


def available() -> tuple[str, ...]:
    """List the names of the shipped hierarchies."""
    return tuple(sorted(_shipped()))


def load_parts(source: str | os.PathLike[str] | Mapping[str, Any]) -> Parts:
    """Read a hierarchy; see `Hierarchy.load`."""
    if isinstance(source, Mapping):
        return parse(source, "hierarchy")
    if not isinstance(source, (str, os.PathLike)):
        expected = "expected the name of a hierarchy, a path or a dict"
        raise HierarchyError(f"{expected}, got {type(source).__name__}")
    path = Path(source)
    if path.suffix.lower() in SUFFIXES:
        return parse(strict_yaml.read(path, error=HierarchyError), str(path), name=path.stem)
    shipped = _shipped()
    if str(source) in shipped:
        file = shipped[str(source)]
        return parse(strict_yaml.load(file.read_bytes(), file.name, error=HierarchyError), file.name)
    raise HierarchyError(
        f"unknown hierarchy '{source}'{near_miss(source, shipped)}; shipped are "
        f"{', '.join(sorted(shipped))}; a file is named with its suffix ({', '.join(SUFFIXES)})"
    )


def parse(data: Any, source: str, name: str = "nested") -> Parts:
    """Check a document and build its nodes.

    Args:
        data: What the file holds.
        source: Name of the file, for messages.
        name: Name of the hierarchy, where the format has none (the authors' JSON).
    """
    if not isinstance(data, Mapping):
        expected = f"expected a mapping with the keys {', '.join(fields.REQUIRED)}"
        raise fields.fail(source, data, None, f"{expected}; got {fields.describe(data)}")
    if nested.is_nested(data):
        data = nested.translate(data, source, name)
    fields.read_format(data, source)
    fields.check_keys(data, source, fields.KEYS)
    for key in fields.REQUIRED:
        if key not in data:
            raise fields.fail(source, data, None, f"missing key '{key}'")
    name = fields.read_name(data, source)
    levels = fields.read_levels(data, source)
    branches = Branches(data, source, levels)
    display = fields.read_display(data, source, branches.ids)
    bare = grow(branches.root, branches.children, levels=levels, display={}, blocks=())
    blocks = read_blocks(data, source, {node.id: None for node in bare})  # in order, and looked up at once
    nodes = grow(branches.root, branches.children, levels=levels, display=display, blocks=blocks)
    return Parts(name, levels, nodes, blocks)


def _shipped() -> dict[str, Traversable]:
    """Find the shipped files: in the installed package, or beside it in a source checkout."""
    try:
        folder = importlib.resources.files("hiersep.hierarchies")
    except ModuleNotFoundError:
        folder = Path(__file__).parents[2] / "hierarchies"
    files = (file for file in folder.iterdir() if file.name.endswith(".yaml"))
    return {file.name.removesuffix(".yaml"): file for file in files}
