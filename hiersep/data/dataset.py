"""The door from multitracks to torch, nussl and asteroid: mixtures with the submix of every wanted node.

Items are tensors by default, built directly (an AudioSignal costs 0.1 ms each); `process_item` gives the same item
as nussl AudioSignals, and any nussl transform works on it.
"""

from __future__ import annotations

import itertools
import math
import os
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from hiersep.compat import nussl
from hiersep.data.catalog import open_dataset
from hiersep.data.mixing import mix, realise, realise_query
from hiersep.data.mixtures import MixtureOptions, MixtureSampler
from hiersep.data.sampling import interleave
from hiersep.errors import HierarchyError
from hiersep.hierarchy import Hierarchy
from hiersep.typed import expect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from hiersep.data.catalog import Catalog
    from hiersep.data.events import MixtureSpec
    from hiersep.data.mixers import Mixing
    from hiersep.data.sampling import Clip

    Item = dict[str, Any]
    Place = str | os.PathLike[str]


@dataclass(frozen=True)
class _Mixed:
    """One item, as arrays.

    Attributes:
        catalog: The data set that it is from.
        spec: What it is made of.
        nodes: Of the node axis.
        mixture: Shape: (channel, time).
        sources: Shape: (node, channel, time).
        known: Shape: (node,).
        query: Shape: (channel, time); None without one.
    """

    catalog: Catalog
    spec: MixtureSpec
    nodes: tuple[str, ...]
    mixture: npt.NDArray[np.float32]
    sources: npt.NDArray[np.float32]
    known: npt.NDArray[np.bool_]
    query: npt.NDArray[np.float32] | None


