"""Put a case in at a door and see what comes out: success, or one line of ours; and how long and how much it took."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import HypothesisWarning

from hiersep.errors import HiersepError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

LONGEST_MESSAGE = 2000  # characters; a path and a value may stand in it, a file may not
LONGEST_S, MOST_MB = 5.0, 400.0  # that a case may take of the processor, and all cases of a door of memory


@dataclass(frozen=True)
class Door:
    """A place where something comes in.

    Attributes:
        name: What comes in.
        cases: Bad input, and good.
        open: Takes one in.
        quick: How many cases ``make test`` tries.
        many: How many ``make test-slow`` does.
    """

    name: str
    cases: SearchStrategy
    open: Callable[[Any], object]
    quick: int
    many: int


@dataclass
class Tally:
    """What came of the cases of a door.

    Attributes:
        taken: Cases that were taken in.
        refused: Cases of which one line of ours came.
        slowest_s: Longest time of a case, of the processor.
        seconds: Of all cases and of making them.
        peak_mb: By how much the process grew at most.
    """

    taken: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    seconds: float = 0.0
    peak_mb: float = 0.0

    @property
    def cases(self) -> int:
        return self.taken + self.refused

    def row(self) -> str:
        return (
            f"{self.cases} cases, {self.taken} taken in, {self.refused} refused, {self.seconds:.1f} s, slowest "
            f"{self.slowest_s:.3f} s, {self.peak_mb:.0f} MB"
        )


def judge(door: Door, case: Any, tally: Tally) -> None:
    """Take a case in; whatever comes out that is not ours is raised."""
    started = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            door.open(case)
        tally.taken += 1
    except HiersepError as error:
        check_message(str(error))
        tally.refused += 1
    tally.slowest_s = max(tally.slowest_s, time.process_time() - started)


def check_message(message: str) -> None:
    """One line that any terminal shows, and no longer than a line may be."""
    assert len(message.splitlines()) == 1, message
    assert len(message) <= LONGEST_MESSAGE, message[:LONGEST_MESSAGE]
    message.encode()


def run(door: Door, count: int) -> Tally:
    """Try `count` cases, the same ones every time."""
    tally = Tally()

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate,),  # shrinking a case takes minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(door.cases)
    def every(case: Any) -> None:
        judge(door, case, tally)

    started, before = time.process_time(), resident_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HypothesisWarning)  # of cases that are long to print
        every()
    tally.seconds, tally.peak_mb = time.process_time() - started, resident_mb("VmHWM") - before
    return tally


def resident_mb(field: str) -> float:
    """What /proc says of this process's memory, in MB: ``VmRSS`` now, ``VmHWM`` at its peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (value,) = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(value) / 1024
