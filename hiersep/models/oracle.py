"""Masks that know the answer, and the best mask that knows nothing of time.

The oracles bound what any real mask can reach; the static mask is what a fixed filter reaches. A network's worth
lies between the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hiersep.stft import STFT

_TINY = 1e-12


def ideal_ratio_mask(mixture: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
    """Weigh every bin by the node's share of magnitude against the rest of the mixture.

    ``|S| / (|S| + |X - S|)``, which lies in [0, 1]; 0 where both are silent.

    Args:
        mixture: Spectrum X.
        sources: Spectra S of nodes.

    Shape:
        mixture: (batch, channel, freq, frame), complex; sources: (batch, node, channel, freq, frame), complex;
        output: as sources, real.
    """
    magnitude = sources.abs()
    return magnitude / (magnitude + (mixture[:, None] - sources).abs() + _TINY)


def phase_sensitive_mask(mixture: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
    """Weigh every bin by the projection of the node on the mixture, truncated to [0, 1].

    ``clip(|S| / |X| cos(angle(S) - angle(X)), 0, 1)``: of all masks in [0, 1] the one with the least squared error in
    every bin.

    Shape:
        mixture: (batch, channel, freq, frame), complex; sources: (batch, node, channel, freq, frame), complex;
        output: as sources, real.

    Reference:
        Erdogan, Hershey, Watanabe, Le Roux, ICASSP 2015.
    """
    reference = mixture[:, None]
    projection = (sources * reference.conj()).real
    return (projection / (reference.abs().square() + _TINY)).clamp(0.0, 1.0)


ORACLES = {"ideal_ratio": ideal_ratio_mask, "phase_sensitive": phase_sensitive_mask}


def fit_static_masks(batches: Iterable[tuple[torch.Tensor, torch.Tensor]], stft: STFT) -> torch.Tensor:
    """Fit one gain per node and frequency that fits the nodes best over all of the data, at all times alike.

    The least-squares gain ``sum Re(S conj(X)) / sum |X|^2`` over clips and frames, clipped to [0, 1].

    Args:
        batches: Mixtures and sources, waveforms, of the *training* set.
        stft: The transform in which the gains apply.

    Returns:
        The gains.

    Shape:
        batches: pairs of (batch, channel, time) and (batch, node, channel, time); output: (node, 1, freq, 1).
    """
    projection, energy = torch.zeros(1), torch.zeros(1)
    for mixture, sources in batches:
        reference, spectra = stft(mixture), stft(sources)
        projection = projection + (spectra * reference[:, None].conj()).real.sum(dim=(0, 2, 4))  # (node, freq)
        energy = energy + reference.abs().square().sum(dim=(0, 1, 3))  # (freq,)
    gains = (projection / (energy + _TINY)).clamp(0.0, 1.0)
    return gains[:, None, :, None]
