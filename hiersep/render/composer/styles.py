"""What ``styles.yaml`` holds: instruments, grooves and styles."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hiersep import strict_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Weights = Mapping[str, float]

T = TypeVar("T")
PARTS = (6, 9)  # fewest and most in a song, before any is doubled


@dataclass(frozen=True)
class Instrument:
    """What a kind of instrument can do.

    Attributes:
        range: Lowest and highest MIDI pitch.
        family: Its members mostly enter and leave together.
        roles: Role -> relative weight; the roles are those of `compose.WRITERS`.
        bends: Whether it slides into the notes of a lead, and adds vibrato.
        swells: Whether long notes grow and fade.
    """

    range: Sequence[int]
    family: str
    roles: Weights
    bends: bool = False
    swells: bool = False


@dataclass(frozen=True)
class Style:
    """A way of making songs.

    Attributes:
        share: Relative weight among the styles.
        tempo: Slowest and fastest, in quarter notes per minute.
        meters: ``4/4`` and so on -> relative weight.
        modes: Keys of `harmony.SCALES` -> relative weight.
        grooves: Drum grooves that a song may have.
        sevenths: Share of songs with seventh chords.
        cast: Chance and players of each line-up; a player is kinds by weight.
        swing: How late the second half of each beat may be, in sixteenths.
        degrees: Progressions by scale degree, one a bar; empty: drawn.
        roles: Kind -> roles by weight, where they differ from the instrument's own.
    """

    share: float
    tempo: Sequence[float]
    meters: Weights
    modes: Weights
    grooves: Sequence[str]
    sevenths: float
    cast: Sequence[Sequence[Any]]
    swing: Sequence[float] = (0.0,)
    degrees: Sequence[Sequence[int]] = ()
    roles: Mapping[str, Weights] = field(default_factory=dict)


@dataclass(frozen=True)
class StyleBook:
    """All that the composer draws from."""

    instruments: Mapping[str, Instrument]
    grooves: Mapping[str, Mapping[str, str]]
    styles: Mapping[str, Style]


@lru_cache(maxsize=1)
def style_book() -> StyleBook:
    """Read ``styles.yaml``, once."""
    content: dict[str, Any] = strict_yaml.read(Path(__file__).with_name("styles.yaml"))
    return StyleBook(
        {kind: Instrument(**entry) for kind, entry in content["instruments"].items()},
        content["grooves"],
        {name: Style(**entry) for name, entry in content["styles"].items()},
    )


def draw(weights: Mapping[T, float], rng: np.random.Generator) -> T:
    """Draw a key, by the weights."""
    shares = np.array(list(weights.values()), float)
    return list(weights)[int(rng.choice(len(shares), p=shares / shares.sum()))]


def draw_cast(style: Style, rng: np.random.Generator) -> list[str]:
    """Draw who plays: the kinds of 6-9 parts, in the order of the style's cast.

    Line-ups come by their chances; where that gives too few or too many parts, the next luckiest come too, or the
    least lucky stay away.
    """
    least = int(rng.integers(PARTS[0], PARTS[1]))
    luck = [float(rng.random()) / chance for chance, *_ in style.cast]  # below 1: comes
    come: list[int] = []
    size = 0
    for index in np.argsort(luck, kind="stable"):
        players = len(style.cast[index]) - 1
        if (luck[index] < 1 or size < least) and size + players <= PARTS[1]:
            come.append(int(index))
            size += players
    return [draw(player, rng) for index in sorted(come) for player in style.cast[index][1:]]
