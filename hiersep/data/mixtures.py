"""Draw mixtures of one data set: a clip, what is played in it and how loud, and what is asked for.

The result is a `MixtureSpec`, all that its audio depends on. One generator per item, seeded by (seed, epoch, index),
makes every draw, in a fixed order.
"""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hiersep.data.labels import Labels, Removal
from hiersep.data.mixers import make_mixer
from hiersep.data.queries import QueryPool
from hiersep.data.sampling import Clip, ClipRules, Sampler, excerpt_of_song, named, unclaimed_stems
from hiersep.errors import HierarchyError, HiersepWarning
from hiersep.typed import expect

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from hiersep.data.catalog import Catalog
    from hiersep.data.events import Event, MixtureSpec
    from hiersep.data.mixers import Mixing
    from hiersep.hierarchy import Hierarchy


@dataclass(frozen=True)
class MixtureOptions:
    """What mixtures are drawn; `HierarchicalMixtureDataset` says what each means."""

    split: str | None
    duration: float = 10.0
    query_duration: float | None = None
    mixing: Mixing = "coherent"
    incoherent: float | None = None
    gain_db: float = 0.0
    augment: float = 0.0
    silent: float = 0.0
    alone: float | None = None
    balanced: bool = False
    remove: Literal["all", "leaf"] | None = None
    remove_fraction: float = 0.5
    seed: int = 0
    strict: bool = False

    def __post_init__(self) -> None:
        expect(self.duration > 0, "duration", "more than 0 seconds", self.duration)
        expect(self.query_s > 0, "query_duration", "more than 0 seconds", self.query_duration)
        for name in ("incoherent", "augment", "silent", "alone", "remove_fraction"):
            share = getattr(self, name)
            expect(share is None or 0 <= share <= 1, name, "a share in [0, 1]", share)
        expect(0 <= self.gain_db <= 60, "gain_db", "0 to 60 dB", self.gain_db)
        expect(self.remove in (None, "all", "leaf"), "remove", "None, 'all' or 'leaf'", self.remove)
        expect(self.seed >= 0, "seed", "0 or more", self.seed)

    @property
    def query_s(self) -> float:
        """Length of a query in seconds."""
        return self.duration if self.query_duration is None else self.query_duration

    @property
    def training(self) -> bool:
        """Whether clips are drawn anew every epoch; only then anything is remixed, changed or removed."""
        return self.split == "train"

    @property
    def remixed(self) -> float:
        """Share of mixtures that are made of several songs."""
        if not self.training:
            return 0.0
        return float(self.mixing != "coherent") if self.incoherent is None else self.incoherent

    @property
    def removal(self) -> Removal | None:
        """What is taken from the labels."""
        if self.remove is None or not self.training:
            return None
        return Removal(self.remove, self.remove_fraction, self.seed)


