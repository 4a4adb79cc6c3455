"""Look over a rendered data set before anything is trained on it: variety, co-occurrence, duplicates.

Works on any data set in Slakh2100's layout. Tracks with the same ``lmd_midi_dir`` are renderings of one song, and
share what they play by design; between *different* songs, a shared melody or drum part is what a network would
learn by heart, and across splits it is a leak.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from joblib import Parallel, delayed
from tqdm import tqdm

from hiersep.data.catalog import open_dataset
from hiersep.data.coverage import Coverage, draw_coverage, draw_strays, measure_coverage, name_some
from hiersep.data.parallel import naming_deaths
from hiersep.data.readers import slakh
from hiersep.errors import DataError
from hiersep.hierarchy import Hierarchy
from hiersep.render.midi import read_midi
from hiersep.render.phrases import SharedPhrases, drum_phrases, find_shared, melody_phrases

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hiersep.data.catalog import Catalog
    from hiersep.data.tracks import Track

FORMAT = 1
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Parts:
    """How many parts sound together: stems with audio per track.

    Attributes:
        median: Of the tracks.
        quartiles: Lower and upper.
        histogram: Number of parts -> tracks with as many, ascending.
    """

    median: float
    quartiles: tuple[float, float]
    histogram: Mapping[int, int]


@dataclass(frozen=True)
class Split:
    """Size of a split, with its `tracks`, the different `songs` in them, and their `minutes`."""

    tracks: int
    songs: int
    minutes: float


@dataclass(frozen=True)
class Audit:
    """What lies in a data set.

    Attributes:
        folder: Where it lies.
        splits: By name; ``all`` where there are none.
        parts: Per track.
        songs: How many different ones.
        several: Songs with more than one track.
        crossing: Songs with tracks in more than one split.
        melodies: Eight-bar melodies shared between songs, in any key.
        drums: Eight-bar drum parts shared between songs.
        unread: Songs whose ``all_src.mid`` cannot be read: nothing is known of their phrases.
        identical: Groups of stems, by their files' paths in the folder, that are the same file byte for byte.
        coverage: What there is of each node.
    """

    folder: str
    splits: Mapping[str, Split]
    parts: Parts
    songs: int
    several: int
    crossing: tuple[str, ...]
    melodies: SharedPhrases
    drums: SharedPhrases
    unread: tuple[str, ...]
    identical: tuple[tuple[str, ...], ...]
    coverage: Coverage

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON takes it."""
        return {"format": FORMAT, **asdict(self), "coverage": self.coverage.to_dict()}


def audit(
    folder: str | os.PathLike[str],
    hierarchy: Hierarchy | str | os.PathLike[str],
    *,
    window_s: float = 10.0,
    sample_rate: int = 16000,
    jobs: int = -1,
) -> Audit:
    """Look over a data set in Slakh2100's layout.

    Args:
        folder: The data set.
        hierarchy: A `Hierarchy`, or what `Hierarchy.load` takes.
        window_s: Length in seconds of the windows in which salience is judged.
        sample_rate: Working rate in Hz at which it is measured, unless it was before.
        jobs: Processes; -1 takes all cores.

    Raises:
        DataError: If there is no such data set, or it has another layout.
        HierarchyError: If the hierarchy is not known, or has no labels for the data set.
    """
    hierarchy = Hierarchy.load(hierarchy)
    catalog = open_dataset(folder, sample_rate=sample_rate, jobs=jobs)
    if catalog.dataset != slakh.NAME:
        raise DataError(f"{folder}: expected a rendering, or a data set in Slakh2100's layout, got plain folders")
    tracks_of: dict[str, list[Track]] = defaultdict(list)
    for track in catalog.tracks:
        tracks_of[_song_name(track)].append(track)
    phrases = _read_phrases({song: _folder(tracks[0]) / "all_src.mid" for song, tracks in tracks_of.items()}, jobs)
    return Audit(
        folder=str(folder),
        splits=_splits(catalog, tracks_of),
        parts=_parts([len(track.stems) for track in catalog.tracks]),
        songs=len(tracks_of),
        several=sum(len(tracks) > 1 for tracks in tracks_of.values()),
        crossing=tuple(song for song, tracks in tracks_of.items() if len({track.split for track in tracks}) > 1),
        melodies=find_shared({song: melodies for song, (melodies, _) in phrases.items()}),
        drums=find_shared({song: drums for song, (_, drums) in phrases.items()}),
        unread=tuple(song for song in tracks_of if song not in phrases),
        identical=_identical(catalog),
        coverage=measure_coverage(catalog, hierarchy, window_s=window_s),
    )


