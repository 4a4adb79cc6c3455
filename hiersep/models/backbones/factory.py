"""From the configuration to a backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hiersep.models.backbones.bandsplit import BandSplit
from hiersep.models.backbones.blstm import BLSTM
from hiersep.models.backbones.masknn import DPRNN, TDConvNet

if TYPE_CHECKING:
    from collections.abc import Callable

    from hiersep.config import NetworkConfig
    from hiersep.models.backbones.base import Backbone

_OVER_FRAMES: dict[str, Callable[..., Backbone]] = {"blstm": BLSTM, "tdconvnet": TDConvNet, "dprnn": DPRNN}


def make_backbone(
    config: NetworkConfig, *, n_freq: int, sample_rate: int, channels: int = 1, condition_size: int = 0
) -> Backbone:
    """Make the backbone that the configuration names, in its sizes.

    Args:
        config: The network's settings.
        n_freq: Frequency bins of the features.
        sample_rate: Of the waveforms behind the features, in Hz.
        channels: Channels of the features.
        condition_size: Dimensions of the condition; 0 for none.

    Raises:
        ConfigError: If the sizes do not fit the spectrum.

    Example:
        >>> from hiersep.config import NetworkConfig
        >>> backbone = make_backbone(NetworkConfig(backbone="dprnn", hidden_size=8), n_freq=65, sample_rate=8000)
        >>> backbone.output_size
        16
    """
    if config.backbone == "bandsplit":
        return BandSplit(
            n_freq, channels=channels, sample_rate=sample_rate, condition_size=condition_size, **config.sizes()
        )
    return _OVER_FRAMES[config.backbone](channels * n_freq, condition_size=condition_size, **config.sizes())
