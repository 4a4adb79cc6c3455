"""Is one network better than another? Paired, over the clips that both have scored, with an interval.

The difference of two means is taken over the same clips, so that what makes a clip hard cancels. Clips of one song are
not independent: the bootstrap draws songs, each with all of its clips.

Reference:
    Efron, Tibshirani, "An Introduction to the Bootstrap", 1993; the interval is the percentile one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hiersep.errors import DataError
from hiersep.evaluation.lines import SCORED, Line, read_lines
from hiersep.evaluation.names import SCORES_NAME

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

# The mixture's score of one clip may differ by no more between two evaluations of it.
TOLERANCE_DB = 0.01
_FEWEST_SONGS = 2


class Pair(NamedTuple):
    """The improvements of both networks on one clip and node, in dB."""

    track: str
    level: str
    node: str
    first: float
    second: float


def compare(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    *,
    seed: int = 0,
    resamples: int = 5000,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Compare two evaluations clip by clip.

    Args:
        first: Folder of an evaluation.
        second: Of another, on the same clips or some of them (``--clips``).
        seed: Of the bootstrap.
        resamples: How often the songs are drawn.
        confidence: Of the interval.

    Returns:
        Per level, per node and for the ``whole`` (the mean of the levels): the mean SI-SDR improvement of the ``first``
        and the ``second`` in dB, their ``difference`` (second minus first) and its interval from ``low`` to ``high``
        (None for a single song), how many ``clips`` and ``songs``. And how many lines only one of them has scored.

    Raises:
        DataError: If a folder holds no scores, they have no scored clip in common, or are not of the same sounds.
    """
    one, other = (_scored(read_lines(Path(folder) / SCORES_NAME)) for folder in (first, second))
    pairs = [_paired(one[key], other[key], (first, second)) for key in one if key in other]
    if not pairs:
        raise DataError(
            f"{first}, {second}: expected clips and nodes that both have scored, got none in common; evaluate one on "
            f"the clips of the other (--clips {Path(first) / 'clips.json'})"
        )

    def interval(groups: Sequence[Sequence[Pair]]) -> dict[str, Any]:
        return _compared(groups, seed=seed, resamples=resamples, confidence=confidence)

    levels = {level: [pair for pair in pairs if pair.level == level] for level in _order(p.level for p in pairs)}
    nodes = {node: [pair for pair in pairs if pair.node == node] for node in _order(p.node for p in pairs)}
    return {
        "first": str(first),
        "second": str(second),
        "seed": seed,
        "resamples": resamples,
        "confidence": confidence,
        "only_first": len(one) - len(pairs),
        "only_second": len(other) - len(pairs),
        "levels": {
            level: {"nodes": len({pair.node for pair in group}), **interval([group])} for level, group in levels.items()
        },
        "whole": interval(list(levels.values())),
        "nodes": {node: {"level": group[0].level, **interval([group])} for node, group in nodes.items()},
    }


def _order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _scored(lines: Iterable[Line]) -> dict[tuple[str, ...], Line]:
    """Scored lines by what is the same for every network: the clip, what was asked for, and the node."""
    return {
        (line.track, str(line.start_s), line.target, line.query, line.level, line.node): line
        for line in lines
        if line.status == SCORED
    }


def _paired(one: Line, other: Line, folders: tuple[str | os.PathLike[str], str | os.PathLike[str]]) -> Pair:
    if not abs(one.mixture - other.mixture) <= TOLERANCE_DB:
        raise DataError(
            f"{folders[0]}, {folders[1]}: expected the same sounds, got a mixture of {one.mixture:.2f} and of "
            f"{other.mixture:.2f} dB for {one.node} at {one.start_s:g} s of {one.track}; evaluate both on the same data"
        )
    return Pair(one.track, one.level, one.node, one.estimate - one.mixture, other.estimate - other.mixture)


def _compared(groups: Sequence[Sequence[Pair]], *, seed: int, resamples: int, confidence: float) -> dict[str, Any]:
    """Compare the mean of the groups' means; songs are drawn once for all groups."""
    songs = sorted({pair.track for group in groups for pair in group})
    means = [[np.mean([getattr(pair, side) for pair in group]) for group in groups] for side in ("first", "second")]
    first, second = (float(np.mean(side)) for side in means)
    low, high = None, None
    if len(songs) >= _FEWEST_SONGS:
        from scipy.stats import bootstrap

        found = bootstrap(
            _sums(groups, songs),
            _mean_of_means,
            paired=True,
            vectorized=True,
            n_resamples=resamples,
            confidence_level=confidence,
            method="percentile",
            batch=500,
            random_state=np.random.default_rng(seed),
        )
        low, high = map(float, found.confidence_interval)
    return {
        "first": first,
        "second": second,
        "difference": second - first,
        "low": low,
        "high": high,
        "clips": sum(map(len, groups)),
        "songs": len(songs),
    }


def _sums(groups: Sequence[Sequence[Pair]], songs: Sequence[str]) -> tuple[npt.NDArray[np.float64], ...]:
    """Per group two arrays, one number per song: the sum of the differences, and how many there are."""
    place = {song: number for number, song in enumerate(songs)}
    arrays = []
    for group in groups:
        rows = [place[pair.track] for pair in group]
        differences = [pair.second - pair.first for pair in group]
        arrays += [np.bincount(rows, weights, len(songs)).astype(np.float64) for weights in (differences, None)]
    return tuple(arrays)


def _mean_of_means(*arrays: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
    """Mean over the groups of the mean difference of each; a group of which no song was drawn is left out."""
    sums, counts = (np.stack([a.sum(axis=axis) for a in arrays[start::2]]) for start in (0, 1))
    there = counts > 0
    return np.asarray((sums / np.where(there, counts, 1)).sum(axis=0) / there.sum(axis=0).clip(1))