def _folder(track: Track) -> Path:
    return track.stems[0].path.parent.parent


def _song_name(track: Track) -> str:
    metadata = yaml.load((_folder(track) / "metadata.yaml").read_bytes(), Loader=_Loader)
    return str(metadata.get("lmd_midi_dir") or metadata.get("UUID") or track.id)


def _splits(catalog: Catalog, tracks_of: Mapping[str, Sequence[Track]]) -> dict[str, Split]:
    splits = {}
    for name in catalog.splits or (None,):
        chosen = catalog.select(name)
        songs = sum(any(track.split == name for track in tracks) for tracks in tracks_of.values())
        splits[name or "all"] = Split(len(chosen), songs, sum(map(catalog.duration, chosen)) / 60)
    return splits


def _parts(counts: Sequence[int]) -> Parts:
    lower, median, upper = (float(value) for value in np.quantile(counts, [0.25, 0.5, 0.75]))
    return Parts(median, (lower, upper), dict(sorted(Counter(counts).items())))


def _phrases(path: Path) -> tuple[set[bytes], set[bytes]] | None:
    """Digest a song's melodies and drums; None where its MIDI file cannot be read."""
    try:
        song = read_midi(path)
    except DataError:
        return None
    return melody_phrases(song), drum_phrases(song)


def _read_phrases(paths: Mapping[str, Path], jobs: int) -> dict[str, tuple[set[bytes], set[bytes]]]:
    work = Parallel(n_jobs=jobs, return_as="generator")(delayed(_phrases)(path) for path in paths.values())
    read = tqdm(work, total=len(paths), desc="Reading songs", unit="song", disable=None)
    with naming_deaths("reads songs"):
        return {song: found for song, found in zip(paths, read, strict=True) if found is not None}


def _identical(catalog: Catalog) -> tuple[tuple[str, ...], ...]:
    """Find stems that are the same file: only those that were measured alike are read, and silent ones are not."""
    alike: dict[tuple[int, bytes], list[Path]] = defaultdict(list)
    for track, measurements in zip(catalog.tracks, catalog.measurements, strict=True):
        for stem, measurement in zip(track.stems, measurements, strict=True):
            if measurement.power.any():
                alike[measurement.frames, measurement.power.tobytes()].append(stem.path)
    same: dict[str, list[str]] = defaultdict(list)
    for path in (path for paths in alike.values() if len(paths) > 1 for path in paths):
        same[hashlib.sha256(path.read_bytes()).hexdigest()].append(path.relative_to(catalog.folder).as_posix())
    return tuple(tuple(paths) for paths in same.values() if len(paths) > 1)


def summary(result: Audit, hierarchy: Hierarchy) -> str:
    """Write an audit as text: the tree with what there is of each node, then the rest, a line each."""
    coverage = result.coverage
    splits = ", ".join(
        f"{name} {split.tracks} tracks of {split.songs} songs, {split.minutes:.1f} minutes"
        for name, split in result.splits.items()
    )
    histogram = ", ".join(f"{parts} in {count}" for parts, count in result.parts.histogram.items())
    lower, upper = result.parts.quartiles
    lines = [
        draw_coverage(coverage, hierarchy),
        "",
        f"Size: {splits}",
        f"Parts per track: median {result.parts.median:g}, quartiles {lower:g} and {upper:g} ({histogram} tracks)",
        f"Songs: {result.songs}, {result.several} of them in several tracks; in more than one split: "
        f"{name_some(result.crossing)}",
        f"Shared 8-bar melodies: {_shared_line(result.melodies)}",
        f"Shared 8-bar drum parts: {_shared_line(result.drums)}",
        f"MIDI unreadable: {name_some(result.unread)}",
        f"Identical stems: {name_some([' = '.join(group) for group in result.identical])}",
        draw_strays(coverage),
    ]
    return "\n".join(lines)


def _shared_line(shared: SharedPhrases) -> str:
    most = [f"{one} and {other} ({count})" for one, other, count in shared.most]
    return f"in {shared.sharing} of {shared.songs} songs, {shared.pairs} pairs{': ' * bool(most)}{', '.join(most[:3])}"
