"""``hiersep index``: measure a data set once, say what is wrong with it, and write a store of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hiersep.cli.command import command, say


@command
def index(
    data: Annotated[Path, typer.Argument(help="A data set: Slakh2100, MUSDB18, MoisesDB, MedleyDB or plain folders.")],
    sample_rate: Annotated[int, typer.Option(help="Working rate in Hz.")] = 16000,
    splits: Annotated[
        str | None, typer.Option(metavar="NAME", help="A table of splits that the data set publishes.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1: one per core.")] = -1,
    store: Annotated[
        bool, typer.Option("--store", help="Write the stems at the working rate too, as memory-mapped integers.")
    ] = False,
    channels: Annotated[int, typer.Option(help="Of the store: 1, the mean of a stem's channels, or 2.")] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 if anything is left out or mended.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Measure every stem of a data set, and report what was left out or mended and why.

    Nothing is measured twice: a run that was stopped is resumed by the same command, and where files have changed, they
    alone are measured again.

    [bold]Examples[/bold]

        hiersep index out/data

        hiersep index slakh2100 --splits split2 --store
    """
    from hiersep.data.catalog import index_dataset, refuse_findings
    from hiersep.data.findings import draw_report
    from hiersep.typed import expect

    expect(sample_rate >= 1000, "sample_rate", "at least 1000 Hz", sample_rate)
    expect(jobs >= 1 or jobs == -1, "jobs", "at least 1, or -1", jobs)
    expect(channels in (1, 2), "channels", "1 or 2", channels)
    _, report = index_dataset(
        data, sample_rate=sample_rate, jobs=jobs, splits=splits, store_channels=channels if store else None
    )
    say(json.dumps(report.to_dict(), indent=2, allow_nan=False) if as_json else draw_report(report))
    if strict:
        refuse_findings(report)
