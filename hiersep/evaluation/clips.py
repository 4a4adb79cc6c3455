"""Which clips are scored: drawn once by a seed, or read from a list that another evaluation wrote.

A list names the data set, and of every clip the song and its first second; where a query asks for something, also what,
and the excerpt that shows it. It is enough to score any network on the very same clips.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiersep.data.catalog import open_dataset
from hiersep.data.dataset import HierarchicalMixtureDataset
from hiersep.data.readers import find_reader
from hiersep.errors import ConfigError, DataError, refuse_later
from hiersep.files import write_json
from hiersep.typed import build, expect

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from hiersep.config import EvaluationConfig
    from hiersep.data.catalog import Catalog
    from hiersep.data.events import Event
    from hiersep.hierarchy import Hierarchy
    from hiersep.models.separator import Separator

FORMAT = 1
LONGEST_S = 600.0


@dataclass(frozen=True)
class QueryPlace:
    """An excerpt of a stem that shows what is asked for.

    Attributes:
        track: Id of the song.
        stem: Id of the stem in it.
        start_s: First second.
        duration: In seconds.
    """

    track: str
    stem: str
    start_s: float
    duration: float

    def __post_init__(self) -> None:
        expect(0 <= self.start_s < math.inf, "start_s", "0 seconds or more", self.start_s)
        expect(0 < self.duration <= LONGEST_S, "duration", f"more than 0, at most {LONGEST_S:g} s", self.duration)

    def __str__(self) -> str:
        return f"{self.track}/{self.stem}@{self.start_s:g}"


@dataclass(frozen=True)
class ClipPlace:
    """One clip of a data set.

    Attributes:
        track: Id of the song.
        start_s: First second.
        target: The node that is asked for; None where nothing is.
        query: What shows it.
    """

    track: str
    start_s: float
    target: str | None = None
    query: QueryPlace | None = None

    def __post_init__(self) -> None:
        expect(0 <= self.start_s < math.inf, "start_s", "0 seconds or more", self.start_s)


@dataclass(frozen=True)
class ClipList:
    """Clips of one data set.

    Attributes:
        data: Folder of the data set.
        dataset: Name of the reader that recognised it.
        duration: Of every clip, in seconds.
        clips: In the order in which they are scored.
    """

    data: str
    dataset: str
    duration: float
    clips: tuple[ClipPlace, ...]

    def __post_init__(self) -> None:
        expect(0 < self.duration <= LONGEST_S, "duration", f"more than 0, at most {LONGEST_S:g} s", self.duration)
        expect(bool(self.clips), "clips", "at least one", self.clips)
        lengths = {clip.query.duration for clip in self.clips if clip.query is not None}
        expect(len(lengths) <= 1, "query: duration", "the same for all clips", sorted(lengths))

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {"format": FORMAT, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class _Head:
    """What a file says before its clips."""

    format: int
    data: str
    dataset: str
    duration: float

    def __post_init__(self) -> None:
        expect(self.format == FORMAT, "format", f"{FORMAT}", self.format)


def write_clips(path: str | os.PathLike[str], clips: ClipList) -> None:
    """Write a list as JSON."""
    write_json(path, clips.to_dict())


def read_clips(path: str | os.PathLike[str]) -> ClipList:
    """Read a list that `write_clips` wrote; the file may come from anywhere, so every value is checked.

    Raises:
        DataError: If it is no such file.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        refuse_later(content["format"], FORMAT, str(path), DataError)
        head = build(_Head, {name: (content[name], name) for name in ("format", "data", "dataset", "duration")})
        clips = tuple(_read_clip(entry, number) for number, entry in enumerate(content["clips"]))
        return ClipList(head.data, head.dataset, head.duration, clips)
    except DataError:
        raise
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path}: expected a list of clips (clips.json) that an evaluation wrote, got something else ({error!r})"
        ) from error


def _read_clip(entry: dict[str, Any], number: int) -> ClipPlace:
    place, query = f"clip {number}", entry.get("query")
    shown: QueryPlace | None = None
    if query is not None:
        shown = build(QueryPlace, {key: (value, f"{place}: query") for key, value in query.items()})
    clip: ClipPlace = build(ClipPlace, {key: (value, place) for key, value in entry.items() if key != "query"})
    return dataclasses.replace(clip, query=shown)


def choose_clips(
    model: Separator, folder: str | os.PathLike[str], settings: EvaluationConfig
) -> tuple[ClipList, Catalog]:
    """Find the clips that a separator is scored on, and open their data set.

    By a seed, a path is scored on clips in which its end is salient. The finest nodes of a tree take turns, so that
    rare ones are heard too: in every clip one of them is salient, and with it the nodes above. So do the targets of
    queries. Other nodes may be named in the settings: networks of different nodes then have the same clips.

    Raises:
        ConfigError: If the settings name nodes to be salient, for a network that is asked for what sounds.
        DataError: If the data cannot be used, or the settings name a list that is none.
    """
    rate = int(model.sample_rate)
    if settings.clips is not None:
        return read_clips(settings.clips), open_dataset(folder, sample_rate=rate, splits=settings.splits)
    if model.kind == "query":
        kind: dict[str, Any] = {"query": True, "levels": model.nodes, "query_duration": settings.query_duration}
        kind["salient"] = settings.salient  # refused there
    elif model.kind == "tree":
        kind = {
            "target": list(model.nodes),
            "salient": settings.salient or finest(model.hierarchy, model.nodes, folder),
        }
    else:
        kind = {"target": list(model.nodes), "salient": settings.salient or [model.nodes[-1]]}
    dataset = HierarchicalMixtureDataset(
        folder,
        model.hierarchy,
        split=settings.split,
        splits=settings.splits,
        num_mixtures=settings.num_test,
        duration=settings.duration,
        sample_rate=rate,
        balanced=True,
        seed=settings.seed,
        **kind,
    )
    catalog = dataset.catalog
    places = []
    for number in range(len(dataset)):
        spec = dataset.spec(number)
        track = catalog.tracks[spec.events[0].track].id  # fixed clips are excerpts of one song
        query = None if spec.query is None else _query_place(catalog, spec.query)
        places.append(ClipPlace(track, spec.start_s, spec.target, query))
    return ClipList(str(catalog.folder), catalog.dataset, settings.duration, tuple(places)), catalog


def _query_place(catalog: Catalog, event: Event) -> QueryPlace:
    track = catalog.tracks[event.track]
    return QueryPlace(track.id, track.stems[event.stem].id, event.source_time, event.duration)


def finest(hierarchy: Hierarchy, nodes: Sequence[str], folder: str | os.PathLike[str]) -> list[str]:
    """Those of `nodes` that stems of the data set can belong to, and to none of the others below them."""
    dataset = find_reader(Path(folder).resolve()).NAME
    reachable = hierarchy.reachable(dataset=dataset)
    there = [node for node in nodes if node in reachable]
    found = []
    for node in there:
        claims = any(block in ("*", dataset) for block, _ in hierarchy.node(node).labels)
        if claims or not set(hierarchy.descendants(node)) & set(there):
            found.append(node)
    return found or list(nodes)  # where no stem fits, the data set says so
