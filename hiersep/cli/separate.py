"""``hiersep separate``: from a mixture to one file per node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hiersep.cli.command import NOTHING_STARTED, SOME_FAILED, command, say_error


@command
def separate(
    mixtures: Annotated[list[Path], typer.Argument(metavar="MIX...", help="Audio files.")],
    model: Annotated[str, typer.Option(help="Checkpoint: a file, a shipped name, or user/model on the hub.")],
    out: Annotated[Path, typer.Option(help="Folder for the results: one folder per mixture, one wav per node.")],
    nodes: Annotated[str | None, typer.Option(help="Nodes wanted, separated by commas. Default: all.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or mps. Default: the fastest at hand.")] = None,
) -> None:
    """Take mixtures apart: one wav per node, as long as the mixture, at its rate and channels.

    [bold]Examples[/bold]

        hiersep separate song.wav --model exp/first/best.safetensors --nodes guitar --out stems
    """
    from hiersep.errors import ConfigError, DataError
    from hiersep.models.checkpoint import from_pretrained
    from hiersep.separation import choose_device, choose_nodes, write_estimates

    names = [mixture.stem for mixture in mixtures]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two mixtures are named '{name}' and would share the folder {out / name}; rename one")
    network = from_pretrained(model)
    wanted = [node.strip() for node in nodes.split(",")] if nodes else None
    choose_nodes(network, wanted)
    device = choose_device(device)
    failed = 0
    for mixture in mixtures:
        try:
            files = write_estimates(mixture, network, out / mixture.stem, nodes=wanted, device=device)
        except DataError as error:
            say_error(error)
            failed += 1
        else:
            print("\n".join(map(str, files)))
    if failed:
        raise typer.Exit(SOME_FAILED if failed < len(mixtures) else NOTHING_STARTED)
