"""From a mixture to the nodes of a network, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hiersep.separation.passage import Passage

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import torch

    from hiersep.models.separator import Separator
    from hiersep.separation.settings import SeparationSettings


def separate(
    samples: npt.NDArray[Any],
    sample_rate: int,
    model: Separator,
    *,
    nodes: Sequence[str] | None = None,
    condition: torch.Tensor | None = None,
    device: str = "cpu",
    settings: SeparationSettings | None = None,
) -> npt.NDArray[np.float32]:
    """Estimate nodes of a network from audio of any length, rate and number of channels.

    Args:
        samples: The mixture.
        sample_rate: Its rate in Hz.
        model: The network.
        nodes: Names of the wanted nodes. Default: all that the network estimates.
        condition: The anchor, for a network that is asked by a query.
        device: Where to run.
        settings: How the mixture is cut, and more.

    Shape:
        samples: (channel, time); condition: (1, dim); output: (node, channel, time), nodes in the network's order.

    Raises:
        ConfigError: If a network that needs an anchor has none, or another one has it.
        DataError: If there are no samples.
        HierarchyError: If the network does not estimate a wanted node.
    """
    passage = Passage(model, nodes=nodes, condition=condition, device=device, settings=settings)
    return passage.whole(samples, sample_rate)
