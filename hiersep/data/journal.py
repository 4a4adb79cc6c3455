"""What was measured before it is complete: one line of JSON per finished track, so that a kill costs one track.

Every process writes a file of its own and reads those of all; a line that was cut short is passed over. All files
together are no larger than the catalog that they become, and go when it is there.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import uuid
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np

from hiersep.data.measuring import TrackMeasurement, checked, checked_difference, checked_power
from hiersep.data.store import Block

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hiersep.data.measuring import Measurement

PATTERN = "journal-*.jsonl"


class Journal:
    """The lines of one process, and those that others left.

    Args:
        folder: Of the data set's cache.
        key: Of the catalog that it becomes a part of; None where a store is written along with it.
    """

    def __init__(self, folder: Path, key: str | None = None):
        self._folder = folder
        self._path = folder / PATTERN.replace("*", f"{key or 'store'}-{uuid.uuid4().hex[:12]}")

    def append(self, key: str, measured: TrackMeasurement) -> None:
        """Note a finished track under its key.

        Raises:
            OSError: If there is no room, or the place cannot be written to.
        """
        line = (json.dumps([key, _to_json(measured)]) + "\n").encode()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            if os.write(descriptor, line) < len(line):  # there was room for some of it
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        finally:
            os.close(descriptor)

    def read(self) -> Iterator[tuple[str, TrackMeasurement]]:
        """Yield what is noted in the folder, by any process."""
        for path in sorted(self._folder.glob(PATTERN)):
            try:
                lines = path.read_bytes().splitlines()
            except OSError:
                continue
            for line in lines:
                try:
                    key, content = json.loads(line)
                    found = str(key), _from_json(content)
                except (ValueError, TypeError, KeyError, RecursionError):  # cut short, or not ours
                    continue
                yield found

    def remove(self, *, others: bool) -> None:
        """Remove this process's file; and, where no other process is at work, those of all."""
        for path in [self._path, *(self._folder.glob(PATTERN) if others else ())]:
            path.unlink(missing_ok=True)


def remove_done(folder: Path, key: str) -> None:
    """Remove what became a part of a catalog that is there: a process was killed before it could."""
    for path in folder.glob(PATTERN.replace("*", f"{key}-*")):
        path.unlink(missing_ok=True)


def _to_json(measured: TrackMeasurement) -> dict[str, Any]:
    stems = [
        stem
        if isinstance(stem, str)
        else [
            [stem.frames, stem.sample_rate, stem.channels, stem.loudness, stem.lost],
            base64.b64encode(stem.power.astype("<f4").tobytes()).decode(),
        ]
        for stem in measured.stems
    ]
    return {
        "stems": stems,
        "difference_db": measured.difference_db,
        "block": astuple(measured.block) if measured.block else None,
    }


def _from_json(content: dict[str, Any]) -> TrackMeasurement:
    stems: list[Measurement | str] = []
    for stem in content["stems"]:
        if isinstance(stem, str):
            stems.append(stem)
            continue
        (frames, sample_rate, channels, loudness, lost), power = stem
        powers = checked_power(np.frombuffer(base64.b64decode(power), "<f4").astype(np.float32))
        stems.append(checked(frames, sample_rate, channels, powers, loudness, lost))
    block = content["block"]
    if block is not None:
        channels, frames, scales, crc = block
        block = Block.checked(channels, frames, tuple(scales), crc)
    return TrackMeasurement(tuple(stems), checked_difference(content["difference_db"]), block)
