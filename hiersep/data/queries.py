"""Examples of what is asked for: salient clips of a target's stems, from another track than the mixture.

Query by example shows the network a stem of the leaf that it shall find (METHOD). A query is one stem of the branch
at the target, as long as the options say, and never from a track that sounds in the mixture.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

from hiersep.data.events import Event
from hiersep.data.sampling import HOP_S, SALIENT_POWER, window_starts

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy.typing as npt

    from hiersep.data.catalog import Catalog
    from hiersep.data.labels import Labels

    # Of one stem: its number and the windows in which it is salient.
    Stems = list[tuple[int, npt.NDArray[np.intp]]]


class QueryPool:
    """All salient clips of a split's stems, by target and track.

    Args:
        catalog: The data set.
        labels: Of its tracks; those of which labels were taken give no query.
        tracks: Indices of the split's tracks.
        targets: What may be asked for.
        query_s: Length of a query in seconds.
    """

    def __init__(
        self, catalog: Catalog, labels: Labels, tracks: Sequence[int], targets: Sequence[str], *, query_s: float
    ) -> None:
        self._query_s = query_s
        self._targets = tuple(targets)
        self._stems: dict[str, dict[int, Stems]] = {target: {} for target in targets}
        claimed_by = {target: {target, *labels.hierarchy.descendants(target)} for target in targets}
        for track in labels.whole(tracks):
            starts = window_starts(catalog.duration(track), query_s)
            for stem, claim in enumerate(labels.of(track).claims):
                power = catalog.measurements[track][stem].window_power(starts, query_s)
                windows = np.flatnonzero(power > SALIENT_POWER)
                for target in targets if len(windows) else ():
                    if claim in claimed_by[target]:
                        self._stems[target].setdefault(track, []).append((stem, windows))
        self._tracks = {target: sorted(stems) for target, stems in self._stems.items()}

    def askable(self, track: int) -> npt.NDArray[np.bool_]:
        """Which targets another track than this one has a query for.

        Shape:
            output: (target,).
        """
        return np.array([len(self._stems[target]) > (track in self._stems[target]) for target in self._targets])

    def draw(self, target: str, avoid: Collection[int], rng: np.random.Generator) -> Event | None:
        """Draw a query: a track first, all alike, then one of its stems, then a window; None where none is left.

        Args:
            target: What is asked for.
            avoid: Tracks that sound in the mixture.
            rng: Decides the draw.
        """
        tracks, stems = self._tracks[target], self._stems[target]
        avoided = stems.keys() & set(avoid)
        if len(avoided) == len(tracks):
            return None
        place, part, window = rng.random(3).tolist()
        position = int(place * (len(tracks) - len(avoided)))
        for skipped in sorted(bisect_left(tracks, track) for track in avoided):
            position += position >= skipped
        track = tracks[position]
        stem, windows = stems[track][int(part * len(stems[track]))]
        return Event(track, stem, HOP_S * float(windows[int(window * len(windows))]), self._query_s)
