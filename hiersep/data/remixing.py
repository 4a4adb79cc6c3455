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

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hiersep.data.events import Event, MixtureSpec
from hiersep.data.sampling import SALIENT_POWER, claims_of, window_starts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hiersep.data.catalog import Catalog
    from hiersep.data.sampling import Clip
    from hiersep.hierarchy import Hierarchy


class PooledStem(NamedTuple):
    """A stem, by its track's and its own index, the node that claims it, and where its salient windows begin."""

    track: int
    stem: int
    claim: str | None
    starts: npt.NDArray[np.float64]


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
        self._by_claim: dict[str | None, list[PooledStem]] = {}
        for track in tracks:
            starts = window_starts(catalog.duration(track), clip_s)
            for stem, claim in enumerate(claims_of(catalog, track, hierarchy)):
                power = catalog.measurements[track][stem].window_power(starts, clip_s)
                salient = starts[power > SALIENT_POWER]
                if len(salient):
                    self._by_claim.setdefault(claim, []).append(PooledStem(track, stem, claim, salient))

    @property
    def claims(self) -> tuple[str | None, ...]:
        """Nodes that claim at least one salient stem; None among them where a stem is claimed by none."""
        return tuple(self._by_claim)

    def stems(self, claim: str | None) -> tuple[PooledStem, ...]:
        """Stems that a node claims itself."""
        return tuple(self._by_claim.get(claim, ()))

    def is_salient(self, clip: Clip, stem: int) -> bool:
        """Say whether a stem of a clip's track is salient in the clip."""
        power = self._catalog.measurements[clip.track][stem].window_power(np.array([clip.start_s]), self._clip_s)
        return bool(power[0] > SALIENT_POWER)

    def draw(self, stems: Sequence[PooledStem], rng: np.random.Generator) -> tuple[Event, str | None]:
        """Draw a stem, all alike, then one of its windows.

        Returns:
            The excerpt as it is, and the node that claims it.
        """
        stem = stems[int(rng.integers(len(stems)))]
        start_s = float(stem.starts[int(rng.integers(len(stem.starts)))])
        return Event(stem.track, stem.stem, start_s, self._clip_s), stem.claim

    def remix(self, clip: Clip, claims: Sequence[str | None], rng: np.random.Generator) -> MixtureSpec:
        """Draw an excerpt for every stem of a clip: a stem of the same node first, all alike, then one of its windows.

        Args:
            clip: The clip that lends its instrumentation.
            claims: Node that claims each of its stems.
            rng: Decides the draw.

        Returns:
            A mixture of one event per stem; a stem that is not salient in the clip keeps its place.
        """
        events = []
        for stem, claim in enumerate(claims):
            if claim in self._by_claim and self.is_salient(clip, stem):
                events.append(self.draw(self._by_claim[claim], rng)[0])
            else:
                events.append(Event(clip.track, stem, clip.start_s, self._clip_s))
        return MixtureSpec(tuple(events), tuple(claims), self._clip_s, track=clip.track, start_s=clip.start_s)
