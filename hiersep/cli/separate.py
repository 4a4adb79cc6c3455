"""``hiersep separate``: from a mixture to one file per node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hiersep.cli.command import command
from hiersep.cli.mixtures import (
    Bits,
    Device,
    Downmix,
    DryRun,
    From,
    Json,
    Kind,
    Mixtures,
    Output,
    Overlap,
    Residual,
    Shifts,
    To,
    find_mixtures,
    make_settings,
    names_of,
    take_apart,
)


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
    residual: Residual = False,
    start: From = None,
    stop: To = None,
    kind: Kind = "wav",
    bits: Bits = None,
    overlap: Overlap = None,
    shifts: Shifts = 1,
    downmix: Downmix = False,
    device: Device = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take mixtures apart: one file per node, as long as the mixture, at its rate and channels.

    [bold]Examples[/bold]

        hiersep separate song.wav --out stems

        hiersep separate song.mp3 --model guitar-path --nodes guitar --residual --out stems --format flac

        hiersep separate album/ 'live/*.m4a' --model tree --nodes drums,bass --out stems --from 1:10 --to 1:40

        hiersep separate song.wav --model coarse.safetensors --model fine.safetensors --out stems
    """
    folders = find_mixtures(mixtures, out)
    from hiersep.audio import FileFormat
    from hiersep.errors import ConfigError
    from hiersep.models.loading import load_separator
    from hiersep.models.query import QuerySeparator
    from hiersep.separation import Passage, Span

    output = Output(FileFormat.of(kind, bits), residual, Span.between(start, stop), dry_run, as_json)
    settings = make_settings(overlap, shifts, downmix=downmix)
    network = load_separator(model)
    if isinstance(network, QuerySeparator):
        raise ConfigError(
            f"{model[0]}: expected a network of fixed nodes, got one that is asked by an example; "
            "use hiersep query MIX --like EXAMPLE"
        )
    passage = Passage(network, nodes=names_of(nodes), device=device, settings=settings)
    take_apart(folders, output, lambda _: passage)
