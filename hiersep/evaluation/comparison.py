"""Is one network better than another? Paired, over the clips that both have scored, with an interval.

The difference of two means is taken over the same clips, so that what makes a clip hard cancels. Clips of one song are
not independent: the bootstrap draws songs, each with all of its clips. A side may be several evaluations: networks of
other nodes, whose lines are put together, or trained by other seeds, of whose improvements on a clip the mean is taken.

Reference:
    Efron, Tibshirani, "An Introduction to the Bootstrap", 1993; the interval is the percentile one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hiersep.errors import DataError
from hiersep.evaluation.lines import SCORED, Line, read_lines
from hiersep.evaluation.names import SCORES_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

# The mixture's score of one clip may differ by no more between two evaluations of it.
TOLERANCE_DB = 0.01
_FEWEST_SONGS = 2

Folders = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class Pair(NamedTuple):
    """The improvements of both networks on one clip and node, in dB."""

    track: str
    level: str
    node: str
    first: float
    second: float


def compare(
    first: Folders,
    second: Folders,
    *,
    seed: int = 0,
    resamples: int = 5000,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Compare two evaluations clip by clip.

    Args:
        first: Folder of an evaluation, or several folders for one side.
        second: The other, on the same clips or some of them (``--clips``).
        seed: Of the bootstrap.
        resamples: How often the songs are drawn.
        confidence: Of the interval.

    Returns:
        Per level, coarse to fine, per node and for the ``whole`` (the mean of the levels): the mean SI-SDR improvement
        of the ``first`` and the ``second`` in dB, their ``difference`` (second minus first) and its interval from
        ``low`` to ``high`` (None for a single song), the share of the first's that is ``kept`` (second over first, from
        ``kept_low`` to ``kept_high``; None where the first does not improve), how many ``clips`` and ``songs``. Of a
        level also its ``number``, which counts from the finest of all up. And how many lines only one of them has
        scored.

    Raises:
        DataError: If a folder holds no scores, they have no scored clip in common, or are not of the same sounds.
    """
    sides = [[side] if isinstance(side, str | os.PathLike) else list(side) for side in (first, second)]
    files = [[read_lines(Path(folder) / SCORES_NAME) for folder in side] for side in sides]
    one, other = (_gains(lines, side) for lines, side in zip(files, sides, strict=True))
    pairs = [_paired(one[key], other[key], sides) for key in one if key in other]
    if not pairs:
        raise DataError(
            f"{_names(sides[0])} and {_names(sides[1])}: expected clips and nodes that both have scored, got none in "
            f"common; evaluate one on the clips of the other (--clips {Path(sides[0][0]) / 'clips.json'})"
        )
    settings: dict[str, Any] = {"seed": seed, "resamples": resamples, "confidence": confidence}

    def interval(groups: Sequence[Sequence[Pair]]) -> dict[str, Any]:
        return _compared(groups, **settings)

    numbers = _numbers([lines for side in files for lines in side])
    levels = {level: group for level in numbers if (group := [pair for pair in pairs if pair.level == level])}
    names = dict.fromkeys(pair.node for group in levels.values() for pair in group)
    nodes = {node: [pair for pair in pairs if pair.node == node] for node in names}
    return {
        "first": _names(sides[0]),
        "second": _names(sides[1]),
        **settings,
        "only_first": len(one) - len(pairs),
        "only_second": len(other) - len(pairs),
        "levels": {
            level: {"number": numbers[level], "nodes": len({pair.node for pair in group}), **interval([group])}
            for level, group in levels.items()
        },
        "whole": interval(list(levels.values())),
        "nodes": {node: {"level": group[0].level, **interval([group])} for node, group in nodes.items()},
    }


def _numbers(files: Iterable[Sequence[Line]]) -> dict[str, int]:
    """Number all levels, coarse to fine, from the finest up; an evaluation has those of a clip in their order.

    One of some of the levels does not say where the others lie, so that of the most levels comes first.
    """
    orders = [list(dict.fromkeys(line.level for line in lines)) for lines in files]
    levels = list(dict.fromkeys(level for order in sorted(orders, key=len, reverse=True) for level in order))
    return {level: len(levels) - place for place, level in enumerate(levels)}


def _names(folders: Sequence[str | os.PathLike[str]]) -> str:
    return ", ".join(map(str, folders))


