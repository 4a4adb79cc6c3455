"""A folder of written mixtures: its layout, and how it is filled.

    OUT/manifest.json                      what was asked for, and an entry per mixture
    OUT/000000.jams                        its annotation
    OUT/mix/000000.wav                     the mixture
    OUT/mix/000000_events/*.wav            what each event adds to it, named as scaper names them
    OUT/NODE/000000.wav                    the submix of a node, where it is known

nussl's ``MixSourceFolder`` and ``Scaper`` data sets both read it. Every file is written atomically and a mixture's
annotation last, so a mixture that has one is whole; a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiersep import audio
from hiersep.data.annotation import UNCLAIMED, to_jams
from hiersep.data.parallel import naming_deaths, without_interrupts
from hiersep.data.recipe import audible
from hiersep.data.restoring import read_annotation
from hiersep.errors import DataError, refuse_later
from hiersep.files import TEMPORARY_PREFIX, atomic_path, fingerprint, lock_folder, sweep, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hiersep.data.catalog import Catalog
    from hiersep.data.recipe import Recipe, Rendition

    Write = Callable[[Path, str], str | None]

FORMAT = 1
MANIFEST = "manifest.json"
MIX = "mix"
SUBTYPES = {"wav": "PCM_32", "flac": "PCM_24"}  # floats in wav would be stamped with the time
_CHUNK = 16  # mixtures that a process is given at a time


def write_mixture(out: Path, name: str, catalog: Catalog, recipe: Recipe, rendition: Rendition) -> None:
    """Write one mixture: its files, then its annotation.

    Args:
        out: The folder.
        name: Of the mixture.
        catalog: The data set.
        recipe: What the mixture is made of.
        rendition: Its audio.
    """
    suffix = recipe.audio
    mixture = Path(MIX, f"{name}.{suffix}")
    files = {mixture: rendition.mixture}
    for node, known, submix in zip(recipe.nodes, rendition.known, rendition.submixes, strict=True):
        if known:
            files[Path(node, f"{name}.{suffix}")] = submix
    events = []
    for place, number in enumerate(audible(rendition, recipe)):
        label = recipe.spec.claims[number] or UNCLAIMED
        events.append(Path(MIX, f"{name}_events", f"foreground{place}_{label}.{suffix}"))
        files[events[-1]] = rendition.events[number]
    for path, samples in files.items():
        audio.write(out / path, samples, recipe.sample_rate, subtype=SUBTYPES[suffix])
    here = out.resolve()
    event_files = [str(here / path) for path in events]
    jam = to_jams(catalog, recipe, rendition, mixture_file=str(here / mixture), event_files=event_files)
    with atomic_path(out / f"{name}.jams") as temporary:
        jam.save(str(temporary))


def fill_folder(
    out: Path, names: Sequence[str], write: Write, *, settings: dict[str, Any], jobs: int
) -> tuple[list[dict[str, Any]], int, list[str]]:
    """Write the mixtures that are not there yet, in parallel, with a progress bar, and the manifest.

    Args:
        out: The folder: new, empty, or one that was begun with the same settings.
        names: Of all mixtures.
        write: Writes one; called with the folder and the name, it gives None, or why that could not be.
        settings: What the mixtures depend on.
        jobs: Processes; -1 takes all cores.

    Returns:
        The manifest's entries, how many mixtures were there already, and what could not be written and why.

    Raises:
        DataError: If the folder holds something else, another run is writing into it, or a process was killed.
    """
    with lock_folder(out):
        _claim(out, settings)
        sweep(out, deep=True)
        pending = [name for name in names if not (out / f"{name}.jams").is_file()]
        try:
            failed = _write_pending(out, pending, write, jobs)
        finally:
            sweep(out, deep=True)
        entries = [_entry(out, name) for name in names if (out / f"{name}.jams").is_file()]
        write_json(out / MANIFEST, {**_head(settings), "mixtures": entries})
    return entries, len(names) - len(pending), failed


def _head(settings: dict[str, Any]) -> dict[str, Any]:
    return {"format": FORMAT, "fingerprint": fingerprint([FORMAT, settings]), "settings": settings}


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Write a manifest without mixtures into an empty folder, or check that the folder is of these settings."""
    path = out / MANIFEST
    head = _head(settings)
    if not path.is_file():
        if any(not entry.name.startswith(TEMPORARY_PREFIX) for entry in out.iterdir()):
            raise DataError(f"{out}: is not empty and holds no {MANIFEST}; choose another folder")
        write_json(path, {**head, "mixtures": []})
        return
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON, got something else; choose another folder") from error
    if isinstance(there, dict):
        refuse_later(there.get("format"), FORMAT, str(path), DataError)
    old = there.get("settings") if isinstance(there, dict) else None
    if not isinstance(old, dict) or there.get("fingerprint") != head["fingerprint"]:
        new = json.loads(json.dumps(settings))
        other = [key for key in new if not isinstance(old, dict) or old.get(key) != new[key]] or ["format"]
        raise DataError(f"{out}: holds other mixtures (another {', '.join(other)}); choose another folder")


def _write_pending(out: Path, pending: list[str], write: Write, jobs: int) -> list[str]:
    if not pending:
        return []
    from joblib import Parallel, cpu_count, delayed
    from tqdm import tqdm

    processes = cpu_count() if jobs == -1 else jobs
    size = min(_CHUNK, math.ceil(len(pending) / processes))
    chunks = [pending[start : start + size] for start in range(0, len(pending), size)]
    pool = Parallel(n_jobs=min(processes, len(chunks)), return_as="generator_unordered")
    with without_interrupts():
        finished = pool(delayed(_write_chunk)(out, chunk, write) for chunk in chunks)
    failed: list[str] = []
    bar = tqdm(total=len(pending), desc="Mixing", unit="mixture", disable=None, smoothing=0.0)
    with naming_deaths("mixes"), bar as progress:
        for count, reasons in finished:
            failed += reasons
            progress.update(count)
    return sorted(failed)


def _write_chunk(out: Path, names: list[str], write: Write) -> tuple[int, list[str]]:
    reasons = [write(out, name) for name in names]
    return len(names), [f"{name}: {reason}" for name, reason in zip(names, reasons, strict=True) if reason]


def _entry(out: Path, name: str) -> dict[str, Any]:
    """Describe a mixture in the manifest; paths are relative to the folder."""
    annotation = read_annotation(out / f"{name}.jams")
    settings, spec = annotation.settings, annotation.content["spec"]
    files = {node: f"{node}/{name}.{settings.audio}" for node in settings.nodes}
    return {
        "name": name,
        "jams": f"{name}.jams",
        "mixture": f"{MIX}/{name}.{settings.audio}",
        "nodes": {node: path for node, path in files.items() if (out / path).is_file()},
        "seed": settings.seed,
        "index": settings.index,
        "duration": spec["duration"],
        "track": spec["track"],
        "start_s": spec["start_s"],
        "events": len(spec["events"]),
    }
