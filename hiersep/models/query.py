"""The query-by-example separator (QBE): the levels of whichever path an example of the wanted sound leads to.

A query network gives every bin of the example's spectrum an embedding. The mean over the bins in which the example is
present, at unit length, is the *anchor*; concatenated to every frame of the mixture's features, louder by a factor if
that is wanted, it tells the masking network what to look for.

Reference:
    Manilow, Wichern, Le Roux, "Hierarchical Musical Instrument Separation", ISMIR 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from hiersep.config import QueryConfig
from hiersep.errors import ConfigError, DataError
from hiersep.hierarchy import Hierarchy
from hiersep.models.backbones import BLSTM
from hiersep.models.constraints import PathMasks
from hiersep.models.separator import MaskingSeparator, chosen, level_db

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hiersep.config import NetworkConfig, SpectrumConfig

# An example whose loudest bin lies below this is silence; relative to a sine of full scale, whatever the window.
_SILENT_DB = -80.0


class QueryNetwork(nn.Module):
    """From the spectrum of an example to its anchor: level in dB, batch normalisation, LSTM stack, embedding per bin.

    Args:
        n_freq: Frequency bins.
        config: Sizes.

    Shape:
        spectrum: (batch, channel, freq, frame), complex; output: (batch, embedding_size), of unit length.

    Example:
        >>> network = QueryNetwork(513, QueryConfig(hidden_size=4))
        >>> anchors = network(torch.randn(2, 1, 513, 7, dtype=torch.complex64))
        >>> torch.allclose(anchors.norm(dim=1), torch.ones(2))
        True
    """

    def __init__(self, n_freq: int, config: QueryConfig):
        super().__init__()
        self.presence = 10 ** (config.presence_db / 20)
        self.norm = nn.BatchNorm1d(n_freq)
        self.backbone = BLSTM(
            n_freq, hidden_size=config.hidden_size, num_layers=config.num_layers, dropout=config.dropout
        )
        self.head = nn.Linear(self.backbone.output_size, n_freq * config.embedding_size)

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Find the anchor; the channels of an example are looked at one by one, and their bins averaged together."""
        batch = len(spectrum)
        flat = spectrum.flatten(0, 1)  # (batch * channel, freq, frame)
        hidden = self.backbone(self.norm(level_db(flat))[:, None])  # (batch * channel, frame, hidden)
        present = self.present(spectrum).flatten(0, 1).to(hidden)  # (batch * channel, freq, frame)
        # The head is linear, so the mean over bins of its output is its output at the mean, frequency by frequency:
        # a twentieth of the products, and never an embedding for each bin of each frame in memory.
        sums = torch.unflatten(present @ hidden, 0, (batch, -1)).sum(dim=1)  # (batch, freq, hidden)
        counts = torch.unflatten(present.sum(dim=2), 0, (batch, -1)).sum(dim=1)  # (batch, freq)
        weight = torch.unflatten(self.head.weight, 0, (counts.shape[1], -1))  # (freq, embedding, hidden)
        bias = torch.unflatten(self.head.bias, 0, (counts.shape[1], -1))  # (freq, embedding)
        total = torch.einsum("bfh,feh->be", sums, weight) + counts @ bias
        return functional.normalize(total, dim=1)

    def present(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Say which bins hold the example: those that reach a share of its loudest bin.

        Shape:
            spectrum: (batch, channel, freq, frame), complex; output: same, bool.
        """
        magnitude = spectrum.abs()
        return magnitude >= self.presence * magnitude.amax(dim=(1, 2, 3), keepdim=True)


class QuerySeparator(MaskingSeparator):
    """Estimate the levels of a path from a mixture and an example of the path's end.

    Channels of the mixture are separated independently, with the same weights and the same anchor.

    Args:
        hierarchy: The hierarchy whose levels are estimated, or what `Hierarchy.load` takes.
        levels: Names of the levels wanted, coarse to fine; default: all below the root.
        sample_rate: Rate of the waveforms in Hz.
        spectrum: The STFT's sizes, for mixture and query.
        network: The backbone and its sizes, the kind of mask, and the constraint.
        query: The query network's sizes.

    Attributes:
        nodes: The levels' names, of the node axis.

    Shape:
        forward: (batch, channel, time), (batch, channel, time) -> (batch, node, channel, time). One query, or one
        anchor, may serve all mixtures.

    Raises:
        ConfigError: If the levels are not the hierarchy's, coarse to fine, or a setting makes no network.
        HierarchyError: If the hierarchy is not known.

    Example:
        >>> sizes = {"hidden_size": 4, "num_layers": 1}
        >>> model = QuerySeparator("slakh34", network=sizes, query=sizes).eval()
        >>> model(torch.zeros(2, 1, 1000), torch.ones(1, 1, 700)).shape
        torch.Size([2, 3, 1, 1000])
    """

    kind = "query"

    def __init__(
        self,
        hierarchy: Hierarchy | str | Mapping[str, Any],
        levels: Sequence[str] | None = None,
        *,
        sample_rate: int = 16000,
        spectrum: SpectrumConfig | Mapping[str, Any] | None = None,
        network: NetworkConfig | Mapping[str, Any] | None = None,
        query: QueryConfig | Mapping[str, Any] | None = None,
    ):
        hierarchy = Hierarchy.load(hierarchy)
        nodes = chosen(levels, hierarchy.levels[1:], "levels")
        query_config = QueryConfig.of(query)
        super().__init__(
            hierarchy,
            sample_rate=sample_rate,
            spectrum=spectrum,
            network=network,
            num_outputs=len(nodes),
            condition_size=query_config.embedding_size,
        )
        self.nodes = nodes
        self.query_config = query_config
        self.query_network = QueryNetwork(self.stft.n_freq, query_config)
        self.bound = PathMasks(self.network_config.constraint)

    def embed(self, query: torch.Tensor) -> torch.Tensor:
        """Find the anchors of queries.

        Args:
            query: Examples at the network's sample rate; the channels of one are looked at together.

        Shape:
            query: (batch, channel, time), of any length; output: (batch, embedding_size), of unit length.

        Raises:
            ConfigError: If the axes are others.
            DataError: If a query has no samples, is not finite, or is silent: no bin of its spectrum reaches -80 dB of
                a full-scale sine's.
        """
        if query.ndim != 3:
            raise ConfigError(
                f"query: expected (batch, channel, time), got {tuple(query.shape)}; give one waveform for each mixture"
            )
        if not query.shape[-1]:
            raise DataError("query: expected a sound, got no samples; give an excerpt in which the target is heard")
        return self.embed_spectrum(self.stft(query))

    def embed_spectrum(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Find the anchors of queries given as spectra of the network's STFT.

        Args:
            spectrum: The spectra, or their magnitudes: the phase is not looked at.

        Shape:
            spectrum: (batch, channel, freq, frame); output: (batch, embedding_size), of unit length.

        Raises:
            DataError: If a query is not finite, or silent: no bin of its spectrum reaches -80 dB of a full-scale
                sine's.
        """
        loudest = spectrum.abs().amax(dim=(1, 2, 3))
        finite = loudest.isfinite()
        heard = loudest > 10 ** (_SILENT_DB / 20) * self.stft.window.sum() / 2  # of a full-scale sine
        if not bool((finite & heard).all()):
            wrong, what, cure = ~heard, "a sound, got silence", "in which the target is heard"
            if not bool(finite.all()):
                wrong, what, cure = ~finite, "finite samples, got NaN or infinity", "that is not damaged"
            places = ", ".join(map(str, torch.nonzero(wrong).flatten().tolist()))
            which = "" if len(spectrum) == 1 else f" (number {places} of the batch)"
            raise DataError(f"query: expected {what}{which}; give an excerpt {cure}")
        return torch.as_tensor(self.query_network(spectrum))

    def head_values(self, spectrum: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        """Run the masking network, which hears the anchor multiplied by ``anchor_scale``, up to its head.

        Shape:
            spectrum: (batch, channel, freq, frame), complex; condition: (batch, embedding_size);
            output: (batch, output, channel, freq, frame), complex where the masks are.
        """
        anchor = None if condition is None else self.query_config.anchor_scale * condition
        return super().head_values(spectrum, anchor)

    def condition_of(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Find the anchors of a batch's queries.

        Shape:
            output: (batch, embedding_size).
        """
        return self.embed(batch["query"])

    def forward(
        self, mixture: torch.Tensor, query: torch.Tensor | None = None, *, anchor: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Estimate the waveform of every level.

        Args:
            mixture: Mixtures.
            query: Examples; or else
            anchor: what `embed` gave for them.

        Shape:
            mixture: (batch, channel, time); query: (batch or 1, channel, time), (channel, time) or (time,);
            anchor: (batch or 1, embedding_size); output: (batch, node, channel, time).

        Raises:
            ConfigError: If there is neither a query nor an anchor, or both, or a shape is another.
            DataError: If a query is silent, or not finite.
        """
        batch, size = len(mixture), self.query_config.embedding_size
        if query is not None and anchor is None:
            anchor = self.embed(query[(None,) * (3 - query.ndim)])
            if len(anchor) not in (1, batch):
                raise ConfigError(
                    f"query: expected one, or one for each of the {batch} mixtures, got {len(anchor)}; give as many"
                )
        elif query is not None or anchor is None:
            raise ConfigError("expected a query or an anchor, got " + ("neither" if query is None else "both"))
        if anchor.shape not in ((1, size), (batch, size)):
            raise ConfigError(
                f"anchor: expected (1 or {batch}, {size}), one or as many as mixtures, got {tuple(anchor.shape)}; "
                "give what `embed` gave"
            )
        return self.separate_batch(mixture, anchor.expand(batch, -1)).waveforms()

    def get_model_args(self) -> dict[str, Any]:
        """Arguments that make this network again, JSON-able."""
        return {**super().get_model_args(), "levels": list(self.nodes), "query": self.query_config.to_dict()}


def average_anchors(anchors: torch.Tensor) -> torch.Tensor:
    """Make one anchor of those of several queries for the same sound: their mean, at unit length.

    Shape:
        anchors: (query, embedding_size); output: (1, embedding_size).

    Example:
        >>> average_anchors(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        tensor([[0.7071, 0.7071]])
    """
    return functional.normalize(anchors.mean(dim=0, keepdim=True), dim=1)
