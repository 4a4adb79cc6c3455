"""Score a separator so that the score means something.

Beside the network stand, on the same clips, the *mixture* itself, the *static* mask (one gain per frequency, fitted on
the training split: what a fixed filter reaches) and the *oracles* (masks that know the answer). A network's worth is
what it adds to the static row.

*Scored clips.* A clip is scored at a level only where the levels differ: the node is salient (RMS above -30 dBFS), and
so are both remainders, its parent on the path minus the node, and the mixture minus the coarsest node (above -40 dBFS).
All other clips are counted apart, by reason.
"""

from __future__ import annotations

import csv
import itertools
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from hiersep.config import EvaluationConfig
from hiersep.data.dataset import HierarchicalMixtureDataset
from hiersep.data.sampling import SALIENT_DB
from hiersep.files import atomic_path
from hiersep.metrics import NOTHING_TO_SEPARATE_DB, rms_db, si_sdr
from hiersep.models.oracle import fit_static_masks, ideal_ratio_mask, phase_sensitive_mask
from hiersep.stft import STFT

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from hiersep.models.separator import MaskingSeparator

REMAINDER_DB = -40.0
# Adjacent levels whose difference lies below this are the same signal.
IDENTICAL_DB = -60.0
ROWS = ("estimate", "mixture", "static", "oracle_ideal_ratio", "oracle")
_BATCH = 4


@dataclass(frozen=True)
class ClipScore:
    """Scores of one clip at one level.

    Attributes:
        track: Id of the song.
        start_s: First second.
        node: The level's node.
        status: ``scored``, or why not: ``unknown``, ``silent``, ``remainder silent``.
        scores: SI-SDR in dB per row of `ROWS`.
    """

    track: str
    start_s: float
    node: str
    status: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """All scores of a separator on a test set.

    Attributes:
        nodes: The levels, coarse to fine.
        clips: One entry per clip and level.
        identical_levels: Share of clips in which two adjacent levels are the same signal.
        nothing_to_separate: Share of clips whose mixture already scores above 30 dB at some level.
    """

    nodes: tuple[str, ...]
    clips: tuple[ClipScore, ...]
    identical_levels: float
    nothing_to_separate: float

    def scored(self, node: str) -> list[ClipScore]:
        """The clips that count at a level."""
        return [clip for clip in self.clips if clip.node == node and clip.status == "scored"]

    def summary(self) -> dict[str, Any]:
        """Levels with mean, median and spread of every row, in dB, and what was counted apart.

        A level without a scored clip has None for its scores.
        """
        return {
            "levels": {node: self._level(node) for node in self.nodes},
            "identical_levels": self.identical_levels,
            "nothing_to_separate": self.nothing_to_separate,
        }

    def _level(self, node: str) -> dict[str, Any]:
        clips = self.scored(node)
        rows = {row: [clip.scores[row] for clip in clips] for row in ROWS}
        gains = [estimate - mixture for estimate, mixture in zip(rows["estimate"], rows["mixture"], strict=True)]
        apart = [clip.status for clip in self.clips if clip.node == node and clip.status != "scored"]
        return {
            "si_sdr": _mean(rows["estimate"]),
            "si_sdri": _mean(gains),
            "si_sdri_median": statistics.median(gains) if gains else None,
            "si_sdri_std": statistics.stdev(gains) if len(gains) > 1 else None,
            "mixture": _mean(rows["mixture"]),
            "static": _mean(rows["static"]),
            "oracle": _mean(rows["oracle"]),
            "oracle_ideal_ratio": _mean(rows["oracle_ideal_ratio"]),
            "clips": len(clips),
            "songs": len({clip.track for clip in clips}),
            "counted_apart": {status: apart.count(status) for status in sorted(set(apart))},
        }


def evaluate(
    model: MaskingSeparator,
    folder: str | os.PathLike[str],
    settings: EvaluationConfig | None = None,
    *,
    device: str = "cpu",
) -> Evaluation:
    """Score a separator on fixed clips of a data set.

    The clips are those in which the finest node of the network is salient. The static masks are fitted on the split
    ``train`` of the same folder.

    Args:
        model: The network.
        folder: A data set with the splits ``train`` and the one to score.
        settings: Which split, how many clips, how long.
        device: Where the network runs.

    Raises:
        DataError: If the data cannot be used.
    """
    settings = settings or EvaluationConfig()
    model = model.to(device).eval()
    dataset = test_set(model, folder, settings)
    static = fit_static(model, folder, settings).to(device)
    clips: list[ClipScore] = []
    identical = 0
    loader: DataLoader[Any] = DataLoader(dataset, batch_size=_BATCH)
    positions = itertools.count()
    for batch in tqdm(loader, desc="Evaluating", unit="batch", disable=None):
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        with torch.inference_mode():
            scores = _score(model, static, batch["mix"], batch["sources"])  # row -> (batch, node)
        statuses, same = clip_status(batch["mix"], batch["sources"], batch["known"], model)
        identical += same
        for item, status in enumerate(statuses):
            clip = dataset.spec(next(positions))
            track = dataset.catalog.tracks[clip.events[0].track].id  # fixed clips are excerpts of one song
            for position, node in enumerate(model.nodes):
                values = {row: float(scores[row][item, position]) for row in ROWS}
                clips.append(ClipScore(track, clip.start_s, node, status[position], values))
    easy = {(c.track, c.start_s) for c in clips if c.scores["mixture"] > NOTHING_TO_SEPARATE_DB}
    return Evaluation(model.nodes, tuple(clips), identical / len(dataset), len(easy) / len(dataset))


