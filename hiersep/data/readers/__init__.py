"""One module per data set; each knows a layout and yields `Track`s, nothing else.

A reader module has ``NAME`` (the key of the data set's block in a hierarchy's ``labels:``), ``LAYOUT`` (what it looks
for, in a few words), ``recognises(folder)`` and ``tracks(folder, splits)``. The first that recognises a folder reads
it, so the most particular stands first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from hiersep.data.readers import folder as plain_folder
from hiersep.data.readers import medleydb, moisesdb, musdb18, slakh
from hiersep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hiersep.data.tracks import Track


class Reader(Protocol):
    """What every reader module offers."""

    NAME: str
    LAYOUT: str

    def recognises(self, folder: Path) -> bool:
        """Say whether `folder` has this data set's layout."""

    def tracks(self, folder: Path, splits: str | None = None) -> Iterator[Track]:
        """Yield the tracks below `folder`, sorted by split and name.

        Args:
            folder: Of the data set.
            splits: Name of a table of splits that the data set publishes; None takes the folders as they are.
        """


READERS: tuple[Reader, ...] = cast(
    "tuple[Reader, ...]",
    (slakh, musdb18, moisesdb, medleydb, plain_folder),
)


def find_reader(folder: Path) -> Reader:
    """Choose the reader for a folder.

    Raises:
        DataError: If there is no such folder, it is empty, or no reader recognises it.
    """
    if not folder.exists():
        raise DataError(f"{folder}: no such folder; check the path to the data set")
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder with multitracks, got a file")
    for reader in READERS:
        if reader.recognises(folder):
            return reader
    entries = sorted(folder.iterdir())
    if not entries:
        raise DataError(f"{folder}: the folder is empty; expected multitracks, for example from `hiersep render`")
    near = (place for place in entries if place.is_dir() and any(reader.recognises(place) for reader in READERS))
    better = next(near, None)
    hint = f"; did you mean {better}?" if better else "; see the data guide"
    layouts = "; ".join(reader.LAYOUT for reader in READERS)
    raise DataError(f"{folder}: expected multitracks in a layout that is known ({layouts}), found none{hint}")
