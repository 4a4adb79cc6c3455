"""Choose excerpts in which the target sounds.

A window is *salient* for a node where the mean power of the node's submix lies above a threshold (METHOD: RMS
above -30 dBFS over the clip, windows every 2.5 s). On request a share of the clips has a *silent* target, and a share
of the others a target that is *alone*: no sibling of it is salient. All windows are judged once, when a `Sampler` is
made; a draw then costs a few look-ups. Which clip an item holds is a pure function of (seed, epoch, index): the same
for any number of workers.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from hiersep.data.events import Event, MixtureSpec
from hiersep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from hiersep.data.catalog import Catalog
    from hiersep.data.labels import Labels
    from hiersep.data.tracks import Stem
    from hiersep.hierarchy import Hierarchy

SALIENT_DB = -30.0
SALIENT_POWER = 10 ** (SALIENT_DB / 10)  # the same, as a mean square
SILENT_DB = -60.0
HOP_S = 2.5

T = TypeVar("T")
Kind = Literal["salient", "alone", "accompanied", "silent"]
_WANTING = {
    "salient": f"is nowhere louder than {SALIENT_DB:.0f} dBFS",
    "alone": f"is nowhere louder than {SALIENT_DB:.0f} dBFS without a sibling that is, as 'alone' asks for",
    "accompanied": f"is nowhere louder than {SALIENT_DB:.0f} dBFS beside such a sibling, as 'alone' below 1 asks for",
    "silent": f"is nowhere softer than {SILENT_DB:.0f} dBFS while others sound, as 'silent' asks for",
}


@dataclass(frozen=True)
class Clip:
    """An excerpt: index of the track in its catalog, first second, and the target it was drawn for, if one was."""

    track: int
    start_s: float
    target: str | None = None


@dataclass(frozen=True)
class ClipRules:
    """What clips are drawn.

    Attributes:
        clip_s: Length in seconds.
        silent: Share of clips with a silent target, in [0, 1].
        alone: Of the other clips, share in which the target has no salient sibling; in the rest it has one. None: as
            it comes.
        balanced: Draw a node first, all alike, then a track, then a window; not a track first.
        ask: A clip is drawn for one target of several, and names it.
    """

    clip_s: float
    silent: float = 0.0
    alone: float | None = None
    balanced: bool = False
    ask: bool = False

    @property
    def shares(self) -> dict[Kind, float]:
        """Share of each kind of clip that occurs."""
        sounding = 1.0 - self.silent
        if self.alone is None:
            shares: dict[Kind, float] = {"salient": sounding}
        else:
            shares = {"alone": self.alone * sounding, "accompanied": (1.0 - self.alone) * sounding}
        return {kind: share for kind, share in {**shares, "silent": self.silent}.items() if share > 0}


def claims_of(catalog: Catalog, track: int, hierarchy: Hierarchy) -> tuple[str | None, ...]:
    """Node that claims each stem of a track, in the order of the stems; None where no node does."""
    stems = catalog.tracks[track].stems
    return tuple(hierarchy.claim(stem.attributes, dataset=catalog.dataset) for stem in stems)


def coherent(catalog: Catalog, clip: Clip, duration: float) -> tuple[Event, ...]:
    """All stems of a clip's track, at the clip's place, `duration` seconds long: coherent mixing."""
    stems = range(len(catalog.tracks[clip.track].stems))
    return tuple(Event(clip.track, stem, clip.start_s, duration) for stem in stems)


def excerpt_of_song(catalog: Catalog, clip: Clip, claims: Sequence[str | None], duration: float) -> MixtureSpec:
    """A clip as it stands in its song, `duration` seconds long; nothing is asked for.

    Args:
        catalog: The data set.
        clip: The place.
        claims: Node that claims each stem of the song.
        duration: In seconds.
    """
    events = coherent(catalog, clip, duration)
    return MixtureSpec(events, tuple(claims), duration, track=clip.track, start_s=clip.start_s)


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


class Sampler:
    """The windows of a split, judged by what is salient in them, to draw clips from.

    A node that is unknown in a track (one of its stems is claimed by an ancestor only) cannot be a target there.

    Args:
        catalog: The data set.
        labels: Of its tracks; those of which ``all`` labels were taken give no clip, and the others only clips in
            which one of the nodes of the item is known.
        split: Which tracks; None takes all.
        nodes: The targets. A clip is salient where one of them is.
        wanted: The nodes of every item; where clips ask for one target, it is the target's path instead.
        rules: What clips are drawn.
        askable: Tells which of `nodes` may be asked for in a track. Default: all.

    Raises:
        DataError: If there is no clip of a kind that the rules ask for.
    """

    def __init__(
        self,
        catalog: Catalog,
        labels: Labels,
        split: str | None,
        nodes: Sequence[str],
        *,
        wanted: Sequence[str],
        rules: ClipRules,
        askable: Callable[[int], npt.NDArray[np.bool_]] | None = None,
    ) -> None:
        self._catalog, self._labels, self._nodes, self._rules = catalog, labels, tuple(nodes), rules
        hierarchy = labels.hierarchy
        self._rows = [hierarchy.index(node) for node in nodes]
        items = [hierarchy.path(node)[1:] if rules.ask else wanted for node in nodes]
        self._items = np.zeros((len(nodes), len(hierarchy)), dtype=bool)  # nodes of the item, by target
        for row, item in zip(self._items, items, strict=True):
            row[[hierarchy.index(id) for id in item]] = True
        self._kin = _siblings(hierarchy)[self._rows]
        self._askable = askable
        self._tables = self._judge_all(split)
        self._kinds = list(self._tables)
        self._edges = list(itertools.accumulate(rules.shares.values()))[:-1]

    def _judge_all(self, split: str | None) -> dict[Kind, _Table]:
        tracks = self._labels.usable(self._catalog.select(split))
        found: dict[Kind, list[npt.NDArray[np.int32]]] = {kind: [] for kind in self._rules.shares}
        for track in tracks:
            judged = self._judge(track)
            for kind in found:
                found[kind].append(_as_rows(track, judged[kind]))
        for kind, rows in found.items():
            if not any(map(len, rows)):
                raise DataError(
                    f"{self._catalog.folder}: {named(self._nodes)} {_WANTING[kind]} in "
                    f"split '{split}' ({len(tracks)} tracks); choose another target or more data"
                )
        return {kind: _Table(np.concatenate(rows), balanced=self._rules.balanced) for kind, rows in found.items()}

    def _judge(self, track: int) -> dict[Kind, npt.NDArray[np.bool_]]:
        """Say of which kind every window of a track is for every target; arrays are (target, window)."""
        labels, clip_s = self._labels.of(track), self._rules.clip_s
        hierarchy = self._labels.hierarchy
        starts = window_starts(self._catalog.duration(track), clip_s)
        power = node_power(self._catalog, track, labels.membership, starts, clip_s)  # (node, window)
        known = hierarchy.known(labels.claims)  # the leaf's label may be taken: it is still there to choose clips by
        loud = (power > SALIENT_POWER) & known[:, None]
        possible = known[self._rows] & (self._items & labels.known).any(axis=1)
        if self._askable is not None:
            possible &= self._askable(track)
        salient = loud[self._rows] & possible[:, None]
        accompanied = salient & (self._kin @ loud)
        silent = (power[self._rows] < 10 ** (SILENT_DB / 10)) & possible[:, None] & (power[0] > SALIENT_POWER)
        if not (self._rules.ask or self._rules.balanced):
            silent &= silent.all(axis=0)
        return {"salient": salient, "alone": salient & ~accompanied, "accompanied": accompanied, "silent": silent}

    def draw(self, rng: np.random.Generator) -> Clip:
        """Draw a clip: a track first, all alike, then one of its windows; so long songs do not weigh more.

        Where the next window of the track will do too, the clip begins anywhere between the two, so that a song gives
        more than its dozen windows.
        """
        uniform = rng.random(5).tolist()
        table = self._tables[self._kinds[bisect_right(self._edges, uniform[0])]]
        track, window, node, followed = table.draw(*uniform[1:4]).tolist()
        start_s = HOP_S * (window + uniform[4] * followed)
        return Clip(track, start_s, self._nodes[node] if self._rules.ask else None)

    def fixed(self, count: int, seed: int) -> list[Clip]:
        """List at most `count` clips for validation or test, once and for all; each kind has its share.

        See `fixed_list`; balanced, the targets take turns.
        """
        clips = []
        for kind, share in self._rules.shares.items():
            rows = self._tables[kind].rows
            groups = [rows[rows[:, 2] == node] for node in np.unique(rows[:, 2])] if self._rules.balanced else [rows]
            lists = [fixed_list(self._by_track(group, seed), seed, count, self._rules.clip_s) for group in groups]
            turns = [clip for turn in itertools.zip_longest(*lists) for clip in turn if clip is not None]
            clips.append(list(dict.fromkeys(turns))[: math.ceil(share * count)])
        return interleave(clips)[:count]

    def _by_track(self, rows: npt.NDArray[np.int32], seed: int) -> list[list[Clip]]:
        """Sort windows by track; where several targets would do in one, choose."""
        rng = np.random.default_rng([seed, 1])
        targets: dict[int, dict[int, list[int]]] = {}
        for track, window, node, _ in rows.tolist():
            targets.setdefault(track, {}).setdefault(window, []).append(node)
        return [
            [
                Clip(
                    track,
                    HOP_S * window,
                    self._nodes[nodes[int(rng.integers(len(nodes)))]] if self._rules.ask else None,
                )
                for window, nodes in sorted(targets[track].items())
            ]
            for track in sorted(targets)
        ]


class _Table:
    """Windows of one kind, as rows of (track, window, target, whether the next window is of the kind too).

    A draw goes down three columns, all branches alike at every fork: track, window, target; balanced: target, track,
    window.
    """

    def __init__(self, rows: npt.NDArray[np.int32], *, balanced: bool) -> None:
        order = (2, 0, 1) if balanced else (0, 1, 2)
        self.rows = rows[np.lexsort([rows[:, column] for column in reversed(order)])]
        fresh = np.diff(self.rows[:, order], axis=0, prepend=-1) != 0  # (row, column)
        pairs = np.flatnonzero(fresh[:, :2].any(axis=1))
        self._rows_of_pair = [*pairs.tolist(), len(rows)]
        self._pairs_of_first = [*np.searchsorted(pairs, np.flatnonzero(fresh[:, 0])).tolist(), len(pairs)]

    def draw(self, first: float, second: float, third: float) -> npt.NDArray[np.int32]:
        """Take a row, by three numbers in [0, 1)."""
        branch = int(first * (len(self._pairs_of_first) - 1))
        begin, end = self._pairs_of_first[branch : branch + 2]
        pair = begin + int(second * (end - begin))
        begin, end = self._rows_of_pair[pair : pair + 2]
        return np.asarray(self.rows[begin + int(third * (end - begin))])


def _as_rows(track: int, eligible: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """List what is true of (target, window) as rows of (track, window, target, next window too)."""
    target, window = np.nonzero(eligible)
    followed = np.pad(eligible, ((0, 0), (0, 1)))[target, window + 1]
    return np.stack([np.full_like(window, track), window, target, followed], axis=1).astype(np.int32)


def _siblings(hierarchy: Hierarchy) -> npt.NDArray[np.bool_]:
    """Whether two nodes have one parent; none is its own sibling. Shape: (node, node)."""
    parents = np.array([-1 if node.parent is None else hierarchy.index(node.parent) for node in hierarchy.nodes])
    return np.asarray((parents[:, None] == parents) & ~np.eye(len(parents), dtype=bool))


def named(nodes: Iterable[str]) -> str:
    """Name nodes in a message."""
    return ", ".join(f"'{node}'" for node in nodes)


def interleave(lists: Sequence[Sequence[T]]) -> list[T]:
    """Join lists into one in which, wherever it is cut, each has about its share; the order within each stays.

    Example:
        >>> interleave(["aaaa", "bb"])
        ['a', 'b', 'a', 'a', 'b', 'a']
    """
    places = [((i + 0.5) / len(items), n, i) for n, items in enumerate(lists) for i in range(len(items))]
    return [lists[n][i] for _, n, i in sorted(places)]


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
