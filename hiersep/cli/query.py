"""``hiersep query``: from a mixture and an example of what is wanted to one file per level."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hiersep.cli.command import command
from hiersep.cli.mixtures import Bits, Device, Kind, names_of, result_folders, take_apart


@command
def query(
    mixtures: Annotated[list[Path], typer.Argument(metavar="MIX...", help="Audio files.")],
    like: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="An example: the wanted sound alone, some seconds of it. May be repeated."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results: one folder per mixture, one file per level.")],
    model: Annotated[
        str, typer.Option(help="Checkpoint that is asked by an example: a file, a shipped name, or user/model.")
    ] = "query",
    level: Annotated[str | None, typer.Option(help="Levels wanted, separated by commas. Default: all.")] = None,
    device: Device = None,
    kind: Kind = "wav",
    bits: Bits = None,
) -> None:
    """Take out of mixtures what sounds like an example: one file per level, coarse to fine.

    Several examples of the same sound are averaged.

    [bold]Examples[/bold]

        hiersep query song.wav --like drums.wav --out found

        hiersep query *.wav --like trumpet.wav --like other-trumpet.wav --level class --out found
    """
    from hiersep.audio import FileFormat
    from hiersep.errors import ConfigError
    from hiersep.models.checkpoint import from_pretrained
    from hiersep.models.query import QuerySeparator
    from hiersep.separation import choose_device, choose_nodes, find_anchor, write_estimates

    folders = result_folders(mixtures, out)
    file_format = FileFormat.of(kind, bits)
    network = from_pretrained(model)
    if not isinstance(network, QuerySeparator):
        raise ConfigError(
            f"{model}: expected a network that is asked by an example, got a {type(network).__name__}; "
            "use hiersep separate MIX --nodes NAMES"
        )
    wanted = choose_nodes(network, names_of(level))
    device = choose_device(device)
    anchor = find_anchor(network, like)
    take_apart(
        folders,
        lambda mix, folder: write_estimates(
            mix, network, folder, nodes=wanted, condition=anchor, device=device, file_format=file_format
        ),
    )
