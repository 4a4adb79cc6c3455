"""From lines to figures: per node, per level, per target, and over all.

The mean of a level is that over its scored lines; the whole is the mean of the levels. What is not scored is counted,
and its figures are given, apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hiersep.evaluation.lines import APART, ROWS, SCORED, Line
from hiersep.metrics import NOTHING_TO_SEPARATE_DB, SILENT_DB

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What is told of every group of scored lines, by mean, median, quartiles and standard deviation.
FIGURES = ("si_sdr", "si_sdri", "over_static", "snr", "snri", *ROWS[1:])


def figures_of(line: Line) -> dict[str, float]:
    """Scores and what they add to those of the mixture, or of the static mask, in dB."""
    rows = {row: getattr(line, row) for row in ROWS[1:]}
    return {
        "si_sdr": line.estimate,
        "si_sdri": line.estimate - line.mixture,
        "over_static": line.estimate - line.static,
        "snr": line.snr,
        "snri": line.snr - line.mixture_snr,
        **rows,
    }


@dataclass(frozen=True)
class Evaluation:
    """All scores of a separator on a list of clips.

    Attributes:
        kind: ``path``, ``query`` or ``tree``.
        levels: Names of the levels, coarse to fine.
        nodes: Ids of the nodes, in the hierarchy's order.
        lines: One per clip and node.
    """

    kind: str
    levels: tuple[str, ...]
    nodes: tuple[str, ...]
    lines: tuple[Line, ...]

    def scored(self, *, node: str | None = None, level: str | None = None) -> list[Line]:
        """The lines that count, of a node or a level."""
        return [line for line in _of(self.lines, node, level) if line.status == SCORED]

    def summary(self) -> dict[str, Any]:
        """All figures, in dB, shares in [0, 1]; None where there are none.

        ``docs/evaluation.md`` says what every key means.
        """
        levels = {level: summarise(_of(self.lines, level=level)) for level in self.levels}
        targets = sorted({line.target for line in self.lines if line.target})
        clips = _by_clip(self.lines)
        return {
            "kind": self.kind,
            "clips": len(clips),
            "songs": len({line.track for line in self.lines}),
            "identical_levels": _share(any(line.identical for line in lines) for lines in clips),
            "nothing_to_separate": _share(any(_is_easy(line) for line in lines) for lines in clips),
            "levels": levels,
            "whole": whole(list(levels.values())),
            "nodes": {
                node: {"level": self._level_of(node), **summarise(_of(self.lines, node=node))} for node in self.nodes
            },
            "targets": {
                target: {
                    level: summarise([line for line in _of(self.lines, level=level) if line.target == target])
                    for level in self.levels
                }
                for target in targets
            },
        }

    def _level_of(self, node: str) -> str | None:
        return next((line.level for line in self.lines if line.node == node and line.status != "repeated"), None)


def _of(lines: Iterable[Line], node: str | None = None, level: str | None = None) -> list[Line]:
    return [line for line in lines if node in (None, line.node) and level in (None, line.level)]


def _by_clip(lines: Iterable[Line]) -> list[list[Line]]:
    clips: dict[int, list[Line]] = {}
    for line in lines:
        clips.setdefault(line.clip, []).append(line)
    return list(clips.values())


def _is_easy(line: Line) -> bool:
    return line.mixture > NOTHING_TO_SEPARATE_DB


def summarise(lines: Sequence[Line]) -> dict[str, Any]:
    """Sum up lines of one node, level or target."""
    scored = [line for line in lines if line.status == SCORED]
    figures = [figures_of(line) for line in scored]
    heard = [line for line in lines if line.status not in ("unknown", "repeated", "silent")]
    salient = [line for line in heard if line.status != "soft"]
    return {
        "clips": len(scored),
        "songs": len({line.track for line in scored}),
        **{name: spread([figure[name] for figure in figures]) for name in FIGURES},
        "apart": {
            status: _apart(left) for status in APART if (left := [line for line in lines if line.status == status])
        },
        "identical": _share(line.identical for line in heard),
        "nothing_to_separate": _share(map(_is_easy, heard)),
        "near_silent": _share(not line.output_level > SILENT_DB for line in salient),
        "exceeding_bins": _mean(line.exceeding_bins for line in lines),
        "exceeding_energy": _mean(line.exceeding_energy for line in lines),
        "sum_error": _mean(line.sum_error for line in lines),
    }


def _apart(lines: Sequence[Line]) -> dict[str, Any]:
    """What is told of lines that are not scored."""
    figures = [figures_of(line) for line in lines]
    return {
        "clips": len(lines),
        "si_sdr": _mean(figure["si_sdr"] for figure in figures),
        "si_sdri": _mean(figure["si_sdri"] for figure in figures),
        "output_level": _mean(line.output_level for line in lines),
    }


def spread(values: Sequence[float]) -> dict[str, float | None] | None:
    """Mean, median, quartiles and standard deviation; None of nothing.

    Example:
        >>> spread([1.0, 2.0, 6.0])["median"]
        2.0
    """
    if not values:
        return None
    first, median, third = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "median": median, "q1": first, "q3": third, "std": deviation}


def whole(levels: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means of the levels' means and medians; None where a level has none."""
    found: dict[str, Any] = {}
    for name in FIGURES:
        groups = [level[name] for level in levels]
        complete = bool(groups) and None not in groups
        found[name] = {key: _mean(group[key] for group in groups) for key in ("mean", "median")} if complete else None
    return found


def _mean(values: Iterable[float]) -> float | None:
    """Mean of what is a number."""
    there = [value for value in values if not math.isnan(value)]
    return float(np.mean(there)) if there else None


def _share(flags: Iterable[bool | int]) -> float | None:
    there = list(flags)
    return sum(map(bool, there)) / len(there) if there else None
