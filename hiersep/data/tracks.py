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
        stream: Number of the stream in a container that holds several (MUSDB18's ``.stem.mp4``); None elsewhere.
    """

    id: str
    path: Path
    attributes: Mapping[str, Any]
    stream: int | None = None


@dataclass(frozen=True)
class Track:
    """One song with its stems.

    Attributes:
        id: Name of the song, unique in its data set.
        split: ``train``, ``validation``, ``test`` (Slakh: also ``omitted``), or None where the data set has no splits.
        stems: Its stems, in the data set's order. The mixture is their sum.
        mixture: The mixture as the data set has it, where it has one; never used in its place, but compared.
    """

    id: str
    split: str | None
    stems: tuple[Stem, ...]
    mixture: Stem | None = None
