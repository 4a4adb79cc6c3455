"""Render a whole data set: in parallel, resumable, and the same bytes however it was run."""

from __future__ import annotations

import json
import math
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joblib import Parallel, cpu_count, delayed
from tqdm import tqdm

from hiersep import audio
from hiersep.data.parallel import naming_deaths, without_interrupts
from hiersep.errors import ConfigError, DataError, refuse_later
from hiersep.files import TEMPORARY_PREFIX, lock_folder, size_text, sweep, write_json
from hiersep.render.multitrack import count_stems, render_track
from hiersep.render.plan import SPLITS, make_plan

if TYPE_CHECKING:
    import os

    from hiersep.render.plan import Plan, RenderSettings, TrackPlan

PLAN_FILE = "render.json"
SAMPLED_TRACKS = 20  # of which the parts are counted, to tell how much room all take
FLAC_SHARE = 0.4  # of the room that 16 bits a sample take; 0.33 was seen
TOLERANCE = 0.8  # with less of the estimated room there is clearly too little


@dataclass(frozen=True)
class RenderSummary:
    """What lies in the folder after a run.

    Attributes:
        path: The folder.
        tracks: Split -> number of tracks.
        stems: Stems with audio, over all tracks.
        minutes: Of mixtures.
        skipped: Tracks that were there already.
    """

    path: Path
    tracks: dict[str, int]
    stems: int
    minutes: float
    skipped: int


def _difference(there: dict[str, Any], here: dict[str, Any]) -> str:
    """Name the first thing in which two plans differ: ``seed 0 there, 1 here``."""
    for section in ("format", "settings", "soundfonts", "versions", "songs", "tracks"):
        old, new = there.get(section), here[section]
        if old == new:
            continue
        if not isinstance(old, dict) or not isinstance(new, dict):
            return f"{section} {old} there, {new} here"
        key = next((key for key in [*new, *old] if old.get(key) != new.get(key)), "a key without a value")
        if section in ("settings", "versions"):
            return f"{key} {old.get(key)} there, {new.get(key)} here"
        return f"other {section}"
    return "an unknown fingerprint"


def _begins(there: dict[str, Any], here: dict[str, Any]) -> bool:
    """Whether a plan is another one with fewer tracks, which are the same in both."""
    try:
        settings = {**there["settings"], "tracks": here["settings"]["tracks"]}
        alike = settings == here["settings"] and all(
            there[part] == here[part] for part in ("format", "soundfonts", "versions")
        )
        songs = all(there["songs"][split].items() <= songs.items() for split, songs in here["songs"].items())
        return (
            alike
            and songs
            and len(there["tracks"]) < len(here["tracks"])
            and all(here["tracks"].get(name) == track for name, track in there["tracks"].items())
        )
    except (KeyError, TypeError, AttributeError):
        return False


