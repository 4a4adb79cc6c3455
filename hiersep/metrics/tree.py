"""Whether the outputs of a separator form a tree, whatever the truth is.

In a hierarchy of sources a parent holds all that its children hold. Of the estimates one can ask, without a reference:
in how many bins, and with how much of its energy, a child is louder than its parent; how far the sum of the children is
from the parent; and how many outputs are next to nothing, which a network that gives up on a node yields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from hiersep.errors import HierarchyError
from hiersep.metrics.ratios import is_silent, ratio_db

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hiersep.hierarchy import Hierarchy
    from hiersep.models.separator import Separation

# What float32 may do to a product; no more is forgiven.
_ROUNDING = 1e-6


class TreeScores(NamedTuple):
    """How far a batch of outputs is from a tree.

    Attributes:
        exceeding_bins: Share of the bins in which a node is louder than its parent, (batch, node).
        exceeding_energy: Share of the node's energy that lies in those bins, (batch, node).
        near_silent: Whether the output is silent next to the mixture (under -60 dB), (batch, node).
        sum_error_db: Parent minus the sum of its children, in dB relative to the parent, (batch,) by the parent's id.
    """

    exceeding_bins: torch.Tensor
    exceeding_energy: torch.Tensor
    near_silent: torch.Tensor
    sum_error_db: dict[str, torch.Tensor]


class Kinship(NamedTuple):
    """Who is whose parent on the node axis; 0 is the mixture, the nodes count from 1.

    Attributes:
        parents: Of each node: its nearest ancestor that is estimated, or the mixture.
        families: Of the parents all of whose children are estimated: the children.
    """

    parents: tuple[int, ...]
    families: dict[int, tuple[int, ...]]

    @classmethod
    def of(cls, hierarchy: Hierarchy, nodes: Sequence[str]) -> Kinship:
        """Look at the nodes of a hierarchy, or at the levels of a path, as a `QuerySeparator` has them.

        Raises:
            HierarchyError: If a node is not known, or is the root.
        """
        if set(nodes) <= set(hierarchy.levels[1:]):  # whichever nodes a query leads to
            return cls(tuple(range(len(nodes))), {})
        if hierarchy.root.id in nodes:
            raise HierarchyError(f"nodes: expected none but nodes below the root, got the root, '{hierarchy.root.id}'")
        place = {hierarchy.root.id: 0, **{node: 1 + number for number, node in enumerate(nodes)}}
        parents = tuple(
            next(place[above] for above in reversed(hierarchy.path(node)[:-1]) if above in place) for node in nodes
        )
        families = {}
        for parent, number in place.items():
            children = hierarchy.node(parent).children
            if children and all(child in place for child in children):
                families[number] = tuple(place[child] for child in children)
        return cls(parents, families)

    def exceedance(self, separation: Separation) -> tuple[torch.Tensor, torch.Tensor]:
        """Share of the bins in which an output is louder than its parent's, and of its energy that lies there.

        Shape:
            outputs: (batch, node).
        """
        spectrum = separation.spectrum[:, None]
        magnitudes = torch.cat([spectrum, separation.masks * spectrum], dim=1).abs()
        return exceedance(magnitudes[:, 1:], magnitudes[:, list(self.parents)])

    def sum_errors_db(self, mixture: torch.Tensor, estimates: torch.Tensor) -> dict[int, torch.Tensor]:
        """Each parent of a family minus the sum of its children, in dB relative to the parent, (batch,).

        Shape:
            mixture: (batch, channel, time); estimates: (batch, node, channel, time).
        """
        signals = torch.cat([mixture[:, None], estimates], dim=1)
        return {
            parent: sum_error_db(signals[:, parent], signals[:, list(children)])
            for parent, children in self.families.items()
        }


def score_tree(separation: Separation, hierarchy: Hierarchy, nodes: Sequence[str]) -> TreeScores:
    """Measure how far the outputs for nodes of a hierarchy are from a tree.

    A node's parent is its nearest ancestor among `nodes`; the mixture if there is none. Sums are taken where all
    children of a parent (the mixture is one) are among `nodes`: on a path, of single children only.

    Args:
        separation: A network's output.
        hierarchy: The tree.
        nodes: Ids of the outputs, in their order; or, of a path that a query leads to, names of levels, coarse to
            fine, which have no sums.

    Raises:
        HierarchyError: If a node is not known, or is the root.
    """
    kinship, names = Kinship.of(hierarchy, nodes), (hierarchy.root.id, *nodes)
    waveforms = separation.waveforms()
    bins, energy = kinship.exceedance(separation)
    errors = kinship.sum_errors_db(separation.mixture, waveforms)
    sums = {names[parent]: error for parent, error in errors.items()}
    near_silent = is_silent(waveforms, separation.mixture)
    return TreeScores(bins, energy, near_silent, sums)


def exceedance(children: torch.Tensor, parents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Share of the bins in which a child is louder than its parent, and share of its energy that lies there.

    Args:
        children: Spectra or magnitudes of children.
        parents: Those of the parent of each.

    Returns:
        Shares of bins and of energy, in [0, 1]. A silent child exceeds nothing; NaN where either is not finite.

    Shape:
        children, parents: (..., channel, freq, frame); output: (...) twice.

    Example:
        >>> share, energy = exceedance(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, 1.0]]]))
        >>> share, energy
        (tensor(0.5000), tensor(0.8000))
    """
    children, parents, bins = children.abs(), parents.abs(), (-3, -2, -1)
    exceeds = children > parents * (1 + _ROUNDING)
    power = children.square()
    total = power.sum(dim=bins)
    energy = torch.where(exceeds, power, 0.0).sum(dim=bins) / total
    shares = exceeds.to(power.dtype).mean(dim=bins), torch.where(total > 0, energy, 0.0)
    broken = ~(children + parents).isfinite().flatten(-3).all(dim=-1)
    return shares[0].masked_fill(broken, torch.nan), shares[1].masked_fill(broken, torch.nan)


def sum_error_db(parents: torch.Tensor, children: torch.Tensor) -> torch.Tensor:
    """Parent minus the sum of its children, in dB relative to the parent; the lower, the better they add up.

    An explicit remainder is a child like any other.

    Returns:
        dB, within 120 dB of 0; NaN where the parent and the difference are silent.

    Shape:
        parents: (..., channel, time); children: (..., node, channel, time); output: (...).
    """
    difference = parents - children.sum(dim=-3)
    return ratio_db(difference.square().sum(dim=(-2, -1)), parents.square().sum(dim=(-2, -1)))
