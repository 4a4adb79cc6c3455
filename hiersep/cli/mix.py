"""``hiersep mix``: write mixtures with the submix of every node, annotated as JAMS, or rebuild them from that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hiersep.cli.command import SOME_FAILED, command, say, say_error

if TYPE_CHECKING:
    from hiersep.data.writing import WriteSummary


def _check(data: Path | None, hierarchy: str | None, num: int | None, from_jams: Path | None, *, dry_run: bool) -> None:
    """Refuse options that do not go together."""
    from hiersep.errors import ConfigError

    given = {"DATA": data, "--hierarchy": hierarchy, "--num": num}
    missing = [name for name, value in given.items() if value is None]
    if from_jams is None and missing:
        wanted = "DATA, --hierarchy and --num to draw mixtures, or --from-jams to rebuild some"
        raise ConfigError(f"expected {wanted}, got no {' and no '.join(missing)}")
    if from_jams is not None and dry_run:
        raise ConfigError("dry-run: expected no --from-jams beside it, got one; it writes what the annotations say")
    if from_jams is not None and (hierarchy is not None or num is not None):
        raise ConfigError(
            "from-jams: expected neither --hierarchy nor --num beside it, got one; the annotations say all"
        )


@command
def mix(
    out: Annotated[Path, typer.Option(help="Folder to write into: new, empty, or one that was begun.")],
    data: Annotated[
        Path | None, typer.Argument(help="The data set. With --from-jams: where it is now, if it has moved.")
    ] = None,
    hierarchy: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Whose nodes are written.", show_default=False)
    ] = None,
    num: Annotated[int | None, typer.Option(help="How many mixtures.", show_default=False)] = None,
    split: Annotated[str | None, typer.Option(help="Whose tracks. Default: all.")] = None,
    target: Annotated[str | None, typer.Option(help="A node that always sounds: its path. Default: all nodes.")] = None,
    duration: Annotated[float, typer.Option(help="Length of a mixture in seconds.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Decides everything that is drawn.")] = 0,
    sample_rate: Annotated[int, typer.Option(help="In Hz.")] = 16000,
    channels: Annotated[int, typer.Option(help="1 or 2.")] = 1,
    mixing: Annotated[
        str, typer.Option(metavar="coherent|incoherent|FILE.yml", help="Songs as they are, mixed anew, or drawn.")
    ] = "coherent",
    format: Annotated[str, typer.Option(help="wav (32 bits) or flac (24 bits).")] = "wav",
    from_jams: Annotated[
        Path | None, typer.Option(help="Rebuild the mixtures of this folder, bit for bit.", show_default=False)
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1: one per core.")] = -1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how much would be written, and write nothing.")
    ] = False,
) -> None:
    """Write mixtures with the submix of every node, and annotations that rebuild them.

    The same seed gives the same bytes for any number of jobs. A run that was stopped is resumed by the same command.

    [bold]Examples[/bold]

        hiersep mix data --hierarchy slakh34 --num 100 --out out/mixtures

        hiersep mix --from-jams out/mixtures --out out/again
    """
    _check(data, hierarchy, num, from_jams, dry_run=dry_run)
    from hiersep.data.writing import WriteSettings, foresee_mixtures, rebuild_mixtures, write_mixtures

    if from_jams is not None:
        _report(rebuild_mixtures(from_jams, out, data=data, jobs=jobs))
        return
    settings = WriteSettings(
        data=str(data),
        hierarchy=str(hierarchy),
        num=num or 0,
        split=split,
        target=target,
        duration=duration,
        seed=seed,
        sample_rate=sample_rate,
        channels=channels,
        mixing=mixing,
        format=format,  # type: ignore[arg-type]  # checked there
    )
    if dry_run:
        say(foresee_mixtures(settings, jobs=jobs))
        return
    _report(write_mixtures(out, settings, jobs=jobs))


def _report(summary: WriteSummary) -> None:
    """Say what is there, and what could not be rebuilt."""
    there = f"; {summary.skipped} were there already" if summary.skipped else ""
    say(f"{summary.path}: {summary.mixtures} mixtures of {len(summary.nodes)} nodes{there}")
    for reason in summary.failed:
        say_error(reason)
    if summary.failed:
        raise typer.Exit(SOME_FAILED)
