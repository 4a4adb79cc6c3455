"""Commands in processes that can be killed, forked from one that has loaded what takes each of them seconds.

A forked process runs `hiersep.cli.main`, as the console script does, in a session of its own, with a folder of its own
for temporary files and cache. It is killed with all of its workers: by the clock, or in the moment before its so-manyth
call that changes the file system (Python's audit events tell of them).
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

CACHE, TEMPORARY = "cache", "tmp"
_CALLS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
_WRITES = os.O_WRONLY | os.O_RDWR  # a mask


def load(modules: Iterable[str]) -> None:
    """Import what commands would, and see to it that a fork is sound: no thread runs beside this one.

    Raises:
        RuntimeError: If one does.
    """
    for name in modules:
        with contextlib.suppress(Exception):  # some are no modules of their own, but a part of one
            importlib.import_module(name)
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208  # a count, and no paths
    if threads > 1:
        raise RuntimeError(f"expected one thread before a fork, got {threads}; set OMP_NUM_THREADS=1")


class _Listener:
    """Counts the calls that change the file system, and kills the session in the moment before one of them."""

    def __init__(self, deadly: int | None):
        self.calls, self.first_s, self._deadly = 0, None, deadly
        self._began = time.monotonic()

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(path, str) or path.startswith(("/dev/", "/proc/")) or not (flags or 0) & _WRITES:
                return
        elif event not in _CALLS:
            return
        if self.first_s is None:
            self.first_s = time.monotonic() - self._began
        self.calls += 1
        if self.calls == self._deadly:
            os.killpg(0, signal.SIGKILL)


class Command:
    """A command at work.

    Args:
        words: Of the command line, without the program's name.
        home: Where it runs; holds its cache and its temporary files.
        deadly: Kill it before its so-manyth call that changes the file system; None: not so.

    Attributes:
        code: The exit code; negative: the signal that ended it; None: it runs.
    """

    def __init__(self, words: Sequence[str], home: Path, *, deadly: int | None = None):
        self._log = home.with_name(f"{home.name}.log")
        self._notes = home.with_name(f"{home.name}.json")
        self._notes.unlink(missing_ok=True)
        self._began, self.seconds = time.monotonic(), 0.0
        self.code: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            self._work(words, home, deadly)
        self._handle = os.pidfd_open(self.pid)

    def _work(self, words: Sequence[str], home: Path, deadly: int | None) -> None:
        """Do what an interpreter does between its start and its end."""
        code = 70
        try:
            os.setsid()
            os.chdir(home)
            for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
                name = self._log if number else "/dev/null"
                os.dup2(os.open(name, flags | os.O_CREAT | os.O_APPEND, 0o644), number)
            os.environ.update(HIERSEP_CACHE=str(home / CACHE), TMPDIR=str(home / TEMPORARY))
            tempfile.tempdir, sys.argv, sys.dont_write_bytecode = None, ["hiersep", *words], True
            listener = _Listener(deadly)
            sys.addaudithook(listener.hear)
            before = set(sys.modules)
            code = _run()
            threading._shutdown()
            atexit._run_exitfuncs()
            sys.stdout.flush()
            modules = [name for name in sys.modules if name not in before]  # in the order of their import
            notes = {"calls": listener.calls, "first_s": listener.first_s, "modules": modules}
            self._notes.write_text(json.dumps(notes), encoding="utf-8")
        except BaseException:
            traceback.print_exc()
            code = 70
        finally:
            os._exit(code)

    def wait(self, seconds: float) -> bool:
        """Wait for its end, at most so long; say whether it came."""
        if self.code is None and select.select([self._handle], [], [], seconds)[0]:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self.seconds = time.monotonic() - self._began
            os.close(self._handle)
            self._end_workers()
        return self.code is not None

    def kill(self) -> None:
        """Kill it and its workers, as nobody can prevent."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):  # it leads no group yet
                os.killpg(self.pid, signal.SIGKILL)
            os.kill(self.pid, signal.SIGKILL)
            self.wait(60.0)

    def _end_workers(self) -> None:
        """Kill what is left of the session, and wait until nothing is."""
        deadline = time.monotonic() + 5
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < deadline:
                os.killpg(self.pid, signal.SIGKILL)
                time.sleep(0.005)

    def notes(self) -> dict[str, Any]:
        """Of one that ended by itself: its ``calls``, the seconds up to the ``first_s``, the ``modules`` it loaded."""
        return dict(json.loads(self._notes.read_text(encoding="utf-8")))

    def said(self) -> str:
        """What all commands have printed here, since `forget`."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def forget(self) -> None:
        """Begin the log anew."""
        self._log.unlink(missing_ok=True)


def _run() -> int:
    from hiersep.cli import main

    try:
        main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        return 70
    return 0
