"""What a checkpoint says of itself, read from its header without trusting a byte of it.

A safetensors file is the length of its header, the header (JSON: dtype, shape and place of every tensor, and free
metadata), and the tensors. Read here is the header alone, by rules stricter than the format's: it is small, no key
comes twice, and the tensors that it tells of fill the file exactly. So what a network of these tensors takes in memory
is bounded by the size of the file. The metadata key ``hiersep`` holds, as JSON,

- ``format`` a number, raised when older versions of hiersep could no longer read a file;
- ``network`` the name of the network's class, ``arguments`` what it is made of, hierarchy and nodes among them;
- ``provenance`` what its maker tells: data, steps, scores, licence.
"""

from __future__ import annotations

import json
import math
import reprlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hiersep import __version__
from hiersep.errors import CheckpointError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

FORMAT = 1
KEY = "hiersep"
# Where each network lives; looked up on loading, so that networks may import what loads them.
NETWORKS = {
    "PathSeparator": "hiersep.models.path",
    "QuerySeparator": "hiersep.models.query",
    "TreeSeparator": "hiersep.models.tree",
}
# From the content of an older format to that of the next. There is one format so far; files of each lie in tests/data.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
# The format allows headers of 100 MB. Ours hold a hundred bytes for each of some hundred tensors, and of all shipped
# hierarchies the largest has 7 kB; what looks through one may take time that grows with the square of its size.
MAX_BYTES = 1 << 18
MAX_ARGUMENTS = 1 << 16
MAX_SAMPLE_RATE = 768_000

# Bytes per value of what a network's tensors may be stored as: weights, and counters.
_VALUE_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8}
# A torch file is a zip of pickles, or, of old, pickles one after the other.
_PICKLED = (b"PK\x03\x04", *(bytes([0x80, protocol]) for protocol in range(2, 6)))
# torch's names for what batch normalisation keeps beside its parameters.
_STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")


class Stored(NamedTuple):
    """A tensor as the header tells of it.

    Attributes:
        dtype: As safetensors spells it: ``F32``, ``F16``, ``BF16`` or ``I64``.
        shape: Its sizes.
    """

    dtype: str
    shape: tuple[int, ...]


class Header(NamedTuple):
    """A checkpoint's header.

    Attributes:
        path: Of the file.
        size: Of the file, in bytes.
        about: ``{"format", "network", "arguments", "provenance"}``, in the present format.
        tensors: By name.
    """

    path: Path
    size: int
    about: dict[str, Any]
    tensors: dict[str, Stored]

    @property
    def parameters(self) -> int:
        """How many values were learned; the statistics of normalisation are not."""
        learned = (tensor for name, tensor in self.tensors.items() if not name.endswith(_STATISTICS))
        return sum(math.prod(tensor.shape) for tensor in learned)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """What the weights are stored as."""
        return tuple(sorted({tensor.dtype for tensor in self.tensors.values()} - {"I64"}))


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read a checkpoint's header; of the rest of the file, only its size is looked at.

    Raises:
        CheckpointError: If there is no such file, or it is no checkpoint of this format.
    """
    path = Path(path)
    try:
        if not path.is_file():
            got = "got a folder" if path.is_dir() else "got no plain file" if path.exists() else "no such file"
            raise CheckpointError(
                f"{path}: expected a checkpoint (*.safetensors), {got}; name one that `hiersep train` wrote"
            )
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            text = file.read(length) if length <= MAX_BYTES else b""
            size = file.seek(0, 2)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(start) < 8 or 8 + length > size or start.startswith(_PICKLED):
        pickled = "; pickled files can run code, and are never loaded" if start.startswith(_PICKLED) else ""
        raise _strange(path, f"a file of {size} bytes that are no header and tensors{pickled}")
    if length > MAX_BYTES:
        raise _strange(path, f"a header of {length} bytes, and {MAX_BYTES} are the most that is read")
    content = _parsed(text, path)
    about = _about(content.pop("__metadata__", {}), path)
    return Header(path, size, about, _tensors(content, size - 8 - length, path))


def check_about(about: Any, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Check what a header says of the network, as far as that can be done without making it.

    Args:
        about: As `Header` has it, but perhaps of an older format.
        path: Of the file, for messages.

    Returns:
        The same in the present format.

    Raises:
        CheckpointError: If something is missing or of the wrong type, or the format is not known.
    """
    if not isinstance(about, dict) or not {"format", "network", "arguments"} <= set(about):
        raise _not_ours(path)
    about = _migrated({"provenance": {}, **about}, path)
    arguments = about["arguments"]
    if not isinstance(about["network"], str) or about["network"] not in NETWORKS:
        raise CheckpointError(
            f"{path}: expected a network of {', '.join(NETWORKS)}; got {reprlib.repr(about['network'])}; this is "
            f"hiersep {__version__}, a newer one may know it"
        )
    # A hierarchy given by name would be read from a file that the checkpoint's author chose.
    if not isinstance(arguments, dict) or not isinstance(arguments.get("hierarchy"), dict):
        raise CheckpointError(f"{path}: expected the network's arguments, and the hierarchy among them; got them not")
    length = len(json.dumps(arguments))
    if length > MAX_ARGUMENTS:
        raise CheckpointError(
            f"{path}: expected at most {MAX_ARGUMENTS} bytes of arguments, got {length}; the hierarchy is too large"
        )
    if not isinstance(about["provenance"], dict):
        raise CheckpointError(f"{path}: expected a mapping as provenance, got {reprlib.repr(about['provenance'])}")
    rate = arguments.get("sample_rate", 16000)
    if type(rate) is not int or not 0 < rate <= MAX_SAMPLE_RATE:
        raise CheckpointError(
            f"{path}: expected a sample_rate of 1 to {MAX_SAMPLE_RATE} Hz, got {reprlib.repr(rate)}: weights and "
            "arguments do not fit"
        )
    return about  # type: ignore[no-any-return]  # a dict whose keys were checked


