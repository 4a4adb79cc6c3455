"""What is kept of one clip and one node: a line of ``scores.csv``, in which all tables and comparisons begin.

A file of lines is CSV with a column per field of their dataclass, so other kinds of lines can be kept as well.
"""

from __future__ import annotations

import csv
import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hiersep.errors import DataError
from hiersep.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ROWS = ("estimate", "mixture", "static", "oracle_ideal_ratio", "oracle")
SCORED = "scored"
# Why a line is not scored, the first that holds.
APART = ("unknown", "repeated", "silent", "soft", "remainder silent")


@dataclass(frozen=True)
class Line:
    """One clip and one node.

    Attributes:
        clip: Number of the clip in the list.
        track: Id of the song.
        start_s: First second.
        target: What the query asks for; empty without queries.
        query: Where the query is from; empty without queries.
        level: Name of the level.
        node: Id of the node.
        status: ``scored``, or why not: ``unknown`` (the submix is not ground truth), ``repeated`` (a leaf that stands
            on a coarser level, where it is scored), ``silent`` (the node is not there), ``soft`` (it is not salient),
            ``remainder silent`` (the levels do not differ).
        identical: 1 where the node is the same signal as its parent, the mixture left aside; 0 elsewhere.
        estimate: SI-SDR of the network in dB; not a number where there is no reference, as in the next six.
        mixture: SI-SDR of the mixture.
        static: SI-SDR of the static mask.
        oracle_ideal_ratio: SI-SDR of the ideal ratio mask.
        oracle: SI-SDR of the truncated phase-sensitive mask.
        snr: SNR of the network in dB.
        mixture_snr: SNR of the mixture.
        output_level: Level of the network's output relative to the mixture in dB.
        exceeding_bins: Share of the bins in which the output is louder than that of the parent.
        exceeding_energy: Share of the output's energy that lies there.
        sum_error: Output for the parent, or the mixture, minus the sum of the outputs for all of its children, in dB
            relative to the parent; not a number where one of them is not estimated.
    """

    clip: int
    track: str
    start_s: float
    target: str
    query: str
    level: str
    node: str
    status: str
    identical: int
    estimate: float
    mixture: float
    static: float
    oracle_ideal_ratio: float
    oracle: float
    snr: float
    mixture_snr: float
    output_level: float
    exceeding_bins: float
    exceeding_energy: float
    sum_error: float


_EXACT = ("start_s",)  # which tells one clip from another


def write_lines(path: Path, lines: Iterable[Any], kind: type[Any] = Line) -> None:
    """Write lines as CSV, numbers with six digits; what does not exist is left empty.

    Args:
        path: The file.
        lines: All of `kind`.
        kind: A dataclass of texts, whole numbers and numbers.
    """
    names = [field.name for field in dataclasses.fields(kind)]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for line in lines:
            writer.writerow([_cell(name, getattr(line, name)) for name in names])


def _cell(name: str, value: str | float) -> str:
    if isinstance(value, float) and name not in _EXACT:
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def read_lines(path: Path, kind: type[Any] = Line) -> list[Any]:
    """Read the lines that `write_lines` wrote.

    Args:
        path: The file.
        kind: Their dataclass.

    Raises:
        DataError: If there is no such file, or it is another.
    """
    types = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        if not rows or rows[0] != list(types):
            raise ValueError("its columns are others")
        return [
            kind(**{name: _value(types[name], cell) for name, cell in zip(types, row, strict=True)}) for row in rows[1:]
        ]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; name the folder of an evaluation (hiersep evaluate --out)") from error
    except (ValueError, csv.Error) as error:
        raise DataError(
            f"{path}: expected the scores that `hiersep evaluate` of this version writes, got something else ({error})"
        ) from error


def _value(kind: str, cell: str) -> str | float:
    if kind == "str":
        return cell
    return int(cell) if kind == "int" else float(cell or "nan")
