"""Whether the tests of the mathematics notice a mistake: it is changed sign by sign, and each change is tested.

A mutant is the code with one operator, number or word changed. mutmut makes them and runs those tests that reach each;
which files and tests, `pyproject.toml` says under ``tool.mutmut``. What was tested stays in ``mutants/``: a run that
was stopped goes on by the same command, and only changed functions are tested anew. What new tests are for is named:
``mutmut run NAME ...`` tests these again, ``mutmut run 'hiersep.losses*'`` those of a file. ``mutmut results`` names
the survivors, ``mutmut show NAME`` shows one.

A mutant counts as noticed if a test fails, or never ends. The bar: 85 % in every file. One process takes half an hour;
as many as there are cores work at once.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks._report import Bar, run

FOLDER = Path("mutants")
LEAST = 0.85
# By mutmut's exit codes. None: not tested yet.
NOTICED = {"killed": (1, 3), "endless": (-24, 24, 36, 152, 255)}
_MEANING = {code: meaning for meaning, codes in NOTICED.items() for code in codes} | {0: "survived", None: "pending"}


def count(folder: Path = FOLDER) -> dict[str, Counter[str]]:
    """Count the mutants of every file by what became of them."""
    found = {}
    for path in sorted(folder.rglob("*.meta")):
        codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"].values()
        if codes:
            name = path.relative_to(folder).as_posix().removesuffix(".meta")
            found[name] = Counter(_MEANING.get(code, "untested") for code in codes)
    return found


def measure(repeats: int):
    subprocess.run([sys.executable, "-m", "mutmut", "run"], check=False, stdout=sys.stderr)
    rows, bars = [], []
    for name, kinds in count().items():
        share = sum(kinds[kind] for kind in NOTICED) / kinds.total()
        row = {kind: kinds[kind] for kind in (*NOTICED, "survived", "untested", "pending")}
        rows.append({"file": name, "mutants": kinds.total(), **row, "noticed": share})
        bars.append(Bar(f"share of the mutants of {name} that the tests notice", share, f">= {LEAST}"))
    return rows, bars


def main(arguments: list[str] | None = None) -> int:
    return run("Change the mathematics and count what the tests notice.", measure, repeats=1, arguments=arguments)


if __name__ == "__main__":
    sys.exit(main())
