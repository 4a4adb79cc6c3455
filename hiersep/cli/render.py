"""``hiersep render``: make a data set of multitracks out of nothing but soundfonts, or look one over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hiersep.cli.command import command, say

if TYPE_CHECKING:
    from hiersep.render import RenderSettings


def _shares(text: str) -> tuple[float, float, float]:
    from hiersep.errors import ConfigError

    try:
        train, validation, test = (float(share) for share in text.split("/"))
    except ValueError as error:
        raise ConfigError(f"splits: expected three shares like 0.8/0.1/0.1, got {text!r}") from error
    return train, validation, test


def _count(tracks: int | None, *, audit: bool, as_json: bool) -> int:
    """Give how many tracks to render, 0 for an audit; refuse options that do not go together."""
    from hiersep.errors import ConfigError

    if (tracks is None) != audit:
        wanted = "--tracks to render as many, or --audit to look over what is there"
        raise ConfigError(f"tracks: expected {wanted}, got {'both' if audit else 'neither'}")
    if as_json and not audit:
        raise ConfigError("json: expected --audit beside it, got none; a rendering prints one line")
    return tracks or 0


@command
def render(
    out: Annotated[Path, typer.Argument(help="Folder to render into: new, empty, or one that was begun.")],
    tracks: Annotated[
        int | None, typer.Option(help="How many tracks, over all splits; needed but for --audit.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides everything that is drawn.")] = 0,
    splits: Annotated[str, typer.Option(help="Shares of train/validation/test.")] = "0.8/0.1/0.1",
    midi: Annotated[Path | None, typer.Option(help="Folder of General MIDI files. Default: compose songs.")] = None,
    soundfont: Annotated[list[str] | None, typer.Option(help="A file, or an installed one's name; repeatable.")] = None,
    test_soundfont: Annotated[
        list[str] | None, typer.Option(help="Likewise, for the test tracks alone: its family plays no other.")
    ] = None,
    effects: Annotated[
        bool, typer.Option("--effects/--no-effects", help="Give stems a room, some drive, EQ and compression.")
    ] = False,
    sample_rate: Annotated[int, typer.Option(help="In Hz.")] = 16000,
    duration: Annotated[float, typer.Option(help="Longest length of a track in seconds.")] = 60.0,
    format: Annotated[str, typer.Option(help="flac or wav.")] = "flac",
    jobs: Annotated[int | None, typer.Option(help="Processes. Default: one per core.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how much would be written, and write nothing.")
    ] = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="Render nothing; look over what OUT holds, Slakh2100 included.")
    ] = False,
    hierarchy: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="With --audit: whose nodes are counted.")
    ] = "slakh_ismir2020",
    as_json: Annotated[bool, typer.Option("--json", help="With --audit: print JSON instead of a table.")] = False,
) -> None:
    """Render multitracks in Slakh2100's layout, from MIDI files or from composed songs.

    The same seed gives the same bytes for any number of jobs. A run that was stopped is resumed by the same command.

    [bold]Examples[/bold]

        hiersep render out/data --tracks 120

        hiersep render out/data --audit
    """
    count = _count(tracks, audit=audit, as_json=as_json)
    if audit:
        _audit(out, hierarchy, jobs=jobs, as_json=as_json)
        return
    from hiersep.render import RenderSettings

    settings = RenderSettings(
        tracks=count,
        seed=seed,
        splits=_shares(splits),
        midi=midi,
        soundfonts=tuple(soundfont or ()),
        test_soundfonts=tuple(test_soundfont or ()),
        effects=effects,
        sample_rate=sample_rate,
        duration=duration,
        format=format,
    )
    _render(out, settings, jobs, dry_run=dry_run)


def _render(out: Path, settings: RenderSettings, jobs: int | None, *, dry_run: bool) -> None:
    """Render what is not there yet, and say what is there then; or say what would be rendered."""
    from hiersep.render import foresee
    from hiersep.render import render as render_all

    if dry_run:
        say(foresee(out, settings))
        return
    summary = render_all(out, settings, jobs=jobs)
    counts = ", ".join(f"{split} {count}" for split, count in summary.tracks.items())
    there = f"; {summary.skipped} tracks were there already" if summary.skipped else ""
    say(f"{summary.path}: {counts} tracks, {summary.stems} stems, {summary.minutes:.1f} minutes{there}")


def _audit(out: Path, name: str, *, jobs: int | None, as_json: bool) -> None:
    """Look over a data set; print what is found, and keep it in ``audit.json`` and ``audit.png`` beside the tracks."""
    from hiersep.files import write_json
    from hiersep.hierarchy import Hierarchy
    from hiersep.plots import plot_coverage
    from hiersep.render.audit import audit, summary
    from hiersep.typed import expect

    expect(jobs is None or jobs >= 1, "jobs", "at least 1", jobs)
    hierarchy = Hierarchy.load(name)
    result = audit(out, hierarchy, jobs=jobs or -1)
    if as_json:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        say(summary(result, hierarchy))
    write_json(out / "audit.json", result.to_dict())
    plot_coverage(out / "audit.png", result.coverage, hierarchy)
    if not as_json:
        say(f"Written: {out / 'audit.json'}, {out / 'audit.png'}")
