"""``hiersep tree``: print a hierarchy, or list the shipped ones."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hiersep.cli.command import command

if TYPE_CHECKING:
    from hiersep.hierarchy import Hierarchy


@command
def tree(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FILE",
            help="A shipped hierarchy, or a .yaml or .json file. Default: list the shipped ones.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: levels, and nodes coarse to fine.")] = False,
) -> None:
    """Print a hierarchy of instruments.

    Beside each node stand its labels, by which it claims stems, or the data sets that have any.

    [bold]Examples[/bold]

        hiersep tree

        hiersep tree slakh34

        hiersep tree my_band.yaml --json
    """
    from hiersep.hierarchy import Hierarchy

    if source is not None:
        hierarchy = Hierarchy.load(source)
        print(json.dumps(_as_json(hierarchy), indent=2) if as_json else _as_text(hierarchy))
        return
    shipped = [Hierarchy.load(name) for name in Hierarchy.available()]
    if as_json:
        print(json.dumps([_as_json(hierarchy) for hierarchy in shipped], indent=2))
        return
    width = max((len(hierarchy.name) for hierarchy in shipped), default=0)
    for hierarchy in shipped:
        print(f"{hierarchy.name:<{width}}  {_counts(hierarchy)}")


def _as_text(hierarchy: Hierarchy) -> str:
    if hierarchy.datasets:
        notes = {node.id: ", ".join(dataset for dataset, _ in node.labels) for node in hierarchy.nodes}
    else:
        notes = {
            node.id: ", ".join(str(label) for _, labels in node.labels for label in labels) for node in hierarchy.nodes
        }
    return f"{hierarchy.name}: {_counts(hierarchy)}\n\n{hierarchy.draw(notes)}"


def _counts(hierarchy: Hierarchy) -> str:
    return ", ".join(f"{level} {len(hierarchy.at_level(level))}" for level in hierarchy.levels)


def _as_json(hierarchy: Hierarchy) -> dict[str, Any]:
    nodes = [asdict(node) | {"labels": dict(node.labels)} for node in hierarchy.nodes]
    return {"name": hierarchy.name, "levels": hierarchy.levels, "nodes": nodes}
