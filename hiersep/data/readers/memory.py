"""What metadata said when they were last read: to read YAML takes most of the time in which a large data set opens.

A file's bytes are read each time and their digest is the key, so that what is remembered is never out of date.
Kept is what JSON gives back as it is, and nothing that YAML's aliases make larger than its text.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from hiersep.errors import DataError
from hiersep.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FORMAT = 1
FILE = "metadata.json"


class Memory:
    """The contents of a data set's metadata, by the digests of their bytes.

    Args:
        path: File that keeps them; what cannot be read there counts as nothing.
    """

    def __init__(self, path: Path):
        self._path = path
        self._known = _load(path)
        self._used: dict[str, Any] = {}

    def parse(self, text: bytes, parser: Callable[[bytes], Any]) -> Any:
        """Give what `parser` makes of a file's bytes."""
        key = hashlib.sha256(text).hexdigest()
        content = self._known[key] if key in self._known else parser(text)
        if key in self._known or _returns(text, content):
            self._used[key] = content
        return content

    def save(self) -> None:
        """Keep what was used since, if it is not what is kept; a cache that cannot be written to keeps nothing."""
        if self._used.keys() == self._known.keys():
            return
        with contextlib.suppress(DataError, OSError):
            write_text(self._path, json.dumps({"format": FORMAT, "files": self._used}))


_MEMORY: ContextVar[Memory | None] = ContextVar("memory of metadata", default=None)


@contextlib.contextmanager
def remembering(folder: Path) -> Iterator[None]:
    """Remember in a data set's cache folder what its metadata say while it is read."""
    memory = Memory(folder / FILE)
    token = _MEMORY.set(memory)
    try:
        yield
    finally:
        _MEMORY.reset(token)
    memory.save()


def remembered(text: bytes, parser: Callable[[bytes], Any]) -> Any:
    """Give what `parser` makes of a file's bytes, or made of them before."""
    memory = _MEMORY.get()
    return parser(text) if memory is None else memory.parse(text, parser)


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
        return dict(content["files"]) if content["format"] == FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _returns(text: bytes, content: Any) -> bool:
    """Say whether JSON gives the content back, and is no longer than YAML's text by much."""
    if b"&" in text and b"*" in text:  # aliases: small texts of huge contents
        return False
    try:
        return bool(json.loads(json.dumps(content, allow_nan=False)) == content)
    except (TypeError, ValueError, RecursionError):
        return False
