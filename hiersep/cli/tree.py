"""``hiersep tree``: print a hierarchy, or what a data set holds of it, or list the shipped ones."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hiersep.cli.command import command, say

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
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Say what this data set holds of each node.", show_default=False),
    ] = None,
    split: Annotated[str | None, typer.Option(help="With --data: of which tracks. Default: all.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="With --data: draw a picture too.", show_default=False)
    ] = None,
) -> None:
    """Print a hierarchy of instruments.

    Beside each node stand its labels, by which it claims stems, or the data sets that have any; with --data how many
    stems, minutes and salient windows it has there, and how often something else of its branch sounds with it.

    [bold]Examples[/bold]

        hiersep tree

        hiersep tree slakh34

        hiersep tree my_band.yaml --json

        hiersep tree slakh34 --data out/data --split train
    """
    from hiersep.hierarchy import Hierarchy

    if data is not None:
        _cover(data, source, split, plot, as_json=as_json)
        return
    _refuse_without_data(split, plot)
    if source is not None:
        hierarchy = Hierarchy.load(source)
        say(json.dumps(_as_json(hierarchy), indent=2) if as_json else _as_text(hierarchy))
        return
    shipped = [Hierarchy.load(name) for name in Hierarchy.available()]
    if as_json:
        print(json.dumps([_as_json(hierarchy) for hierarchy in shipped], indent=2))
        return
    width = max((len(hierarchy.name) for hierarchy in shipped), default=0)
    for hierarchy in shipped:
        say(f"{hierarchy.name:<{width}}  {_counts(hierarchy)}")


def _refuse_without_data(split: str | None, plot: Path | None) -> None:
    from hiersep.errors import ConfigError

    for name, value in (("split", split), ("plot", plot)):
        if value is not None:
            raise ConfigError(f"{name}: expected --data DIR beside it, got none; name a data set")


def _cover(data: Path, source: str | None, split: str | None, plot: Path | None, *, as_json: bool) -> None:
    """Say what a data set holds of a hierarchy."""
    from hiersep.data.catalog import open_dataset
    from hiersep.data.coverage import draw_coverage, draw_strays, measure_coverage
    from hiersep.errors import ConfigError
    from hiersep.hierarchy import Hierarchy

    if source is None:
        raise ConfigError("data: expected a hierarchy beside it, got none; name one, for example slakh34")
    hierarchy = Hierarchy.load(source)
    coverage = measure_coverage(open_dataset(data), hierarchy, split=split)
    if as_json:
        print(json.dumps(coverage.to_dict(), indent=2, allow_nan=False))
    else:
        say(f"{draw_coverage(coverage, hierarchy)}\n\n{draw_strays(coverage)}")
    if plot is not None:
        from hiersep.plots import plot_coverage

        plot_coverage(plot, coverage, hierarchy)


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
