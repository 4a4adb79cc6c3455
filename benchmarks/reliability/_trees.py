"""What lies in a folder, file by file, so that two runs can be compared to the last byte.

Left aside is what tells of the run and not of its result: how many seconds it took, by which words, and on what
(``training.json``, ``results.json``, the training state). Of the training state what it holds is compared, not how
torch packed it.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from hiersep.files import TEMPORARY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FOLDER = "a folder"
TOLD = ("seconds", "command", "machine")  # keys of JSON, and of the training state
PROBE = re.compile("[a-z0-9_]{8}")  # a file's name, of four bytes


def names(root: Path) -> dict[str, int]:
    """Every file and folder below, by its relative path, with its size."""
    return {str(path.relative_to(root)): 0 if path.is_dir() else path.stat().st_size for path in root.rglob("*")}


def unfinished(tree: Iterable[str]) -> list[str]:
    """List, of relative paths, what was being written."""
    return [path for path in tree if any(part.startswith(TEMPORARY_PREFIX) for part in path.split("/"))]


def is_probe(path: Path) -> bool:
    """Whether Python's tempfile wrote a file to see whether it can write, and was killed before it removed it."""
    return bool(PROBE.fullmatch(path.name)) and path.is_file() and b"blat".startswith(path.read_bytes())


def digests(root: Path) -> dict[str, str]:
    """Every file and folder below, by its relative path, with a digest of what it holds."""
    return {str(path.relative_to(root)): FOLDER if path.is_dir() else digest(path) for path in sorted(root.rglob("*"))}


def digest(path: Path) -> str:
    """Digest of what a file holds."""
    return hashlib.sha256(content(path)).hexdigest()


def content(path: Path) -> bytes:
    """What a file holds, but for what tells of the run alone."""
    if path.name in ("training.json", "results.json"):
        said = json.loads(path.read_text(encoding="utf-8"))
        return json.dumps({key: said[key] for key in said if key not in TOLD}).encode()
    if path.suffix == ".ckpt":
        import torch

        state = torch.load(path, map_location="cpu", weights_only=True)
        return "\n".join(_lines({key: state[key] for key in state if key not in TOLD})).encode()
    return path.read_bytes()


def _lines(value: Any, place: str = "") -> Iterator[str]:
    """Spell out a nest of dicts, lists and tensors."""
    import torch

    if isinstance(value, torch.Tensor):
        yield f"{place}: {value.dtype} {tuple(value.shape)} {value.flatten().tolist()!r}"
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _lines(item, f"{place}/{key}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _lines(item, f"{place}/{number}")
    else:
        yield f"{place}: {value!r}"
