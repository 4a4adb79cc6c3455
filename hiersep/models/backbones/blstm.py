"""The paper's recurrent stack: a bidirectional LSTM over the frames."""

from __future__ import annotations

import torch
from torch import nn


class BLSTM(nn.Module):
    """Bidirectional LSTM over frames; a condition is concatenated to every frame's features.

    Args:
        n_features: Features per frame: channels times frequency bins.
        hidden_size: Units per direction.
        num_layers: Layers of the stack.
        dropout: Probability between layers, [0, 1).
        condition_size: Dimensions of the condition; 0 for none.

    Shape:
        features: (batch, channel, freq, frame); condition: (batch, condition_size);
        output: (batch, frame, 2 hidden_size).

    Reference:
        Manilow, Wichern, Le Roux, ISMIR 2020: 4 layers, 600 units, dropout 0.3.
    """

    def __init__(
        self,
        n_features: int,
        *,
        hidden_size: int = 600,
        num_layers: int = 4,
        dropout: float = 0.3,
        condition_size: int = 0,
    ):
        super().__init__()
        self.output_size = 2 * hidden_size
        self.lstm = nn.LSTM(
            n_features + condition_size,
            hidden_size,
            num_layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout
            if num_layers > 1
            else 0.0,  # torch warns of dropout on a single layer, where it does nothing
        )

    def forward(self, features: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        """Run the stack; shapes as the class says."""
        frames = features.flatten(1, 2).transpose(1, 2)  # (batch, frame, channel * freq)
        if condition is not None:
            repeated = condition[:, None].expand(-1, frames.shape[1], -1)  # (batch, frame, condition)
            frames = torch.cat([frames, repeated], dim=-1)
        hidden, _ = self.lstm(frames)
        return torch.as_tensor(hidden)
