"""Choose excerpts in which the target sounds.

A window is *salient* for a node where the mean power of the node's submix lies above a threshold (METHOD: RMS
above -30 dBFS over the clip, windows every 2.5 s). Which clip an item holds is a pure function of (seed, epoch,
index): the same for any number of workers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hiersep.data.catalog import Catalog
    from hiersep.data.tracks import Stem
    from hiersep.hierarchy import Hierarchy

SALIENT_DB = -30.0
HOP_S = 2.5
# Tell the other streams of an item from that of its clip.
_GAINS, _REMIX = 1, 2


@dataclass(frozen=True)
class Clip:
    """An excerpt: index of the track in its catalog, and first second."""

    track: int
    start_s: float


@dataclass(frozen=True)
class Excerpt:
    """An excerpt of one stem: index of its track in the catalog, of the stem in its track, and first second."""

    track: int
    stem: int
    start_s: float


def claims_of(catalog: Catalog, track: int, hierarchy: Hierarchy) -> tuple[str | None, ...]:
    """Node that claims each stem of a track, in the order of the stems; None where no node does."""
    stems = catalog.tracks[track].stems
    return tuple(hierarchy.claim(stem.attributes, dataset=catalog.dataset) for stem in stems)


def coherent(catalog: Catalog, clip: Clip) -> list[Excerpt]:
    """All stems of a clip's track, at the clip's place: coherent mixing."""
    return [Excerpt(clip.track, stem, clip.start_s) for stem in range(len(catalog.tracks[clip.track].stems))]


def unclaimed_stems(catalog: Catalog, tracks: Sequence[int], hierarchy: Hierarchy) -> list[Stem]:
    """List the stems that no node claims and no ``ignore:`` names: they sound in the mixture and in no node."""
    found = []
    for track in tracks:
        for stem, claim in zip(catalog.tracks[track].stems, claims_of(catalog, track, hierarchy), strict=True):
            if claim is None and not hierarchy.ignores(stem.attributes, dataset=catalog.dataset):
                found.append(stem)
    return found


def window_starts(duration: float, clip_s: float) -> npt.NDArray[np.float64]:
    """Starts in seconds, every 2.5 s, of the windows that a track holds; at least one, padded where it is shorter."""
    count = max(0, int((duration - clip_s + 1e-9) // HOP_S)) + 1
    return np.arange(count, dtype=np.float64) * HOP_S


def node_power(
    catalog: Catalog,
    track: int,
    membership: npt.NDArray[np.float32],
    starts: npt.NDArray[np.float64],
    clip_s: float,
) -> npt.NDArray[np.float64]:
    """Mean power of every node in every window, as the power sum of its stems.

    Shape:
        membership: (node, stem); starts: (window,); output: (node, window).
    """
    stems = np.stack([m.window_power(starts, clip_s) for m in catalog.measurements[track]])  # (stem, window)
    return np.asarray(membership @ stems)


def salient_clips(
    catalog: Catalog,
    tracks: Sequence[int],
    hierarchy: Hierarchy,
    nodes: Sequence[str],
    clip_s: float,
) -> list[tuple[Clip, ...]]:
    """Find, per track, the windows in which at least one of `nodes` is salient.

    A node that is unknown in a track (one of its stems is claimed by an ancestor only) cannot be a target there.

    Returns:
        One tuple of clips per track that has any, in the order of `tracks`.
    """
    rows = [hierarchy.index(node) for node in nodes]
    threshold = 10 ** (SALIENT_DB / 10)
    found = []
    for track in tracks:
        claims = claims_of(catalog, track, hierarchy)
        starts = window_starts(catalog.duration(track), clip_s)
        power = node_power(catalog, track, hierarchy.membership(claims), starts, clip_s)[rows]
        salient = (power > threshold) & hierarchy.known(claims)[rows][:, None]
        clips = tuple(Clip(track, float(start)) for start in starts[salient.any(axis=0)])
        if clips:
            found.append(clips)
    return found


def draw(clips: Sequence[Sequence[Clip]], seed: int, epoch: int, index: int) -> Clip:
    """Draw a clip: a track first, all alike, then one of its windows; so long songs do not weigh more.

    Where the next window of the track is salient too, the clip begins anywhere between the two, so that a song gives
    more than its dozen windows.
    """
    rng = np.random.default_rng([seed, epoch, index])
    track = clips[int(rng.integers(len(clips)))]
    position = int(rng.integers(len(track)))
    clip = track[position]
    following = track[position + 1].start_s if position + 1 < len(track) else math.inf
    if following - clip.start_s > HOP_S:
        return clip
    return Clip(clip.track, float(rng.uniform(clip.start_s, following)))


def remix_rng(share: float, seed: int, epoch: int, index: int) -> np.random.Generator | None:
    """Decide whether an item is among the `share` that is mixed incoherently, and give the generator to do it with."""
    rng = np.random.default_rng([seed, epoch, index, _REMIX])
    return rng if rng.random() < share else None


def draw_gains(count: int, gain_db: float, seed: int, epoch: int, index: int) -> npt.NDArray[np.float32]:
    """Draw a gain in dB for each of `count` stems, uniform within plus or minus `gain_db`; a stream of its own."""
    rng = np.random.default_rng([seed, epoch, index, _GAINS])
    return rng.uniform(-gain_db, gain_db, count).astype(np.float32)


def fixed_list(clips: Sequence[Sequence[Clip]], seed: int, count: int, clip_s: float) -> list[Clip]:
    """List clips for validation or test, once and for all: round the tracks, in a seeded order.

    Windows that do not overlap come first, so that `count` clips hold as much different music as there is. The list
    is shorter than `count` where there are fewer windows.
    """
    rng = np.random.default_rng([seed, 0])
    rounds: list[list[Clip]] = []
    for position in rng.permutation(len(clips)):
        apart: list[Clip] = []
        for clip in clips[position]:
            if not apart or clip.start_s >= apart[-1].start_s + clip_s:
                apart.append(clip)
        chosen = [apart[i] for i in rng.permutation(len(apart))]
        rest = [clip for clip in clips[position] if clip not in apart]
        rounds.append(chosen + [rest[i] for i in rng.permutation(len(rest))])
    longest = max(map(len, rounds), default=0)
    return [clips_of_track[turn] for turn in range(longest) for clips_of_track in rounds if turn < len(clips_of_track)][
        :count
    ]
