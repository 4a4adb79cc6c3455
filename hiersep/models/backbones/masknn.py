"""asteroid's own mask networks as backbones, taken as they are.

Both lay out (batch, feature, frame) and estimate one mask per source. With one source, and as many "bins" as the head
wants, they are plain sequence networks; the rectifier, their own choice of activation, stands before our linear head.
Both normalise over all of an excerpt's frames, so what they give depends, a little, on where the excerpt ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hiersep.compat import asteroid
from hiersep.models.backbones.base import Backbone, frame_vectors

if TYPE_CHECKING:
    import torch
    from torch import nn


class TDConvNet(Backbone):
    """Conv-TasNet's temporal convolutional network; a condition is concatenated to every frame's features.

    Made without skip connections: with them the last block's residual convolution gets no gradient, which data
    parallel training refuses.

    Args:
        n_features: Features per frame: channels times frequency bins.
        width: Channels between the blocks.
        hidden_size: Channels inside a block, and of the output.
        num_layers: Blocks of a repeat; their dilations are 1, 2, 4, ...
        num_repeats: Repeats of that.
        kernel_size: Taps of a block's convolution in time, odd, so that no frame is gained or lost.
        condition_size: Dimensions of the condition; 0 for none.

    Shape:
        features: (batch, channel, freq, frame); condition: (batch, condition_size);
        output: (batch, frame, hidden_size).

    Reference:
        Luo, Mesgarani, "Conv-TasNet: Surpassing Ideal Time-Frequency Magnitude Masking for Speech Separation",
        TASLP 2019; `asteroid.masknn.TDConvNet`.
    """

    def __init__(
        self,
        n_features: int,
        *,
        width: int,
        hidden_size: int,
        num_layers: int,
        num_repeats: int,
        kernel_size: int,
        condition_size: int = 0,
    ):
        super().__init__()
        self.output_size = hidden_size
        self.network = asteroid.masknn.TDConvNet(
            n_features + condition_size,
            n_src=1,
            out_chan=hidden_size,
            n_blocks=num_layers,
            n_repeats=num_repeats,
            bn_chan=width,
            hid_chan=hidden_size,
            skip_chan=0,
            conv_kernel_size=kernel_size,
        )

    def forward(self, features: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        """Run the network; shapes as the class says."""
        return _run(self.network, features, condition)


class DPRNN(Backbone):
    """Dual-path recurrent network; a condition is concatenated to every frame's features.

    The frames are cut into half-overlapping chunks; one LSTM runs within the chunks, the next across them.

    Args:
        n_features: Features per frame: channels times frequency bins.
        width: Channels between the blocks.
        hidden_size: LSTM units per direction; the output has twice as many channels.
        num_repeats: Pairs of LSTMs.
        chunk_size: Frames of a chunk, even.
        condition_size: Dimensions of the condition; 0 for none.

    Shape:
        features: (batch, channel, freq, frame); condition: (batch, condition_size);
        output: (batch, frame, 2 hidden_size).

    Reference:
        Luo, Chen, Yoshioka, "Dual-path RNN: efficient long sequence modeling for time-domain single-channel speech
        separation", ICASSP 2020; `asteroid.masknn.DPRNN`.
    """

    def __init__(
        self,
        n_features: int,
        *,
        width: int,
        hidden_size: int,
        num_repeats: int,
        chunk_size: int,
        condition_size: int = 0,
    ):
        super().__init__()
        self.output_size = 2 * hidden_size
        self.network = asteroid.masknn.DPRNN(
            n_features + condition_size,
            n_src=1,
            out_chan=2 * hidden_size,
            bn_chan=width,
            hid_size=hidden_size,
            chunk_size=chunk_size,
            n_repeats=num_repeats,
        )

    def forward(self, features: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        """Run the network; shapes as the class says."""
        return _run(self.network, features, condition)


def _run(network: nn.Module, features: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
    output: torch.Tensor = network(frame_vectors(features, condition).transpose(1, 2))  # (batch, 1, hidden, frame)
    return output[:, 0].transpose(1, 2)  # (batch, frame, hidden)