class _Gain(NamedTuple):
    """A line of an evaluation, and the mean improvement of all those that are the same clip and node."""

    line: Line
    gain: float


def _gains(files: Iterable[Sequence[Line]], folders: Sequence[str | os.PathLike[str]]) -> dict[tuple[str, ...], _Gain]:
    """Scored lines by what is the same for every network: the clip, what was asked for, and the node."""
    found: dict[tuple[str, ...], list[Line]] = {}
    for lines in files:
        for line in lines:
            if line.status == SCORED:
                key = (line.track, str(line.start_s), line.target, line.query, line.level, line.node)
                found.setdefault(key, []).append(line)
    for same in found.values():
        for line in same[1:]:
            _check_sounds(same[0], line, [folders])
    return {
        key: _Gain(same[0], float(np.mean([line.estimate - line.mixture for line in same])))
        for key, same in found.items()
    }


def _check_sounds(one: Line, other: Line, sides: Sequence[Sequence[str | os.PathLike[str]]]) -> None:
    if not abs(one.mixture - other.mixture) <= TOLERANCE_DB:
        raise DataError(
            f"{' and '.join(map(_names, sides))}: expected the same sounds, got a mixture of {one.mixture:.2f} and of "
            f"{other.mixture:.2f} dB for {one.node} at {one.start_s:g} s of {one.track}; evaluate all on the same data"
        )


def _paired(one: _Gain, other: _Gain, sides: Sequence[Sequence[str | os.PathLike[str]]]) -> Pair:
    _check_sounds(one.line, other.line, sides)
    return Pair(one.line.track, one.line.level, one.line.node, one.gain, other.gain)


def _compared(groups: Sequence[Sequence[Pair]], *, seed: int, resamples: int, confidence: float) -> dict[str, Any]:
    """Compare the mean of the groups' means; songs are drawn once for all groups."""
    songs = sorted({pair.track for group in groups for pair in group})
    sums = _sums(groups, songs)
    first, second = (float(mean) for mean in _means(sums, axis=0))

    def interval(statistic: Callable[..., npt.NDArray[np.float64]]) -> tuple[float | None, float | None]:
        if len(songs) < _FEWEST_SONGS:
            return None, None
        from scipy.stats import bootstrap

        found = bootstrap(
            sums,
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=resamples,
            confidence_level=confidence,
            method="percentile",
            batch=500,
            random_state=np.random.default_rng(seed),
        )
        low, high = map(float, found.confidence_interval)
        return low, high

    low, high = interval(_difference)
    kept_low, kept_high = interval(_ratio) if first > 0 else (None, None)
    return {
        "first": first,
        "second": second,
        "difference": second - first,
        "low": low,
        "high": high,
        "kept": second / first if first > 0 else None,
        "kept_low": kept_low,
        "kept_high": kept_high,
        "clips": sum(map(len, groups)),
        "songs": len(songs),
    }


def _sums(groups: Sequence[Sequence[Pair]], songs: Sequence[str]) -> tuple[npt.NDArray[np.float64], ...]:
    """Per group three arrays, one number per song: the sums of both sides' improvements, and how many there are."""
    place = {song: number for number, song in enumerate(songs)}
    arrays = []
    for group in groups:
        rows = [place[pair.track] for pair in group]
        for weights in ([pair.first for pair in group], [pair.second for pair in group], None):
            arrays.append(np.bincount(rows, weights, len(songs)).astype(np.float64))
    return tuple(arrays)


def _means(arrays: Sequence[npt.NDArray[np.float64]], *, axis: int) -> tuple[npt.NDArray[np.float64], ...]:
    """Of both sides the mean over the groups of each one's mean; a group of which no song was drawn is left out."""
    *sides, counts = (np.stack([a.sum(axis=axis) for a in arrays[start::3]]) for start in (0, 1, 2))
    there = counts > 0
    return tuple((side / np.where(there, counts, 1)).sum(axis=0) / there.sum(axis=0).clip(1) for side in sides)


def _difference(*arrays: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
    first, second = _means(arrays, axis=axis)
    return np.asarray(second - first)


def _ratio(*arrays: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
    first, second = _means(arrays, axis=axis)
    # Where the draw leaves the first no improvement, none of it can be lost: all is kept.
    return np.asarray(np.divide(second, first, out=np.ones_like(first), where=first > 0))
