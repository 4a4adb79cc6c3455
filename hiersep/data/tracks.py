"""What a multitrack is: a track and its stems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Stem:
    """One recorded or rendered part of a track.

    Attributes:
        id: Name of the stem, unique in its track (Slakh: ``S00``).
        path: The audio file.
        attributes: What the data set says of it; a hierarchy's ``match:`` names one of these keys.
    """

    id: str
    path: Path
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Track:
    """One song with its stems.

    Attributes:
        id: Name of the song, unique in its data set.
        split: ``train``, ``validation``, ``test``, or None where the data set has no splits.
        stems: Its stems, in the data set's order. The mixture is their sum.
    """

    id: str
    split: str | None
    stems: tuple[Stem, ...]
