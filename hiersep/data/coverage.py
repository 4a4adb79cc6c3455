"""What a data set holds of each node of a hierarchy, and what sounds beside it.

A network can only tell two nodes apart where they differ: a data set in which no other guitar ever sounds beside the
clean one has a level too many. So the windows in which a node is salient (METHOD's rule, `sampling`) are counted, and
among them those in which its siblings are salient, and those in which the *rest* of an ancestor is: the ancestor
without the branch that leads to the node. One pass over the catalog, a few small matrix products per track.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hiersep.data.catalog import BLOCK_S
from hiersep.data.sampling import (
    HOP_S,
    SALIENT_DB,
    SALIENT_POWER,
    claims_of,
    node_power,
    unclaimed_stems,
    window_starts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from hiersep.data.catalog import Catalog
    from hiersep.hierarchy import Hierarchy

    Counts = npt.NDArray[np.int64]

SOUNDING_DB = -60.0  # a half second below is silence


@dataclass(frozen=True)
class NodeCoverage:
    """What a data set holds of one node.

    A share is None where there is nothing to take it of: the node is nowhere salient, or has no sibling.

    Attributes:
        id: The node's.
        level: Name of its level.
        stems: In its submix, over all tracks.
        tracks: That have such a stem.
        minutes: Of track time in which it sounds: half seconds above -60 dBFS RMS.
        salient: Windows above -30 dBFS RMS. A node that is unknown in a track counts none there.
        share: Of all windows, those.
        siblings: Share of its salient windows in which each sibling is salient.
        any_sibling: Share of its salient windows in which at least one is.
        rest: Per ancestor, the parent last, share of its salient windows in which something else of the ancestor is
            salient: all but the ancestor's child on the way to the node, by power sum.
    """

    id: str
    level: str
    stems: int
    tracks: int
    minutes: float
    salient: int
    share: float
    siblings: Mapping[str, float | None]
    any_sibling: float | None
    rest: Mapping[str, float | None]


@dataclass(frozen=True)
class Coverage:
    """What a data set holds of a hierarchy.

    Attributes:
        hierarchy: Its name.
        dataset: Name of the reader that recognised the data set.
        window_s: Length of a window in seconds; windows begin every 2.5 s.
        tracks: How many.
        stems: How many, claimed or not.
        minutes: Of tracks.
        windows: How many.
        nodes: In the hierarchy's order, the root first.
        unclaimed: Files of the stems that no node claims and no ``ignore:`` names, relative to the data set's folder.
        unlabelled: Leaves for which the hierarchy has no label in this data set.
        absent: Leaves that have a label, and no stem.
        together: Windows in which two nodes are salient, for every pair. Shape: (node, node).
    """

    hierarchy: str
    dataset: str
    window_s: float
    tracks: int
    stems: int
    minutes: float
    windows: int
    nodes: tuple[NodeCoverage, ...]
    unclaimed: tuple[str, ...]
    unlabelled: tuple[str, ...]
    absent: tuple[str, ...]
    together: Counts = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON takes it; without `together`, of which it holds the shares of siblings."""
        content = asdict(self)
        del content["together"]
        return content


