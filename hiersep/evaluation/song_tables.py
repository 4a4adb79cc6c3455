"""From the lines of whole songs to figures per level and part, and to Markdown."""

from __future__ import annotations

import math
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from hiersep.evaluation.song_scores import FIGURES, ROWS, SongLine
from hiersep.evaluation.tables import decibels, markdown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MEANS = ("si_sdr", "usdr")  # over songs; of museval's four the median is taken
_HEADINGS = ("level", "node", "row", "SDR", "ISR", "SIR", "SAR", "SI-SDR", "uSDR", "songs")


def summarise_songs(lines: Sequence[SongLine]) -> dict[str, Any]:
    """Give the figures of every level and part, over its songs; None where there are none.

    Of museval's ratios the median over the songs, as the field has it, of SI-SDR and uSDR the mean, in dB.
    ``docs/evaluation.md`` says what every key means.
    """
    groups: dict[str, dict[str, dict[str, list[SongLine]]]] = {}
    for line in lines:
        rows = groups.setdefault(line.level, {}).setdefault(line.node, {row: [] for row in ROWS})
        rows[line.row].append(line)
    levels = {
        level: {
            node: {"songs": _heard(rows[ROWS[0]]), **{row: _figures(rows[row]) for row in ROWS}}
            for node, rows in nodes.items()
        }
        for level, nodes in groups.items()
    }
    return {"songs": len({line.track for line in lines}), "levels": levels}


def _heard(lines: Sequence[SongLine]) -> int:
    """Count the songs in which the part sounds."""
    return sum(not math.isnan(line.usdr) for line in lines)


def _figures(lines: Sequence[SongLine]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in FIGURES:
        values = [value for value in (getattr(line, name) for line in lines) if not math.isnan(value)]
        over_songs = fmean if name in _MEANS else median
        found[name] = over_songs(values) if values else None
    return found


def song_table(results: Mapping[str, Any]) -> str:
    """Write the figures of whole songs as a Markdown table, the mixture's below those of the network.

    Args:
        results: The content of ``songs.json``.
    """
    rows = [
        [level, node, row, *(decibels(figures[row][name]) for name in FIGURES), str(figures["songs"])]
        for level, nodes in results["levels"].items()
        for node, figures in nodes.items()
        for row in ROWS
    ]
    return (
        f"{markdown([_HEADINGS, *rows], texts=3)}\n\n{results['songs']} whole songs at {results['sample_rate']} Hz, in "
        "dB. SDR, ISR, SIR, SAR: museval's BSS Eval v4, the median over songs of the median over frames of a second;\n"
        "of the mixture the SDR alone. SI-SDR and uSDR: over each song as a whole, the mean over songs."
    )
