"""Write files so that a reader never sees half of one.

A file is written in a temporary folder beside its place and renamed when it is whole: a process that is killed, or a
disk that fills, leaves the old file or none. Whoever writes holds a lock on the temporary folder, so that what a killed
process left can be told from what another one is writing; the former is removed by the next that writes there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiersep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPORARY_PREFIX = ".hiersep-part-"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what the system says of a disk that is full
_REPLACED = ".replaced"  # in a temporary folder: what stood where the whole folder beside it belongs
_HELD: set[int] = set()  # handles of locked folders


def _let_go() -> None:
    """Leave the locks to the process that took them: a forked worker may outlive it for some seconds."""
    for handle in _HELD:
        os.close(handle)
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go)


def _release(handle: int) -> None:
    if handle in _HELD:  # else this is a forked worker, which has let go of it
        _HELD.discard(handle)
        os.close(handle)


@contextlib.contextmanager
def scratch_folder(parent: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """Make a temporary folder, which is gone after the block; what killed processes left beside it is removed first.

    Args:
        parent: Where. Default: the system's place for temporary files.

    Yields:
        The folder.

    Raises:
        OSError: If it cannot be made.
    """
    parent = Path(tempfile.gettempdir() if parent is None else parent)
    _sweep_once(parent.absolute())
    folder, handle = _make_scratch(parent)
    try:
        yield folder
    finally:
        _put_in_place(folder)
        shutil.rmtree(folder, ignore_errors=True)
        _release(handle)


def _make_scratch(parent: Path) -> tuple[Path, int]:
    """Make a temporary folder and lock it; again, if another process swept it before it was locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=parent))
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(folder, os.O_RDONLY)
            with contextlib.suppress(OSError):  # a file system that knows no locks, on which nothing is swept either
                fcntl.flock(handle, fcntl.LOCK_EX)
            if folder.exists():
                _HELD.add(handle)
                return folder, handle
            os.close(handle)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write a file or a folder at, and rename it to `path` on success.

    The temporary name keeps the suffix of `path`, so that writers that choose a format by it are not misled.

    Args:
        path: Where the file or folder shall be. Its parent is made. A folder that stands there is replaced.

    Yields:
        The temporary path. On an exception whatever lies there is removed and `path` is untouched.

    Raises:
        DataError: If the place cannot be written to, or has no room.
    """
    path = Path(path)
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch = stack.enter_context(scratch_folder(path.parent))
        except OSError as error:
            raise unwritable(path, error) from error
        temporary = scratch / path.name
        try:
            yield temporary
            if path.is_dir() and not temporary.is_dir():
                raise DataError(f"{path}: cannot write the file, a folder of this name stands here; name another place")
            if path.is_dir():
                path.rename(scratch / _REPLACED)
            temporary.replace(path)
        except OSError as error:
            if error.errno in NO_ROOM:  # of a write to a file that is open, the system does not say which
                raise unwritable(path, error) from error
            raise


def _put_in_place(scratch: Path) -> None:
    """End a replacement that was broken off after the old folder had left its place and before the new one took it."""
    if not (scratch / _REPLACED).is_dir():
        return
    for whole in scratch.iterdir():
        place = scratch.parent / whole.name
        if whole.name != _REPLACED and not os.path.lexists(place):
            whole.rename(place)


def unwritable(path: str | os.PathLike[str], error: OSError) -> DataError:
    """Say that a file or a folder cannot be written, and what to do."""
    if error.errno in NO_ROOM:
        path = Path(*(part for part in Path(path).parts if not part.startswith(TEMPORARY_PREFIX)))  # as it was to be
        return DataError(f"{path}: cannot be written ({error.strerror}); make room, and run the same command again")
    return DataError(f"{path}: cannot write here ({error.strerror}); choose a folder that can be written to")


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder and its parents, so that a place that cannot be written to is found before the work is done.

    Raises:
        DataError: If it cannot be made.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def begin_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder for results, as `make_folder`, and `sweep` it: a run that then finds all done writes nothing there.

    Raises:
        DataError: If it cannot be made.
    """
    make_folder(path)
    sweep(path)


@contextlib.contextmanager
def lock_folder(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a folder, made if need be, against a second run; the lock ends with the process, however that ends.

    Raises:
        DataError: If another run holds it, or the folder cannot be made.
    """
    while (handle := _take(path)) is None:
        pass
    try:
        yield
    finally:
        _release(handle)


def _take(path: str | os.PathLike[str]) -> int | None:
    """Lock a folder; None where the run that held it removed it, at its end, before this one had it."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be made a folder ({error.strerror}); choose a folder that can be written to"
        ) from error
    _HELD.add(handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), Path(path).stat()):
            return handle
    except BlockingIOError as error:
        _release(handle)
        raise DataError(f"{path}: another run is writing into it; wait for it, or choose another folder") from error
    except FileNotFoundError:
        pass
    _release(handle)
    return None


def sweep(path: str | os.PathLike[str], *, deep: bool = False) -> None:
    """Remove from a folder what killed processes had begun to write there; what a living one writes stays.

    Args:
        path: The folder.
        deep: Look into the folders in it, too.
    """
    find = Path(path).rglob if deep else Path(path).glob
    for left in list(find(f"{TEMPORARY_PREFIX}*")):
        with contextlib.suppress(OSError):  # gone by now, or not ours to open
            handle = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(handle).st_uid == os.getuid():
                    _put_in_place(left)
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(handle)


@functools.lru_cache(maxsize=1024)
def _sweep_once(path: Path) -> None:
    """Sweep a folder when this process first writes into it: a listing for every file of a large one is too much."""
    sweep(path)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write `content` as indented JSON, atomically, with a final newline."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def fingerprint(content: Any) -> str:
    """Digest any JSON-able content: equal contents give equal digests, whatever the order of keys.

    Example:
        >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
        True
    """
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def size_text(size: float) -> str:
    """Write a number of bytes for people: ``12.3 GB``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def clock(seconds: float) -> str:
    """Write a time for people, to the second.

    Example:
        >>> clock(75.4)
        '1:15'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
