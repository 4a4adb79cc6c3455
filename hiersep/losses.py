"""What the networks are trained to minimise.

Every loss gives one value per item and node, which `mean_over_known` reduces: per level the mean over the items in
which that node is known, then the mean over the fixed number of levels. So a removed label takes nothing from, and
adds nothing to, the gradient of the other levels. Of a tree every node counts as a level: its finer levels, which have
more nodes, weigh more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import distributed

from hiersep.errors import ConfigError
from hiersep.stft import STFT

if TYPE_CHECKING:
    from collections.abc import Callable

    from hiersep.models.separator import Separation

    Loss = Callable[[Separation, torch.Tensor], torch.Tensor]

# 30 dB: an error this far under the mixture is as good as none, so that silent and tiny targets do not rule the mean.
_SOFT_THRESHOLD = 1e-3
_TINY = 1e-8
_RESOLUTIONS = (4096, 2048, 1024, 512, 256)  # samples of a window, as in Lu et al.


def phase_sensitive_l1(separation: Separation, references: torch.Tensor) -> torch.Tensor:
    """L1 distance between masked magnitudes and the truncated phase-sensitive target.

    ``| M |X| - clip(|S| cos(angle(S) - angle(X)), 0, |X|) |``, averaged over channels and bins.

    Args:
        separation: The network's output.
        references: True submixes.

    Shape:
        references: (batch, node, channel, time); output: (batch, node).

    Raises:
        ConfigError: If the masks are complex: the target leaves them nothing to say of the phase.

    Reference:
        Manilow, Wichern, Le Roux, ISMIR 2020; target after Erdogan et al., ICASSP 2015.
    """
    if separation.masks.is_complex():
        raise ConfigError(
            "training.loss: phase_sensitive_l1 needs real masks, got complex ones; choose a loss on waveforms "
            f"({', '.join(name for name in LOSSES if name != 'phase_sensitive_l1')})"
        )
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
    return negative_snr_of_waveforms(separation.waveforms(), references, separation.mixture)


def negative_snr_of_waveforms(estimates: torch.Tensor, references: torch.Tensor, mixture: torch.Tensor) -> torch.Tensor:
    """`negative_snr` of a model that has waveforms and no masks.

    Args:
        estimates: The model's output.
        references: True signals.
        mixture: What was taken apart.

    Shape:
        estimates, references: (batch, node, channel, time); mixture: (batch, channel, time); output: (batch, node), dB.
    """
    floor = _SOFT_THRESHOLD * _mixture_energy(mixture) + _TINY
    return 10 * torch.log10((_energy(references - estimates) + floor) / (_energy(references) + floor))


def negative_si_sdr(separation: Separation, references: torch.Tensor) -> torch.Tensor:
    """Negative scale-invariant SDR of the waveforms, in dB, bounded at both ends; a silent target is pulled to silence.

    ``10 log10(|e - a s|^2 + f) - 10 log10(|a s|^2 + f)``, ``a = <e, s> / <s, s>``, both made zero-mean; the floor
    ``f = t (|e|^2 + t |x|^2)``, t = -30 dB, bounds the value, and the gradient where the estimate fades away. A target
    more than 60 dB under the mixture has no scale to be invariant to: there the loss is `negative_snr`.

    Args:
        separation: The network's output.
        references: True submixes.

    Shape:
        references: (batch, node, channel, time); output: (batch, node), dB.

    Reference:
        Le Roux, Wisdom, Erdogan, Hershey, "SDR -- half-baked or well done?", ICASSP 2019. Departure: the floor
        and the silent target. asteroid's loss gives a silent target no gradient and a nearly silent one a huge one;
        torchmetrics' has the float's epsilon for a floor, however loud the mixture.
    """
    estimates, mixture = separation.waveforms(), _mixture_energy(separation.mixture)
    centred_estimates = estimates - estimates.mean(dim=-1, keepdim=True)
    centred_references = references - references.mean(dim=-1, keepdim=True)
    energy, reference_energy = _energy(centred_estimates), _energy(centred_references)
    correlation = (centred_estimates * centred_references).sum(dim=(2, 3))
    target = correlation.square() / reference_energy.clamp(min=_TINY)  # |a s|^2; the error is orthogonal to it
    floor = _SOFT_THRESHOLD * (energy + _SOFT_THRESHOLD * mixture) + _TINY
    ratio = 10 * torch.log10((energy - target + floor) / (target + floor))
    silent = reference_energy <= _SOFT_THRESHOLD**2 * mixture + _TINY
    return torch.where(silent, negative_snr_of_waveforms(estimates, references, separation.mixture), ratio)


def l1_multi_resolution(separation: Separation, references: torch.Tensor) -> torch.Tensor:
    """L1 distance of the waveforms, plus that of their complex spectra, the mean over five resolutions.

    Spectra are divided by the norm of their window, so that an error of white noise weighs as much in each of them, and
    nearly as much as in the waveform.

    Args:
        separation: The network's output.
        references: True submixes.

    Shape:
        references: (batch, node, channel, time); output: (batch, node).

    Reference:
        Lu, Wang, Kong, Hung, "Music Source Separation with Band-Split RoPE Transformer", ICASSP 2024. Departure: hops
        of half a window in place of 147 samples, where the squared windows sum to one (on a CPU a quarter costs three
        times as much); spectra scaled, and averaged, in place of their plain sum.
    """
    error = separation.waveforms() - references
    spectral = torch.zeros_like(error[:, :, 0, 0])
    for n_fft in _RESOLUTIONS:
        stft = STFT(n_fft, n_fft // 2).to(error)
        # The transform is linear: the spectra's difference is the difference's spectrum.
        spectral = spectral + stft(error).abs().mean(dim=(2, 3, 4)) / torch.linalg.vector_norm(stft.window)
    return error.abs().mean(dim=(2, 3)) + spectral / len(_RESOLUTIONS)


LOSSES: dict[str, Loss] = {
    "phase_sensitive_l1": phase_sensitive_l1,
    "negative_snr": negative_snr,
    "negative_si_sdr": negative_si_sdr,
    "l1_multi_resolution": l1_multi_resolution,
}


def mean_over_known(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Reduce a loss per item and node to one number, leaving out what is not known.

    Per node the sum over the known items is divided by their number in the whole batch. Where the batch is spread over
    processes (torch.distributed), all of them count, and each multiplies its sum by their number: the mean that
    DistributedDataParallel takes of the gradients is then the gradient of the whole batch, and the processes' mean
    value is its loss. All processes must call this equally often.

    Args:
        values: Loss per item and node. Where it is not finite, the gradient of what it was computed from may be NaN,
            known or not: 0 times infinity.
        known: Where the reference is ground truth. A node known nowhere in the batch counts as 0.

    Shape:
        values, known: (batch, node); output: scalar.

    Example:
        >>> values = torch.tensor([[1.0, 4.0], [3.0, 100.0]])
        >>> mean_over_known(values, torch.tensor([[True, True], [True, False]]))
        tensor(3.)
    """
    counts, processes = known.sum(dim=0), 1
    if distributed.is_available() and distributed.is_initialized():
        processes = distributed.get_world_size()
        distributed.all_reduce(counts)
    per_node = processes * torch.where(known, values, 0.0).sum(dim=0) / counts.clamp(min=1)
    return per_node.mean()


def _energy(signals: torch.Tensor) -> torch.Tensor:
    return signals.square().sum(dim=(2, 3))  # (batch, node)


def _mixture_energy(mixture: torch.Tensor) -> torch.Tensor:
    return mixture.square().sum(dim=(1, 2))[:, None]  # (batch, 1)
