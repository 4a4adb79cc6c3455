"""Incoherent mixing: a song's instrumentation, every part played from another song.

The sampler's clip says which instruments sound. Each stem that is salient in it gives its place to a salient excerpt
of some stem that the same node claims, from anywhere in the split. What the nodes are stays as it was; what is
played, and in which key and tempo, is new each time. A network that cannot know the songs by heart must know the
instruments.

Reference:
    Uhlich et al., "Improving music source separation based on deep neural networks through data augmentation and
    network blending", ICASSP 2017. Departure: the instruments of a mixture are those of a real song.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hiersep.data.sampling import SALIENT_DB, Excerpt, claims_of, window_starts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hiersep.data.catalog import Catalog
    from hiersep.data.sampling import Clip
    from hiersep.hierarchy import Hierarchy

_THRESHOLD = 10 ** (SALIENT_DB / 10)


class StemPool:
    """All salient excerpts of a split's stems, by the node that claims them.

    Args:
        catalog: The data set.
        tracks: Indices of the split's tracks.
        hierarchy: Says which node claims a stem.
        clip_s: Length of an excerpt in seconds.
    """

    def __init__(self, catalog: Catalog, tracks: Sequence[int], hierarchy: Hierarchy, clip_s: float):
        self._catalog, self._clip_s = catalog, clip_s
        self._by_claim: dict[str | None, list[tuple[Excerpt, ...]]] = {}
        for track in tracks:
            starts = window_starts(catalog.duration(track), clip_s)
            for stem, claim in enumerate(claims_of(catalog, track, hierarchy)):
                power = catalog.measurements[track][stem].window_power(starts, clip_s)
                excerpts = tuple(Excerpt(track, stem, float(start)) for start in starts[power > _THRESHOLD])
                if excerpts:
                    self._by_claim.setdefault(claim, []).append(excerpts)

    def remix(self, clip: Clip, claims: Sequence[str | None], rng: np.random.Generator) -> list[Excerpt]:
        """Draw an excerpt for every stem of a clip: a stem of the same node first, all alike, then one of its windows.

        Args:
            clip: The clip that lends its instrumentation.
            claims: Node that claims each of its stems.
            rng: Decides the draw.

        Returns:
            One excerpt per stem; a stem that is not salient in the clip keeps its place.
        """
        excerpts = []
        for stem, claim in enumerate(claims):
            power = self._catalog.measurements[clip.track][stem].window_power(np.array([clip.start_s]), self._clip_s)
            stems = self._by_claim.get(claim)
            if stems is None or power[0] <= _THRESHOLD:
                excerpts.append(Excerpt(clip.track, stem, clip.start_s))
            else:
                windows = stems[int(rng.integers(len(stems)))]
                excerpts.append(windows[int(rng.integers(len(windows)))])
        return excerpts
