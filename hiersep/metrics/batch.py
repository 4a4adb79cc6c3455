"""A batch of clips scored per item and node, with the clips apart that say nothing of a separator.

Two kinds of clips would rule a mean that they do not belong in. Where the reference is *silent* there is no ratio: what
counts is how loud the output is, relative to the mixture. Where the mixture is *all target* (its SI-SDR is above 30 dB)
there is nothing to separate, and a separator can only lose.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from hiersep.metrics.ratios import is_flat, is_silent, relative_level_db, si_sdr, snr

# Above this mixture SI-SDR there is nothing to separate.
NOTHING_TO_SEPARATE_DB = 30.0


class BatchScores(NamedTuple):
    """Scores in dB and what each clip counts as, (batch, node) each.

    Those of several batches are joined by ``BatchScores(*map(torch.cat, zip(*parts)))``.

    Attributes:
        si_sdr: SI-SDR of the estimate; NaN where the reference is silent, as in the next three.
        si_sdri: The same minus the mixture's.
        snr: SNR of the estimate.
        snri: The same minus the mixture's.
        level: Level of the estimate relative to the mixture.
        scored: Whether there is something to separate.
        silent: Whether the reference is silence, a mere offset, or more than 60 dB under the mixture.
        all_target: Whether the mixture is nothing but target.
    """

    si_sdr: torch.Tensor
    si_sdri: torch.Tensor
    snr: torch.Tensor
    snri: torch.Tensor
    level: torch.Tensor
    scored: torch.Tensor
    silent: torch.Tensor
    all_target: torch.Tensor

    def means(self) -> dict[str, torch.Tensor]:
        """Mean of every score per node, over the clips that count for it; NaN where none does, or one is broken.

        Returns:
            ``si_sdr``, ``si_sdri``, ``snr`` and ``snri`` of the scored clips, ``silent_level`` of the silent ones, and
            ``all_target_si_sdr``.

        Shape:
            each: (node,).
        """
        scored = {"si_sdr": self.si_sdr, "si_sdri": self.si_sdri, "snr": self.snr, "snri": self.snri}
        return {
            **{name: _mean_where(self.scored, values) for name, values in scored.items()},
            "silent_level": _mean_where(self.silent, self.level),
            "all_target_si_sdr": _mean_where(self.all_target, self.si_sdr),
        }

    def counts(self) -> dict[str, torch.Tensor]:
        """How many clips are ``scored``, ``silent`` and ``all_target``, per node.

        Shape:
            each: (node,).
        """
        kinds = {"scored": self.scored, "silent": self.silent, "all_target": self.all_target}
        return {name: kind.sum(dim=0) for name, kind in kinds.items()}


def score_batch(
    estimates: torch.Tensor,
    references: torch.Tensor,
    mixture: torch.Tensor,
    *,
    known: torch.Tensor | None = None,
) -> BatchScores:
    """Score estimates per item and node; every known one counts as scored, as silent, or as all target.

    Args:
        estimates: Estimated waveforms.
        references: True submixes.
        mixture: What was separated.
        known: Where the reference is ground truth; what is not known counts as nothing. Default: everywhere.

    Shape:
        estimates, references: (batch, node, channel, time); mixture: (batch, channel, time); known: (batch, node).
    """
    known = torch.ones_like(references[..., 0, 0], dtype=torch.bool) if known is None else known
    unseparated = mixture[:, None].expand_as(references)
    mixture_sdr, sdr, ratio = si_sdr(unseparated, references), si_sdr(estimates, references), snr(estimates, references)
    silent = known & (is_silent(references, mixture) | is_flat(references))  # a mere offset has no SI-SDR either
    all_target = known & ~silent & (mixture_sdr > NOTHING_TO_SEPARATE_DB)
    return BatchScores(
        si_sdr=sdr,
        si_sdri=sdr - mixture_sdr,
        snr=ratio,
        snri=ratio - snr(unseparated, references),
        level=relative_level_db(estimates, mixture),
        scored=known & ~silent & ~all_target,
        silent=silent,
        all_target=all_target,
    )


def _mean_where(kind: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return torch.where(kind, values, 0.0).sum(dim=0) / kind.sum(dim=0)