def test_set(
    model: MaskingSeparator, folder: str | os.PathLike[str], settings: EvaluationConfig
) -> HierarchicalMixtureDataset:
    """Open the clips that a network is scored on."""
    return _clips(model, folder, settings, settings.split, settings.num_test)


def fit_static(model: MaskingSeparator, folder: str | os.PathLike[str], settings: EvaluationConfig) -> torch.Tensor:
    """Fit the static masks of a network's nodes on clips of the split ``train``.

    Shape:
        output: (node, 1, freq, 1).
    """
    loader: DataLoader[Any] = DataLoader(
        _clips(model, folder, settings, "train", settings.num_static), batch_size=_BATCH
    )
    bar = tqdm(loader, desc="Fitting static masks", unit="batch", disable=None)
    stft = STFT(model.stft.n_fft, model.stft.hop_length)
    return fit_static_masks(((batch["mix"], batch["sources"], batch["known"]) for batch in bar), stft)


def _clips(
    model: MaskingSeparator, folder: str | os.PathLike[str], settings: EvaluationConfig, split: str, count: int
) -> HierarchicalMixtureDataset:
    """Clips in which the finest node of the network is salient."""
    return HierarchicalMixtureDataset(
        folder,
        model.hierarchy,
        split=split,
        target=list(model.nodes),
        salient=[model.nodes[-1]],
        duration=settings.duration,
        sample_rate=int(model.sample_rate),
        num_mixtures=count,
        seed=settings.seed,
    )


def _score(
    model: MaskingSeparator, static: torch.Tensor, mixture: torch.Tensor, sources: torch.Tensor
) -> dict[str, torch.Tensor]:
    """SI-SDR of every row, (batch, node)."""
    separation = model.separate_batch(mixture)
    spectra = model.stft(sources)
    masks = {
        "estimate": separation.masks,
        "static": static.expand_as(separation.masks),
        "oracle_ideal_ratio": ideal_ratio_mask(separation.spectrum, spectra),
        "oracle": phase_sensitive_mask(separation.spectrum, spectra),
    }
    scores = {row: si_sdr(separation._replace(masks=mask).waveforms(), sources) for row, mask in masks.items()}
    return {**scores, "mixture": si_sdr(mixture[:, None].expand_as(sources), sources)}


def clip_status(
    mixture: torch.Tensor, sources: torch.Tensor, known: torch.Tensor, model: MaskingSeparator
) -> tuple[list[list[str]], int]:
    """Say of every clip and level whether it is scored, and in how many clips two adjacent levels are the same signal.

    Shape:
        mixture: (batch, channel, time); sources: (batch, node, channel, time); known: (batch, node).
    """
    parents = torch.cat([mixture[:, None], sources[:, :-1]], dim=1)
    remainder = rms_db(parents - sources)  # (batch, node): what the level above holds besides
    salient = (rms_db(sources) > SALIENT_DB).tolist()
    differs = ((remainder > REMAINDER_DB) & (remainder[:, :1] > REMAINDER_DB)).tolist()
    known_rows = known.tolist()
    statuses = [
        [_status(known_rows[i][n], salient[i][n], differs[i][n]) for n in range(len(model.nodes))]
        for i in range(len(mixture))
    ]
    return statuses, int((remainder[:, 1:] < IDENTICAL_DB).any(dim=1).sum())


def _status(known: bool, salient: bool, differs: bool) -> str:
    if not known:
        return "unknown"
    if not salient:
        return "silent"
    return "scored" if differs else "remainder silent"


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def write_clips(path: Path, clips: Iterable[ClipScore]) -> None:
    """Write one line of CSV per clip and level; scores that do not exist are left empty."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["track", "start_s", "node", "status", *ROWS])
        for clip in clips:
            scores = ["" if math.isnan(clip.scores[row]) else f"{clip.scores[row]:.4f}" for row in ROWS]
            writer.writerow([clip.track, clip.start_s, clip.node, clip.status, *scores])
