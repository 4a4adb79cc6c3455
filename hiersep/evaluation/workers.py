"""Spread work over processes, wherever joblib runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hiersep.data.parallel import naming_deaths, without_interrupts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def in_workers(work: Callable[[Any], Any], parts: Iterable[Any], jobs: int) -> Iterator[Any]:
    """Yield what the work gives for each part, as soon as it is there.

    Args:
        work: A function of a module.
        parts: What it is called with, one by one.
        jobs: Processes.

    Raises:
        DataError: If a process was ended from outside.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    # Workers that did something lighter before would be ended in the middle, by joblib that takes a network for a leak.
    get_reusable_executor().shutdown()
    pool = Parallel(n_jobs=jobs, return_as="generator_unordered")
    with without_interrupts():
        finished = pool(delayed(work)(part) for part in parts)
    with naming_deaths("evaluates", "with fewer jobs or a smaller batch"):
        yield from finished
