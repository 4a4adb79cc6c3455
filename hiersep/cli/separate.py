"""``hiersep separate``: from a mixture to one file per node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hiersep.cli.command import command
from hiersep.cli.mixtures import Mixtures, Options, find_mixtures, names_of, take_apart, with_options


@with_options
@command
def separate(
    mixtures: Mixtures,
    out: Annotated[Path, typer.Option(help="Folder for the results: one folder per mixture, one file per node.")],
    model: Annotated[
        list[str],
        typer.Option(
            help="A shipped name, a checkpoint's file, user/model on the hub, or another library's: demucs:htdemucs, "
            "openunmix:umxl. May be repeated: checkpoints of different nodes work as one."
        ),
    ] = ["tree"],  # noqa: B006  # typer reads it and changes nothing
    nodes: Annotated[str | None, typer.Option(help="Nodes wanted, separated by commas. Default: all.")] = None,
    *,
    options: Options,
) -> None:
    """Take mixtures apart: one file per node, as long as the mixture, at its rate and channels.

    [bold]Examples[/bold]

        hiersep separate song.wav --out stems

        hiersep separate song.mp3 --model guitar-path --nodes guitar --residual --out stems --format flac

        hiersep separate album/ 'live/*.m4a' --model tree --nodes drums,bass --out stems --from 1:10 --to 1:40

        hiersep separate song.wav --model coarse.safetensors --model fine.safetensors --out stems
    """
    folders = find_mixtures(mixtures, out)
    from hiersep.errors import ConfigError
    from hiersep.models.loading import load_separator
    from hiersep.models.query import QuerySeparator
    from hiersep.separation import Passage

    options.check()
    network = load_separator(model)
    if isinstance(network, QuerySeparator):
        raise ConfigError(
            f"{model[0]}: expected a network of fixed nodes, got one that is asked by an example; "
            "use hiersep query MIX --like EXAMPLE"
        )
    passage = Passage(network, nodes=names_of(nodes), device=options.device, settings=options.settings())
    take_apart(folders, options, lambda _: passage)
