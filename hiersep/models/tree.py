"""The tree separator: every node of a hierarchy at once, and what no node claims, so that it all adds up.

At every parent the network decides, bin by bin, how the parent's mask is split between its children and an explicit
remainder: a softmax. So children and remainder are the parent, at every level, and the first level the mixture. The
remainder is no node; it holds what belongs to the parent and to none of its children.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from hiersep.errors import ConfigError
from hiersep.hierarchy import Hierarchy
from hiersep.models.separator import MaskingSeparator, Separation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hiersep.config import NetworkConfig, SpectrumConfig


class Branching(NamedTuple):
    """A parent and those of its children that are estimated, by position.

    Attributes:
        parent: Its id.
        position: Of the parent among the nodes; None for the root.
        children: Their positions among the nodes, where they stand side by side.
    """

    parent: str
    position: int | None
    children: range


class TreeSeparator(MaskingSeparator):
    """Estimate every node of a tree; children and remainder sum to their parent, and the whole tree to the mixture.

    Channels are separated independently, with the same weights.

    Args:
        hierarchy: The hierarchy, or what `Hierarchy.load` takes.
        nodes: Ids of the nodes wanted, in the hierarchy's order: with a node also its parent. Children that are left
            out are in the remainder. Default: all nodes below the root.
        sample_rate: Rate of the waveforms in Hz.
        spectrum: The STFT's sizes.
        network: The backbone and its sizes. A tree needs real masks, and holds the constraint by itself.

    Attributes:
        branchings: The parents, coarse to fine.

    Shape:
        forward: (batch, channel, time) -> (batch, node, channel, time).

    Raises:
        ConfigError: If a node comes without its parent or out of order, masks are complex, or a setting makes no
            network.
        HierarchyError: If the hierarchy or a node is not known.

    Example:
        >>> model = TreeSeparator("musdb18", network={"hidden_size": 4, "num_layers": 1}).eval()
        >>> mixture = torch.rand(2, 1, 1000)
        >>> estimates = model(mixture)
        >>> remainders = model.remainders(model.separate_batch(mixture))
        >>> top = [model.nodes.index(node) for node in model.hierarchy.root.children]
        >>> torch.allclose(estimates[:, top].sum(1) + remainders["mixture"], mixture, atol=1e-5)
        True
    """

    kind = "tree"

    def __init__(
        self,
        hierarchy: Hierarchy | str | Mapping[str, Any],
        nodes: Sequence[str] | None = None,
        *,
        sample_rate: int = 16000,
        spectrum: SpectrumConfig | Mapping[str, Any] | None = None,
        network: NetworkConfig | Mapping[str, Any] | None = None,
    ):
        hierarchy = Hierarchy.load(hierarchy)
        wanted = _checked_tree(hierarchy, hierarchy.ids[1:] if nodes is None else nodes)
        branchings = tuple(_branchings(hierarchy, wanted))
        super().__init__(
            hierarchy,
            sample_rate=sample_rate,
            spectrum=spectrum,
            network=network,
            num_outputs=len(wanted) + len(branchings),
        )
        if self.network_config.mask != "real":
            raise ConfigError(
                "network.mask: expected real masks for a tree, where they are shares of their parent's; got complex"
            )
        self.nodes, self.branchings = wanted, branchings

    def masks_of(self, values: torch.Tensor) -> torch.Tensor:
        """Split every parent's mask between its children; shapes as the base class says.

        The head's values are, parent by parent, one for each child and one for the remainder. Nodes stand breadth
        first, so the children come out in the nodes' order, and every parent before them.
        """
        masks: list[torch.Tensor] = []
        sizes = [len(branching.children) + 1 for branching in self.branchings]
        for branching, logits in zip(self.branchings, torch.split(values, sizes, dim=1), strict=True):
            shares = torch.softmax(logits, dim=1)[:, :-1]  # (batch, child, channel, freq, frame)
            if branching.position is not None:
                shares = shares * masks[branching.position][:, None]
            masks.extend(shares.unbind(dim=1))
        return torch.stack(masks, dim=1)

    def remainders(self, separation: Separation) -> dict[str, torch.Tensor]:
        """What belongs to a parent and to none of its children, by the parent's id.

        Args:
            separation: What `separate_batch` gave.

        Shape:
            output: (batch, channel, time) each.
        """
        whole = torch.ones_like(separation.masks[:, 0])
        masks = [
            (whole if position is None else separation.masks[:, position])
            - separation.masks[:, children.start : children.stop].sum(dim=1)
            for _, position, children in self.branchings
        ]
        waveforms = separation._replace(masks=torch.stack(masks, dim=1)).waveforms()
        return {branching.parent: waveforms[:, number] for number, branching in enumerate(self.branchings)}

    def get_model_args(self) -> dict[str, Any]:
        """Arguments that make this network again, JSON-able."""
        return {**super().get_model_args(), "nodes": list(self.nodes)}


def _checked_tree(hierarchy: Hierarchy, nodes: Sequence[str]) -> tuple[str, ...]:
    if not nodes:
        raise ConfigError("nodes: expected one or more ids of a tree, got none")
    positions = [hierarchy.index(node) for node in nodes]
    if positions[0] == 0 or positions != sorted(set(positions)):
        raise ConfigError(
            "nodes: expected ids below the root, each once and in the hierarchy's order; got " + ", ".join(nodes)
        )
    for node in nodes:
        parent = hierarchy.node(node).parent
        if parent != hierarchy.root.id and parent not in nodes:
            raise ConfigError(f"nodes: expected '{parent}' beside '{node}', whose parent it is; got it not; add it")
    return tuple(nodes)


def _branchings(hierarchy: Hierarchy, nodes: tuple[str, ...]) -> list[Branching]:
    place = {node: position for position, node in enumerate(nodes)}
    found = []
    for parent in (hierarchy.root.id, *nodes):
        children = [place[child] for child in hierarchy.node(parent).children if child in place]
        if children:
            found.append(Branching(parent, place.get(parent), range(children[0], children[-1] + 1)))
    return found