def _migrated(about: dict[str, Any], path: str | os.PathLike[str]) -> dict[str, Any]:
    """Bring the content to the present format, step by step."""
    number = about["format"]
    if type(number) is not int or number < 1:
        raise _not_ours(path)
    if number > FORMAT:
        raise CheckpointError(
            f"{path}: expected format {FORMAT}, got format {number}; this is hiersep {__version__}, a newer one may "
            "read it"
        )
    for older in range(number, FORMAT):
        if older not in MIGRATIONS:
            raise CheckpointError(
                f"{path}: got format {number}, which hiersep {__version__} reads no more; load and save it with the "
                "version that its provenance names, or train anew"
            )
        about = {**MIGRATIONS[older](about), "format": older + 1}
    return about


def _about(metadata: Any, path: Path) -> dict[str, Any]:
    if not isinstance(metadata, dict) or not isinstance(metadata.get(KEY), str):
        raise _not_ours(path)
    about = _parsed(metadata[KEY], path)
    try:
        return check_about(about, path)
    except RecursionError:
        raise _strange(path, "arguments nested too deeply") from None


def _tensors(content: dict[str, Any], space: int, path: Path) -> dict[str, Stored]:
    """Check that tensors are plainly described, and fill the file one after the other, and nothing else."""
    tensors, places = {}, []
    for name, entry in content.items():
        match entry:
            case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(first), int(last)], **rest} if (
                not rest and len(shape) <= 8 and all(type(n) is int and 0 <= n < 1 << 48 for n in shape)
            ):
                pass
            case _:
                raise _strange(path, f"a header that does not describe {reprlib.repr(name)} as a tensor")
        if dtype not in _VALUE_BYTES:
            raise _strange(path, f"{reprlib.repr(name)} in {reprlib.repr(dtype)}, not in {', '.join(_VALUE_BYTES)}")
        tensors[name] = Stored(dtype, tuple(shape))
        places.append((first, last, math.prod(shape) * _VALUE_BYTES[dtype]))
    places.sort()
    ends = [0, *(last for _, last, _ in places)]
    filled = all(
        first == end and last - first == length for end, (first, last, length) in zip(ends[:-1], places, strict=True)
    )
    if not filled or ends[-1] != space:
        raise _strange(path, "tensors that do not fill the file one after the other")
    return tensors


def _parsed(text: str | bytes, path: Path) -> Any:
    """Read a JSON mapping in which no key comes twice and every number is finite."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError("a key that comes twice")
        return dict(pairs)

    def finite(number: str) -> float:
        value = float(number)
        if not math.isfinite(value):
            raise ValueError(f"the number {number[:20]}")
        return value

    try:
        content = json.loads(text, object_pairs_hook=unique, parse_float=finite, parse_constant=finite)
    except RecursionError:
        raise _strange(path, "a header nested too deeply") from None
    except ValueError as error:
        raise _strange(path, f"a header that is no JSON ({error})") from None
    if not isinstance(content, dict):
        raise _not_ours(path)
    return content


def _strange(path: Path, got: str) -> CheckpointError:
    return CheckpointError(f"{path}: expected a safetensors checkpoint, got something else or half of one: {got}")


def _not_ours(path: str | os.PathLike[str]) -> CheckpointError:
    return CheckpointError(
        f"{path}: these weights were not saved by hiersep: their header does not say of what network"
    )
