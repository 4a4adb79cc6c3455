"""Read the annotation of a mixture back: the very recipe that was written.

An annotation is a file from anywhere. Every value is checked, and a stem is only ever looked for among those that the
data set has: no path in an annotation is opened.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hiersep.data.annotation import FORMAT
from hiersep.data.events import Event, MixtureSpec
from hiersep.data.recipe import Recipe
from hiersep.errors import ConfigError, DataError, HierarchyError, refuse_later
from hiersep.hierarchy import Hierarchy
from hiersep.typed import build, expect

if TYPE_CHECKING:
    import os

    from hiersep.data.catalog import Catalog

LONGEST_S = 3600.0  # no annotation can ask for more memory than this takes
MOST_EVENTS = 10_000
_MOST_BYTES = 1 << 25
# What comes of a file that is something else.
_WRONG = (OSError, LookupError, ValueError, OverflowError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class _StoredEvent:
    """An event as it is stored."""

    file: str
    source_time: float
    duration: float
    event_time: float
    gain_db: float
    pitch_shift: float
    time_stretch: float
    augmentation: int | None
    stream: int | None

    def __post_init__(self) -> None:
        for name in ("source_time", "event_time"):
            expect(0 <= getattr(self, name) < math.inf, name, "0 seconds or more", getattr(self, name))
        expect(0 < self.duration <= LONGEST_S, "duration", f"more than 0, at most {LONGEST_S:g} s", self.duration)
        expect(abs(self.gain_db) <= 300, "gain_db", "-300 to 300 dB", self.gain_db)
        expect(abs(self.pitch_shift) <= 24, "pitch_shift", "-24 to 24 semitones", self.pitch_shift)
        expect(0.25 <= self.time_stretch <= 4, "time_stretch", "0.25 to 4", self.time_stretch)
        expect(self.augmentation is None or self.augmentation >= 0, "augmentation", "0 or more", self.augmentation)


@dataclass(frozen=True)
class _StoredSpan:
    """Where a mixture lies in the song that lent its instrumentation, and how long it is."""

    duration: float
    start_s: float

    def __post_init__(self) -> None:
        expect(0 < self.duration <= LONGEST_S, "duration", f"more than 0, at most {LONGEST_S:g} s", self.duration)
        expect(0 <= self.start_s < math.inf, "start_s", "0 seconds or more", self.start_s)


@dataclass(frozen=True)
class _StoredSettings:
    """What is stored beside the spec and the hierarchy."""

    format: int
    data: str
    dataset: str
    sample_rate: int
    channels: int
    audio: Literal["wav", "flac"]
    seed: int
    index: int
    ref_db: float
    nodes: list[str]
    peak: float
    digest: str

    def __post_init__(self) -> None:
        expect(self.format == FORMAT, "format", f"{FORMAT}", self.format)
        expect(4000 <= self.sample_rate <= 192000, "sample_rate", "4000 to 192000 Hz", self.sample_rate)
        expect(self.channels in (1, 2), "channels", "1 or 2", self.channels)
        for name in ("seed", "index"):
            expect(0 <= getattr(self, name) < 2**63, name, "0 or more, in 63 bits", getattr(self, name))
        expect(abs(self.ref_db) <= 300, "ref_db", "-300 to 300 LUFS", self.ref_db)
        expect(0 < self.peak < math.inf, "peak", "more than 0", self.peak)


@dataclass(frozen=True)
class Annotation:
    """An annotation as it was read: `data`, `sample_rate` and `digest` can be used before the data set is open.

    Attributes:
        path: The file.
        settings: Checked.
        content: The sandbox; its spec is checked when the data set is at hand.
    """

    path: Path
    settings: _StoredSettings
    content: dict[str, Any]

    def recipe(self, catalog: Catalog) -> Recipe:
        """Find the stems in a data set.

        Raises:
            DataError: If a stem is not in it, or the annotation is malformed.
        """
        try:
            return self._recipe(catalog)
        except (ConfigError, HierarchyError) as error:
            raise DataError(f"{self.path}: {error}") from error
        except _WRONG as error:
            raise DataError(
                f"{self.path}: expected the annotation of a mixture, got something else ({error})"
            ) from error

    def _recipe(self, catalog: Catalog) -> Recipe:
        tree, spec, settings = self.content["hierarchy"], self.content["spec"], self.settings
        expect(isinstance(tree, Mapping), "hierarchy", "a mapping, as no file that an annotation names is read", tree)
        hierarchy = Hierarchy.load(tree)
        places = {
            (stem.path.relative_to(catalog.folder).as_posix(), stem.stream): (t, s)
            for t, track in enumerate(catalog.tracks)
            for s, stem in enumerate(track.stems)
        }
        span = build(_StoredSpan, {name: (spec[name], "spec") for name in ("duration", "start_s")})
        claims, target = tuple(spec["claims"]), spec["target"]
        for node in (*settings.nodes, *claims, target):
            if node is not None:
                hierarchy.node(node)
        expect(len(claims) <= MOST_EVENTS, "spec: claims", f"at most {MOST_EVENTS}", len(claims))
        expect(len(claims) == len(spec["events"]), "spec: claims", f"{len(spec['events'])} of them", len(claims))
        indices = {track.id: number for number, track in enumerate(catalog.tracks)}
        return Recipe(
            spec=MixtureSpec(
                events=tuple(_found(event, places, catalog.folder) for event in spec["events"]),
                claims=claims,
                duration=span.duration,
                track=None if spec["track"] is None else indices[spec["track"]],
                start_s=span.start_s,
                target=target,
                query=None if spec["query"] is None else _found(spec["query"], places, catalog.folder),
            ),
            hierarchy=hierarchy,
            nodes=tuple(settings.nodes),
            sample_rate=settings.sample_rate,
            channels=settings.channels,
            audio=settings.audio,
            seed=settings.seed,
            index=settings.index,
            ref_db=settings.ref_db,
        )


def _found(content: dict[str, Any], places: dict[tuple[str, int | None], tuple[int, int]], folder: Path) -> Event:
    stored: _StoredEvent = build(_StoredEvent, {key: (value, "spec: event") for key, value in content.items()})
    if (stored.file, stored.stream) not in places:
        wanted = f"{stored.file}" if stored.stream is None else f"{stored.file}, stream {stored.stream}"
        raise ConfigError(f"spec: event: the data set {folder} has no stem {wanted}; name its folder, if it has moved")
    track, stem = places[stored.file, stored.stream]
    fields = {f.name: getattr(stored, f.name) for f in dataclasses.fields(Event) if f.name not in ("track", "stem")}
    return Event(track, stem, **fields)


def read_annotation(path: str | os.PathLike[str]) -> Annotation:
    """Read the annotation of a mixture.

    Raises:
        DataError: If it cannot be read, or hiersep did not write it.
    """
    import jams

    path = Path(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jams' own calls into jsonschema
            jam = jams.load(str(path))
        content = dict(jam.sandbox["hiersep"])
        refuse_later(content["format"], FORMAT, str(path), DataError)
        known = {field.name for field in dataclasses.fields(_StoredSettings)}
        settings = build(_StoredSettings, {key: (content[key], key) for key in sorted(known)})
    except DataError:
        raise
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from error
    except (*_WRONG, jams.JamsError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path}: expected the JAMS of a mixture that hiersep wrote, got something else ({reason})"
        ) from error
    return Annotation(path, settings, content)