class HierarchicalMixtureDataset(nussl.datasets.BaseDataset):
    """Mixtures of multitracks with the submix of every wanted node of a hierarchy, mixed on the fly.

    Every stem of the track is in the mixture, whether a node claims it or not. The root is never a target: it is the
    mixture. In the split ``train`` each epoch (`set_epoch`) draws other clips; the clips of any other split are
    fixed once by the seed, and nothing in them is remixed, changed or removed.

    Args:
        folder: A data set that `open_dataset` recognises. Or several, of any depth, of which each item takes one; a
            node that a data set does not tell apart is marked as not known.
        hierarchy: A `Hierarchy`, or what `Hierarchy.load` takes: a shipped name, a file, a dict.
        split: ``train``, ``validation`` or ``test``; None takes all tracks, clips fixed.
        num_mixtures: Items of an epoch; of a fixed split at most, where it has fewer salient windows.
        target: A node: N is its path below the root, coarse to fine. A list of nodes: these. None: all nodes.
        query: Each item asks for one target, drawn from `target` (None: every leaf that a stem can belong to), and
            brings a query: a salient excerpt of a stem of it, from another track. N is the levels below the root; a
            target on a coarser level is repeated on the finer ones.
        levels: With queries, names of the levels wanted, coarse to fine. Default: all below the root.
        salient: Nodes of which one must sound in every clip. Default: the target; of a list, or of all nodes, any.
        duration: Length of a clip in seconds.
        query_duration: Length of a query in seconds. Default: `duration`.
        sample_rate: Working rate in Hz; stems at another rate are resampled.
        channels: 1 for mono (the mean of a stem's channels), 2 for stereo.
        mixing: How training mixtures are made that are not excerpts of songs as they are: ``coherent`` and
            ``incoherent`` play every part of a song from another one; a `MixingConfig`, a mapping or a file holds
            distributions, as scaper has them.
        incoherent: Share of the training mixtures that are made so. Default: none if `mixing` is ``coherent``, else
            all.
        gain_db: Every stem of a training mixture is turned up or down by a gain drawn uniformly within plus or minus
            this, so that few songs make many balances; 0 leaves the song's own. The sums stay exact.
        augment: Share of the stems of training mixtures that are augmented before the sum.
        silent: Share of the clips in which the target is silent (RMS below -60 dBFS) and something else is salient.
        alone: Of the other clips, share in which the target has no salient sibling; in the rest it has one. None: as
            it comes.
        balanced: Draw a target first, all alike, then a track in which it sounds, then a window. By default a track
            comes first, so that targets come as often as they occur.
        remove: What is taken from the training tracks that a hash of seed and name picks: ``all``, and they give
            nothing; or labels of the ``leaf``, and they give mixtures in which the finest of the wanted nodes is not
            known, and no queries.
        remove_fraction: Share of the tracks that are picked; those at 0.5 are among those at 0.9.
        weights: How often each of several data sets is drawn, relative to the others. Default: all alike.
        seed: Decides all draws, with the epoch and the index.
        strict: Make a stem that no node claims, whatever `open_dataset` mends or leaves out, and what is damaged later
            an error; by default a warning tells of them.
        splits: A published table of splits that the data set's reader knows; of several data sets, one for each.
        transform: A nussl transform, applied to what `process_item` gives. Default: tensors.
        jobs: Processes that measure the data set the first time; -1 takes all cores.

    Attributes:
        nodes: Ids of the node axis; with queries, where they change from item to item, the names of the levels.
        catalogs: The data sets; `catalog` is the first.

    Shape:
        An item is ``{"mix": (channel, time), "sources": (node, channel, time), "known": (node,) bool}``, and with
        queries ``"query": (channel, time)``.

    Raises:
        ConfigError: If an option is out of range.
        DataError: If the folder cannot be used, or there are no clips as the options want them.
        HierarchyError: If the hierarchy or a node is not known.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> dataset = HierarchicalMixtureDataset(
        ...     "data", "slakh_ismir2020", split="train", target="clean_guitars", num_mixtures=100
        ... )  # doctest: +SKIP
        >>> next(iter(DataLoader(dataset, batch_size=4)))["sources"].shape  # doctest: +SKIP
        torch.Size([4, 3, 1, 160000])
    """

    def __init__(  # noqa: PLR0913  (a public constructor: each option is keyword-only)
        self,
        folder: Place | Sequence[Place],
        hierarchy: Hierarchy | Place | Mapping[str, Any],
        *,
        split: str | None,
        num_mixtures: int,
        target: str | Sequence[str] | None = None,
        query: bool = False,
        levels: Sequence[str] | None = None,
        salient: Sequence[str] | None = None,
        duration: float = 10.0,
        query_duration: float | None = None,
        sample_rate: int = 16000,
        channels: int = 1,
        mixing: Mixing = "coherent",
        incoherent: float | None = None,
        gain_db: float = 0.0,
        augment: float = 0.0,
        silent: float = 0.0,
        alone: float | None = None,
        balanced: bool = False,
        remove: Literal["all", "leaf"] | None = None,
        remove_fraction: float = 0.5,
        weights: Sequence[float] | None = None,
        seed: int = 0,
        strict: bool = False,
        splits: str | Sequence[str | None] | None = None,
        transform: Callable[[Item], Item] | None = None,
        jobs: int = -1,
    ):
        self._options = MixtureOptions(
            split, duration, query_duration, mixing, incoherent, gain_db, augment, silent, alone, balanced, remove,
            remove_fraction, seed, strict,
        )  # fmt: skip
        expect(num_mixtures >= 1, "num_mixtures", "1 or more", num_mixtures)
        expect(channels in (1, 2), "channels", "1 or 2", channels)
        folders = _folders(folder)
        self._shares = _shares(weights, len(folders))
        self._edges = list(itertools.accumulate(self._shares))[:-1]
        self.hierarchy = Hierarchy.load(hierarchy)
        targets = _targets(self.hierarchy, target, query=query, salient=salient)
        self._depths = _depths(self.hierarchy, levels, query=query)
        self.nodes = node_axis(self.hierarchy, target, query=query, levels=levels)
        self.split, self.duration, self.seed, self._channels = split, duration, seed, channels
        self.catalogs = tuple(
            open_dataset(place, sample_rate=sample_rate, jobs=jobs, splits=table, strict=strict, lenient=not strict)
            for place, table in zip(folders, _of_each(splits, len(folders)), strict=True)
        )
        self._samplers = [
            MixtureSampler(catalog, self.hierarchy, targets, self._options, nodes=None if query else self.nodes)
            for catalog in self.catalogs
        ]
        self._epoch = torch.zeros(1, dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]  # so that persistent workers see a new epoch
        self._fixed = None if self._options.training else self._fixed_clips(num_mixtures)
        self._num_mixtures = num_mixtures if self._fixed is None else len(self._fixed)
        name = os.pathsep.join(map(str, folders))
        super().__init__(name, transform=transform, sample_rate=sample_rate, num_channels=channels)
        self.metadata["nodes"] = list(self.nodes)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]  # a copy has an epoch of its own, and workers too

    @property
    def catalog(self) -> Catalog:
        """The data set, of several the first."""
        return self.catalogs[0]

    def _fixed_clips(self, count: int) -> list[tuple[int, Clip]]:
        clips = [
            [(number, clip) for clip in sampler.fixed(math.ceil(share * count))]
            for number, (sampler, share) in enumerate(zip(self._samplers, self._shares, strict=True))
        ]
        return interleave(clips)[:count]

    def get_items(self, folder: str) -> list[int]:
        """List the items: their numbers, for the mixture is drawn when the item is made."""
        return list(range(self._num_mixtures))

    def set_epoch(self, epoch: int) -> None:
        """Make the split ``train`` draw the mixtures of this epoch from now on, in living workers too."""
        self._epoch.fill_(epoch)

    def spec(self, index: int) -> MixtureSpec:
        """What ``self[index]`` is made of: a pure function of (seed, epoch, index)."""
        return self._draw(self.items[index])[1]

    def catalog_of(self, index: int) -> Catalog:
        """The data set that ``self[index]`` is from, to whose tracks its `spec` points."""
        return self._draw(self.items[index])[0].catalog

    def _draw(self, item: int) -> tuple[MixtureSampler, MixtureSpec]:
        if self._fixed is not None:
            number, clip = self._fixed[item]
            return self._samplers[number], self._samplers[number].draw(
                np.random.default_rng([self.seed, 0, item]), clip
            )
        rng = np.random.default_rng([self.seed, int(self._epoch), item])
        number = bisect_right(self._edges, rng.random())
        return self._samplers[number], self._samplers[number].draw(rng)

    def _mixed(self, item: int) -> _Mixed:
        sampler, spec = self._draw(item)
        catalog = sampler.catalog
        nodes = self.nodes if spec.target is None else self.hierarchy.path_at(spec.target, self._depths)
        rows = [self.hierarchy.index(node) for node in nodes]
        membership, known = sampler.labels.of_mixture(spec)
        mixture, sources = mix(realise(catalog, spec, self._channels), membership[rows])
        query = realise_query(catalog, spec, self._channels)
        return _Mixed(catalog, spec, nodes, mixture, sources, known[rows], query)

    def process_item(self, item: int) -> Item:
        """Make an item as nussl does, of AudioSignals.

        Returns:
            ``{"mix": AudioSignal, "sources": {node: AudioSignal}, "metadata": {...}}``, and with queries ``"query":
            AudioSignal``. The metadata hold the data set, the track and its start in seconds, the nodes in their
            order, which of them are known, and with queries the target.
        """
        mixed = self._mixed(item)
        rate, track = mixed.catalog.sample_rate, mixed.spec.track
        metadata = {
            "dataset": mixed.catalog.dataset,
            "track": None if track is None else mixed.catalog.tracks[track].id,
            "start_s": mixed.spec.start_s,
            "nodes": list(mixed.nodes),
            "known": mixed.known.tolist(),
        }
        signals: Item = {
            "mix": self._load_audio_from_array(mixed.mixture, rate),
            "sources": {
                node: self._load_audio_from_array(source, rate)
                for node, source in zip(mixed.nodes, mixed.sources, strict=True)
            },
            "metadata": metadata,
        }
        if mixed.query is not None:
            metadata["target"] = mixed.spec.target
            signals["query"] = self._load_audio_from_array(mixed.query, rate)
        return signals

    def __getitem__(self, index: int) -> Item:
        if self.transform is not None:
            return dict(super().__getitem__(index))
        mixed = self._mixed(self.items[index])
        item = {
            "mix": torch.from_numpy(mixed.mixture),
            "sources": torch.from_numpy(mixed.sources),
            "known": torch.from_numpy(mixed.known),
        }
        return item if mixed.query is None else {**item, "query": torch.from_numpy(mixed.query)}


