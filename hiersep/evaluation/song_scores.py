"""Score one whole song: a level of the hierarchy at a time, for these are the parts that the mixture is taken apart in.

A level's parts are its nodes that are known in the song and sound there, and what they leave of the mixture.
"""

from __future__ import annotations

import contextlib
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from hiersep.data.labels import Labels
from hiersep.data.reading import read_song
from hiersep.metrics import is_silent, score_track, si_sdr, snr, track_sdr
from hiersep.separation import Passage

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from hiersep.data.catalog import Catalog
    from hiersep.models.separator import Separator

NETWORK, MIXTURE = ROWS = ("network", "mixture")
REMAINDER = "(remainder)"
FIGURES = ("sdr", "isr", "sir", "sar", "si_sdr", "usdr")


@dataclass(frozen=True)
class SongLine:
    """One song and one part of a level, as the network or the mixture has it.

    Attributes:
        track: Id of the song.
        level: Name of the level.
        node: Id of the node; ``(remainder)``: what the nodes of the level leave of the mixture.
        row: ``network``, or ``mixture``: the mixture taken for the part.
        sdr: BSS Eval v4 of museval in dB, the median over frames of a second, as the next three, which the mixture has
            not; not a number where there is none.
        isr: Source image to spatial distortion.
        sir: Signal to interference from the other parts of the level.
        sar: Signal to artefacts.
        frames: How many frames of the network were scored.
        si_sdr: SI-SDR over the whole song in dB.
        usdr: SNR over the whole song in dB.
    """

    track: str
    level: str
    node: str
    row: str
    sdr: float
    isr: float
    sir: float
    sar: float
    frames: int
    si_sdr: float
    usdr: float


class Level(NamedTuple):
    """A level as one song has it: its name, and the nodes that are scored at it."""

    name: str
    nodes: tuple[str, ...]


def score_song(
    model: Separator,
    catalog: Catalog,
    track: int,
    levels: Sequence[str],
    *,
    bss_eval: bool = True,
    device: str = "cpu",
) -> list[SongLine]:
    """Separate a whole song, and score it level by level.

    Args:
        model: A network of fixed nodes.
        catalog: Its data set, at the network's rate.
        track: Index of the song in the catalog.
        levels: Names of the levels.
        bss_eval: Score by museval too.
        device: Where the network runs.

    Returns:
        Per level and part a line for the network and one for the mixture; nothing of a level of which no node is known
        and sounds.
    """
    labels = Labels(catalog, model.hierarchy).of(track)
    held = {
        node: row
        for node, row, known in zip(model.hierarchy.ids, labels.membership, labels.known, strict=True)
        if node in model.nodes and known and row.any()
    }
    parts = list(_levels(model, levels, held))
    wanted = tuple(node for node in model.nodes if any(node in level.nodes for level in parts))
    if not wanted:
        return []
    stems = read_song(catalog, track)  # (stem, channel, time)
    mixture = stems.sum(axis=0)
    passage = Passage(model, nodes=wanted, device=device)
    with contextlib.redirect_stderr(io.StringIO()):  # the songs have a bar; those of workers would lie across it
        estimates = dict(zip(wanted, passage.whole(mixture, catalog.sample_rate), strict=True))
    lines = []
    for level in parts:
        references = np.stack([np.tensordot(held[node], stems, axes=1) for node in level.nodes])
        outputs = np.stack([estimates[node] for node in level.nodes])
        sounds = map(torch.from_numpy, (mixture, outputs, references))
        scored = _score_level(*sounds, sample_rate=catalog.sample_rate if bss_eval else None)
        names = [*level.nodes, REMAINDER]
        lines += [SongLine(catalog.tracks[track].id, level.name, names[place], **values) for place, values in scored]
    return lines


def _levels(model: Separator, levels: Sequence[str], there: Container[str]) -> Iterator[Level]:
    """Yield the levels at which something can be scored that no coarser one has already."""
    for name in levels:
        nodes = tuple(node for node in model.hierarchy.at_level(name) if node in there)
        if any(model.hierarchy.node(node).level == name for node in nodes):
            yield Level(name, nodes)


def _score_level(
    mixture: torch.Tensor, estimates: torch.Tensor, references: torch.Tensor, *, sample_rate: int | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Score the parts of a level: the nodes and, unless it is silent, what they leave of the mixture.

    Args:
        mixture: The song.
        estimates: Of the nodes.
        references: Of the nodes.
        sample_rate: In Hz; None: without museval.

    Yields:
        The part's number, and the row and figures of its line.

    Shape:
        mixture: (channel, time); estimates, references: (node, channel, time).
    """
    rest = (mixture - references.sum(dim=0))[None]
    if not bool(is_silent(rest, mixture)):
        references = torch.cat([references, rest])
        estimates = torch.cat([estimates, (mixture - estimates.sum(dim=0))[None]])
    nothing = dict.fromkeys(FIGURES[:4], [math.nan] * len(references))
    for row, outputs in ((NETWORK, estimates), (MIXTURE, mixture.expand_as(references))):
        columns: dict[str, list[Any]] = {**nothing, "frames": [0] * len(references)}
        if sample_rate is not None and row == NETWORK:
            scores = score_track(outputs, references, sample_rate)._asdict()
            columns |= {name: column.tolist() for name, column in scores.items()}
        elif sample_rate is not None:
            columns["sdr"] = track_sdr(outputs, references, sample_rate).tolist()
        columns |= {"si_sdr": si_sdr(outputs, references).tolist(), "usdr": snr(outputs, references).tolist()}
        for place in range(len(references)):
            yield place, {"row": row, **{name: column[place] for name, column in columns.items()}}
