"""Ratios of energies in decibels: of a target to what is not it, and of one signal to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

# A signal this far under the mixture counts as silent.
SILENT_DB = -60.0
# Energy that is none: in itself; and relative to that before the mean was taken out, of which float32 leaves some.
_SILENT, _ROUNDING = 1e-12, 1e-10
_LIMIT_DB = 120.0


def si_sdr(estimates: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """Scale-invariant signal-to-distortion ratio.

    The reference is scaled to the estimate by least squares, ``a = <e, s> / <s, s>``; the ratio is
    ``10 log10(|a s|^2 / |e - a s|^2)``.

    Args:
        estimates: Estimated waveforms.
        references: True waveforms.

    Returns:
        dB, within 120 dB of 0; NaN where the reference is silence or a mere offset. A silent estimate has the lowest
        score: its 0/0 must not pass for the 0 dB that few mixtures reach.

    Shape:
        estimates, references: (..., channel, time); output: (...).

    Reference:
        Le Roux, Wisdom, Erdogan, Hershey, "SDR -- half-baked or well done?", ICASSP 2019.

    Example:
        >>> s = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
        >>> noise = torch.tensor([[0.1, 0.1, -0.1, -0.1]])
        >>> si_sdr(s + noise, s)
        tensor(20.0000)
    """
    least = _least_energy(references)
    estimates, references = _centred(estimates), _centred(references)
    energy = references.square().sum(dim=-1)
    scale = (estimates * references).sum(dim=-1) / energy
    target = scale[..., None] * references
    ratio = ratio_db(target.square().sum(dim=-1), (estimates - target).square().sum(dim=-1))
    ratio = torch.where(estimates.square().sum(dim=-1) == 0, -_LIMIT_DB, ratio)
    return torch.where(energy > least, ratio, torch.nan)


def snr(estimates: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """Signal-to-noise ratio, ``10 log10(|s|^2 / |e - s|^2)``: unlike SI-SDR it judges the gain too.

    Args:
        estimates: Estimated waveforms.
        references: True waveforms.

    Returns:
        dB, within 120 dB of 0; NaN where the reference is silence or a mere offset. A silent estimate has 0 dB.

    Shape:
        estimates, references: (..., channel, time); output: (...).

    Example:
        >>> s = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
        >>> snr(0.9 * s, s)
        tensor(20.0000)
    """
    least = _least_energy(references)
    estimates, references = _centred(estimates), _centred(references)
    energy = references.square().sum(dim=-1)
    ratio = ratio_db(energy, (estimates - references).square().sum(dim=-1))
    return torch.where(energy > least, ratio, torch.nan)


def improvement(
    metric: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    estimates: torch.Tensor,
    references: torch.Tensor,
    mixture: torch.Tensor,
) -> torch.Tensor:
    """What a separator adds: the metric of its estimate minus that of the mixture taken for the node (SI-SDRi, SNRi).

    Args:
        metric: `si_sdr` or `snr`.
        estimates: Estimated waveforms.
        references: True waveforms.
        mixture: What was separated.

    Returns:
        dB; NaN where the reference is silent.

    Shape:
        estimates, references: (..., node, channel, time); mixture: (..., channel, time); output: (..., node).
    """
    return metric(estimates, references) - metric(mixture.unsqueeze(-3).expand_as(references), references)


def relative_level_db(signals: torch.Tensor, mixture: torch.Tensor) -> torch.Tensor:
    """Level of signals relative to their mixture: what an output that should be silent is judged by.

    Returns:
        dB, within 120 dB of 0; NaN where both are silent.

    Shape:
        signals: (..., node, channel, time); mixture: (..., channel, time); output: (..., node).
    """
    return ratio_db(_power(signals), _power(mixture)[..., None])


def is_silent(signals: torch.Tensor, mixture: torch.Tensor) -> torch.Tensor:
    """Whether a signal is silence next to its mixture: more than 60 dB under it. Silence in silence is, NaN is not.

    Shape:
        signals: (..., node, channel, time); mixture: (..., channel, time); output: (..., node).
    """
    return _power(signals) <= 10 ** (SILENT_DB / 10) * _power(mixture)[..., None]


def is_flat(signals: torch.Tensor) -> torch.Tensor:
    """Whether a signal is silence or a mere offset, which are no reference for a ratio; NaN is neither.

    Shape:
        signals: (..., channel, time); output: (...).
    """
    return _centred(signals).square().sum(dim=-1) <= _least_energy(signals)


def rms_db(signals: torch.Tensor) -> torch.Tensor:
    """Root mean square in dBFS; silence is ``-inf``.

    Shape:
        signals: (..., channel, time); output: (...).
    """
    return 10 * torch.log10(_power(signals))


def ratio_db(numerator: torch.Tensor, denominator: torch.Tensor) -> torch.Tensor:
    """Ratio of two energies in dB, within 120 dB of 0; NaN for 0/0."""
    return (10 * torch.log10(numerator / denominator)).clamp(-_LIMIT_DB, _LIMIT_DB)


def _power(signals: torch.Tensor) -> torch.Tensor:
    return signals.square().mean(dim=(-2, -1))


def _least_energy(signals: torch.Tensor) -> torch.Tensor:
    """What a signal's energy is above, the mean taken out, if it is more than rounding of the mean."""
    return (_ROUNDING * signals.square().sum(dim=(-2, -1))).clamp(min=_SILENT)


def _centred(signals: torch.Tensor) -> torch.Tensor:
    return (signals - signals.mean(dim=-1, keepdim=True)).flatten(-2)  # (..., channel * time)
