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
