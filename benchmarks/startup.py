"""How long ``hiersep tree slakh34`` takes beyond an interpreter that does nothing.

The two run in turn, so that a busy moment of the machine falls on both; the medians are compared. The bar: at most
0.4 s beyond bare Python.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks._report import Bar, run

LIMIT_S = 0.4
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "hiersep tree slakh34": [sys.executable, "-c", "from hiersep.cli import main; main()", "tree", "slakh34"],
}


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def measure(repeats: int):
    for command in COMMANDS.values():  # once unmeasured: byte code is written, files come into the cache
        seconds(command)
    times = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    medians = {name: statistics.median(values) for name, values in times.items()}
    rows = [
        {"command": name, "median_s": medians[name], "fastest_s": min(values), "slowest_s": max(values)}
        for name, values in times.items()
    ]
    bare, tree = medians.values()
    return rows, [Bar(f"seconds beyond bare Python, as a share of {LIMIT_S} s", (tree - bare) / LIMIT_S, "<= 1")]


def main(arguments: list[str] | None = None) -> int:
    return run("Time the start of the command line.", measure, repeats=9, arguments=arguments)


if __name__ == "__main__":
    sys.exit(main())
