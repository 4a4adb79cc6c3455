"""Mixtures as JAMS: what one is made of, in scaper's namespace and, whole and exact, in a sandbox of our own.

The annotation of the namespace ``scaper`` says what that can say: one observation per event that sounds.
`scaper.generate_from_jams` makes the same mixture of it where a stem was not augmented and has the working rate. It
cuts times to samples by ``int(time * sr)``, so a time is written as the sample and a quarter; its fades are off; its
``snr`` is the loudness of the excerpt, by scaper's measure, and the gain that was finally applied, that which protects
the peak included.

The sandbox ``hiersep`` holds the `MixtureSpec`, the hierarchy, the nodes and what else the audio depends on; stems are
named by their paths below the data set's folder. `hiersep.data.restoring` reads it.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from hiersep.data.mixers import excerpt_loudness
from hiersep.data.mixing import shape_event
from hiersep.data.recipe import audible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hiersep.data.catalog import Catalog
    from hiersep.data.events import Event
    from hiersep.data.recipe import Recipe, Rendition

FORMAT = 1
UNCLAIMED = "unclaimed"


def to_jams(
    catalog: Catalog, recipe: Recipe, rendition: Rendition, *, mixture_file: str = "", event_files: Sequence[str] = ()
) -> Any:
    """Annotate a mixture.

    Args:
        catalog: The data set.
        recipe: What the mixture is made of.
        rendition: Its audio.
        mixture_file: Where the mixture was written; nussl's ``Scaper`` data set reads it there.
        event_files: Where the `audible` events were written, in their order.

    Returns:
        A ``jams.JAMS``.
    """
    import jams

    rate, spec = recipe.sample_rate, recipe.spec
    duration = _time(spec.duration, rate)
    annotation = jams.Annotation(namespace="scaper", duration=duration)
    for number in audible(rendition, recipe):
        value = _observation(catalog, recipe, number, rendition.peak)
        length = value["event_duration"] * (value["time_stretch"] or 1.0)
        annotation.append(time=value["event_time"], duration=length, value=value, confidence=1.0)
    annotation.sandbox.scaper = jams.Sandbox(
        **_scaper_settings(catalog, recipe),
        n_events=len(annotation.data),
        soundscape_audio_path=mixture_file or None,
        isolated_events_audio_path=list(event_files),
    )
    jam = jams.JAMS()
    jam.annotations.append(annotation)
    jam.file_metadata.duration = duration
    jam.sandbox.hiersep = _sandbox(catalog, recipe, rendition)
    return jam


def _time(seconds: float, rate: int) -> float:
    """Time of the nearest sample, and a quarter of one, so that ``int(time * rate)`` is that sample."""
    return (round(seconds * rate) + 0.25) / rate


def _observation(catalog: Catalog, recipe: Recipe, number: int, peak: float) -> dict[str, Any]:
    event, rate = recipe.spec.events[number], recipe.sample_rate
    gain_db = event.gain_db - 20 * math.log10(peak)
    loudness = excerpt_loudness(shape_event(catalog, event, recipe.channels), rate)
    return {
        "label": recipe.spec.claims[number] or UNCLAIMED,
        "source_file": str(catalog.tracks[event.track].stems[event.stem].path),
        "source_time": _time(event.source_time, rate),
        "event_time": _time(event.event_time, rate),
        "event_duration": round(event.duration * rate) / rate,
        "snr": gain_db + loudness - recipe.ref_db,
        "role": "foreground",
        "pitch_shift": event.pitch_shift or None,
        "time_stretch": None if event.time_stretch == 1 else event.time_stretch,
    }


def _scaper_settings(catalog: Catalog, recipe: Recipe) -> dict[str, Any]:
    """What scaper needs to make the mixture again, by its own names."""
    from importlib.metadata import version

    duration = _time(recipe.spec.duration, recipe.sample_rate)
    return {
        "duration": duration,
        "original_duration": duration,
        "fg_path": str(catalog.folder),
        "bg_path": str(catalog.folder),
        "fg_spec": [],
        "bg_spec": [],
        "fg_labels": sorted({claim or UNCLAIMED for claim in recipe.spec.claims}),
        "bg_labels": [],
        "protected_labels": [],
        "sr": recipe.sample_rate,
        "ref_db": recipe.ref_db,
        "n_channels": recipe.channels,
        "fade_in_len": 0,
        "fade_out_len": 0,
        "reverb": None,
        "fix_clipping": False,
        "peak_normalization": False,
        "quick_pitch_time": False,
        "scaper_version": version("scaper"),
    }


def _sandbox(catalog: Catalog, recipe: Recipe, rendition: Rendition) -> dict[str, Any]:
    spec = recipe.spec
    return {
        "format": FORMAT,
        "versions": library_versions(),
        "data": str(catalog.folder),
        "dataset": catalog.dataset,
        "sample_rate": recipe.sample_rate,
        "channels": recipe.channels,
        "audio": recipe.audio,
        "seed": recipe.seed,
        "index": recipe.index,
        "ref_db": recipe.ref_db,
        "hierarchy": recipe.hierarchy.to_dict(),
        "nodes": list(recipe.nodes),
        "spec": {
            "events": [_stored(catalog, event) for event in spec.events],
            "claims": list(spec.claims),
            "duration": spec.duration,
            "track": None if spec.track is None else catalog.tracks[spec.track].id,
            "start_s": spec.start_s,
            "target": spec.target,
            "query": None if spec.query is None else _stored(catalog, spec.query),
        },
        "peak": rendition.peak,
        "digest": rendition.digest,
    }


def library_versions() -> dict[str, str]:
    """Versions of the libraries that the audio depends on."""
    from importlib.metadata import PackageNotFoundError, version

    from hiersep import __version__

    versions = {"hiersep": __version__}
    for name in ("numpy", "torch", "soundfile", "soxr", "soxbindings", "pedalboard"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _stored(catalog: Catalog, event: Event) -> dict[str, Any]:
    """Write an event, its stem by the path below the data set's folder."""
    fields = dataclasses.asdict(event)
    stem = catalog.tracks[fields.pop("track")].stems[fields.pop("stem")]
    return {"file": stem.path.relative_to(catalog.folder).as_posix(), "stream": stem.stream, **fields}
