"""The hierarchical constraint: a parent holds at least what its child holds.

At adjacent levels of a path the parent's mask becomes the element-wise maximum of its own and its child's, from the
target upward, so every level carries the running maximum of all below it. (The paper's published code returns
the child's mask where the maximum was meant; this is the definition.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from hiersep.typed import expect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hiersep.hierarchy import Hierarchy


def running_maximum(masks: torch.Tensor) -> torch.Tensor:
    """Apply the hierarchical constraint to the masks of a path.

    Idempotent; the finest level is unchanged; never lowers a mask.

    Args:
        masks: Real masks of a path, coarse to fine.

    Shape:
        masks: (batch, node, ...); output: same.

    Reference:
        Manilow, Wichern, Le Roux, ISMIR 2020, "Hierarchical Constraints".

    Example:
        >>> running_maximum(torch.tensor([[0.1, 0.7, 0.4]]))
        tensor([[0.7000, 0.7000, 0.4000]])
    """
    levels = list(masks.unbind(dim=1))  # coarse to fine
    for parent in reversed(range(len(levels) - 1)):
        # torch.maximum and not cummax: it exports to ONNX, and splits the gradient of a tie between both masks.
        levels[parent] = torch.maximum(levels[parent], levels[parent + 1])
    return torch.stack(levels, dim=1)


class HierarchicalConstraint(nn.Module):
    """The constraint as a layer, without parameters.

    Args:
        kind: ``max``: every level becomes the running maximum of those below it; ``none``: masks pass as they are.

    Shape:
        masks: (batch, node, ...), a path, coarse to fine; output: same.

    Raises:
        ConfigError: If the kind is another.

    Example:
        >>> HierarchicalConstraint("max")(torch.tensor([[0.1, 0.7]]))
        tensor([[0.7000, 0.7000]])
    """

    def __init__(self, kind: Literal["none", "max"] = "max"):
        super().__init__()
        expect(kind in ("none", "max"), "constraint", "none or max", kind)
        self.kind = kind

    def forward(self, masks: torch.Tensor) -> torch.Tensor:
        """Apply the constraint; shapes as the class says."""
        return running_maximum(masks) if self.kind == "max" else masks

    def extra_repr(self) -> str:
        """Name the kind in the module's printed form."""
        return self.kind


class PathMasks(HierarchicalConstraint):
    """What makes the masks of a path from a head's values: a sigmoid and the constraint; complex values are left alone.

    Shape:
        values: (batch, node, ...), unbounded; output: same, in [0, 1] where real.
    """

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Make masks; shapes as the class says."""
        return values if values.is_complex() else super().forward(values.sigmoid())


def kind_of(hierarchy: Hierarchy, nodes: Sequence[str]) -> str:
    """Call nodes of one path a ``path``, and others a ``tree``.

    Args:
        hierarchy: Where they stand.
        nodes: In the hierarchy's order.
    """
    return "path" if set(nodes) <= set(hierarchy.path(nodes[-1])) else "tree"
