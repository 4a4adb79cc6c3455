"""What the benchmarks share: bars, the table, the JSON, the exit code.

A *bar* is a promise that a machine's speed does not change: a ratio of two measurements of one run, and what it must
be. Seconds alone are printed, and promised nowhere.
"""

from __future__ import annotations

import argparse
import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiersep.provenance import git_commit, machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Row = Mapping[str, str | int | float]
    Measure = Callable[[int], tuple[list[Row], list["Bar"]]]


@dataclass(frozen=True)
class Bar:
    """A promise.

    Attributes:
        name: What is promised.
        ratio: What was measured.
        must: What it must be: ``<= X`` or ``>= X``.
    """

    name: str
    ratio: float
    must: str

    @property
    def holds(self) -> bool:
        """Whether the promise is kept; never by a ratio that is not a number."""
        sign, limit = self.must.split()
        return {"<=": self.ratio <= float(limit), ">=": self.ratio >= float(limit)}[sign]

    def to_dict(self) -> dict[str, Any]:
        """The bar as the JSON shows it."""
        return {**asdict(self), "holds": self.holds}


def table(rows: Sequence[Row]) -> str:
    """Lay rows out in columns; numbers stand right, with four digits."""
    cells = [[f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()] for row in rows]
    lines = [list(rows[0]), *cells]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    right = [isinstance(value, int | float) for value in rows[0].values()]
    return "\n".join(
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in lines
    )


def run(about: str, measure: Measure, *, repeats: int, arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and judge.

    Args:
        about: What is measured, for ``--help``.
        measure: Takes the number of repeats; gives rows, all with the same keys, and bars.
        repeats: Of every measurement, unless ``--repeats`` says otherwise.
        arguments: Words of the command line; default: the process's own.

    Returns:
        The exit code: 0 if every bar holds, else 1.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--repeats", type=int, default=repeats, metavar="N", help=f"default: {repeats}")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error(f"--repeats: expected at least 1, got {options.repeats}")
    rows, bars = measure(options.repeats)
    commit = git_commit(Path(__file__).parent)
    where = f"{machine()}, {platform.system()}, Python {platform.python_version()}"
    if options.json:
        result = {"rows": rows, "bars": [bar.to_dict() for bar in bars], "machine": where, "commit": commit}
        print(json.dumps(result, indent=2, allow_nan=False))
    else:
        print(table(rows))
        for bar in bars:
            print(f"{'holds' if bar.holds else 'FAILS'}: {bar.name}: {bar.ratio:.3g}, must be {bar.must}")
        print(f"{where}; commit {commit}")
    return 0 if all(bar.holds for bar in bars) else 1
