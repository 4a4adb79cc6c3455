"""What commands do on disks that fill, with files that vanish, beside a second run, and when their workers die.

Every command that writes is disturbed, then given again undisturbed. Counted are tracebacks, files that were left half
written, runs that hang, and those that are not completed by the same command afterwards, with the contents of an
undisturbed run. Disks are small file systems in memory, and read-only folders are mounted; without the right to do so,
a limit on the size of files stands for a full disk, and the rows of read-only folders say why there are none.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks._report import Bar, run
from benchmarks.reliability._workplace import (
    COMMANDS,
    PARALLEL,
    Said,
    Workplace,
    end,
    half_written,
    wait_until,
    workplace,
)
from hiersep.training.names import STATE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Row = dict[str, str | int]

SHARES = (0.01, 0.3, 0.6, 0.95)  # of the room that a command takes
_DISK_MB = 64
_CHANGING = ("manifest.json", "metrics.csv", "best.safetensors", "catalog", "store")  # written again at every step


def changing(name: str) -> bool:
    """Whether a file grows while a command runs, being replaced as a whole."""
    return any(part in name for part in _CHANGING)


def row(fault: str, command: str, said: Said, place: Workplace, whole: dict[str, str], again: Said | None) -> Row:
    """Judge a disturbed run and the one after it, whose files lie there now."""
    completed = again is None or (again.code == 0 and place.contents() == whole)
    return {
        "fault": fault,
        "command": command,
        "exit": "hangs" if said.code is None else said.code,
        "said": said.line.replace(str(place.folder), "").replace(str(place.out), "OUT")[:160],
        "traceback": int(said.traceback or (again is not None and again.traceback)),
        "half_written": 0,
        "completed": int(completed),
    }


def left_half(place: Workplace, whole: dict[str, str]) -> int:
    """Count what a disturbed run left half-written."""
    return len(half_written(place.contents(), whole, of_the_end=changing))


# A disk that fills


def mount(place: Path, *words: str) -> None:
    """Mount something at a place that is made.

    Raises:
        PermissionError: If there is no right to.
    """
    place.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *words, str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(done.stderr.strip() or "mount failed")


@contextlib.contextmanager
def disk(place: Path, size: int) -> Iterator[None]:
    """Have a disk of so many bytes.

    Raises:
        PermissionError: If there is no right to mount one.
    """
    mount(place, "-t", "tmpfs", "-o", f"size={size}", "none")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill_disk(place: Workplace, command: str) -> list[Row]:
    """Let a command run out of room at several points of its work, make room, and give it again."""
    rows, mib = [], 2**20
    disk_place = place.folder / "disk"
    there = replace(place, out=disk_place / "out")
    with disk(disk_place, _DISK_MB * mib):
        whole = there.undisturbed(command)
        status = os.statvfs(disk_place)
        used = (status.f_blocks - status.f_bfree) * status.f_frsize
    for share in SHARES:
        with disk(disk_place, max(4096, int(share * used))):
            with contextlib.suppress(OSError):  # the smallest disk may have no room for a folder
                there.out.mkdir()
            said = there.run(command)
            half = left_half(there, whole)
            mount(disk_place, "-o", f"remount,size={_DISK_MB * mib}")
            again = there.run(command)
            rows.append({**row(f"disk full at {share:.0%}", command, said, there, whole, again), "half_written": half})
    return rows


def limit_files(place: Workplace, command: str) -> list[Row]:
    """Let no file of a command grow beyond some sizes; for machines where no disk can be mounted."""
    rows = []
    whole = place.undisturbed(command)
    largest = max(path.stat().st_size for path in place.out.rglob("*") if path.is_file())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for share in SHARES:
        place.clear()
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * largest), before[1]))  # children have it too
        try:
            process = place.start(command)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        said = end(process)
        half = left_half(place, whole)
        again = place.run(command)
        rows.append({**row(f"files of {share:.0%} at most", command, said, place, whole, again), "half_written": half})
    return rows


def full_disk(place: Workplace, command: str) -> list[Row]:
    """Fill a disk under a command; where none can be mounted, limit its files."""
    try:
        return fill_disk(place, command)
    except PermissionError:
        return limit_files(place, command)


# A folder that cannot be written to


def read_only(place: Workplace, command: str) -> list[Row]:
    """Read data from a folder that cannot be written to."""
    locked = place.folder / "locked"
    fault = "read-only data"
    try:
        mount(locked, "--bind", str(place.data))
    except PermissionError as error:
        said = Said(0, f"hiersep: warning: not tried, no folder can be mounted read-only here: {error}")
        return [row(fault, command, said, place, {}, None)]
    try:
        mount(locked, "-o", "remount,ro,bind")
        place.clear()
        said = place.run(command, data=locked)
        return [row(fault, command, said, place, {}, Said(said.code, said.error) if said.code else None)]
    finally:
        subprocess.run(["umount", "--lazy", str(locked)], check=True)


# Files that vanish


def take_stem(data: Path) -> Callable[[], None]:
    """Take a stem of every training and test track away; give what brings them back."""
    taken = [next(track.glob("stems/*")) for split in ("train", "test") for track in sorted(data.glob(f"{split}/*"))]
    for path in taken:
        path.rename(path.with_suffix(".taken"))
    return lambda: [path.with_suffix(".taken").rename(path) for path in taken] and None


def cut_stems(data: Path) -> Callable[[], None]:
    """Cut every stem in the middle, as a disk that fails would; give what brings them back."""
    whole = {path: (path.read_bytes(), path.stat()) for path in data.glob("*/*/stems/*")}
    for path, (content, _) in whole.items():
        path.write_bytes(content[: len(content) // 2])

    def restore() -> None:
        for path, (content, status) in whole.items():
            path.write_bytes(content)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    return restore


def take_all(data: Path) -> Callable[[], None]:
    """Take the whole data set away; give what brings it back."""
    data.rename(data.with_name("taken"))
    return lambda: data.with_name("taken").rename(data) and None


def begun(place: Workplace) -> bool:
    """Whether a command has written something that it will go on from."""
    names = (STATE_NAME, "*.jams", "*/chunk-*.csv", "*/Track*", "datasets/*/journal-*")
    return any(next(place.out.glob(name), None) for name in names)


VANISHING = {"stems taken": take_stem, "stems cut": cut_stems, "data taken": take_all}


def vanishing(place: Workplace, command: str) -> list[Row]:
    """Take files from a command that reads them; bring them back, and give it again.

    A training goes on without some of its stems, and then is another one: it is only completed.
    """
    rows = []
    whole = place.undisturbed(command)
    for fault, take in VANISHING.items():
        place.clear()
        process = place.start(command)
        wait_until(lambda: begun(place), process)
        restore = take(place.data)
        said = end(process)
        restore()
        again = place.run(command)
        judged = row(fault, command, said, place, whole, again)
        if command == "train":
            judged["completed"] = int(again.code == 0)
        rows.append(judged)
    return rows


# Workers that die


def children(process: int) -> list[int]:
    """Processes that a process has started, and those that these have."""
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *children(child)]
    return found


def workers(process: int) -> list[int]:
    """Those that work; joblib's and Python's trackers of what is to be cleaned up do not."""
    found = []
    for child in children(process):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{child}/cmdline").read_bytes()
            if words and b"tracker" not in words and b"ffmpeg" not in words:
                found.append(child)
    return found


def kill_worker(place: Workplace, command: str) -> list[Row]:
    """Kill a worker once it works, and give the command again."""
    rows = []
    whole = place.undisturbed(command, jobs=2)
    for moment, ready in {"starts": lambda: True, "works": lambda: begun(place)}.items():
        place.clear()
        process = place.start(command, jobs=2)
        wait_until(lambda ready=ready, process=process: ready() and len(workers(process.pid)) > 1, process)
        for worker in workers(process.pid)[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        said = end(process)
        half = left_half(place, whole)
        again = place.run(command, jobs=2)
        rows.append({**row(f"a worker dies as it {moment}", command, said, place, whole, again), "half_written": half})
    return rows


# Two at once


def two_at_once(place: Workplace, command: str) -> list[Row]:
    """Start a command twice; either both succeed, or one says that the other is at work."""
    whole = place.undisturbed(command)
    place.clear()
    both = [place.start(command) for _ in range(2)]
    ends = sorted(map(end, both), key=lambda said: 3 if said.code is None else said.code)
    refused = ends[1].code == 0 or (ends[1].code in (1, 2) and "another run is writing into it" in ends[1].line)
    judged = row("two at once", command, ends[1], place, whole, ends[0])
    return [{**judged, "completed": int(judged["completed"] and refused), "half_written": left_half(place, whole)}]


FAULTS: list[tuple[Callable[[Workplace, str], list[Row]], tuple[str, ...]]] = [
    (full_disk, COMMANDS),
    (read_only, ("index", "index --store", "mix", "train", "evaluate")),
    (vanishing, ("mix", "train", "evaluate")),
    (kill_worker, (*PARALLEL, "train")),
    (two_at_once, COMMANDS),
]


def measure(repeats: int) -> tuple[list[Row], list[Bar]]:
    rows: list[Row] = []
    with workplace() as place:
        for _ in range(repeats):
            for disturb, commands in FAULTS:
                for command in commands:
                    shutil.rmtree(place.folder / "cache", ignore_errors=True)
                    rows += disturb(place, command)
                    print(f"{disturb.__name__}: {command}", file=sys.stderr)
    return rows, bars(rows)


def bars(rows: list[Row]) -> list[Bar]:
    """What must hold of every row."""
    counts = {
        "tracebacks": [row["traceback"] for row in rows],
        "files left half-written": [row["half_written"] for row in rows],
        "runs that hang": [row["exit"] == "hangs" for row in rows],
        "exits with another code than 0, 1, 2": [row["exit"] not in (0, 1, 2, "hangs") for row in rows],
        "failures without a line": [row["exit"] in (1, 2) and not row["said"] for row in rows],
        "not completed by the same command": [not row["completed"] for row in rows],
    }
    return [Bar(name, float(sum(map(int, count))), "<= 0") for name, count in counts.items()]


def main(arguments: list[str] | None = None) -> int:
    return run("Disturb every command that writes, and give it again.", measure, repeats=1, arguments=arguments)


if __name__ == "__main__":
    sys.exit(main())