class MixtureSampler:
    """The mixtures of one data set.

    Args:
        catalog: The data set.
        hierarchy: Whose nodes.
        salient: The targets, one of which sounds in every clip.
        options: What mixtures are drawn.
        nodes: The nodes of every item; None: each item asks for one of `salient`, with a query.

    Raises:
        ConfigError: If `mixing` is not understood.
        DataError: If there are no clips as the options want them.
        HierarchyError: If no stem can belong to any of `salient`, or stems are unclaimed and that is not allowed.
    """

    def __init__(
        self,
        catalog: Catalog,
        hierarchy: Hierarchy,
        salient: Sequence[str],
        options: MixtureOptions,
        *,
        nodes: Sequence[str] | None,
    ) -> None:
        self.catalog, self._options = catalog, options
        targets = _reachable(hierarchy, catalog, salient, every=nodes is not None)
        tracks = catalog.select(options.split)
        report_unclaimed(catalog, tracks, hierarchy, split=options.split, strict=options.strict)
        self.labels = Labels(
            catalog, hierarchy, removal=options.removal, leaves=_finest(hierarchy, targets if nodes is None else nodes)
        )
        whole = self.labels.whole(tracks)
        self._queries = (
            QueryPool(catalog, self.labels, whole, targets, query_s=options.query_s) if nodes is None else None
        )
        self._sampler = Sampler(
            catalog,
            self.labels,
            options.split,
            targets,
            wanted=nodes or (),
            rules=ClipRules(
                options.duration, options.silent, options.alone, balanced=options.balanced, ask=nodes is None
            ),
            askable=self._queries.askable if self._queries else None,
        )
        mixing = "incoherent" if options.mixing == "coherent" else options.mixing
        self._mixer = make_mixer(mixing, catalog, whole, hierarchy, options.duration) if options.remixed else None

    def fixed(self, count: int) -> list[Clip]:
        """List at most `count` clips, once and for all."""
        return self._sampler.fixed(count, self._options.seed)

    def draw(self, rng: np.random.Generator, clip: Clip | None = None) -> MixtureSpec:
        """Draw a mixture, of a clip that is drawn too unless it is given."""
        clip = clip or self._sampler.draw(rng)
        spec = self._song(clip)
        if self._mixer is not None and rng.random() < self._options.remixed:
            spec = dataclasses.replace(self._mixer.remix(clip, spec.claims, rng), target=clip.target)
        if self._queries is not None and clip.target is not None:
            query = self._queries.draw(clip.target, {clip.track, *(event.track for event in spec.events)}, rng)
            if query is None:  # every track that could show the target sounds in the remix, but not in the song
                spec = self._song(clip)
                query = self._queries.draw(clip.target, {clip.track}, rng)
            spec = dataclasses.replace(spec, query=query)
        return self._changed(spec, rng)

    def _song(self, clip: Clip) -> MixtureSpec:
        """The clip as it stands in its song."""
        claims = self.labels.of(clip.track).claims
        spec = excerpt_of_song(self.catalog, clip, claims, self._options.duration)
        return dataclasses.replace(spec, target=clip.target)

    def _changed(self, spec: MixtureSpec, rng: np.random.Generator) -> MixtureSpec:
        """Turn every stem of a training mixture up or down, and let some be augmented."""
        gain_db, share = self._options.gain_db, self._options.augment
        if not self._options.training or not (gain_db or share):
            return spec
        gains_db = rng.uniform(-gain_db, gain_db, len(spec.events)).tolist()
        seeds = rng.integers(2**31, size=len(spec.events)).tolist()
        chosen = (rng.random(len(spec.events)) < share).tolist()

        def change(event: Event, gain: float, seed: int, augmented: bool) -> Event:
            return dataclasses.replace(
                event, gain_db=event.gain_db + gain, augmentation=seed if augmented else event.augmentation
            )

        return dataclasses.replace(spec, events=tuple(map(change, spec.events, gains_db, seeds, chosen)))


def _reachable(hierarchy: Hierarchy, catalog: Catalog, nodes: Sequence[str], *, every: bool) -> tuple[str, ...]:
    """Those of `nodes` that a stem of the data set can belong to; all of them, if `every` and there are any."""
    reachable = hierarchy.reachable(dataset=catalog.dataset)
    found = tuple(node for node in nodes if node in reachable)
    if not found:
        raise HierarchyError(
            f"hierarchy '{hierarchy.name}' has no label for {named(nodes)} in the data set "
            f"'{catalog.dataset}'; no stem can belong there"
        )
    return tuple(nodes) if every else found


def _finest(hierarchy: Hierarchy, nodes: Sequence[str]) -> tuple[str, ...]:
    """Those of `nodes` that have none of the others below them."""
    return tuple(node for node in nodes if not set(hierarchy.descendants(node)) & set(nodes))


def report_unclaimed(
    catalog: Catalog, tracks: Sequence[int], hierarchy: Hierarchy, *, split: str | None, strict: bool = False
) -> None:
    """Warn of stems that no node claims and no ``ignore:`` names.

    Raises:
        HierarchyError: In place of the warning, if `strict`.
    """
    unclaimed = unclaimed_stems(catalog, tracks, hierarchy)
    if not unclaimed:
        return
    total = sum(len(catalog.tracks[track].stems) for track in tracks)
    message = (
        f"{catalog.folder}: {len(unclaimed)} of {total} stems in split '{split}' are claimed by no "
        f"node of hierarchy '{hierarchy.name}' and sound in the mixture only, first {unclaimed[0].path}; "
        "label them, or name them under 'ignore:'"
    )
    if strict:
        raise HierarchyError(message)
    warnings.warn(message, HiersepWarning, stacklevel=5)
