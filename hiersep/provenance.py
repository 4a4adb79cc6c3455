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

    def git(*words: str) -> str:
        # `describe --dirty` would lock the index to note what it saw; a kill then stops every git until it is removed.
        command = ["git", "--no-optional-locks", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        changes = git("status", "--porcelain", "--untracked-files=no")
        return git("describe", "--always", "--abbrev=12") + ("-dirty" if changes else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def machine(gpus: Iterable[str] = ()) -> str:
    """Name the machine in a line: its architecture, its cores, and the GPUs that took part.

    Example:
        >>> machine(["NVIDIA H100"]).split(", ")[-1]
        'NVIDIA H100'
    """
    return ", ".join([platform.machine(), f"{os.cpu_count()} cores", *gpus])
