"""The parts of the page that are written as HTML: the tree of what a network estimates, and the players."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from hiersep.hierarchy.drawing import excerpt
from hiersep.hierarchy.nodes import default_display
from hiersep.models.query import QuerySeparator
from hiersep.separation import RESIDUAL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hiersep.app.sessions import Session
    from hiersep.app.work import Stems
    from hiersep.hierarchy import Node
    from hiersep.models.separator import Separator


def tree(network: Separator) -> str:
    """Draw the hierarchy as a list in lists, with a box to tick for everything that the network estimates.

    Of a network that is asked by an example these are levels, each below the coarser one; of any other, nodes, and
    around them in grey what else the hierarchy has there.
    """
    hierarchy = network.hierarchy
    root = html.escape(hierarchy.root.display)
    if isinstance(network, QuerySeparator):
        branch = ""
        for level in reversed(network.nodes):
            branch = (
                f"<ul><li>{_box(level, default_display(level), _names(hierarchy.at_level(level)))}{branch}</li></ul>"
            )
        return f"<ul class='tree'><li><span class='root'>{root}</span>{branch}</li></ul>"
    nodes, lost = excerpt(hierarchy.nodes, network.nodes, below=False)

    def line(node: Node) -> str:
        below = f"and {lost[node.id]} below" if node.id in lost else ""
        if node.id in network.nodes:
            return _box(node.id, node.display, below)
        kind = "root" if node.parent is None else "other"
        return f"<span class='{kind}'>{html.escape(node.display)}{_small(below)}</span>"

    return f"<ul class='tree'>{_branch(nodes, line)}</ul>"


def _branch(nodes: Sequence[Node], line: Callable[[Node], str]) -> str:
    by_id = {node.id: node for node in nodes}

    def visit(node: Node) -> str:
        below = "".join(visit(by_id[child]) for child in node.children)
        return f"<li>{line(node)}{f'<ul>{below}</ul>' if below else ''}</li>"

    return visit(nodes[0])


def _box(name: str, display: str, beside: str) -> str:
    return f"<label><input type='checkbox' value='{html.escape(name)}'> {html.escape(display)}</label>{_small(beside)}"


def _small(text: str) -> str:
    return f" <small>{html.escape(text)}</small>" if text else ""


def _names(nodes: Sequence[str]) -> str:
    shown = ", ".join(map(default_display, nodes[:4]))
    return f"{shown}, and {len(nodes) - 4} more" if len(nodes) > 4 else shown


def results(session: Session, network: Separator, stems: Stems) -> str:
    """Write the players: the mixture, and below it every node, by level and coarse to fine."""
    mixture = session.mixture
    name = "mixture" if mixture is None else mixture.name
    rows = [_player(session, "mixture", "mixture", 0, name)]
    for node, (level, depth, display) in places(network, list(stems.files)).items():
        rows.append(_player(session, stems.files[node], display, depth, level))
    links = [
        (stems.archive, "Download all stems (zip)"),
        *([(stems.report, "Download the report")] if stems.report else []),
    ]
    buttons = [
        f"<a class='button' href='{address(session, name)}' download='{html.escape(name)}'>{text}</a> "
        for name, text in links
    ]
    return f"<div class='players'>{''.join(rows)}</div><p class='all'>{''.join(buttons)}</p>"


def places(network: Separator, names: Sequence[str]) -> dict[str, tuple[str, int, str]]:
    """Say where nodes, or levels, stand: a node's level by name, its number, and how it is shown."""
    hierarchy, found = network.hierarchy, {}
    for name in names:
        if name == RESIDUAL:
            found[name] = ("what is left", 1, "residual")
        elif isinstance(network, QuerySeparator):
            found[name] = ("", hierarchy.depth_of(name), default_display(name))
        else:
            node = hierarchy.node(name)
            found[name] = (default_display(node.level), node.depth, node.display)
    return found


def address(session: Session, name: str) -> str:
    """Say where a file of a session is fetched; a later one of the same name is another to the browser."""
    number = session.files[name].relative_to(session.folder).parts[0]
    return f"files/{session.token}/{html.escape(name)}?{number}"


def _player(session: Session, file: str, display: str, depth: int, beside: str) -> str:
    shown, at = html.escape(display), address(session, file)
    save = "" if file == "mixture" else f"<a href='{at}' download='{html.escape(file)}' title='Download {shown}'>↓</a>"
    return (
        f"<div class='player' style='--depth: {depth}'><span class='name'>{shown}{_small(beside)}</span>"
        f"<audio controls preload='metadata' aria-label='{shown}' src='{at}'></audio>{save}</div>"
    )


def notice(text: str, kind: str = "said") -> str:
    """Write a line that is read out: ``said``, ``warning`` or ``error``."""
    if not text:
        return ""
    role = "alert" if kind == "error" else "status"
    return f"<p class='notice {kind}' role='{role}'>{html.escape(' '.join(text.split()))}</p>"