def node_axis(
    hierarchy: Hierarchy,
    target: str | Sequence[str] | None = None,
    *,
    query: bool = False,
    levels: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Name what stands on the node axis of a data set of these options: nodes, or levels where it brings queries.

    Raises:
        ConfigError: If levels are named that queries cannot lead to, or without queries.
        HierarchyError: If a node or a level is not in the hierarchy, or is its root.
    """
    depths = _depths(hierarchy, levels, query=query)
    return tuple(hierarchy.levels[depth] for depth in depths) if query else target_nodes(hierarchy, target)


def target_nodes(hierarchy: Hierarchy, target: str | Sequence[str] | None) -> tuple[str, ...]:
    """Name the nodes of the node axis, coarse to fine, in the hierarchy's order.

    Raises:
        HierarchyError: If a node is not in the hierarchy, or is its root.
    """
    if target is None:
        return hierarchy.ids[1:]
    wanted = hierarchy.path(target)[1:] if isinstance(target, str) else sorted(set(target), key=hierarchy.index)
    nodes = tuple(wanted)
    if not target:
        raise HierarchyError(f"hierarchy '{hierarchy.name}': expected at least one target, got none; name a node")
    if not nodes or hierarchy.root.id in nodes:
        raise HierarchyError(
            f"hierarchy '{hierarchy.name}': the root '{hierarchy.root.id}' is the mixture and no target; "
            "name a node below it"
        )
    return nodes


def _targets(
    hierarchy: Hierarchy, target: str | Sequence[str] | None, *, query: bool, salient: Sequence[str] | None
) -> tuple[str, ...]:
    """Name the nodes of which one sounds in every clip, in the order given."""
    expect(not (query and salient), "salient", "none beside queries, which name their target", salient)
    if query:
        asked = [target] if isinstance(target, str) else target
        return target_nodes(hierarchy, hierarchy.leaves if asked is None else asked)
    for node in salient or ():
        hierarchy.node(node)
    return tuple(salient or ([target] if isinstance(target, str) else target_nodes(hierarchy, target)))


def _depths(hierarchy: Hierarchy, levels: Sequence[str] | None, *, query: bool) -> list[int]:
    """Depths of the levels that queries lead to, coarse to fine; by default of all below the root."""
    expect(query or levels is None, "levels", "none without queries; name nodes", levels)
    depths = sorted({hierarchy.depth_of(level) for level in (hierarchy.levels[1:] if levels is None else levels)})
    expect(bool(depths) and 0 not in depths, "levels", "one or more levels below the root, the mixture", levels)
    return depths


def _folders(folder: Place | Sequence[Place]) -> list[Place]:
    folders = [folder] if isinstance(folder, str | os.PathLike) else list(folder)
    expect(bool(folders), "folder", "at least one data set", folder)
    return folders


def _shares(weights: Sequence[float] | None, count: int) -> list[float]:
    """How often each of several data sets is drawn."""
    given = [1.0] * count if weights is None else list(weights)
    fit = len(given) == count and all(0 < weight < math.inf for weight in given)
    expect(fit, "weights", f"{count} positive numbers, one per data set", weights)
    return [weight / sum(given) for weight in given]


def _of_each(splits: str | Sequence[str | None] | None, count: int) -> list[str | None]:
    given = [splits] * count if splits is None or isinstance(splits, str) else list(splits)
    expect(len(given) == count, "splits", f"one for each of {count} data sets", splits)
    return given
