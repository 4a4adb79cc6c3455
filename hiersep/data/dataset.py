"""The door from multitracks to torch, nussl and asteroid: mixtures with the submix of every wanted node.

Items are tensors by default, built directly (an AudioSignal costs 0.1 ms each); `process_item` gives the same item
as nussl AudioSignals, and any nussl transform works on it.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hiersep.compat import nussl
from hiersep.data import sampling
from hiersep.data.catalog import open_dataset
from hiersep.data.mixing import mix, read_stems
from hiersep.data.remixing import StemPool
from hiersep.errors import DataError, HierarchyError, HiersepWarning
from hiersep.hierarchy import Hierarchy
from hiersep.typed import expect

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from hiersep.data.catalog import Catalog

    Item = dict[str, Any]
    Claims = tuple[tuple[str | None, ...], npt.NDArray[np.float32], npt.NDArray[np.bool_]]


class HierarchicalMixtureDataset(nussl.datasets.BaseDataset):
    """Mixtures of multitracks with the submix of every wanted node of a hierarchy, mixed on the fly.

    Every stem of the track is in the mixture, whether a node claims it or not. The root is never a target: it is the
    mixture. In the split ``train`` each epoch (`set_epoch`) draws other clips; the clips of any other split are
    fixed once by the seed.

    Args:
        folder: A data set that `open_dataset` recognises.
        hierarchy: A `Hierarchy`, or what `Hierarchy.load` takes: a shipped name, a file, a dict.
        split: ``train``, ``validation`` or ``test``; None takes all tracks, clips fixed.
        target: A node: N is its path below the root, coarse to fine. A list of nodes: these. None: all nodes.
        salient: Nodes of which one must sound in every clip. Default: the target; of a list, or of all nodes, any.
        duration: Length of a clip in seconds.
        sample_rate: Working rate in Hz; stems at another rate are resampled.
        num_mixtures: Items of an epoch; of a fixed split at most, where it has fewer salient windows.
        channels: 1 for mono (the mean of a stem's channels), 2 for stereo.
        incoherent: In the split ``train``, share of the mixtures in which every part is played from another song
            (`StemPool`); the others are excerpts of songs as they are.
        gain_db: In the split ``train`` every stem is turned up or down by a gain drawn uniformly within plus or minus
            this, so that few songs make many balances; 0 leaves the song's own. The sums stay exact.
        seed: Decides all draws, with the epoch and the index.
        strict: Make a stem that no node claims an error; by default one warning counts them.
        transform: A nussl transform, applied to what `process_item` gives. Default: tensors.
        jobs: Processes that measure the data set the first time; -1 takes all cores.

    Shape:
        An item is ``{"mix": (channel, time), "sources": (node, channel, time), "known": (node,) bool}``.

    Raises:
        ConfigError: If an option is out of range.
        DataError: If the folder cannot be used, or the nodes are nowhere salient.
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
        folder: str | os.PathLike[str],
        hierarchy: Hierarchy | str | os.PathLike[str] | Mapping[str, Any],
        *,
        split: str | None,
        num_mixtures: int,
        target: str | Sequence[str] | None = None,
        salient: Sequence[str] | None = None,
        duration: float = 10.0,
        sample_rate: int = 16000,
        channels: int = 1,
        incoherent: float = 0.0,
        gain_db: float = 0.0,
        seed: int = 0,
        strict: bool = False,
        transform: Callable[[Item], Item] | None = None,
        jobs: int = -1,
    ):
        expect(duration > 0, "duration", "more than 0 seconds", duration)
        expect(num_mixtures >= 1, "num_mixtures", "1 or more", num_mixtures)
        expect(channels in (1, 2), "channels", "1 or 2", channels)
        expect(0 <= incoherent <= 1, "incoherent", "a share in [0, 1]", incoherent)
        expect(0 <= gain_db <= 60, "gain_db", "0 to 60 dB", gain_db)
        expect(seed >= 0, "seed", "0 or more", seed)
        self.hierarchy = Hierarchy.load(hierarchy)
        self.nodes = target_nodes(self.hierarchy, target)
        self.split, self.duration, self.seed = split, duration, seed
        self.catalog: Catalog = open_dataset(folder, sample_rate=sample_rate, jobs=jobs)
        self._channels = channels
        self._gain_db = gain_db if split == "train" else 0.0
        self._incoherent = incoherent if split == "train" else 0.0
        self._rows = [self.hierarchy.index(node) for node in self.nodes]
        self._claims_by_track: dict[int, Claims] = {}
        self._epoch = torch.zeros(1, dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]  # so that persistent workers see a new epoch
        salient = salient or ([target] if isinstance(target, str) else self.nodes)
        self._report_unclaimed(strict)
        self._clips = self._find_clips(salient)
        self._pool = self._find_stems() if self._incoherent else None
        if split != "train":
            self._fixed = sampling.fixed_list(self._clips, seed, num_mixtures, duration)
            num_mixtures = len(self._fixed)
        self._num_mixtures = num_mixtures
        super().__init__(str(folder), transform=transform, sample_rate=sample_rate, num_channels=channels)
        self.metadata["nodes"] = list(self.nodes)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]  # a copy has an epoch of its own, and workers too

    def _report_unclaimed(self, strict: bool) -> None:
        tracks = self.catalog.select(self.split)
        unclaimed = sampling.unclaimed_stems(self.catalog, tracks, self.hierarchy)
        if unclaimed:
            total = sum(len(self.catalog.tracks[track].stems) for track in tracks)
            message = (
                f"{self.catalog.folder}: {len(unclaimed)} of {total} stems in split '{self.split}' are claimed by no "
                f"node of hierarchy '{self.hierarchy.name}' and sound in the mixture only, first {unclaimed[0].path}; "
                "label them, or name them under 'ignore:'"
            )
            if strict:
                raise HierarchyError(message)
            warnings.warn(message, HiersepWarning, stacklevel=3)

    def _find_stems(self) -> StemPool:
        return StemPool(self.catalog, self.catalog.select(self.split), self.hierarchy, self.duration)

    def _find_clips(self, salient: Sequence[str]) -> list[tuple[sampling.Clip, ...]]:
        for node in salient:
            self.hierarchy.node(node)
        reachable = self.hierarchy.reachable(dataset=self.catalog.dataset)
        if not any(node in reachable for node in salient):
            raise HierarchyError(
                f"hierarchy '{self.hierarchy.name}' has no label for {_named(salient)} in the data set "
                f"'{self.catalog.dataset}'; no stem can belong there"
            )
        tracks = self.catalog.select(self.split)
        clips = sampling.salient_clips(self.catalog, tracks, self.hierarchy, salient, self.duration)
        if not clips:
            raise DataError(
                f"{self.catalog.folder}: {_named(salient)} is nowhere louder than {sampling.SALIENT_DB:.0f} dBFS in "
                f"split '{self.split}' ({len(tracks)} tracks); choose another target or more data"
            )
        return clips

    def get_items(self, folder: str) -> list[int]:
        """List the items: their numbers, for the clip is drawn when the item is made."""
        return list(range(self._num_mixtures))

    def set_epoch(self, epoch: int) -> None:
        """Make the split ``train`` draw the clips of this epoch from now on, in living workers too."""
        self._epoch.fill_(epoch)

    def clip(self, index: int) -> sampling.Clip:
        """Which excerpt an item holds: a pure function of (seed, epoch, index)."""
        if self.split != "train":
            return self._fixed[index]
        return sampling.draw(self._clips, self.seed, int(self._epoch), index)

    def _mixed(self, index: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        clip = self.clip(index)
        epoch = int(self._epoch)
        claims, membership, known = self._claims(clip.track)
        rng = sampling.remix_rng(self._incoherent, self.seed, epoch, index) if self._pool else None
        excerpts = self._pool.remix(clip, claims, rng) if self._pool and rng else sampling.coherent(self.catalog, clip)
        stems = read_stems(self.catalog, excerpts, self.duration, self._channels)
        if self._gain_db:
            gains_db = sampling.draw_gains(len(stems), self._gain_db, self.seed, epoch, index)
            stems *= np.float32(10) ** (gains_db[:, None, None] / 20)
        mixture, sources = mix(stems, membership)
        return mixture, sources, known

    def _claims(self, track: int) -> Claims:
        """Claims of a track's stems, the rows of its membership, and what is known; worked out once per track."""
        if track not in self._claims_by_track:
            claims = sampling.claims_of(self.catalog, track, self.hierarchy)
            membership, known = self.hierarchy.membership(claims), self.hierarchy.known(claims)
            self._claims_by_track[track] = claims, membership[self._rows], known[self._rows]
        return self._claims_by_track[track]

    def process_item(self, item: int) -> Item:
        """Make an item as nussl does, of AudioSignals.

        Returns:
            ``{"mix": AudioSignal, "sources": {node: AudioSignal}, "metadata": {...}}``. The metadata hold the
            track, its start in seconds, the nodes in their order, and which of them are known.
        """
        mixture, sources, known = self._mixed(item)
        clip = self.clip(item)
        return {
            "mix": self._load_audio_from_array(mixture, self.catalog.sample_rate),
            "sources": {
                node: self._load_audio_from_array(source, self.catalog.sample_rate)
                for node, source in zip(self.nodes, sources, strict=True)
            },
            "metadata": {
                "track": self.catalog.tracks[clip.track].id,
                "start_s": clip.start_s,
                "nodes": list(self.nodes),
                "known": known.tolist(),
            },
        }

    def __getitem__(self, index: int) -> Item:
        if self.transform is not None:
            return dict(super().__getitem__(index))
        mixture, sources, known = self._mixed(self.items[index])
        return {
            "mix": torch.from_numpy(mixture),
            "sources": torch.from_numpy(sources),
            "known": torch.from_numpy(known.copy()),
        }


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


def _named(nodes: Sequence[str]) -> str:
    return ", ".join(f"'{node}'" for node in nodes)
