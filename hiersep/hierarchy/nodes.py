"""The nodes of a tree and the one order in which they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hiersep.hierarchy.labels import Block


@dataclass(frozen=True)
class Node:
    """One source of the tree.

    Attributes:
        id: Its name, unique in the tree, ``snake_case``.
        display: A pretty name; the id with spaces where the file gives none.
        level: Name of the level it stands on.
        depth: Number of that level; 0 is the root.
        parent: Id of its parent; None for the root.
        children: Ids of its children, in file order; empty for a leaf.
        labels: Per data set (``"*"``: any) the labels by which it claims stems, as the file spells them.
    """

    id: str
    display: str
    level: str
    depth: int
    parent: str | None
    children: tuple[str, ...]
    labels: tuple[tuple[str, tuple[str | int, ...]], ...] = ()

    @property
    def is_leaf(self) -> bool:
        """Whether nothing lies below it."""
        return not self.children


def grow(
    root: str,
    children: Mapping[str, Sequence[str]],
    *,
    levels: Sequence[str],
    display: Mapping[str, str],
    blocks: Sequence[Block],
) -> tuple[Node, ...]:
    """Put the nodes below `root` in order: breadth first, siblings as they come.

    Args:
        root: Id of the top node.
        children: Ids of each inner node's children. What is not reached from `root` is left out.
        levels: Names of the levels from `root` on.
        display: Pretty names, where there are any.
        blocks: The labels.
    """
    nodes: list[Node] = []
    queue: list[tuple[str, str | None, int]] = [(root, None, 0)]
    for id, parent, depth in queue:
        below = tuple(children.get(id, ()))
        queue.extend((child, id, depth + 1) for child in below)
        labels = tuple((block.dataset or "*", values) for block in blocks if (values := block.spelled(id)))
        pretty = display.get(id, default_display(id))
        nodes.append(Node(id, pretty, levels[depth], depth, parent, below, labels))
    return tuple(nodes)


def default_display(id: str) -> str:
    """Make a pretty name of an id.

    Example:
        >>> default_display("clean_guitars")
        'clean guitars'
    """
    return id.replace("_", " ")
