"""Mixers: what makes a mixture of a song's clip, coherent or not.

The sampler's clip says where a target sounds. A mixer takes it as it is, plays every part from another song, or draws
stems and what is done to them from distributions as scaper does.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hiersep import audio
from hiersep.data.distributions import MixingConfig
from hiersep.data.events import MixtureSpec
from hiersep.data.mixing import shape_event
from hiersep.data.remixing import StemPool
from hiersep.data.sampling import excerpt_of_song
from hiersep.errors import ConfigError, DataError
from hiersep.typed import expect

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from hiersep.data.catalog import Catalog
    from hiersep.data.distributions import Distribution
    from hiersep.data.events import Event
    from hiersep.data.remixing import PooledStem
    from hiersep.data.sampling import Clip
    from hiersep.hierarchy import Hierarchy

    Mixing = str | os.PathLike[str] | Mapping[str, Any] | MixingConfig

_SEEDS = 2**31  # of augmentations
SILENCE_LUFS = -70.0  # what scaper takes silence for
_SHORTEST_S = 0.5  # what scaper measures the loudness of


class Mixer(Protocol):
    """What makes a mixture of a clip."""

    def remix(self, clip: Clip, claims: Sequence[str | None], rng: np.random.Generator) -> MixtureSpec:
        """Make a mixture.

        Args:
            clip: An excerpt of a track.
            claims: Node that claims each stem of the track.
            rng: Decides the draw.
        """


def make_mixer(mixing: Mixing, catalog: Catalog, tracks: Sequence[int], hierarchy: Hierarchy, clip_s: float) -> Mixer:
    """Make a mixer.

    Args:
        mixing: ``coherent``; ``incoherent``: every part from another song; or a `MixingConfig`, what it is made of,
            or the name of its file.
        catalog: The data set.
        tracks: Indices of the tracks to take stems from.
        hierarchy: Says which node claims a stem.
        clip_s: Length of a mixture in seconds.

    Raises:
        ConfigError: If the settings are wrong, or name what the hierarchy does not have.
        DataError: If stems of a node are asked for by number, and none is salient in the tracks.
    """
    if mixing == "coherent":
        return CoherentMixer(catalog, clip_s)
    pool = StemPool(catalog, tracks, hierarchy, clip_s)
    return pool if mixing == "incoherent" else DistributionMixer(load_mixing(mixing), catalog, pool, hierarchy, clip_s)


def load_mixing(mixing: Mixing) -> MixingConfig:
    """Read the settings of distributions: themselves, what they are made of, or the name of their file.

    Raises:
        ConfigError: If they are wrong, or the file cannot be read.
    """
    return MixingConfig.of(mixing) if isinstance(mixing, MixingConfig | dict) else MixingConfig.load(mixing)  # type: ignore[arg-type]


class CoherentMixer:
    """Take a clip as it is, all stems of its track at one place."""

    def __init__(self, catalog: Catalog, clip_s: float):
        self._catalog, self._clip_s = catalog, clip_s

    def remix(self, clip: Clip, claims: Sequence[str | None], rng: np.random.Generator) -> MixtureSpec:
        """Give the clip; nothing is drawn."""
        return excerpt_of_song(self._catalog, clip, claims, self._clip_s)


class DistributionMixer:
    """Draw stems of the nodes that sound in a clip, and how loud, when, how high and how fast each is played.

    Args:
        config: The distributions.
        catalog: The data set; read where `snr` asks how loud an excerpt is.
        pool: The salient excerpts to draw from.
        hierarchy: The tree that the nodes of `config` are of.
        clip_s: Length of a mixture in seconds.

    Raises:
        ConfigError: If a node is not in the hierarchy, or an offset can lie past the mixture's end.
        DataError: If stems of a node are asked for by number, and none is salient.
    """

    def __init__(self, config: MixingConfig, catalog: Catalog, pool: StemPool, hierarchy: Hierarchy, clip_s: float):
        self._config, self._catalog, self._pool = config, catalog, pool
        self._hierarchy, self._clip_s = hierarchy, clip_s
        self._check()
        self._members: dict[str | None, tuple[PooledStem, ...]] = {}
        for claim in pool.claims:
            group = self._group(claim)
            self._members[group] = (*self._members.get(group, ()), *pool.stems(claim))
        for node, mixing in config.nodes.items():
            if mixing.num_sources is not None and mixing.num_sources.support[1] > 0 and not self._members.get(node):
                raise DataError(f"nodes.{node}.num_sources: no stem of the node is salient here; leave it out")

    def _check(self) -> None:
        for node in self._config.nodes:
            if node not in self._hierarchy:
                raise ConfigError(f"nodes: hierarchy '{self._hierarchy.name}' has no node '{node}'")
        for mixing in (self._config, *self._config.nodes.values()):
            for name, found in mixing.distributions():
                if name == "offset" and found.kind != "normal":
                    expected = f"less than the mixture's {self._clip_s:g} seconds"
                    expect(found.support[1] < self._clip_s, name, expected, found.to_list())

    def _group(self, claim: str | None) -> str | None:
        """Name the node among whose stems one of `claim` is counted: itself, or the nearest with its own number."""
        for node in reversed(self._path(claim)):
            mixing = self._config.nodes.get(node)
            if mixing is not None and mixing.num_sources is not None:
                return node
        return claim

    def _path(self, claim: str | None) -> tuple[str, ...]:
        return () if claim is None else self._hierarchy.path(claim)

    def _setting(self, name: str, claim: str | None) -> Distribution | None:
        """Find what a stem's setting is drawn from: the nearest node's, or what holds for all."""
        other = {"gain": "snr", "snr": "gain"}.get(name, name)
        for node in reversed(self._path(claim)):
            mixing = self._config.nodes.get(node)
            if mixing is not None and (getattr(mixing, name) is not None or getattr(mixing, other) is not None):
                found: Distribution | None = getattr(mixing, name)
                return found
        common: Distribution | None = getattr(self._config, name)
        return common

    def remix(self, clip: Clip, claims: Sequence[str | None], rng: np.random.Generator) -> MixtureSpec:
        """Draw a mixture.

        Args:
            clip: The clip that lends its instrumentation: how many stems of each node are salient in it.
            claims: Node that claims each of its stems.
            rng: Decides the draw.

        Returns:
            The mixture; its events are those that were drawn, whatever stems the clip's track has.
        """
        sounding = Counter(self._group(c) for stem, c in enumerate(claims) if self._pool.is_salient(clip, stem))
        asked = [node for node, mixing in self._config.nodes.items() if mixing.num_sources is not None]
        drawn = []
        for group in dict.fromkeys([*sounding, *asked]):
            counts = self._setting("num_sources", group)
            count = sounding[group] if counts is None else int(counts.draw(rng))
            members = self._members.get(group, ())
            drawn += [self._pool.draw(members, rng) for _ in range(count if members else 0)]
        events = tuple(self._vary(event, claim, rng) for event, claim in drawn)
        claimed = tuple(claim for _, claim in drawn)
        return MixtureSpec(events, claimed, self._clip_s, track=clip.track, start_s=clip.start_s)

    def _vary(self, event: Event, claim: str | None, rng: np.random.Generator) -> Event:
        """Draw what is done to an excerpt; it lasts from its offset to the mixture's end."""

        def drawn(name: str, otherwise: float, high: float = np.inf) -> float:
            found = self._setting(name, claim)
            return otherwise if found is None else replace(found, high=min(found.high, high)).draw(rng)

        offset = drawn("offset", 0.0, high=self._clip_s - 1 / self._catalog.sample_rate)
        stretch, pitch = drawn("time_stretch", 1.0), drawn("pitch_shift", 0.0)
        seed = int(rng.integers(_SEEDS)) if rng.random() < self._config.augmentation else None
        varied = replace(
            event,
            duration=(self._clip_s - offset) / stretch,
            event_time=offset,
            pitch_shift=pitch,
            time_stretch=stretch,
            augmentation=seed,
        )
        if (snr := self._setting("snr", claim)) is None:
            return replace(varied, gain_db=drawn("gain", 0.0))
        loudness = excerpt_loudness(shape_event(self._catalog, varied), self._catalog.sample_rate)
        return replace(varied, gain_db=self._config.ref_db + snr.draw(rng) - loudness)


def excerpt_loudness(samples: npt.NDArray[np.float32], sample_rate: int) -> float:
    """Measure an excerpt's integrated loudness as scaper does: a short one is repeated, silence is -70 LUFS.

    Shape:
        samples: (channel, time), at least one sample.
    """
    repeats = int(np.ceil(_SHORTEST_S * sample_rate / samples.shape[-1])) if samples.shape[-1] else 1
    return max(audio.loudness(np.tile(samples, (1, repeats)), sample_rate), SILENCE_LUFS)
