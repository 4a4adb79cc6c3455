"""A transformer over time and over bands of the spectrum, in turn.

Bins that belong together, few at the bottom of the spectrum and many at its top, become one vector per frame. Blocks
then look along time within each band, and along the bands within each frame.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hiersep.errors import ConfigError
from hiersep.models.backbones.base import Backbone, frame_vectors
from hiersep.models.backbones.rotary import TransformerBlock


def band_widths(n_freq: int, num_bands: int, sample_rate: int) -> list[int]:
    """Split a spectrum's bins into bands that are about equally wide on the mel scale.

    Every bin is in exactly one band, and no band is empty: where mel bands would be narrower than a bin, at the bottom,
    they are one bin wide.

    Args:
        n_freq: Bins from 0 Hz to half the sample rate.
        num_bands: Bands, at most `n_freq`.
        sample_rate: In Hz.

    Returns:
        Bins of each band, from low to high.

    Raises:
        ConfigError: If there are more bands than bins.

    Example:
        >>> band_widths(513, 8, 16000)
        [17, 22, 32, 42, 59, 80, 110, 151]
    """
    if num_bands > n_freq:
        raise ConfigError(
            f"network.num_bands: expected at most the spectrum's {n_freq} bins, got {num_bands}; "
            "lower it, or raise spectrum.n_fft"
        )
    top = 2595 * math.log10(1 + sample_rate / 2 / 700)  # in mel
    hz = 700 * (10 ** (np.linspace(0, top, num_bands + 1) / 2595) - 1)
    places = np.arange(num_bands + 1)
    edges = np.round(hz / (sample_rate / 2) * n_freq).astype(int)
    # Each at least a bin above the one below; as bands widen upward, that never pushes the topmost past the last bin.
    edges = np.maximum.accumulate(edges - places) + places
    return [int(width) for width in np.diff(edges)]


class BandHead(nn.Linear):
    """A fully connected layer per band, from the band's vector to the values of its own bins.

    It has as many rows as a layer over all bands side by side, in the same order, each over one band's vector only.

    Args:
        width: Dimensions of a band's vector.
        widths: Bins of each band, from low to high.
        num_outputs: Values per bin, of a part.
        parts: Of a value: 1, or 2 where masks are complex.

    Shape:
        bands: (..., band * width); output: (..., num_outputs * bin * parts).
    """

    def __init__(self, width: int, widths: list[int], num_outputs: int, parts: int = 1):
        super().__init__(width, num_outputs * sum(widths) * parts)
        self.widths = widths
        self.rows = (num_outputs, sum(widths), parts)

    def forward(self, bands: torch.Tensor) -> torch.Tensor:
        """Apply each band's layer; shapes as the class says."""
        vectors = bands.view(*bands.shape[:-1], len(self.widths), -1).unbind(-2)
        weights = torch.split(self.weight.view(*self.rows, -1), self.widths, dim=1)
        biases = torch.split(self.bias.view(*self.rows), self.widths, dim=1)
        values = [
            functional.linear(vector, weight.flatten(0, 2), bias.flatten()).view(*vector.shape[:-1], *bias.shape)
            for vector, weight, bias in zip(vectors, weights, biases, strict=True)
        ]  # each (..., output, bin of the band, part)
        return torch.cat(values, dim=-2).flatten(-3)


class BandSplit(Backbone):
    """Band-split transformer with rotary attention; a condition is concatenated to every band of every frame.

    Args:
        n_freq: Frequency bins.
        channels: Channels of the features.
        sample_rate: In Hz; with `n_freq` and `num_bands` it decides where the bands begin.
        width: Dimensions of a band's vector: `num_heads` times an even number.
        hidden_size: Units of the feed-forward networks.
        num_layers: Pairs of blocks, one over time and one over bands.
        num_heads: Heads of the attention.
        num_bands: Bands, at most `n_freq`.
        dropout: Probability in the blocks.
        condition_size: Dimensions of the condition; 0 for none.

    Shape:
        features: (batch, channels, n_freq, frame); condition: (batch, condition_size);
        output: (batch, frame, num_bands * width).

    Raises:
        ConfigError: If there are more bands than bins.

    Reference:
        Lu, Wang, Kong, Hung, "Music Source Separation with Band-Split RoPE Transformer", ICASSP 2024; bands after
        Luo, Yu, "Music Source Separation with Band-split RNN", TASLP 2023. Departures: bands by the mel scale, for any
        STFT, and not by a table for 44.1 kHz; features, normalised already, enter without another normalisation, which
        would take a band's level from it; one fully connected layer per band estimates its masks, where the papers
        have two.
    """

    def __init__(  # noqa: PLR0913  # the sizes of the network, keyword-only
        self,
        n_freq: int,
        *,
        channels: int,
        sample_rate: int,
        width: int,
        hidden_size: int,
        num_layers: int,
        num_heads: int,
        num_bands: int,
        dropout: float,
        condition_size: int = 0,
    ):
        super().__init__()
        self.output_size = num_bands * width
        self.widths = band_widths(n_freq, num_bands, sample_rate)
        self.embeddings = nn.ModuleList(nn.Linear(channels * bins + condition_size, width) for bins in self.widths)
        self.over_time, self.over_bands = (
            nn.ModuleList(
                TransformerBlock(width, hidden_size=hidden_size, num_heads=num_heads, dropout=dropout)
                for _ in range(num_layers)
            )
            for _ in range(2)
        )
        self.norm = nn.RMSNorm(width)

    def forward(self, features: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        """Run the network; shapes as the class says."""
        batch, frames = features.shape[0], features.shape[-1]
        bands = self.embed(features, condition)  # (batch, band, frame, width)
        for over_time, over_bands in zip(self.over_time, self.over_bands, strict=True):
            bands = over_time(bands.flatten(0, 1)).unflatten(0, (batch, -1))  # (batch, band, frame, width)
            bands = over_bands(bands.transpose(1, 2).flatten(0, 1)).unflatten(0, (batch, frames)).transpose(1, 2)
        return torch.as_tensor(self.norm(bands).transpose(1, 2).flatten(2))  # (batch, frame, band * width)

    def make_head(self, num_outputs: int, n_freq: int, parts: int = 1) -> BandHead:
        """Make the layer that gives each band's bins their values from that band's vector; arguments as the base's."""
        return BandHead(self.output_size // len(self.widths), self.widths, num_outputs, parts)

    def embed(self, features: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        """Project the channels and bins of every band, and the condition, to a vector.

        Shape:
            features: (batch, channel, freq, frame); condition: (batch, condition_size);
            output: (batch, band, frame, width).
        """
        parts = torch.split(features, self.widths, dim=2)  # each (batch, channel, bins of the band, frame)
        vectors = [embed(frame_vectors(part, condition)) for embed, part in zip(self.embeddings, parts, strict=True)]
        return torch.stack(vectors, dim=1)
