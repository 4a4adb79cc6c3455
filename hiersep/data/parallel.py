"""Work beside others: workers that do not hear Ctrl-C, and sums that come out alike however many work.

The process that started the workers ends them, without their tracebacks.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from hiersep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C for a moment; the processes that are started meanwhile ignore it for good.

    Ctrl-C reaches the whole process group; this process ends its workers itself, without their tracebacks.
    """
    if threading.current_thread() is not threading.main_thread():  # where Python lets nobody set a handler
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def ended(work: str, advice: str) -> DataError:
    """Say that a worker was ended from outside.

    Args:
        work: What it does: ``mixes``.
        advice: How to ask for less memory the next time: ``with fewer jobs``.
    """
    return DataError(
        f"a process that {work} was ended from outside, perhaps for want of memory; what was finished is kept: run the "
        f"same command again, {advice}"
    )


@contextlib.contextmanager
def naming_deaths(work: str, advice: str = "with fewer jobs") -> Iterator[None]:
    """Make one line of the death of one of joblib's workers.

    Args:
        work: What they do: ``measures``.
        advice: How to ask for less memory the next time.

    Raises:
        DataError: If a worker was ended from outside.
    """
    try:
        yield
    except BrokenProcessPool as error:
        raise ended(work, advice) from error


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work with one thread for a moment: with more, sums come out in another order."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
