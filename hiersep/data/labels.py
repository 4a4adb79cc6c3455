"""What is known of every track, and what was taken away.

The claims of a track's stems say which nodes' submixes are ground truth in it. METHOD's third experiment takes labels
away from a share of the training tracks: ``all`` of them, and such a track gives nothing any more; or those of the
``leaf``, and it still gives mixtures, in which the coarser levels are known. A track is taken or not by a hash of the
seed and its name, so nothing comes back with another epoch, and what is taken at 50 % is taken at 90 % too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hiersep.data.sampling import claims_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hiersep.data.catalog import Catalog
    from hiersep.data.events import MixtureSpec
    from hiersep.hierarchy import Hierarchy


@dataclass(frozen=True)
class Removal:
    """Which labels are taken away.

    Attributes:
        what: ``all`` labels of a track, or those of the ``leaf``.
        fraction: Probability that a track is taken, in [0, 1].
        seed: Decides which.
    """

    what: Literal["all", "leaf"]
    fraction: float
    seed: int

    def takes(self, dataset: str, track: str) -> bool:
        """Decide over a track by the name of its data set and its own."""
        digest = hashlib.sha256(f"{self.seed}/{dataset}/{track}".encode()).digest()
        return int.from_bytes(digest[:8], "big") < self.fraction * 2**64


@dataclass(frozen=True)
class TrackLabels:
    """What is known of one track.

    Attributes:
        claims: Node that claims each stem; None where no node does.
        membership: Ones where a node holds a stem. Shape: (node, stem).
        known: Whether a node's submix is ground truth here. Shape: (node,).
        removed: Whether labels were taken from the track.
    """

    claims: tuple[str | None, ...]
    membership: npt.NDArray[np.float32]
    known: npt.NDArray[np.bool_]
    removed: bool


class Labels:
    """The labels of a data set under a hierarchy, worked out once per track.

    Args:
        catalog: The data set.
        hierarchy: Whose nodes; `TrackLabels` has all of them, in its order.
        removal: What is taken away; None: nothing.
        leaves: The finest nodes that are asked for; they and what lies below are unknown in a track of which
            ``leaf`` labels were taken.
    """

    def __init__(
        self,
        catalog: Catalog,
        hierarchy: Hierarchy,
        *,
        removal: Removal | None = None,
        leaves: Sequence[str] = (),
    ) -> None:
        self._catalog, self._removal = catalog, removal
        self.hierarchy = hierarchy
        self._visible = np.ones(len(hierarchy), dtype=bool)
        for leaf in leaves:
            self._visible[[hierarchy.index(id) for id in (leaf, *hierarchy.descendants(leaf))]] = False
        self._by_track: dict[int, TrackLabels] = {}

    def of(self, track: int) -> TrackLabels:
        """Labels of a track of the catalog, by its index."""
        if track not in self._by_track:
            claims = claims_of(self._catalog, track, self.hierarchy)
            known, removed = self.hierarchy.known(claims), self._takes(track)
            if removed:
                known &= self._visible
            self._by_track[track] = TrackLabels(claims, self.hierarchy.membership(claims), known, removed)
        return self._by_track[track]

    def of_mixture(self, spec: MixtureSpec) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Membership of a mixture's events, and which nodes are known in it.

        Shape:
            output: (node, event) and (node,).
        """
        lender = None if spec.track is None else self.of(spec.track)
        if lender is not None and spec.claims == lender.claims:
            return lender.membership, lender.known
        known = self.hierarchy.known(spec.claims)
        tracks = {event.track for event in spec.events} | ({spec.track} if spec.track is not None else set())
        if any(map(self._takes, tracks)):
            known &= self._visible
        return self.hierarchy.membership(spec.claims), known

    def usable(self, tracks: Sequence[int]) -> tuple[int, ...]:
        """Those of `tracks` that give mixtures: all but those of which ``all`` labels were taken."""
        if self._removal is None or self._removal.what == "leaf":
            return tuple(tracks)
        return self.whole(tracks)

    def whole(self, tracks: Sequence[int]) -> tuple[int, ...]:
        """Those of `tracks` of which no label was taken: they alone give queries, and stems to other mixtures."""
        return tuple(track for track in tracks if not self._takes(track))

    def _takes(self, track: int) -> bool:
        return self._removal is not None and self._removal.takes(self._catalog.dataset, self._catalog.tracks[track].id)
