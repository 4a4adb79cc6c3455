"""Translate the authors' hierarchy JSON: dicts down to lists of ``plugin_name``.

The format has no name, no levels and no labels apart from the tree: its leaves list the sampler patches
that they claim. It becomes the same document as a file of ours, matched by ``plugin_name``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from hiersep.errors import HiersepWarning
from hiersep.hierarchy.fields import KEYS, LONGEST, describe, fail, is_list, snake_case
from hiersep.hierarchy.nodes import default_display
from hiersep.strict_yaml import MAX_DEPTH, YamlDict, YamlList, line_of, place

IMPLICIT_ROOT = "mixture"


def is_nested(data: Mapping[str, Any]) -> bool:
    """Tell whether a document is the authors' format: no key of ours, and only collections below.

    Example:
        >>> is_nested({"mix": {"guitar": ["a.nkm"]}}), is_nested({"tree": {"mix": ["guitar"]}})
        (True, False)
    """
    collections = all(isinstance(value, Mapping) or is_list(value) for value in data.values())
    return bool(data) and collections and not any(key in KEYS for key in data)


def translate(data: Mapping[str, Any], source: str, name: str) -> YamlDict:
    """Make a document of ours out of a nested one.

    Several keys at the top get one root, ``mixture``, above them. Ids become ``snake_case``. A leaf with an
    empty list, and an inner node that has nothing left below it, is dropped with a `HiersepWarning`.

    Args:
        data: The nested document.
        source: Name of the file, for messages.
        name: Name of the hierarchy.
    """
    keys = list(data)
    if len(keys) == 1 and isinstance(data[keys[0]], Mapping):
        root, top, line = keys[0], data[keys[0]], line_of(data, keys[0])
    else:
        root, top, line = IMPLICIT_ROOT, data, line_of(data)
    reading = _Nested(source)
    tree = YamlDict(line)
    tree.add(reading.id(root), reading.below(top, depth=1), line)
    if reading.dropped:
        what = f"left out what claims nothing: {', '.join(reading.dropped)}"
        warnings.warn(f"{place(source)}: {what}", HiersepWarning, stacklevel=2)
    document = YamlDict(line_of(data))
    document.add("name", snake_case(name)[:LONGEST] or "nested", line)
    levels = [IMPLICIT_ROOT, *(f"level_{depth}" for depth in range(1, reading.depth + 1))]
    document.add("levels", levels, line)
    document.add("tree", tree, line)
    document.add("display", reading.display, line)
    document.add("match", "plugin_name", line)
    document.add("labels", reading.labels, line)
    return document


class _Nested:
    """Walk the nested dicts, collecting labels, display names and what was dropped."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.depth = 1
        self.labels = YamlDict()
        self.display = YamlDict()
        self.dropped: list[str] = []

    def id(self, name: str) -> str:
        id = snake_case(str(name))
        if str(name).isprintable() and name.strip() not in ("", id, default_display(id)):
            self.display.add(id, name.strip(), None)
        return id

    def below(self, nodes: Mapping[str, Any], *, depth: int) -> YamlList:
        if depth > MAX_DEPTH:
            raise fail(self.source, nodes, None, f"nested deeper than {MAX_DEPTH} levels")
        kept = YamlList(line_of(nodes))
        for name, value in nodes.items():
            line = line_of(nodes, name)
            if not isinstance(value, Mapping) and not is_list(value):
                what = f"'{name}': expected a dict or a list of plugin names, got {describe(value)}"
                raise fail(self.source, nodes, name, what)
            below = self.below(value, depth=depth + 1) if isinstance(value, Mapping) else value
            if not below:
                self.dropped.append(f"'{name}'")
                continue
            self.depth = max(self.depth, depth)
            id = self.id(name)
            if isinstance(value, Mapping):
                inner = YamlDict(line)
                inner.add(id, below, line)
                kept.add(inner, line)
            else:
                self.labels.add(id, value, line)
                kept.add(id, line)
        return kept
