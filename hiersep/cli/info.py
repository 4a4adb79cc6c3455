"""``hiersep info``: what a checkpoint is, from its header alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hiersep.cli.command import command

if TYPE_CHECKING:
    from hiersep.hierarchy import Hierarchy
    from hiersep.models.header import Header


@command
def info(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="CKPT",
            help="Checkpoint (*.safetensors), shipped name, or user/model on the Hugging Face hub. Default: list the "
            "shipped ones.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a checkpoint is: its network, size and hierarchy, and how it was made.

    Only the file's header is read, so a stranger's file may be looked at before it is loaded.

    [bold]Examples[/bold]

        hiersep info exp/first/best.safetensors
    """
    from hiersep.models.header import read_header
    from hiersep.models.locating import list_pretrained, locate

    if model is not None:
        header = read_header(locate(model))
        print(json.dumps(_as_json(header), indent=2) if as_json else "\n".join(_as_lines(header)))
        return
    shipped = list_pretrained()
    if as_json:
        print(json.dumps(shipped, indent=2))
        return
    width = max(map(len, shipped), default=0)
    for name, description in shipped.items():
        print(f"{name:<{width}}  {description}")
    if not shipped:
        print("No network is shipped; name a checkpoint.")


def _as_json(header: Header) -> dict[str, Any]:
    return {
        "path": str(header.path),
        "bytes": header.size,
        "parameters": header.parameters,
        "dtypes": list(header.dtypes),
        **header.about,
    }


def _as_lines(header: Header) -> list[str]:
    from hiersep.config import NetworkConfig, QueryConfig, SpectrumConfig
    from hiersep.errors import CheckpointError, HiersepError, printable
    from hiersep.files import size_text
    from hiersep.hierarchy import Hierarchy

    network, arguments = header.about["network"], header.about["arguments"]
    try:
        hierarchy = Hierarchy.load(arguments["hierarchy"])
        what, outputs, notes = _outputs(hierarchy, arguments, levels=network == "QuerySeparator")
        rows = [
            ("network", f"{network}: {', '.join(outputs)}"),
            ("parameters", f"{header.parameters:,} as {', '.join(header.dtypes)}, a file of {size_text(header.size)}"),
            ("sample rate", f"{arguments.get('sample_rate', 16000)} Hz"),
            ("spectrum", _settings(SpectrumConfig.of(arguments.get("spectrum")).to_dict())),
            ("masking network", _settings(NetworkConfig.of(arguments.get("network")).to_dict())),
        ]
        if network == "QuerySeparator":
            rows.append(("query network", _settings(QueryConfig.of(arguments.get("query")).to_dict())))
        tree = _tree(hierarchy, notes).splitlines()
    except (HiersepError, RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(f"{header.path}: the header describes no network ({printable(error)})") from error
    told = {**header.about["provenance"], "format": header.about["format"]}
    return [
        printable(header.path),
        "",
        *_columns(rows),
        "",
        f"{hierarchy.name}, and the {what} that it estimates:",
        "",
        *tree,
        "",
        *_columns([(printable(key), printable(_text(value))) for key, value in told.items()]),
    ]


def _outputs(
    hierarchy: Hierarchy, arguments: dict[str, Any], *, levels: bool
) -> tuple[str, tuple[str, ...], dict[str, str]]:
    """Name what is estimated, in a word and one by one, and note it beside the nodes."""
    if not levels:
        nodes = tuple(hierarchy.node(id).id for id in arguments.get("nodes") or hierarchy.ids[1:])
        return "nodes", nodes, dict.fromkeys(nodes, "estimated")
    chosen = tuple(
        hierarchy.levels[hierarchy.depth_of(name)] for name in arguments.get("levels") or hierarchy.levels[1:]
    )
    return "levels", chosen, {node.id: node.level for node in hierarchy.nodes if node.level in chosen}


def _tree(hierarchy: Hierarchy, notes: dict[str, str]) -> str:
    """Draw the nodes that have a note, and where they stand."""
    from hiersep.hierarchy.drawing import draw, excerpt

    nodes, lost = excerpt(hierarchy.nodes, notes)
    return draw(nodes, {**{id: f"({count} below)" for id, count in lost.items()}, **notes})


def _settings(section: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in section.items() if value is not None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _columns(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {text}" for name, text in rows]
