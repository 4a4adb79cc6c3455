"""What made a result: the commit of the code, and the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def git_commit(folder: str | os.PathLike[str] = ".") -> str:
    """Name the commit of the checkout that holds `folder`, with ``-dirty`` on changes; ``"unknown"`` outside of one."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def machine(gpus: Iterable[str] = ()) -> str:
    """Name the machine in a line: its architecture, its cores, and the GPUs that took part.

    Example:
        >>> machine(["NVIDIA H100"]).split(", ")[-1]
        'NVIDIA H100'
    """
    return ", ".join([platform.machine(), f"{os.cpu_count()} cores", *gpus])
