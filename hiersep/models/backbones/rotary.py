"""Transformer blocks whose attention knows how far apart two places are, and not where they stand.

Rotary embeddings turn every pair of a query's and a key's dimensions by an angle that grows with the position; their
product then depends on the difference of the positions alone, so that a sequence may be of any length.

Reference:
    Su, Lu, Pan, Murtadha, Wen, Liu, "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

# RoFormer's: pairs turn by 1 radian per place down to about 1 / 10000 of that.
_SLOWEST = 10000.0


def rotate(vectors: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Turn dimensions i and i + dim / 2 of each vector by ``position / 10000^(2 i / dim)`` radians.

    Args:
        vectors: Queries or keys.
        positions: Of the vectors in their sequence.

    Shape:
        vectors: (..., sequence, dim), dim even; positions: (sequence,); output: as vectors.

    Example:
        >>> rotate(torch.tensor([[1.0, 0.0]]), torch.tensor([torch.pi / 2])).round()
        tensor([[-0., 1.]])
    """
    half = vectors.shape[-1] // 2
    rates = _SLOWEST ** (-torch.arange(half, device=vectors.device) / half)
    angles = positions[:, None] * rates  # (sequence, dim / 2), radians
    cos, sin = angles.cos(), angles.sin()
    first, second = vectors.chunk(2, dim=-1)
    turned = torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
    return turned.to(vectors.dtype)


class RotaryAttention(nn.Module):
    """Multi-head self-attention with rotary position embeddings.

    Args:
        width: Dimensions of a vector: `num_heads` times an even number.
        num_heads: Heads.

    Shape:
        sequence: (batch, sequence, width); output: same.
    """

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.inputs = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """Attend; shapes as the class says."""
        positions = torch.arange(sequence.shape[1], device=sequence.device)
        heads = self.inputs(sequence).unflatten(-1, (3, self.num_heads, -1))  # (batch, sequence, 3, head, dim)
        queries, keys, values = heads.permute(2, 0, 3, 1, 4)  # each (batch, head, sequence, dim)
        attended = functional.scaled_dot_product_attention(rotate(queries, positions), rotate(keys, positions), values)
        return torch.as_tensor(self.output(attended.transpose(1, 2).flatten(2)))


class TransformerBlock(nn.Module):
    """Rotary attention and a feed-forward network, each normalised before and added to what came in.

    Args:
        width: Dimensions of a vector.
        hidden_size: Units of the feed-forward network.
        num_heads: Heads of the attention.
        dropout: Probability, on what is added.

    Shape:
        sequence: (batch, sequence, width); output: same.
    """

    def __init__(self, width: int, *, hidden_size: int, num_heads: int, dropout: float):
        super().__init__()
        self.attention = nn.Sequential(nn.RMSNorm(width), RotaryAttention(width, num_heads), nn.Dropout(dropout))
        self.feed_forward = nn.Sequential(
            nn.RMSNorm(width),
            nn.Linear(width, hidden_size),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_size, width),
            nn.Dropout(dropout),
        )

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """Run the block; shapes as the class says."""
        sequence = sequence + self.attention(sequence)
        return torch.as_tensor(sequence + self.feed_forward(sequence))
