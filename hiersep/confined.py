"""Keep the names that data say within the folder that they belong to: no `..`, absolute path or link leads out."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hiersep.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def inside(folder: Path, said_by: Path, *names: str) -> Path:
    """Join the name of a file that data say to the folder that it belongs to.

    Args:
        folder: Of the song, or of the results; it may be a link itself.
        said_by: Who says so, for the message.
        names: Of the folders below and the file.

    Raises:
        DataError: If it leads out of the folder: as an absolute path, by ``..`` or by a link.
    """
    path, name = folder.joinpath(*names), "/".join(names)
    try:
        held = "\0" not in name and path.resolve().is_relative_to(folder.resolve())
        if held:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.lstat()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links; too long, or no text that a name may hold
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{said_by}: expected the name of a file, got {name[:200]!r} ({reason})") from error
    if not held:
        raise DataError(f"{said_by}: expected a file in {folder}, got {name[:200]!r}, which leads out of it")
    return path


def own(folder: Path, *names: str) -> Path:
    """Name a file that a folder is looked through for, unless it is a link that leads out of the folder.

    Args:
        folder: As `inside`.
        names: Of the file, and of folders before it.

    Raises:
        DataError: If it is.
    """
    path = folder.joinpath(*names)
    return inside(folder, folder, *names) if path.is_symlink() else path
