"""scaper 1.6.5 on NumPy 2."""

from __future__ import annotations

import functools
from typing import Any

from hiersep.compat.patching import Overlay, import_host, quietly


@functools.cache
def load() -> Any:
    """Import scaper and mend it.

    Returns:
        The module ``scaper``.
    """
    with quietly():
        scaper = import_host("scaper")
    _mend_infinity(scaper)
    return scaper


def _mend_infinity(scaper: Any) -> None:
    """Let ``scaper.core`` find ``np.Inf``.

    NumPy 2.0 has no such name, so that every event fails to be drawn.
    """
    scaper.core.np = Overlay("numpy", Inf=float("inf"))
