"""Read the ``tree`` of a hierarchy file: mappings and lists of node ids, one root."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hiersep.hierarchy.fields import check_id, describe, fail, is_list
from hiersep.strict_yaml import line_of

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_NODES = 10_000  # which nodes hold which takes a byte per pair of them
RESERVED = ("match", "ignore")  # they stand beside node ids in the labels of a data set


class Branches:
    """What a ``tree`` says.

    Attributes:
        root: Id of the root.
        children: Ids below each inner node, in file order.
    """

    def __init__(self, data: Mapping[str, Any], source: str, levels: tuple[str, ...]) -> None:
        self.children: dict[str, list[str]] = {}
        self._source = source
        self._levels = levels
        self._depths: dict[str, int] = {}
        self._lines: dict[str, int | None] = {}
        tree = data["tree"]
        if not isinstance(tree, Mapping) or not tree:
            what = f"expected one root node with its children below, got {describe(tree or None)}"
            raise fail(source, data, "tree", what)
        self.root, *others = tree
        if others:
            first = self._also(line_of(tree, self.root))
            what = f"'{others[0]}' is a second root beside '{self.root}'{first}; put one node above"
            raise fail(source, tree, others[0], what)
        self._add(tree, self.root, self.root, parent=None, depth=0)
        self._below(tree, self.root, self.root, tree[self.root], depth=0)
        self._check_depth(data)

    @property
    def ids(self) -> Collection[str]:
        """Every id, as the file runs."""
        return self._depths.keys()

    def _add(self, container: object, key: str | int, id: object, *, parent: str | None, depth: int) -> str:
        id = check_id(self._source, container, key, "node", id)
        if id in RESERVED:
            what = f"node '{id}': this word is a key of the labels; choose another id"
            raise fail(self._source, container, key, what)
        if id in self._depths:
            also = self._also(self._lines[id], "also ")
            what = f"node '{id}' appears twice{also}; ids must be unique"
            raise fail(self._source, container, key, what)
        if depth >= len(self._levels):
            what = (
                f"node '{id}' stands at depth {depth}, deeper than the last level "
                f"'{self._levels[-1]}' ({len(self._levels) - 1}); add a level or move the node up"
            )
            raise fail(self._source, container, key, what)
        if len(self._depths) == MAX_NODES:
            raise fail(self._source, container, key, f"expected at most {MAX_NODES} nodes, got more; split the tree")
        self._depths[id] = depth
        self._lines[id] = line_of(container, key)
        if parent is not None:
            self.children.setdefault(parent, []).append(id)
        return id

    def _below(self, container: object, key: str | int, id: str, value: object, *, depth: int) -> None:
        """Read what stands below node `id`; `container[key]` is where."""
        if value is None or (isinstance(value, (Mapping, list, tuple)) and not value):
            what = f"node '{id}' has no children; write a leaf as a list item: [{id}]"
            raise fail(self._source, container, key, what)
        if isinstance(value, Mapping):
            self._inner(value, id, depth)
        elif is_list(value):
            for at, item in enumerate(value):
                if isinstance(item, Mapping):
                    self._inner(item, id, depth)
                else:
                    self._add(value, at, item, parent=id, depth=depth + 1)
        else:
            what = f"node '{id}': expected a list or mapping of children, got {describe(value)}"
            raise fail(self._source, container, key, what)

    def _inner(self, nodes: Mapping[str, Any], parent: str, depth: int) -> None:
        for key, value in nodes.items():
            id = self._add(nodes, key, key, parent=parent, depth=depth + 1)
            self._below(nodes, key, id, value, depth=depth + 1)

    def _check_depth(self, data: Mapping[str, Any]) -> None:
        deepest = max(self._depths, key=lambda id: self._depths[id])
        depth = self._depths[deepest]
        if depth < len(self._levels) - 1:
            what = (
                f"no node stands at level '{self._levels[depth + 1]}' ({depth + 1}); the deepest, "
                f"'{deepest}', stands at '{self._levels[depth]}' ({depth})"
            )
            raise fail(self._source, data, "levels", what)

    @staticmethod
    def _also(line: int | None, word: str = "") -> str:
        return "" if line is None else f" ({word}line {line})"
