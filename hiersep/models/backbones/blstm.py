"""The paper's recurrent stack: a bidirectional LSTM over the frames; and a way around it for little data."""

from __future__ import annotations

import torch
from torch import nn

from hiersep.models.backbones.base import Backbone, frame_vectors


class BLSTM(Backbone):
    """Bidirectional LSTM over frames; a condition is concatenated to every frame's features.

    With `skip`, a fully connected layer, batch normalisation and tanh stand before the stack, and what they give is
    added to the stack's output. A mask can then be read off a single frame from the first step on, and only
    what needs the context is left to the recurrence: it learns several times as fast on little data.

    Args:
        n_features: Features per frame: channels times frequency bins.
        hidden_size: Units per direction.
        num_layers: Layers of the stack.
        dropout: Probability between layers, [0, 1).
        condition_size: Dimensions of the condition; 0 for none.
        skip: Whether the frame's own features lead around the stack. The paper's network has no such way.

    Shape:
        features: (batch, channel, freq, frame); condition: (batch, condition_size);
        output: (batch, frame, 2 hidden_size).

    Reference:
        Manilow, Wichern, Le Roux, ISMIR 2020: 4 layers, 600 units, dropout 0.3. The way around is after
        open-unmix (Stoeter, Uhlich, Liutkus, Mitsufuji, JOSS 2019). Departure: added, not concatenated.
    """

    def __init__(
        self,
        n_features: int,
        *,
        hidden_size: int = 600,
        num_layers: int = 4,
        dropout: float = 0.3,
        condition_size: int = 0,
        skip: bool = False,
    ):
        super().__init__()
        n_inputs = n_features + condition_size
        self.projection: nn.Linear | None = None
        if skip:
            self.projection = nn.Linear(n_inputs, 2 * hidden_size)
            self.norm = nn.BatchNorm1d(2 * hidden_size)
            n_inputs = 2 * hidden_size
        self.output_size = 2 * hidden_size
        self.lstm = nn.LSTM(
            n_inputs,
            hidden_size,
            num_layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout if num_layers > 1 else 0.0,  # torch warns of dropout on a single layer, where it is idle
        )

    def forward(self, features: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        """Run the stack; shapes as the class says."""
        frames = frame_vectors(features, condition)
        if self.projection is None:
            return torch.as_tensor(self.lstm(frames)[0])
        projected = self.norm(self.projection(frames).transpose(1, 2)).tanh().transpose(1, 2)
        return torch.as_tensor(projected + self.lstm(projected)[0])
