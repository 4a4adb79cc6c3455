"""The audio of listed clips: mixture, submixes, and what a level holds besides its node.

A clip is the same for every network: the peak of the mixture and of *all* submixes of the hierarchy is protected by one
gain, whatever nodes are wanted of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from hiersep.data.events import Event
from hiersep.data.labels import Labels
from hiersep.data.mixing import mix, realise, realise_query
from hiersep.data.sampling import Clip, excerpt_of_song
from hiersep.errors import DataError
from hiersep.metrics import rms_db

if TYPE_CHECKING:
    from hiersep.data.catalog import Catalog
    from hiersep.data.events import MixtureSpec
    from hiersep.evaluation.clips import ClipList, ClipPlace, QueryPlace
    from hiersep.models.separator import Separator


class ClipSet:
    """The clips of a list as tensors, for one separator.

    Args:
        clips: The list.
        catalog: Its data set.
        model: The separator, whose nodes are wanted; where it takes queries, those of the path to each target.
        channels: 1 or 2.

    Attributes:
        hierarchy: The separator's.
        levels: Names of the levels of the node axis.

    Shape:
        An item is ``{"mix": (channel, time), "sources": (node, channel, time), "known": (node,) bool, "remainder":
        (node, 2)}``, and with queries ``"query": (channel, time)``. ``remainder`` is what the node's parent in the
        hierarchy holds besides it, and what the mixture holds besides its topmost ancestor, RMS in dBFS.

    Raises:
        DataError: If the data set does not have a clip, or the network takes queries and a clip brings none.
        HierarchyError: If a target is no node of the network's hierarchy.
    """

    def __init__(self, clips: ClipList, catalog: Catalog, model: Separator, *, channels: int = 1):
        self.clips, self.catalog, self._channels = clips, replace(catalog, lenient=False), channels
        self.hierarchy = hierarchy = model.hierarchy
        self._asks = model.kind == "query"
        self._model_nodes = model.nodes
        self.levels = model.nodes if self._asks else tuple(hierarchy.node(node).level for node in model.nodes)
        self._labels = Labels(catalog, hierarchy)
        self._tracks = {track.id: number for number, track in enumerate(catalog.tracks)}
        self._specs = [self._spec(number, clip) for number, clip in enumerate(clips.clips)]

    def __len__(self) -> int:
        return len(self._specs)

    def _spec(self, number: int, clip: ClipPlace) -> MixtureSpec:
        if clip.track not in self._tracks:
            raise DataError(
                f"{self.catalog.folder}: has no track '{clip.track}', which clip {number} of the list is from; name "
                f"the data set that the list was made of ({self.clips.data})"
            )
        track, duration = self._tracks[clip.track], self.clips.duration
        event = None
        if self._asks:
            if clip.target is None or clip.query is None:
                raise DataError(
                    f"clip {number} of the list ({clip.track} at {clip.start_s:g} s): expected a target and a query "
                    "for a network that takes them, got none; take the list of an evaluation of such a network"
                )
            self.hierarchy.node(clip.target)
            event = self._event(number, clip.query)
        spec = excerpt_of_song(self.catalog, Clip(track, clip.start_s), self._labels.of(track).claims, duration)
        return replace(spec, target=clip.target, query=event) if self._asks else spec

    def _event(self, number: int, query: QueryPlace) -> Event:
        track = self._tracks.get(query.track, -1)
        stems = [stem.id for stem in self.catalog.tracks[track].stems] if track >= 0 else []
        if query.stem not in stems:
            raise DataError(
                f"{self.catalog.folder}: has no stem '{query.stem}' of a track '{query.track}', the query of clip "
                f"{number} of the list; name the data set that the list was made of ({self.clips.data})"
            )
        return Event(track, stems.index(query.stem), query.start_s, query.duration)

    def nodes(self, number: int) -> tuple[str, ...]:
        """Nodes of a clip, in the order of the node axis; the end of a path is repeated on the finer levels."""
        target = self._specs[number].target
        if target is None:
            return self._model_nodes
        return self.hierarchy.path_at(target, self.levels)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        spec, hierarchy = self._specs[number], self.hierarchy
        membership, known = self._labels.of_mixture(spec)
        # Many nodes hold the same stems, or none.
        rows, place = np.unique(membership, axis=0, return_inverse=True)
        mixture, submixes = mix(realise(self.catalog, spec, self._channels), rows)
        paths = [hierarchy.path(node) for node in self.nodes(number)]
        tops, parents, here = ([hierarchy.index(path[step]) for path in paths] for step in (1, -2, -1))
        signals, whole = torch.from_numpy(submixes), torch.from_numpy(mixture)
        sources = signals[place.reshape(-1)[here]]  # (node, channel, time)
        rest = [
            rms_db(signals[place.reshape(-1)[parents]] - sources),
            rms_db(whole - signals[place.reshape(-1)[tops]]),
        ]
        item = {
            "mix": whole,
            "sources": sources,
            "known": torch.from_numpy(known[here]),
            "remainder": torch.stack(rest, dim=1),
        }
        query = realise_query(self.catalog, spec, self._channels)
        if query is not None:
            item["query"] = torch.from_numpy(query)
        return item
