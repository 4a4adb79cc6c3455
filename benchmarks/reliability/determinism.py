"""What gives the same bytes again, and how far apart the rest is.

Every command that writes is run twice, under conditions that must not matter: other hashes of strings, another time
zone and locale, another number of jobs, threads or loader workers, an interruption. Its files are compared byte for
byte. Then what may differ is measured: a separation and a training with another number of threads, and on a GPU.
"""

from __future__ import annotations

import math
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import soundfile
import torch
from safetensors.numpy import load_file

from benchmarks._report import Bar, run
from benchmarks.reliability._workplace import COMMANDS, PARALLEL, Workplace, end, wait_until, workplace
from hiersep.training.names import CHECKPOINT_NAME, STATE_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row = dict[str, str | int]
    Arrays = dict[str, np.ndarray]

THREADS_DB, GPU_DB = -100.0, -60.0  # that sums in another order may change in what is separated, relative to it


class Condition(NamedTuple):
    """Under which a command is run: processes, words beside its own, environment."""

    jobs: int = 1
    words: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}


ELSEWHERE = {"PYTHONHASHSEED": "588", "TZ": "Pacific/Auckland", "LC_ALL": "C"}
TWO_THREADS = {"OMP_NUM_THREADS": "2"}


def conditions(command: str) -> dict[str, Condition]:
    """What must not matter to a command's bytes."""
    found = {"another hash seed, time zone, locale": Condition(environment=ELSEWHERE)}
    if command in PARALLEL:
        found["2 jobs"] = Condition(jobs=2)
    if command not in ("train", "separate", "query"):  # a network's sums; evaluate takes one thread by itself
        found["2 threads"] = Condition(environment=TWO_THREADS)
    if command == "train":
        found["no loader workers, in place of 2"] = Condition(words=("--training.num_workers", "0"))
    return found


def differing(one: Mapping[str, str], two: Mapping[str, str]) -> list[str]:
    """Names of files that only one has, or that differ."""
    return sorted(name for name in {*one, *two} if one.get(name) != two.get(name))


def row(what: str, condition: str, files: int, differ: list[str], largest: str = "none") -> Row:
    """Say what was compared."""
    return {
        "what": what,
        "runs": 2,
        "differ in": condition,
        "files": files,
        "differing": len(differ),
        "which": ", ".join(differ[:3]),
        "largest_difference": largest,
    }


def same_bytes(place: Workplace, command: str) -> list[Row]:
    """Run a command under every condition that must not matter."""
    first = place.undisturbed(command)
    rows = []
    for name, condition in conditions(command).items():
        again = place.undisturbed(command, *condition.words, jobs=condition.jobs, **condition.environment)
        differ = differing(first, again)
        if condition.words:  # the settings say which they are
            differ = [name for name in differ if name != "conf.yml"]
        rows.append(row(command, name, len(first), differ))
    if command == "train":
        rows.append(row(command, "ended by SIGTERM, and resumed", len(first), differing(first, resumed(place))))
    return rows


def resumed(place: Workplace) -> dict[str, str]:
    """Contents of a training that was ended in the middle, and went on."""
    place.clear()
    process = place.start("train")
    wait_until(lambda: (place.out / STATE_NAME).exists(), process)
    process.send_signal(signal.SIGTERM)
    end(process)
    again = place.run("train")
    if again.code != 0:
        raise RuntimeError(f"a training that was ended does not go on: {again.error}")
    return place.contents()


def difference_db(one: Arrays, two: Arrays) -> float:
    """Power of the difference relative to the first, over all arrays together, in decibels; -inf for none.

    Shape:
        of each array: any, the same in both.
    """
    power = sum(float(np.sum(np.square(array, dtype=np.float64))) for array in one.values())
    apart = sum(float(np.sum(np.square(array - two[name], dtype=np.float64))) for name, array in one.items())
    return 10 * math.log10(apart / power) if apart else -math.inf


def separated(place: Workplace, *words: str, **environment: str) -> Arrays:
    """Separate the song by a shipped network, whose sums threads share; give samples by node."""
    place.undisturbed("separate, shipped", *words, **environment)
    return {path.stem: soundfile.read(path, dtype="float64")[0] for path in sorted(place.out.rglob("*.wav"))}


def trained(place: Workplace, *words: str, **environment: str) -> Arrays:
    """Train; give weights by name."""
    place.undisturbed("train", *words, **environment)
    weights = load_file(Path(place.out / CHECKPOINT_NAME))
    return {name: array.astype(np.float64) for name, array in weights.items()}


def how_far_apart(place: Workplace) -> tuple[list[Row], list[Bar]]:
    """Measure what threads and a GPU change; what is promised, is of a separation."""
    there = torch.cuda.is_available()
    rows, bars = [], []
    for what, make, gpu in (
        ("separate", separated, ("--device", "cuda")),
        ("train, weights", trained, ("--training.device", "gpu")),
    ):
        base = make(place)
        others = {"2 threads": (make(place, **TWO_THREADS), THREADS_DB)}
        if there:
            others["a GPU"] = make(place, *gpu), GPU_DB
        for name, (other, most) in others.items():
            apart = difference_db(base, other)
            differ = [key for key, array in base.items() if not np.array_equal(array, other[key])]
            rows.append(row(what, name, len(base), differ, f"{apart:.0f} dB"))
            if make is separated:  # -inf is no JSON
                bars.append(Bar(f"change of a separation by {name}, dB", max(apart, -300.0), f"<= {most:g}"))
        if not there:
            rows.append(row(what, "a GPU: not tried, there is none", len(base), []))
    return rows, bars


def measure(repeats: int) -> tuple[list[Row], list[Bar]]:
    rows: list[Row] = []
    with workplace() as place:
        for _ in range(repeats):
            for command in COMMANDS:
                rows += same_bytes(place, command)
                print(f"same bytes: {command}", file=sys.stderr)
        exact = float(sum(int(row["differing"]) for row in rows))
        apart, bars = how_far_apart(place)
    return rows + apart, [Bar("files that differ where none may", exact, "<= 0"), *bars]


def main(arguments: list[str] | None = None) -> int:
    return run("Run every command again, and compare.", measure, repeats=1, arguments=arguments)


if __name__ == "__main__":
    sys.exit(main())
