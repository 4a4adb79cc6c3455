"""Means per node over an epoch, however its items fall into batches and processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import distributed

if TYPE_CHECKING:
    from collections.abc import Sequence


class NodeMeans:
    """Sums and counts per node of what is measured item by item.

    The mean of batches' means is not the mean of the items: batches know a node more or less often, and the last one
    is smaller. Several processes (torch.distributed) count together; all must ask for means, and for the state,
    equally often.

    Args:
        n_nodes: Length of the node axis.

    Example:
        >>> means = NodeMeans(2)
        >>> means.add(torch.tensor([[1.0, 5.0], [3.0, 9.0]]), torch.tensor([[True, True], [True, False]]))
        >>> means.add(torch.tensor([[8.0, 9.0]]), torch.tensor([[True, False]]))
        >>> means.means([0, 1])
        (tensor([4., 5.], dtype=torch.float64), tensor(4.5000, dtype=torch.float64))
    """

    def __init__(self, n_nodes: int):
        self._totals = torch.zeros(2, n_nodes, dtype=torch.float64)  # sums, counts

    def reset(self) -> None:
        """Forget all items."""
        self._totals = torch.zeros_like(self._totals)

    def add(self, values: torch.Tensor, counts: torch.Tensor) -> None:
        """Take up the items of a batch.

        Args:
            values: What was measured.
            counts: Where it counts.

        Shape:
            values, counts: (batch, node).
        """
        precision = torch.float32 if values.device.type == "mps" else torch.float64  # mps has no doubles
        values = torch.where(counts, values.detach(), 0.0).to(precision)
        # Nothing here waits for a GPU.
        self._totals = self._totals.to(values) + torch.stack([values.sum(dim=0), counts.to(precision).sum(dim=0)])

    def means(self, nodes: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Divide sums by counts, over all processes.

        Args:
            nodes: Positions of the nodes that the mean of means is over; those of which no item counts are left out.

        Returns:
            The mean per node, NaN where no item counts; and the mean over `nodes` of these.

        Shape:
            outputs: (node,), scalar.
        """
        sums, counts = self._over_processes()
        per_node = sums / counts
        chosen = per_node[nodes]
        # By the counts: a loss that is no number must not be taken for one that is not known.
        return per_node, chosen[counts[nodes] > 0].mean()

    def state_dict(self) -> dict[str, Any]:
        """Sums and counts so far, for the training state."""
        return {"totals": self._over_processes().cpu()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the items of an earlier run up; of several processes the first keeps them for all."""
        first = not (distributed.is_available() and distributed.is_initialized()) or distributed.get_rank() == 0
        self._totals = state_dict["totals"] if first else torch.zeros_like(state_dict["totals"])

    def _over_processes(self) -> torch.Tensor:
        totals = self._totals
        if distributed.is_available() and distributed.is_initialized():
            totals = totals.clone()
            distributed.all_reduce(totals)
        return totals
