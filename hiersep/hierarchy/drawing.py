"""Draw a tree with box characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
