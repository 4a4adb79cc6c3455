"""Draw a tree with box characters, and cut a large one to what is talked of."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from hiersep.hierarchy.nodes import Node


def draw(nodes: Sequence[Node], notes: Mapping[str, str]) -> str:
    """Draw nodes one per line, children below their parent, each with its note in a column beside.

    Args:
        nodes: In node order, root first.
        notes: Text per node id; nodes without one have none.
    """
    by_id = {node.id: node for node in nodes}
    lines: list[tuple[str, str]] = []

    def visit(node: Node, lead: str, below: str) -> None:
        lines.append((lead + node.id, notes.get(node.id, "")))
        for child in node.children:
            last = child == node.children[-1]
            branch, stem = ("└── ", "    ") if last else ("├── ", "│   ")
            visit(by_id[child], below + branch, below + stem)

    visit(nodes[0], "", "")
    width = max(len(text) for text, _ in lines)
    return "\n".join(f"{text:<{width}}  {note}".rstrip() for text, note in lines)


def excerpt(nodes: Sequence[Node], wanted: Collection[str], *, below: bool = True) -> tuple[list[Node], dict[str, int]]:
    """Keep some nodes, what stands beside and above them and right below.

    Args:
        nodes: All of the tree, in node order.
        wanted: Ids of the nodes that are talked of.
        below: Whether what stands right below them is kept.

    Returns:
        The nodes that are kept, in node order, and for each that lost its children how many nodes it lost.
    """
    parents = {node.id: node.parent for node in nodes}
    open_, counts = set[str](), Counter[str]()  # the nodes whose children are kept, and how many stand below each
    for id in wanted:
        at = id if below else parents[id]
        while at is not None:
            open_.add(at)
            at = parents[at]
    kept = []
    for node in reversed(nodes):  # children come before their parents
        if node.parent is not None:
            counts[node.parent] += 1 + counts[node.id]
        if node.id in open_:
            kept.append(node)
        elif node.parent in open_:
            kept.append(replace(node, children=()))
    return kept[::-1], {node.id: counts[node.id] for node in kept if counts[node.id] and not node.children}
