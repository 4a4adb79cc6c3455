"""The tools of the mends: import quietly, patch for a while, and let one module see another library.

Two kinds of patch are used. *Temporary* ones (`temporarily`, `quietly`, `forget`) hold only while a host is
imported. *Lasting* ones (`Overlay`, `with_import`) change what a single module or function of a host sees and leave
the library itself alone.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import io
import logging
import os
import shutil
import sys
import threading
import types
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hiersep.errors import HiersepError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOCK = threading.RLock()  # held while a host is imported and mended

# What to install where a module is missing and its name alone would mislead.
_REQUIREMENTS = {
    "asteroid": "asteroid==0.7.0",
    "nussl": "nussl==1.1.9",
    "pkg_resources": "'setuptools<81'",
    "scaper": "scaper==1.6.5",
}


def import_host(name: str) -> Any:
    """Import a host package, from scratch where an earlier attempt left parts of it behind.

    Args:
        name: The package, or a module of it.

    Returns:
        The module.

    Raises:
        HiersepError: If the package, or one that it imports, is not installed; names the install command.
    """
    package = name.partition(".")[0]
    if package not in sys.modules:
        forget(package)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).partition(".")[0]
        command = f"pip install {_REQUIREMENTS.get(missing, missing)}"
        raise HiersepError(f"cannot import {name}: {missing!r} is not installed; run `{command}`") from error


def forget(*packages: str) -> None:
    """Drop packages and their submodules from `sys.modules`."""
    for module in list(sys.modules):
        if module.partition(".")[0] in packages:
            del sys.modules[module]


@contextmanager
def temporarily(owner: object, **attributes: object) -> Iterator[None]:
    """Set attributes of a module, and put back what was there on leaving.

    Args:
        owner: The module.
        **attributes: Name and value of each attribute.
    """
    before = {name: vars(owner)[name] for name in attributes if name in vars(owner)}
    vars(owner).update(attributes)
    try:
        yield
    finally:
        for name in attributes:
            del vars(owner)[name]
        vars(owner).update(before)


@contextmanager
def quietly() -> Iterator[None]:
    """Hold back the warnings and notes that the hosts' dependencies give while they are imported.

    Those are deprecations (``pkg_resources`` in torchmetrics 0.11, ``torch.jit.script`` in gpytorch,
    ``scipy.ndimage.filters`` in norbert) and, from pysox, the search for a ``sox`` program: its warning and the
    shell's own note. soxbindings does that program's work.
    """
    sox = logging.getLogger("sox")
    level = sox.level
    ask_shell = os.popen

    def answer(command: str, *args: Any) -> Any:
        return io.StringIO() if command == "sox -h" else ask_shell(command, *args)

    with LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sox.setLevel(logging.ERROR)
        try:
            with temporarily(os, popen=ask_shell if shutil.which("sox") else answer):
                yield
        finally:
            sox.setLevel(level)


class Overlay(types.ModuleType):
    """A library as one module of a host shall see it: a few names changed, the rest looked up in the library.

    Args:
        library: Full name of the library; it is imported at the first look-up.
        **changes: The names that differ.

    Example:
        >>> Overlay("math", tau=6).tau, Overlay("math", tau=6).inf
        (6, inf)
    """

    def __init__(self, library: str, **changes: object) -> None:
        super().__init__(library)
        vars(self).update(changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def by_position(module: str, function: str, *names: str) -> Callable[..., Any]:
    """Let a function whose arguments have become keyword-only take them by position again.

    Args:
        module: Full name of the function's module; it is imported at the first call.
        function: Name of the function.
        *names: Its arguments, in the order of old.

    Returns:
        The function in its old form.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        found = getattr(importlib.import_module(module), function)
        return found(**dict(zip(names, args, strict=False)), **kwargs)

    return call


def with_import(function: Any, name: str, module: types.ModuleType) -> Any:
    """Copy a function, its code unchanged, whose own ``import NAME`` finds another module.

    Args:
        function: The function. The copy keeps it as ``__wrapped__``.
        name: The import statement to divert.
        module: What the statement shall bind.

    Returns:
        The copy.
    """

    def find(wanted: str, *args: Any, **kwargs: Any) -> Any:
        found = builtins.__import__(wanted, *args, **kwargs)
        return module if wanted == name else found

    scope = {**function.__globals__, "__builtins__": {**vars(builtins), "__import__": find}}
    copy = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__)
    return functools.wraps(function)(copy)