def _check_claim(out: Path, content: dict[str, Any]) -> bool:
    """Check that a folder holds this very plan, the beginning of it with fewer tracks, or nothing yet.

    Returns:
        Whether it holds all of it.

    Raises:
        DataError: If the folder holds something else.
    """
    plan_file = out / PLAN_FILE
    if plan_file.is_file():
        try:
            there = json.loads(plan_file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{plan_file}: expected JSON, got something else; choose another folder") from error
        if isinstance(there, dict):
            refuse_later(there.get("format"), content["format"], str(plan_file), DataError)
        if isinstance(there, dict) and _begins(there, content):
            return False
        if not isinstance(there, dict) or there.get("fingerprint") != content["fingerprint"]:
            difference = _difference(there if isinstance(there, dict) else {}, content)
            raise DataError(f"{out}: holds another rendering ({difference}); choose another folder")
        return True
    if any(not path.name.startswith(TEMPORARY_PREFIX) for path in out.iterdir()):
        raise DataError(f"{out}: is not empty and holds no {PLAN_FILE}; choose another folder")
    return False


def _sweep(out: Path) -> None:
    """Remove the half-written folders of a run that was killed."""
    for folder in (out, *(out / split for split in SPLITS)):
        sweep(folder)


def _estimate_bytes(plan: Plan, pending: list[TrackPlan]) -> float:
    """Tell how much room tracks take: stems and mixture, by some tracks that lie evenly among them."""
    settings = plan.settings
    sampled = pending[:: math.ceil(len(pending) / SAMPLED_TRACKS)]
    songs = [plan.arrange(track).song for track in sampled]
    seconds = sum((len(song.parts) + 1) * song.duration for song in songs) / len(songs) * len(pending)
    return seconds * settings.sample_rate * 2 * (FLAC_SHARE if settings.format == "flac" else 1.0)


def _foresight(out: Path, plan: Plan, pending: list[TrackPlan]) -> str:
    """Say how much room the tracks will take.

    Raises:
        DataError: If there is clearly too little.
    """
    if not pending:
        return f"{out}: all {len(plan.tracks)} tracks are there"
    needed = _estimate_bytes(plan, pending)
    free = shutil.disk_usage(next(place for place in (out, *out.absolute().parents) if place.exists())).free
    wanted = f"about {size_text(needed)} in {len(pending)} tracks"
    if free < TOLERANCE * needed:
        raise DataError(
            f"{out}: expected room for {wanted}, got {size_text(free)}; make room, choose another folder, "
            "or render less"
        )
    return f"{out}: {wanted}; {size_text(free)} free"


def _missing(out: Path, plan: Plan) -> list[TrackPlan]:
    """List the tracks that are not there, or not whole."""
    return [t for t in plan.tracks if count_stems(out / t.split / t.name, plan.settings.format) is None]


def foresee(out: str | os.PathLike[str], settings: RenderSettings) -> str:
    """Say in a line what `render` would write, and write nothing.

    Raises:
        DataError: As `render` does.
        HiersepError: As `render` does.
    """
    out, plan = Path(out), make_plan(settings)
    if out.exists():
        _check_claim(out, plan.to_dict())
    return _foresight(out, plan, _missing(out, plan))


def _render_pending(out: Path, pending: list[TrackPlan], plan: Plan, jobs: int) -> None:
    processes = max(1, min(jobs, len(pending)))
    threads = max(1, jobs // processes)
    pool = Parallel(n_jobs=processes, return_as="generator_unordered")
    tasks = (delayed(render_track)(out / track.split / track.name, track, plan, threads=threads) for track in pending)
    try:
        with without_interrupts():
            finished = pool(tasks)
        with naming_deaths("renders"):
            for _ in tqdm(finished, total=len(pending), unit="track", desc="render", disable=None, smoothing=0.0):
                pass
    finally:
        _sweep(out)


def render(out: str | os.PathLike[str], settings: RenderSettings, *, jobs: int | None = None) -> RenderSummary:
    """Render multitracks in Slakh2100's layout, from MIDI files or from the seeded composer.

    Equal settings give equal bytes for any number of jobs. Called again after it was stopped, it goes on where
    it was; tracks that are complete are skipped.

    Args:
        out: Folder for ``{train,validation,test}/TrackNNNNN`` and ``render.json``. Empty, new, or of the same plan; or
            of one with fewer tracks, which are the first of the same ones: so it is where all are of one split.
        settings: What to render.
        jobs: Tracks rendered at the same time; where there are fewer tracks, their stems too. Default: one per core.

    Returns:
        What lies in the folder now.

    Raises:
        ConfigError: If `jobs` is not positive.
        DataError: If the folder holds something else or cannot be written, the disk is too full, MIDI files or
            soundfonts cannot be used, or a process is ended from outside.
        HiersepError: If FluidSynth is not installed, or effects are wanted and pedalboard is not.
    """
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs: expected at least 1, got {jobs}")
    out = Path(out)
    plan = make_plan(settings)
    with lock_folder(out):
        content = plan.to_dict()
        if not _check_claim(out, content):
            write_json(out / PLAN_FILE, content)
        _sweep(out)
        folders = {track.name: out / track.split / track.name for track in plan.tracks}
        pending = _missing(out, plan)
        if pending:
            tqdm.write(_foresight(out, plan, pending), file=sys.stderr)  # where their progress will be shown
            _render_pending(out, pending, plan, jobs or cpu_count())
    stems = sum(count_stems(folder, settings.format) or 0 for folder in folders.values())
    seconds = sum(audio.info(folder / f"mix.{settings.format}").duration for folder in folders.values())
    counts = {split: sum(track.split == split for track in plan.tracks) for split in SPLITS}
    return RenderSummary(out, counts, stems, seconds / 60, len(plan.tracks) - len(pending))
