"""Masks that know the answer, and the best mask that knows nothing of time.

The oracles show what real masks can reach (in every bin none beats the phase-sensitive one; frames overlap, so a score
on waveforms may be beaten a little), the static mask what a fixed filter reaches. A network's worth lies between the
two. Every node is looked at for itself, against the mixture: a path, a level or a whole tree makes no difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from hiersep.errors import DataError

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

    Args:
        mixture: Spectrum X.
        sources: Spectra S of nodes.

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


def fit_static_masks(batches: Iterable[tuple[torch.Tensor, ...]], stft: STFT) -> torch.Tensor:
    """Fit one gain per node and frequency that fits the nodes best over all of the data, at all times alike.

    The least-squares gain ``sum Re(S conj(X)) / sum |X|^2`` over frames of the clips in which the node is known,
    clipped to [0, 1].

    Args:
        batches: Mixtures and sources, waveforms, of the *training* set; as a third, where it matters, which sources are
            known.
        stft: The transform in which the gains apply.

    Returns:
        The gains; 0 at a frequency that is silent, NaN for a node that is known nowhere.

    Shape:
        batches: (batch, channel, time), (batch, node, channel, time) and (batch, node), bool; output:
        (node, 1, freq, 1).

    Raises:
        DataError: If there are no batches.
    """
    projection, energy, count = torch.zeros(()), torch.zeros(()), torch.zeros(())
    for mixture, sources, *given in batches:
        reference, spectra = stft(mixture), stft(sources)
        known = given[0] if given else torch.ones_like(sources[..., 0, 0], dtype=torch.bool)
        products = (spectra * reference[:, None].conj()).real.sum(dim=(2, 4))  # (batch, node, freq)
        power = reference.abs().square().sum(dim=(1, 3))[:, None]  # (batch, 1, freq)
        projection = projection + torch.where(known[..., None], products, 0.0).sum(dim=0)  # (node, freq)
        energy = energy + torch.where(known[..., None], power, 0.0).sum(dim=0)  # (node, freq)
        count = count + known.sum(dim=0)  # (node,)
    if not count.ndim:
        raise DataError("static masks: expected training clips to fit on, got none")
    gains = (projection / (energy + _TINY)).clamp(0.0, 1.0)
    return torch.where(count[:, None] > 0, gains, torch.nan)[:, None, :, None]
