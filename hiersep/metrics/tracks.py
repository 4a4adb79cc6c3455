"""Whole songs by museval, as MUSDB18's results are given: BSS Eval v4 in frames of one second, the median over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from hiersep.metrics.ratios import ratio_db

if TYPE_CHECKING:
    import numpy.typing as npt


class TrackScores(NamedTuple):
    """BSS Eval of a song in dB, medians over its frames, (node,) each.

    Attributes:
        sdr: Signal to distortion.
        isr: Source image to spatial distortion.
        sir: Signal to interference from the other nodes given.
        sar: Signal to artefacts.
        frames: How many frames were scored.
    """

    sdr: npt.NDArray[np.float64]
    isr: npt.NDArray[np.float64]
    sir: npt.NDArray[np.float64]
    sar: npt.NDArray[np.float64]
    frames: npt.NDArray[np.int64]


def score_track(estimates: torch.Tensor, references: torch.Tensor, sample_rate: int) -> TrackScores:
    """Score all of a song with museval: frames of one second, without overlap.

    The nodes are taken for the parts of one mixture: give one level at a time, or a node and its remainder. A frame in
    which any reference or estimate is silent counts for no node, as in museval; so how many counted is said too. A node
    whose reference or estimate is silent in the whole song, where museval refuses to go on, has NaN and 0 frames, and
    the others are scored without it.

    museval solves for filters of 512 taps between all channels of all nodes: expect minutes for a stereo song.

    Args:
        estimates: Estimated waveforms.
        references: True waveforms.
        sample_rate: In Hz.

    Shape:
        estimates, references: (node, channel, time).

    Raises:
        ValueError: From museval, if the shapes differ.

    Reference:
        Stöter, Liutkus, Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018.
    """
    pair = [signals.detach().cpu().double().numpy().swapaxes(1, 2) for signals in (references, estimates)]
    # museval's own notion: the channels' sum is zero at all times.
    sounding = np.logical_and(*((signals.sum(axis=2) != 0).any(axis=1) for signals in pair))
    scores = np.full((4, len(references)), np.nan)
    frames = np.zeros(len(references), np.int64)
    if sounding.any():
        from hiersep.compat import nussl  # its import of museval works without ffmpeg too

        bss_eval = nussl.evaluation.bss_eval.museval.metrics.bss_eval
        *framewise, _ = bss_eval(*(signals[sounding] for signals in pair), window=sample_rate, hop=sample_rate)
        values = np.stack(framewise)  # (score, node, frame); a silent frame is NaN for all nodes
        counted = values[:, :, ~np.isnan(values[0]).all(axis=0)]
        frames[sounding] = counted.shape[2]
        if counted.size:
            scores[:, sounding] = np.median(counted, axis=2)
    sdr, isr, sir, sar = scores
    return TrackScores(sdr, isr, sir, sar, frames)


def track_sdr(estimates: torch.Tensor, references: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Give the SDR of `score_track` alone, which needs none of its filters, and so next to no time.

    In a frame it is the plain signal-to-noise ratio over all channels, the mean left in. A frame in which a reference
    is silent counts for no node.

    Args:
        estimates: Estimated waveforms.
        references: True waveforms.
        sample_rate: In Hz.

    Returns:
        dB, the median over frames; NaN where there is no frame.

    Shape:
        estimates, references: (node, channel, time); output: (node,).
    """
    frames = references.shape[-1] // sample_rate
    energies = []
    for signals in (references, references - estimates):
        framed = signals[..., : frames * sample_rate].reshape(*signals.shape[:2], frames, sample_rate)
        energies.append(framed.square().sum(dim=(1, 3)))  # (node, frame)
    counted = (energies[0] > 0).all(dim=0)
    ratios = ratio_db(energies[0][:, counted], energies[1][:, counted])
    if not ratios.shape[1]:
        return ratios.new_full((len(references),), torch.nan)
    return ratios.quantile(0.5, dim=1)
