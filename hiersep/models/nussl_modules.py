"""Our separators as layers of nussl's ``SeparationModel``, so that nussl's own ignite loop can train them.

nussl builds a model from a JSON config whose layers are named classes; importing this module registers ours with
nussl. There tensors are (batch, frame, freq, channel), masks have the nodes as a last axis, and magnitudes are those
of SciPy's STFT, which divides by the sum of the window. Real masks need no phase, so magnitudes are all that a
separator asks for; ``layers["mask"].separator`` is that separator, to be saved with `hiersep.models.checkpoint`.

nussl's transforms stack sources in the alphabetical order of their names. `NodeOrder`, placed before them, gives the
sources names whose alphabetical order is the hierarchy's.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hiersep.compat import nussl
from hiersep.errors import ConfigError, DataError, near_miss
from hiersep.models.constraints import HierarchicalConstraint
from hiersep.models.header import NETWORKS
from hiersep.models.query import QuerySeparator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hiersep.models.separator import MaskingSeparator

    Item = dict[str, Any]


class SeparatorMasks(nn.Module):
    """A separator as a layer of a nussl ``SeparationModel``: magnitudes in, masks out.

    Args:
        network: Name of the separator's class, as a checkpoint has it.
        arguments: What the class takes, as ``get_model_args`` gives it.

    Attributes:
        separator: The separator itself.

    Shape:
        mix_magnitude: (batch, frame, freq, channel); query_magnitude, for a `QuerySeparator`: (batch or 1, frame, freq,
        channel), of any number of frames; output: (batch, frame, freq, channel, node).

    Raises:
        ConfigError: If there is no such separator, its masks are complex, or a setting makes no network.
    """

    def __init__(self, network: str, arguments: Mapping[str, Any]):
        super().__init__()
        if network not in NETWORKS:
            raise ConfigError(f"network: expected {', '.join(NETWORKS)}, got {network!r}{near_miss(network, NETWORKS)}")
        module = importlib.import_module(NETWORKS[network])
        self.separator: MaskingSeparator = getattr(module, network)(**arguments)
        if self.separator.network_config.mask != "real":
            raise ConfigError("network.mask: expected real masks, as nussl's model sees no phase; got complex")

    def forward(self, mix_magnitude: torch.Tensor, query_magnitude: torch.Tensor | None = None) -> torch.Tensor:
        """Estimate masks; shapes as the class says."""
        condition = None
        if isinstance(self.separator, QuerySeparator):
            if query_magnitude is None:
                raise ConfigError("expected a query_magnitude beside mix_magnitude, got none; add `QueryMagnitude`")
            condition = self.separator.embed_spectrum(self._spectrum(query_magnitude)).expand(len(mix_magnitude), -1)
        masks = self.separator.estimate_masks(self._spectrum(mix_magnitude), condition)
        return masks.permute(0, 4, 3, 2, 1)  # (batch, frame, freq, channel, node)

    def _spectrum(self, magnitude: torch.Tensor) -> torch.Tensor:
        """The magnitudes of our own STFT, (batch, channel, freq, frame)."""
        stft = self.separator.stft
        if magnitude.ndim != 4 or magnitude.shape[2] != stft.n_freq:
            raise ConfigError(
                f"expected magnitudes (batch, frame, freq, channel) with {stft.n_freq} frequencies, got "
                f"{tuple(magnitude.shape)}; set dataset.stft_params = stft_params(separator)"
            )
        return magnitude.permute(0, 3, 2, 1) * stft.window.sum()


class PathConstraint(HierarchicalConstraint):
    """The hierarchical constraint behind nussl's own layers, for masks of a path with the nodes as the last axis.

    Args:
        kind: ``max`` or ``none``.

    Shape:
        masks: (..., node), coarse to fine; output: same.

    Example:
        >>> PathConstraint("max")(torch.tensor([[[0.1, 0.7]]]))
        tensor([[[0.7000, 0.7000]]])
    """

    def forward(self, masks: torch.Tensor) -> torch.Tensor:
        """Apply the constraint; shapes as the class says."""
        return super().forward(masks.movedim(-1, 1)).movedim(1, -1)


for _module in (SeparatorMasks, PathConstraint):
    nussl.ml.register_module(_module)


def nussl_config(separator: MaskingSeparator) -> dict[str, Any]:
    """Describe a network like this one, without its weights, as a config of nussl's ``SeparationModel``.

    Its inputs are ``mix_magnitude`` and, for a `QuerySeparator`, ``query_magnitude``; its outputs ``estimates``, which
    nussl's losses compare to ``source_magnitudes``, and ``mask``, which its ``DeepMaskEstimation`` applies.

    Returns:
        A mapping that JSON can hold.
    """
    inputs = ["mix_magnitude", *(["query_magnitude"] if isinstance(separator, QuerySeparator) else [])]
    network = {"network": type(separator).__name__, "arguments": separator.get_model_args()}
    return {
        "name": type(separator).__name__,
        "modules": {
            **{name: {} for name in inputs},
            "mask": {"class": SeparatorMasks.__name__, "args": network},
            "estimates": {"class": "Mask"},
        },
        "connections": [["mask", inputs], ["estimates", ["mask", "mix_magnitude"]]],
        "output": ["estimates", "mask"],
    }


def stft_params(separator: MaskingSeparator) -> Any:
    """Give the separator's STFT as nussl's ``STFTParams``, for ``dataset.stft_params`` and AudioSignals."""
    stft = separator.stft
    return nussl.STFTParams(window_length=stft.n_fft, hop_length=stft.hop_length, window_type="sqrt_hann")


class NodeOrder:
    """A nussl transform that makes the hierarchy's order of nodes survive the transforms after it.

    It goes before those that make spectra. They sort the sources by name, so each gets its place in the order in front
    of its name: ``000000 strings``. A node that a query's path repeats, which a dict holds once, is repeated again.
    """

    def __call__(self, data: Item) -> Item:
        """Rename the sources.

        Args:
            data: What `HierarchicalMixtureDataset.process_item` gives; without sources it is left as it is.

        Raises:
            DataError: If a node of the item is not known: nussl's losses cannot leave it out.
        """
        if "sources" in data:
            nodes, known = data["metadata"]["nodes"], data["metadata"]["known"]
            unknown = [node for node, is_known in zip(nodes, known, strict=True) if not is_known]
            if unknown:
                raise DataError(
                    f"nodes {', '.join(unknown)}: expected ground truth, which nussl's losses need of every node; got "
                    "a mixture whose labels do not tell them; take data that has it, or train with `hiersep train`"
                )
            data["sources"] = {f"{place:06d} {node}": data["sources"][node] for place, node in enumerate(nodes)}
        return data


class QueryMagnitude:
    """A nussl transform that adds ``query_magnitude``, (frame, freq, channel), to an item that has a ``query``.

    ``GetExcerpt`` leaves it whole.
    """

    def __call__(self, data: Item) -> Item:
        """Add the magnitudes; an item without a query is left as it is."""
        if "query" in data:
            data["query_magnitude"] = np.abs(data["query"].stft()).transpose(1, 0, 2)
        return data
