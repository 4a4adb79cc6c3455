"""Loudness as broadcasters measure it."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def loudness(samples: npt.NDArray[Any], sample_rate: int) -> float:
    """Measure the integrated loudness by ITU-R BS.1770-4.

    Args:
        samples: Audio.
        sample_rate: In Hz.

    Returns:
        LUFS; ``-inf`` for silence, and for less than the 400 ms that one gating block needs.

    Shape:
        samples: (channel, time).
    """
    import pyloudnorm

    block_s = 0.4
    if samples.shape[-1] < block_s * sample_rate or not np.any(samples):
        return -math.inf
    with warnings.catch_warnings():
        # pyloudnorm divides by the number of gated blocks, which is zero for near-silence: -inf or nan follows.
        warnings.simplefilter("ignore", RuntimeWarning)
        lufs = float(pyloudnorm.Meter(sample_rate, block_size=block_s).integrated_loudness(samples.T))
    return -math.inf if math.isnan(lufs) else lufs
