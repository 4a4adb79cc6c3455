"""Keys, chords and voicings: which pitches may sound in a bar.

A pitch class is 0-11 with C = 0; a scale degree is 0-6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
}
# Where the chord on each degree goes: one digit a choice, repeated where it is likelier.
MOVES = {
    "major": ("33445512", "4440", "5531", "0044415", "0000535", "331442", "025"),
    "minor": ("55366324", "440", "5636", "04460", "00055", "266306", "002255"),
    "dorian": ("333621", "03", "366", "000664", "03", "310", "03002"),
    "mixolydian": ("666334", "03", "35", "000664", "036", "361", "33300"),
    "phrygian": ("111655", "00056", "516", "01", "05", "61002", "00511"),
}


@dataclass(frozen=True)
class Chord:
    """Pitch classes, the root first."""

    tones: tuple[int, ...]

    @property
    def root(self) -> int:
        """The pitch class of the root."""
        return self.tones[0]


@dataclass(frozen=True)
class Key:
    """A tonic (pitch class) and a mode, a key of `SCALES`."""

    tonic: int
    mode: str

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """The scale's seven pitch classes, from the tonic."""
        return tuple((self.tonic + step) % 12 for step in SCALES[self.mode])

    def up(self, semitones: int) -> Key:
        """Move the key."""
        return Key((self.tonic + semitones) % 12, self.mode)

    def chord(self, degree: int, *, seventh: bool = False) -> Chord:
        """Stack thirds on a scale degree.

        Example:
            >>> Key(0, "major").chord(4)
            Chord(tones=(7, 11, 2))
        """
        scale = self.pitch_classes
        return Chord(tuple(scale[(degree + 2 * k) % 7] for k in range(4 if seventh else 3)))


def draw_degrees(mode: str, bars: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Walk from the tonic, or from near it, along `MOVES`: one scale degree a bar."""
    degrees = [0 if rng.random() < 0.65 else int(rng.choice([3, 5]))]
    while len(degrees) < bars:
        degrees.append(int(rng.choice(list(MOVES[mode][degrees[-1]]))))
    return tuple(degrees)


def pitches_of(pitch_classes: Sequence[int], low: int, high: int) -> list[int]:
    """List the pitches low..high (inclusive) that belong to some pitch classes.

    Example:
        >>> pitches_of((0, 4, 7), 60, 72)
        [60, 64, 67, 72]
    """
    return [pitch for pitch in range(low, high + 1) if pitch % 12 in pitch_classes]


def nearest(pitch_class: int, target: int) -> int:
    """Give the pitch of a class that lies closest to a target pitch (at most 6 semitones away).

    Example:
        >>> nearest(0, 58)
        60
    """
    return target + (pitch_class - target + 5) % 12 - 5


def lead_voices(chord: Chord, previous: Sequence[int], low: int, high: int) -> list[int]:
    """Move each voice of a chord to a tone of the next, by the smallest steps.

    Every tone of a triad is sounded where there are voices enough.

    Args:
        chord: The chord to go to.
        previous: The pitches that sound now, lowest first.
        low: Lowest pitch allowed.
        high: Highest pitch allowed.

    Returns:
        As many pitches as `previous`, lowest first; fewer where two voices meet.
    """
    free = list(chord.tones)
    moved = []
    for pitch in previous:
        tone = min(free or list(chord.tones), key=lambda t: abs(nearest(t, pitch) - pitch))
        if tone in free:
            free.remove(tone)
        target = nearest(tone, pitch)
        target += 12 if target < low else -12 if target > high else 0
        moved.append(target)
    return sorted(set(moved))
