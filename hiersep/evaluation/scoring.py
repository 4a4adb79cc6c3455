"""Score a network on a batch of clips: every row, every node, and what the outputs are to each other.

Only what sounds has a reference, so only that is scored; of a tree it is the lesser part.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.utils.data import default_collate

from hiersep.data.sampling import SALIENT_DB
from hiersep.errors import CheckpointError
from hiersep.evaluation.lines import ROWS, SCORED, Line
from hiersep.metrics import SILENT_DB, Kinship, relative_level_db, rms_db, si_sdr, snr
from hiersep.models.oracle import ideal_ratio_mask, phase_sensitive_mask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hiersep.evaluation.items import ClipSet
    from hiersep.models.separator import Separation, Separator

REMAINDER_DB = -40.0
# A parent and a child whose difference lies below this are the same signal.
IDENTICAL_DB = -60.0


def score_clips(
    model: Separator, static: Mapping[str, torch.Tensor], clips: ClipSet, numbers: Sequence[int]
) -> list[Line]:
    """Score some clips, which go through the network as one batch.

    Args:
        model: The separator, on its device, in evaluation mode.
        static: The static mask of each node, (channel, freq, frame) or what expands to it, on the same device.
        clips: All clips.
        numbers: Of those to score.

    Raises:
        CheckpointError: If the separator's output is not finite.
    """
    device = model.stft.window.device
    batch = {name: tensor.to(device) for name, tensor in default_collate([clips[n] for n in numbers]).items()}
    lines, kinship = [], Kinship.of(model.hierarchy, model.nodes)
    with torch.inference_mode():
        separation = model.separate_batch(batch["mix"], model.condition_of(batch))
        for place, number in enumerate(numbers):
            # One by one from here on: what a tree of a whole batch takes is too much to be fast.
            row = slice(place, place + 1)
            alone = separation._replace(
                mixture=separation.mixture[row], spectrum=separation.spectrum[row], masks=separation.masks[row]
            )
            item = {name: tensor[place] for name, tensor in batch.items()}
            lines += _score_clip(alone, item, static, clips, number, kinship)
    return lines


def _score_clip(
    separation: Separation,
    item: Mapping[str, torch.Tensor],
    static: Mapping[str, torch.Tensor],
    clips: ClipSet,
    number: int,
    kinship: Kinship,
) -> list[Line]:
    """Score one clip, which is a batch by itself."""
    clip, nodes = clips.clips.clips[number], clips.nodes(number)
    estimates = separation.waveforms()[0]  # (node, channel, time)
    if not bool(torch.isfinite(estimates).all()):
        raise CheckpointError(
            f"{clip.track} at {clip.start_s:g} s: expected numbers from the network, got infinite ones; its weights "
            "are broken, train it anew with a lower learning rate"
        )
    values = {
        **_ratios(separation, estimates, item, torch.stack([static[node] for node in nodes])),
        **_relations(separation, estimates, kinship),
        "output_level": relative_level_db(estimates, item["mix"]),
    }
    columns = {name: tensor.tolist() for name, tensor in values.items()}
    statuses = judge(nodes, item, values["mixture"])
    rest = item["remainder"][:, 0].tolist()
    lines = []
    for position, (level, node, status) in enumerate(zip(clips.levels, nodes, statuses, strict=True)):
        is_parent = rest[position] < IDENTICAL_DB and clips.hierarchy.node(node).depth > 1
        lines.append(
            Line(
                clip=number,
                track=clip.track,
                start_s=clip.start_s,
                target=clip.target or "",
                query="" if clip.query is None else str(clip.query),
                level=level,
                node=node,
                status=status,
                identical=int(is_parent and status not in ("unknown", "repeated", "silent")),
                **{name: column[position] for name, column in columns.items()},
            )
        )
    return lines


def judge(nodes: Sequence[str], item: Mapping[str, torch.Tensor], mixture_si_sdr: torch.Tensor) -> list[str]:
    """Say of every node of a clip whether it is scored, or why not; `hiersep.evaluation.lines.Line` lists the reasons.

    Args:
        nodes: Their ids.
        item: Of a `ClipSet`.
        mixture_si_sdr: Not a number where the reference is silent.

    Shape:
        mixture_si_sdr: (node,).
    """
    known, silent = item["known"].tolist(), mixture_si_sdr.isnan().tolist()
    salient = (rms_db(item["sources"]) > SALIENT_DB).tolist()
    differs = (item["remainder"] > REMAINDER_DB).all(dim=1).tolist()

    def status(position: int) -> str:
        if not known[position]:
            return "unknown"
        if position and nodes[position] == nodes[position - 1]:
            return "repeated"
        if silent[position]:
            return "silent"
        if not salient[position]:
            return "soft"
        return SCORED if differs[position] else "remainder silent"

    return [status(position) for position in range(len(nodes))]


def _ratios(
    separation: Separation, estimates: torch.Tensor, item: Mapping[str, torch.Tensor], static: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Ratios of every row, (node,); not a number where there is no reference."""
    heard = item["known"] & (relative_level_db(item["sources"], item["mix"]) > SILENT_DB)
    nothing = torch.full(heard.shape, math.nan, device=heard.device)
    if not bool(heard.any()):
        return dict.fromkeys((*ROWS, "snr", "mixture_snr"), nothing)
    references, outputs = item["sources"][heard], estimates[heard]  # (heard, channel, time)
    mixture = item["mix"].expand_as(references)
    spectra = separation.stft(references)[None]

    def masked(masks: torch.Tensor) -> torch.Tensor:
        return si_sdr(separation._replace(masks=masks).waveforms()[0], references)

    found = {
        "estimate": si_sdr(outputs, references),
        "mixture": si_sdr(mixture, references),
        "static": masked(static[heard][None]),
        "oracle_ideal_ratio": masked(ideal_ratio_mask(separation.spectrum, spectra)),
        "oracle": masked(phase_sensitive_mask(separation.spectrum, spectra)),
        "snr": snr(outputs, references),
        "mixture_snr": snr(mixture, references),
    }
    return {name: nothing.masked_scatter(heard, ratios) for name, ratios in found.items()}


def _relations(separation: Separation, estimates: torch.Tensor, kinship: Kinship) -> dict[str, torch.Tensor]:
    """How far the outputs are from a tree, whatever the truth is, (node,)."""
    bins, energy = (shares[0] for shares in kinship.exceedance(separation))
    errors = torch.full_like(bins, math.nan)
    for parent, error in kinship.sum_errors_db(separation.mixture, estimates[None]).items():
        errors[[child - 1 for child in kinship.families[parent]]] = error[0]
    return {"exceeding_bins": bins, "exceeding_energy": energy, "sum_error": errors}
