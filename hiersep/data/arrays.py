"""Read files of arrays (``.npz``) that may be damaged: nothing is unpickled, unpacked or larger than the file."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

# What stands before an array's numbers, in numpy's format 1.0, which `numpy.savez` writes.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<kind>[^']+)', 'fortran_order': False, "
    rb"'shape': \((?P<shape>[0-9]{1,18},(?: [0-9]{1,18})?)\), \} *\n",
    re.DOTALL,
)


def read_arrays(path: Path, columns: Mapping[str, type[np.generic]]) -> dict[str, npt.NDArray[Any]]:
    """Read arrays that `numpy.savez` wrote.

    Args:
        path: The file.
        columns: What it holds, by name: the type of each array's values.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it holds something else, is damaged or packed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = path.stat().st_size
            return {name: _read(archive, f"{name}.npy", np.dtype(kind), size) for name, kind in columns.items()}
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, LookupError, NotImplementedError) as error:
        raise ValueError(f"{path}: damaged ({error})") from error
    except RuntimeError as error:  # asks for a password
        raise ValueError(f"{path}: locked ({error})") from error


def _read(archive: zipfile.ZipFile, name: str, kind: np.dtype[Any], size: int) -> npt.NDArray[Any]:
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > size:
        raise ValueError(f"{name}: packed, or larger than the file")
    content = archive.read(member)
    end = 10 + int.from_bytes(content[8:10], "little")
    found = _HEADER.fullmatch(content[:end])
    if found is None or found["kind"].decode() != kind.str:
        raise ValueError(f"{name}: expected numbers of the type {kind}")
    shape = tuple(map(int, re.findall(rb"[0-9]+", found["shape"])))
    return np.frombuffer(content, kind, offset=end).reshape(shape)
