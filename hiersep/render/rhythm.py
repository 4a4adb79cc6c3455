"""Grids, drums and bass: what carries the beat.

Rhythms are strings of sixteenths: 16 in a bar of 4/4, 12 in a bar of 3/4; ``X`` is an accent, ``x`` a plain
stroke, ``o`` a soft one, ``.`` nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hiersep.render.harmony import nearest
from hiersep.render.song import Note

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from hiersep.render.harmony import Chord

STEPS_PER_BEAT = 4
VELOCITIES = {"X": 112, "x": 92, "o": 62}


@dataclass(frozen=True)
class Bar:
    """One bar of the song.

    Attributes:
        start: In seconds.
        step_s: Length of a sixteenth in seconds.
        steps: Sixteenths in the bar: 16 or 12.
        chord: What sounds.
        section: The section's number in the song.
        kind: The section's kind; sections of one kind share their patterns.
        energy: 0-1.
        place: The bar's number within its section.
        last: Whether it is the section's last bar.
        swing: How far every second eighth is late, in sixteenths.
    """

    start: float
    step_s: float
    steps: int
    chord: Chord
    section: int
    kind: str
    energy: float
    place: int
    last: bool
    swing: float

    def time(self, step: float) -> float:
        """Give the time of a sixteenth in seconds."""
        late = self.swing if step % STEPS_PER_BEAT >= STEPS_PER_BEAT / 2 else 0.0
        return self.start + (step + late) * self.step_s

    def note(self, step: float, length: float, pitch: int, velocity: float) -> Note:
        """Make a note; `step` and `length` in sixteenths."""
        start = self.time(step)
        return Note(
            start,
            start + length * self.step_s,
            pitch,
            round(velocity * (0.82 + 0.25 * self.energy)),
        )


def strokes(pattern: str, steps: int) -> Iterator[tuple[int, int, int]]:
    """Read a rhythm: (step, steps until the next stroke, velocity) of each stroke.

    Example:
        >>> list(strokes("X..x", 4))
        [(0, 3, 112), (3, 1, 92)]
    """
    places = [step for step, sign in enumerate(pattern[:steps]) if sign != "."]
    for place, following in zip(places, [*places[1:], steps], strict=True):
        yield place, following - place, VELOCITIES[pattern[place]]


KICK, RIM, SNARE, CLAP, CLOSED, OPEN, RIDE, CRASH, SHAKER = 36, 37, 38, 39, 42, 46, 51, 49, 70
TOMS = (50, 48, 45, 43)

# Name -> (rhythms in 4/4, rhythms in 3/4), each drum -> rhythm.
STYLES: dict[str, tuple[dict[int, str], dict[int, str]]] = {
    "rock": (
        {KICK: "X.......X.x.....", SNARE: "....X.......X...", CLOSED: "x.o.x.o.x.o.x.o."},
        {KICK: "X.......o...", SNARE: "....X...x...", CLOSED: "x.o.x.o.x.o."},
    ),
    "drive": (
        {KICK: "X..x..x.X..x..x.", SNARE: "....X.......X..o", CLOSED: "X.x.X.x.X.x.X.x."},
        {KICK: "X..x..x...x.", SNARE: "........X...", CLOSED: "X.x.X.x.X.x."},
    ),
    "four_on_the_floor": (
        {
            KICK: "X...X...X...X...",
            CLAP: "....X.......X...",
            OPEN: "..x...x...x...x.",
            CLOSED: "o.o.o.o.o.o.o.o.",
        },
        {KICK: "X...X...X...", CLAP: "....X...X...", OPEN: "..x...x...x."},
    ),
    "ballad": (
        {KICK: "X.........x.....", RIM: "....x.......x...", CLOSED: "x...o...x...o..."},
        {KICK: "X...........", RIM: "........x...", RIDE: "x...o...o..."},
    ),
    "funk": (
        {KICK: "X..x...o..x..x..", SNARE: "....X..o.o..X..o", CLOSED: "xoxoxoxoxoxoxoxo"},
        {KICK: "X..x..x..o..", SNARE: "....X..o..o.", CLOSED: "xoxoxoxoxoxo"},
    ),
    "swing": (
        {
            KICK: "o...o...o...o...",
            SNARE: "......o.......o.",
            RIDE: "x...x.o.x...x.o.",
            CLOSED: "....x.......x...",
        },
        {KICK: "o...........", SNARE: "......o.....", RIDE: "x...x.o.x...", CLOSED: "....x...x..."},
    ),
    "bossa": (
        {KICK: "X..xX..xX..xX..x", RIM: "x..x..x...x..x..", SHAKER: "xoxoxoxoxoxoxoxo"},
        {KICK: "X..xX..xX..x", RIM: "x..x..x...x.", SHAKER: "xoxoxoxoxoxo"},
    ),
}


def drums(bars: Sequence[Bar], style: str, rng: np.random.Generator) -> list[Note]:
    """Play a drum style: the ride in loud sections, a crash on their first beat, a fill in their last bar."""
    notes = []
    for bar in bars:
        rhythms = STYLES[style][bar.steps == 12]
        fills = bar.last and rng.random() < 0.7
        until = bar.steps - STEPS_PER_BEAT if fills else bar.steps
        for drum, rhythm in rhythms.items():
            sound = RIDE if drum == CLOSED and bar.energy > 0.75 and style != "swing" else drum
            for step, _, velocity in strokes(rhythm, bar.steps):
                if step < until or drum == KICK:
                    notes.append(bar.note(step, 1, sound, velocity))
        if fills:
            for step in range(until, bar.steps):
                if rng.random() < 0.85:
                    tom = SNARE if rng.random() < 0.3 else TOMS[step - until]
                    notes.append(bar.note(step, 1, tom, 80 + 8 * (step - until)))
        if bar.place == 0 and bar.energy > 0.4:
            notes.append(bar.note(0, 4, CRASH, 105))
    return notes


# Semitones above the chord's root are given by chord tone: 0 root, 1 third, 2 fifth, 3 octave.
BASS_LINES: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("X.x.x.x.x.x.x.x.", (0, 0, 0, 0, 0, 0, 0, 0)),
    ("X.......X.......", (0, 2)),
    ("X..x..x.X..x..x.", (0, 0, 2, 0, 0, 2)),
    ("X...x.x.X...x.x.", (0, 0, 3, 0, 2, 3)),
    ("X..o..xo..x.X.o.", (0, 0, 3, 2, 0, 2, 3)),
    ("X...x...x...x...", (0, 1, 2, 1)),
    ("X...............", (0,)),
)


def bass(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Follow the chords' roots with one line per kind of section; lead into the next root now and then."""
    lines: dict[str, tuple[str, tuple[int, ...]]] = {}
    notes = []
    for index, bar in enumerate(bars):
        if bar.kind not in lines:
            lines[bar.kind] = BASS_LINES[int(rng.integers(len(BASS_LINES)))]
        rhythm, tones = lines[bar.kind]
        root = nearest(bar.chord.root, low + 8)
        following = bars[index + 1].chord.root if index + 1 < len(bars) else bar.chord.root
        for (step, length, velocity), tone in zip(strokes(rhythm, bar.steps), tones, strict=False):
            pitch = root + 12 if tone == 3 else root + (bar.chord.tones[tone] - bar.chord.root) % 12
            if step >= bar.steps - STEPS_PER_BEAT and following != bar.chord.root and rng.random() < 0.35:
                pitch = nearest(following, root) + (-1 if rng.random() < 0.5 else 2)
            pitch += 12 * (pitch < low) - 12 * (pitch > high)
            notes.append(bar.note(step, length * 0.9, pitch, velocity))
    return notes