class _Tally:
    """Counts over tracks; arrays are (node,) or (node, node)."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        size = len(hierarchy)
        self.parents = np.array([0 if n.parent is None else hierarchy.index(n.parent) for n in hierarchy.nodes])
        self.kin = self.parents[:, None] == self.parents  # children of one parent; and the root of its children
        self.kin[0], self.kin[:, 0] = False, False
        self.windows = 0
        self.stems, self.tracks, self.blocks, self.accompanied = np.zeros((4, size), np.int64)
        self.together, self.beside_rest = np.zeros((2, size, size), np.int64)

    def add(self, catalog: Catalog, track: int, hierarchy: Hierarchy, window_s: float) -> None:
        claims = claims_of(catalog, track, hierarchy)
        membership, known = hierarchy.membership(claims), hierarchy.known(claims)[:, None]
        duration = catalog.duration(track)
        block_starts = np.arange(0.0, duration, BLOCK_S)
        sounding = node_power(catalog, track, membership, block_starts, BLOCK_S) > 10 ** (SOUNDING_DB / 10)
        power = node_power(catalog, track, membership, window_starts(duration, window_s), window_s)  # (node, window)
        salient = (power > SALIENT_POWER) & known
        rest = (power[self.parents] - power > SALIENT_POWER) & known  # of the parent, without the node
        counted = salient.astype(np.int64)
        self.windows += power.shape[1]
        self.stems += np.count_nonzero(membership, axis=1)
        self.tracks += membership.any(axis=1)
        self.blocks += np.count_nonzero(sounding, axis=1)
        self.accompanied += np.count_nonzero(salient & (self.kin @ counted > 1), axis=1)  # itself and another
        self.together += counted @ counted.T
        self.beside_rest += counted @ rest.T


def measure_coverage(
    catalog: Catalog, hierarchy: Hierarchy, *, split: str | None = None, window_s: float = 10.0
) -> Coverage:
    """Count what a data set holds of each node.

    Args:
        catalog: The data set.
        hierarchy: Whose nodes.
        split: Of which tracks; None takes all.
        window_s: Length of a window in seconds, more than 0.

    Raises:
        DataError: If the data set has no such split.
        HierarchyError: If the hierarchy has no labels for the data set, or two nodes claim a stem.
    """
    chosen = catalog.select(split)
    tally = _Tally(hierarchy)
    for track in chosen:
        tally.add(catalog, track, hierarchy, window_s)
    reachable = set(hierarchy.reachable(dataset=catalog.dataset))
    present = {id for id, stems in zip(hierarchy.ids, tally.stems, strict=True) if stems}
    unclaimed = unclaimed_stems(catalog, chosen, hierarchy)
    return Coverage(
        hierarchy=hierarchy.name,
        dataset=catalog.dataset,
        window_s=window_s,
        tracks=len(chosen),
        stems=int(tally.stems[0]),
        minutes=sum(catalog.duration(track) for track in chosen) / 60,
        windows=tally.windows,
        nodes=tuple(_node_coverage(tally, hierarchy, id) for id in hierarchy.ids),
        unclaimed=tuple(stem.path.relative_to(catalog.folder).as_posix() for stem in unclaimed),
        unlabelled=tuple(leaf for leaf in hierarchy.leaves if leaf not in reachable),
        absent=tuple(leaf for leaf in hierarchy.leaves if leaf in reachable and leaf not in present),
        together=tally.together,
    )


def _node_coverage(tally: _Tally, hierarchy: Hierarchy, id: str) -> NodeCoverage:
    node, row = hierarchy.node(id), hierarchy.index(id)
    salient = int(tally.together[row, row])

    def share(count: np.int64) -> float | None:
        return float(count / salient) if salient else None

    siblings = [hierarchy.ids[column] for column in np.flatnonzero(tally.kin[row]) if column != row]
    return NodeCoverage(
        id=id,
        level=node.level,
        stems=int(tally.stems[row]),
        tracks=int(tally.tracks[row]),
        minutes=float(tally.blocks[row] * BLOCK_S / 60),
        salient=salient,
        share=salient / tally.windows,
        siblings={other: share(tally.together[row, hierarchy.index(other)]) for other in siblings},
        any_sibling=share(tally.accompanied[row]) if siblings else None,
        rest={
            str(hierarchy.node(child).parent): share(tally.beside_rest[row, hierarchy.index(child)])
            for child in hierarchy.path(id)[1:]
        },
    )


def draw_coverage(coverage: Coverage, hierarchy: Hierarchy) -> str:
    """Draw the tree with a table beside it: what the data set holds of each node, and what sounds beside it.

    Args:
        coverage: Of the hierarchy.
        hierarchy: The tree.
    """
    ancestors = hierarchy.levels[:-1]
    headings = ["stems", "minutes", "windows", "salient", "sibling", *(f"+{level}" for level in ancestors)]
    rows = [[*_cells(node), *_rest_cells(node, len(ancestors))] for node in coverage.nodes]
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    notes = {
        node.id: "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for node, row in zip(coverage.nodes, rows, strict=True)
    }
    tree = hierarchy.draw(notes)
    heading = "  ".join(cell.rjust(width) for cell, width in zip(headings, widths, strict=True))
    margin = max(map(len, tree.splitlines())) - len(heading)
    lines = [
        f"salient: share of the {coverage.windows} windows of {coverage.window_s:g} s, every {HOP_S} s, in which the "
        f"node lies above {SALIENT_DB:.0f} dBFS;",
        "sibling, +LEVEL: share of these in which a sibling, or something else of its ancestor at that level, does too",
    ]
    return "\n".join([" " * margin + heading, tree, "", *lines])


def draw_strays(coverage: Coverage) -> str:
    """Name, a line each, the stems that no node claims, and the leaves without a label or without a stem."""
    return "\n".join(
        [
            f"Unclaimed stems: {name_some(coverage.unclaimed)}",
            f"Leaves without a label here: {name_some(coverage.unlabelled)}",
            f"Leaves without a stem here: {name_some(coverage.absent)}",
        ]
    )


def name_some(names: Sequence[str]) -> str:
    """Say how many there are, and name the first five."""
    return f"{len(names)} ({', '.join(names[:5])}{', ...' * (len(names) > 5)})" if names else "none"


def _cells(node: NodeCoverage) -> list[str]:
    counts = [str(node.stems), f"{node.minutes:.1f}", str(node.salient)]
    return [*counts, _percent(node.share), _percent(node.any_sibling)]


def _rest_cells(node: NodeCoverage, columns: int) -> list[str]:
    cells = [_percent(share) for share in node.rest.values()]
    return cells + ["-"] * (columns - len(cells))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
