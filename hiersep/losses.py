"""What the networks are trained to minimise.

Every loss gives one value per item and node, which `mean_over_known` reduces: per level the mean over the items in
which that node is known, then the mean over the fixed number of levels. So a removed label takes nothing from, and
adds nothing to, the gradient of the other levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from hiersep.models.path import Separation

    Loss = Callable[[Separation, torch.Tensor], torch.Tensor]

# 30 dB: an error this far under the mixture is as good as none, so that silent and tiny targets do not rule the mean.
_SOFT_THRESHOLD = 1e-3
_TINY = 1e-8


def phase_sensitive_l1(separation: Separation, references: torch.Tensor) -> torch.Tensor:
    """L1 distance between masked magnitudes and the truncated phase-sensitive target.

    ``| M |X| - clip(|S| cos(angle(S) - angle(X)), 0, |X|) |``, averaged over channels and bins.

    Args:
        separation: The network's output.
        references: True submixes.

    Shape:
        references: (batch, node, channel, time); output: (batch, node).

    Reference:
        Manilow, Wichern, Le Roux, ISMIR 2020; target after Erdogan et al., ICASSP 2015.
    """
    mixture = separation.spectrum[:, None]
    magnitude = mixture.abs()
    projection = (separation.stft(references) * mixture.conj()).real / (magnitude + _TINY)
    target = torch.minimum(projection.clamp(min=0.0), magnitude)
    return (separation.masks * magnitude - target).abs().mean(dim=(2, 3, 4))


def negative_snr(separation: Separation, references: torch.Tensor) -> torch.Tensor:
    """Negative signal-to-noise ratio of the waveforms, in dB, bounded at both ends.

    ``10 log10(|s - e|^2 + t |x|^2) - 10 log10(|s|^2 + t |x|^2)``: x the mixture, t = -30 dB. Unlike SI-SDR it fixes the
    gain, which a sum of levels needs; a silent target is pulled to silence with a bounded gradient.

    Args:
        separation: The network's output.
        references: True submixes.

    Shape:
        references: (batch, node, channel, time); output: (batch, node), dB.

    Reference:
        Wisdom et al., "Unsupervised Sound Separation Using Mixture Invariant Training", NeurIPS 2020
        (thresholded SNR). Departure: the threshold is relative to the mixture for every reference, silent or not.
    """
    floor = _SOFT_THRESHOLD * separation.mixture.square().sum(dim=(1, 2))[:, None] + _TINY  # (batch, 1)
    error = (references - separation.waveforms()).square().sum(dim=(2, 3))  # (batch, node)
    return 10 * torch.log10((error + floor) / (references.square().sum(dim=(2, 3)) + floor))


LOSSES: dict[str, Loss] = {
    "phase_sensitive_l1": phase_sensitive_l1,
    "negative_snr": negative_snr,
}


def mean_over_known(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Reduce a loss per item and node to one number, leaving out what is not known.

    Args:
        values: Loss per item and node.
        known: Where the reference is ground truth. A node known nowhere in the batch counts as 0.

    Shape:
        values, known: (batch, node); output: scalar.

    Example:
        >>> values = torch.tensor([[1.0, 4.0], [3.0, 100.0]])
        >>> mean_over_known(values, torch.tensor([[True, True], [True, False]]))
        tensor(3.)
    """
    per_node = torch.where(known, values, 0.0).sum(dim=0) / known.sum(dim=0).clamp(min=1)
    return per_node.mean()
