"""The source-specific separator (SSS): the nodes of one path, coarse to fine, from one network.

Log-magnitude spectrum, batch normalisation, a backbone (the paper's is a recurrent stack), and a fully connected layer
with a sigmoid that gives one mask per level; the hierarchical constraint makes every level the running maximum of those
below it. Complex masks have neither bound nor constraint.

Reference:
    Manilow, Wichern, Le Roux, "Hierarchical Musical Instrument Separation", ISMIR 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hiersep.errors import ConfigError
from hiersep.hierarchy import Hierarchy
from hiersep.models.constraints import PathMasks
from hiersep.models.separator import MaskingSeparator, chosen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hiersep.config import NetworkConfig, SpectrumConfig


class PathSeparator(MaskingSeparator):
    """Estimate the nodes of one path of a hierarchy from a mixture.

    Channels are separated independently, with the same weights.

    Args:
        hierarchy: The hierarchy that holds the path, or what `Hierarchy.load` takes.
        nodes: Ids of one or several nodes on one path below the root, coarse to fine.
        sample_rate: Rate of the waveforms in Hz.
        spectrum: The STFT's sizes.
        network: The backbone and its sizes, the kind of mask, and the constraint.

    Shape:
        forward: (batch, channel, time) -> (batch, node, channel, time).

    Raises:
        ConfigError: If the nodes do not lie on one path, coarse to fine, or a setting makes no network.
        HierarchyError: If the hierarchy or a node is not known.

    Example:
        >>> import torch
        >>> model = PathSeparator(
        ...     "slakh_ismir2020", ["guitar", "clean_guitars"], network={"hidden_size": 4, "num_layers": 1}
        ... )
        >>> model(torch.zeros(2, 1, 1000)).shape
        torch.Size([2, 2, 1, 1000])
    """

    kind = "path"

    def __init__(
        self,
        hierarchy: Hierarchy | str | Mapping[str, Any],
        nodes: Sequence[str],
        *,
        sample_rate: int = 16000,
        spectrum: SpectrumConfig | Mapping[str, Any] | None = None,
        network: NetworkConfig | Mapping[str, Any] | None = None,
    ):
        hierarchy = Hierarchy.load(hierarchy)
        if not nodes:
            raise ConfigError("nodes: expected one or more ids of a path, got none")
        path = hierarchy.path(nodes[-1])[1:]
        if not path:
            raise ConfigError(f"nodes: expected nodes below the root, got the root, {', '.join(nodes)}")
        nodes = chosen(nodes, path, "nodes")
        super().__init__(hierarchy, sample_rate=sample_rate, spectrum=spectrum, network=network, num_outputs=len(nodes))
        self.nodes = nodes
        self.bound = PathMasks(self.network_config.constraint)

    def get_model_args(self) -> dict[str, Any]:
        """Arguments that make this network again, JSON-able."""
        return {**super().get_model_args(), "nodes": list(self.nodes)}
