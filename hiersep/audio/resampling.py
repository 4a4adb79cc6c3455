"""Another sample rate, another length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]

QUALITY = "HQ"  # soxr's name for its polyphase filter


def resample(samples: npt.NDArray[Any], source_rate: int, target_rate: int, *, length: int | None = None) -> Audio:
    """Change the sample rate with soxr's high-quality polyphase filter.

    Args:
        samples: Audio.
        source_rate: Rate of `samples` in Hz.
        target_rate: Rate wanted in Hz.
        length: Exact number of samples wanted; the end is cut or zero-padded to it. Default: as soxr gives.

    Shape:
        samples: (channel, time); output: (channel, length).
    """
    import soxr

    if source_rate != target_rate and samples.shape[-1]:
        samples = soxr.resample(samples.T, source_rate, target_rate, quality=QUALITY).T
    if length is not None:
        samples = fit_length(samples, length)
    return np.ascontiguousarray(samples, dtype=np.float32)


def fit_length(samples: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """Cut or zero-pad the end of the time axis (the last) to `length` samples."""
    missing = length - samples.shape[-1]
    if missing <= 0:
        return samples[..., :length]
    return np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(0, missing)])
