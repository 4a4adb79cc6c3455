"""How good an estimate is, in decibels. Batched torch; estimates before references.

*Conventions.* Signals are made zero-mean first, as nussl does. Channels are scored together, as one long vector. A
silent reference has no ratio: its score is NaN, for the caller to count apart.
"""

from __future__ import annotations

import torch

_SILENT = 1e-12
_LIMIT_DB = 120.0


def si_sdr(estimates: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """Scale-invariant signal-to-distortion ratio.

    The reference is scaled to the estimate by least squares, ``a = <e, s> / <s, s>``; the ratio is
    ``10 log10(|a s|^2 / |e - a s|^2)``.

    Args:
        estimates: Estimated waveforms.
        references: True waveforms.

    Returns:
        dB, within 120 dB of 0; NaN where the reference is silent. A silent estimate has the lowest score: its 0/0 must
        not pass for the 0 dB that few mixtures reach.

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
    estimates, references = _centred(estimates), _centred(references)
    energy = references.square().sum(dim=-1)
    scale = (estimates * references).sum(dim=-1) / energy
    target = scale[..., None] * references
    error = (estimates - target).square().sum(dim=-1)
    ratio = 10 * torch.log10(target.square().sum(dim=-1) / error)
    ratio = torch.where(estimates.square().sum(dim=-1) == 0, -_LIMIT_DB, ratio.clamp(-_LIMIT_DB, _LIMIT_DB))
    return torch.where(energy > _SILENT, ratio, torch.nan)


def rms_db(signals: torch.Tensor) -> torch.Tensor:
    """Root mean square in dBFS; silence is ``-inf``.

    Shape:
        signals: (..., channel, time); output: (...).
    """
    return 10 * torch.log10(signals.square().mean(dim=(-2, -1)))


def _centred(signals: torch.Tensor) -> torch.Tensor:
    return (signals - signals.mean(dim=-1, keepdim=True)).flatten(-2)  # (..., channel * time)
