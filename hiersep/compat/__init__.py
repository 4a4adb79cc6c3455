"""nussl, asteroid, its Lightning, and scaper, usable on current NumPy, SciPy, librosa, pandas and torch.

``from hiersep.compat import nussl`` (or ``asteroid``, ``pytorch_lightning``, ``scaper``) imports that host on demand
and mends it, once per process; a plain ``import nussl`` works from then on as well. Importing this module loads no
host. Only attributes of the hosts' own modules change for good. What the numerical libraries or `sys.modules` must
show while a host is imported is taken back before the import returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hiersep.compat import for_asteroid, for_nussl, for_scaper
from hiersep.compat.patching import LOCK

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    import asteroid as asteroid
    import nussl as nussl
    import pytorch_lightning as pytorch_lightning
    import scaper as scaper

__all__ = ["asteroid", "nussl", "pytorch_lightning", "scaper"]

_LOADERS: dict[str, Callable[[], ModuleType]] = {
    "asteroid": for_asteroid.load,
    "nussl": for_nussl.load,
    "pytorch_lightning": for_asteroid.load_lightning,
    "scaper": for_scaper.load,
}


def __getattr__(name: str) -> ModuleType:
    """Import and mend a host at its first use.

    Args:
        name: One of ``__all__``.

    Returns:
        The host's module, mended.

    Raises:
        AttributeError: If `name` is no host.
        HiersepError: If the host, or something that it needs, is not installed.
    """
    if name not in _LOADERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with LOCK:
        if name not in globals():
            globals()[name] = _LOADERS[name]()
        module: ModuleType = globals()[name]
    return module


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
