"""``hiersep render``: make a data set of multitracks out of nothing but soundfonts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hiersep.cli.command import command

EPILOG = "Example: hiersep render out/data --tracks 120"


def _shares(text: str) -> tuple[float, float, float]:
    from hiersep.errors import ConfigError

    try:
        train, validation, test = (float(share) for share in text.split("/"))
    except ValueError as error:
        raise ConfigError(f"splits: expected three shares like 0.8/0.1/0.1, got {text!r}") from error
    return train, validation, test


@command
def render(
    out: Annotated[Path, typer.Argument(help="Folder to render into: new, empty, or one that was begun.")],
    tracks: Annotated[int, typer.Option(help="How many tracks, over all splits.")],
    seed: Annotated[int, typer.Option(help="Decides everything that is drawn.")] = 0,
    splits: Annotated[str, typer.Option(help="Shares of train/validation/test.")] = "0.8/0.1/0.1",
    midi: Annotated[
        Path | None, typer.Option(help="Folder of General MIDI files. Default: songs are composed.")
    ] = None,
    soundfont: Annotated[
        list[str] | None,
        typer.Option(help="A .sf2 or .sf3 file, or the name of an installed one; may be repeated."),
    ] = None,
    sample_rate: Annotated[int, typer.Option(help="In Hz.")] = 16000,
    duration: Annotated[float, typer.Option(help="Longest length of a track in seconds.")] = 60.0,
    format: Annotated[str, typer.Option(help="flac or wav.")] = "flac",
    jobs: Annotated[int | None, typer.Option(help="Processes. Default: one per core.")] = None,
) -> None:
    """Render multitracks in Slakh2100's layout, from MIDI files or from composed songs.

    The same seed gives the same bytes for any number of jobs. A run that was stopped is resumed by the same command.
    """
    from hiersep.render import RenderSettings
    from hiersep.render import render as render_all

    settings = RenderSettings(
        tracks=tracks,
        seed=seed,
        splits=_shares(splits),
        midi=midi,
        soundfonts=tuple(soundfont or ()),
        sample_rate=sample_rate,
        duration=duration,
        format=format,
    )
    summary = render_all(out, settings, jobs=jobs)
    counts = ", ".join(f"{split} {count}" for split, count in summary.tracks.items())
    there = f"; {summary.skipped} tracks were there already" if summary.skipped else ""
    print(f"{summary.path}: {counts} tracks, {summary.stems} stems, {summary.minutes:.1f} minutes{there}")
