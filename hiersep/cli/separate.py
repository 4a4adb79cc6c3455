"""``hiersep separate``: from a mixture to one file per node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hiersep.cli.command import command
from hiersep.cli.mixtures import Bits, Device, Kind, names_of, result_folders, take_apart


@command
def separate(
    mixtures: Annotated[list[Path], typer.Argument(metavar="MIX...", help="Audio files.")],
    model: Annotated[str, typer.Option(help="Checkpoint: a file, a shipped name, or user/model on the hub.")],
    out: Annotated[Path, typer.Option(help="Folder for the results: one folder per mixture, one file per node.")],
    nodes: Annotated[str | None, typer.Option(help="Nodes wanted, separated by commas. Default: all.")] = None,
    device: Device = None,
    kind: Kind = "wav",
    bits: Bits = None,
) -> None:
    """Take mixtures apart: one file per node, as long as the mixture, at its rate and channels.

    [bold]Examples[/bold]

        hiersep separate song.wav --model guitar-path --out stems

        hiersep separate *.mp3 --model exp/first/best.safetensors --nodes guitar --out stems --format flac
    """
    from hiersep.audio import FileFormat
    from hiersep.errors import ConfigError
    from hiersep.models.checkpoint import from_pretrained
    from hiersep.models.query import QuerySeparator
    from hiersep.separation import choose_device, choose_nodes, write_estimates

    folders = result_folders(mixtures, out)
    file_format = FileFormat.of(kind, bits)
    network = from_pretrained(model)
    if isinstance(network, QuerySeparator):
        raise ConfigError(
            f"{model}: expected a network of fixed nodes, got one that is asked by an example; "
            "use hiersep query MIX --like EXAMPLE"
        )
    wanted = choose_nodes(network, names_of(nodes))
    device = choose_device(device)
    take_apart(
        folders,
        lambda mix, folder: write_estimates(mix, network, folder, nodes=wanted, device=device, file_format=file_format),
    )
