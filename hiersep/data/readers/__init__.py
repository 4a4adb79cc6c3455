"""One module per data set; each knows a layout and yields `Track`s, nothing else.

A reader module has ``NAME`` (the key of the data set's block in a hierarchy's ``labels:``), ``recognises(folder)``
and ``tracks(folder)``. The first that recognises a folder reads it, so the most particular stands first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from hiersep.data.readers import folder as plain_folder
from hiersep.data.readers import slakh
from hiersep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hiersep.data.tracks import Track


class Reader(Protocol):
    """What every reader module offers."""

    NAME: str

    def recognises(self, folder: Path) -> bool:
        """Say whether `folder` has this data set's layout."""

    def tracks(self, folder: Path) -> Iterator[Track]:
        """Yield the tracks below `folder`, sorted by split and name."""


READERS: tuple[Reader, ...] = (cast("Reader", slakh), cast("Reader", plain_folder))


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
    if not any(folder.iterdir()):
        raise DataError(f"{folder}: the folder is empty; expected multitracks, for example from `hiersep render`")
    raise DataError(
        f"{folder}: expected Slakh2100's layout (TrackNNNNN/metadata.yaml and stems/) or one folder of audio files "
        "per song, found neither; see the data guide"
    )
