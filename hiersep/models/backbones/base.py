"""What the backbones share: the protocol, and the way a condition joins the features of every frame."""

from __future__ import annotations

import torch
from torch import nn


class Backbone(nn.Module):
    """A network from a spectrum's features to one vector per frame.

    Attributes:
        output_size: Length of a frame's vector, ``hidden`` below.

    Shape:
        features: (batch, channel, freq, frame); condition: (batch, dim), or None where the network was made
            without one; output: (batch, frame, hidden).
    """

    output_size: int

    def make_head(self, num_outputs: int, n_freq: int, parts: int = 1) -> nn.Linear:
        """Make the layer from what the backbone gives to the values that masks are made of.

        Its rows are ordered by output, then by bin, then by part. So an output's rows stand together, whatever the
        backbone: they can be frozen, and taken over by another network.

        Args:
            num_outputs: Values per bin, of a part.
            n_freq: Frequency bins.
            parts: Of a value: 1, or 2 where masks are complex.

        Shape:
            the layer's input: (batch, frame, hidden); its output: (batch, frame, num_outputs * n_freq * parts).
        """
        return nn.Linear(self.output_size, num_outputs * n_freq * parts)


def frame_vectors(features: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
    """Lay a frame's channels and bins side by side, and the condition beside them.

    Shape:
        features: (batch, channel, freq, frame); condition: (batch, dim);
        output: (batch, frame, channel * freq + dim).

    Example:
        >>> frame_vectors(torch.zeros(2, 1, 5, 7), torch.zeros(2, 3)).shape
        torch.Size([2, 7, 8])
    """
    frames = features.flatten(1, 2).transpose(1, 2)  # (batch, frame, channel * freq)
    if condition is None:
        return frames
    repeated = condition[:, None].expand(-1, frames.shape[1], -1)  # (batch, frame, dim)
    return torch.cat([frames, repeated], dim=-1)
