"""``hiersep report``: a page to listen to a separation and to look at it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hiersep.cli.command import command, say


@command
def report(
    mixture: Annotated[Path, typer.Argument(metavar="MIX", help="The audio file that was taken apart.")],
    stems: Annotated[Path, typer.Argument(metavar="FOLDER", help="What hiersep separate or query wrote: OUT/MIX.")],
    references: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="True submixes, NODE.wav; the page then scores the estimates.")
    ] = None,
    like: Annotated[Path | None, typer.Option(metavar="FILE", help="The example that was asked with.")] = None,
    out: Annotated[Path | None, typer.Option(help="The page. Default: report.html in FOLDER.")] = None,
) -> None:
    """Write one page to listen to a separation and to look at it; it opens from disk, anywhere.

    Players in sync with solo, mute and gain, level by level, waveforms and spectrograms. hiersep separate --report
    writes it along with the results.

    [bold]Examples[/bold]

        hiersep report song.wav stems/song

        hiersep report mixture.wav stems/mixture --references true/
    """
    from hiersep.report import report_folder

    say(report_folder(mixture, stems, out, references=references, query=like))
