"""Write a hierarchy as the plain dicts and lists of its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hiersep.hierarchy.labels import spell
from hiersep.hierarchy.nodes import default_display

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hiersep.hierarchy.labels import Block
    from hiersep.hierarchy.nodes import Node


def document(name: str, levels: Sequence[str], nodes: Sequence[Node], blocks: Sequence[Block]) -> dict[str, Any]:
    """Make a document that reads back as these parts."""
    result: dict[str, Any] = {"name": name, "levels": list(levels)}
    result["tree"] = {nodes[0].id: _below(nodes[0], {node.id: node for node in nodes})}
    display = {n.id: n.display for n in nodes if n.display != default_display(n.id)}
    if display:
        result["display"] = display
    if blocks and blocks[0].dataset is None:
        fields = _fields(blocks[0])
        labels = {"labels": _labels(blocks[0])}
        result |= {"match": fields.pop("match")} | labels | fields
    elif blocks:
        result["labels"] = {str(b.dataset): _fields(b) | _labels(b) for b in blocks}
    return result


def _below(node: Node, by_id: dict[str, Node]) -> Any:
    """Write what stands below a node: a mapping where all children are inner nodes, else a list."""
    inner = {id: _below(by_id[id], by_id) for id in node.children if by_id[id].children}
    if len(inner) == len(node.children):
        return inner
    return [{id: inner[id]} if id in inner else id for id in node.children]


def _fields(block: Block) -> dict[str, Any]:
    match = block.match[0] if len(block.match) == 1 else list(block.match)
    ignore = {"ignore": _plain(spell(block.ignore))} if block.ignore else {}
    return {"match": match} | ignore


def _labels(block: Block) -> dict[str, Any]:
    return {id: _plain(spell(labels)) for id, labels in block.labels}


def _plain(labels: tuple[str | int, ...]) -> Any:
    return labels[0] if len(labels) == 1 else list(labels)
