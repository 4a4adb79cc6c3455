"""Sections and bars, and who plays in them: verses, choruses, breaks where parts drop out and return."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from hiersep.render.composer.harmony import draw_degrees
from hiersep.render.composer.styles import draw
from hiersep.render.song import Note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hiersep.render.composer.harmony import Chord, Key
    from hiersep.render.composer.styles import Style

FORMS = (
    ("intro", "verse", "chorus", "verse", "chorus", "bridge", "chorus", "break", "chorus"),
    ("intro", "verse", "verse", "chorus", "break", "verse", "chorus", "chorus"),
    ("verse", "bridge", "verse", "break", "verse", "bridge", "chorus"),
    ("intro", "build", "chorus", "break", "build", "chorus", "bridge", "chorus"),
    ("verse", "chorus", "break", "bridge", "verse", "chorus"),
)
ENERGIES = {"intro": 0.3, "verse": 0.5, "build": 0.65, "chorus": 0.95, "bridge": 0.6, "break": 0.15}
PRESENCE = {"intro": 0.62, "verse": 0.7, "build": 0.8, "chorus": 1.0, "bridge": 0.78, "break": 0.37}  # of a family
STEADY, LOYAL = 0.94, 0.9  # chance that drums and basses, and others, play where their family does
REST = 0.2  # chance that a part rests for a part of a section
LEAST_SHARE = 0.4  # of the bars, in which a part plays


@dataclass(frozen=True)
class Bar:
    """One bar of the song.

    Attributes:
        start: In seconds.
        step_s: Length of a sixteenth in seconds.
        steps: Sixteenths in the bar: 16 in 4/4.
        beat: Sixteenths in a beat: 4, or 6 where three eighths make one.
        key: Of the section.
        chord: What sounds.
        section: The section's number in the song.
        kind: The section's kind; sections of one kind share their patterns.
        place: The bar's number within its section.
        length: Bars of the section.
        swing: How far the second half of a beat is late, in sixteenths.
    """

    start: float
    step_s: float
    steps: int
    beat: int
    key: Key
    chord: Chord
    section: int
    kind: str
    place: int
    length: int
    swing: float

    @property
    def energy(self) -> float:
        """0-1."""
        return ENERGIES[self.kind]

    @property
    def last(self) -> bool:
        """Whether it is the section's last bar."""
        return self.place == self.length - 1

    def time(self, step: float) -> float:
        """Give the time of a sixteenth in seconds."""
        late = self.swing if step % self.beat >= self.beat / 2 else 0.0
        return self.start + (step + late) * self.step_s

    def note(self, step: float, length: float, pitch: int, velocity: float) -> Note:
        """Make a note; `step` and `length` in sixteenths."""
        start = self.time(step)
        return Note(start, start + length * self.step_s, pitch, round(velocity * (0.82 + 0.25 * self.energy)))


def draw_bars(style: Style, key: Key, meter: tuple[int, int], *, tempo: float, duration: float,
              rng: np.random.Generator) -> list[Bar]:  # fmt: skip
    """Lay out sections that fill `duration` seconds; short songs have short sections, and begin anywhere in the form.

    Args:
        style: Says swing, sevenths and progressions.
        key: The song's; the last chorus may stand a step higher.
        meter: Beats and their note value.
        tempo: Quarter notes per minute.
        duration: In seconds.
        rng: Decides.
    """
    step_s, steps = 15.0 / tempo, meter[0] * 16 // meter[1]
    total = int(np.ceil(duration / (steps * step_s)))
    usual = 8 if total >= 32 else 4 if total >= 16 else 2
    swing = float(rng.choice(style.swing))
    form = FORMS[int(rng.integers(len(FORMS)))]
    first = 0 if total >= 16 and rng.random() < 0.6 else int(rng.integers(len(form)))
    sevenths = rng.random() < style.sevenths
    modulation = int(rng.choice([0, 0, 0, 1, 2]))
    plans: dict[str, tuple[int, tuple[int, ...]]] = {}  # kind -> bars, degrees
    bars: list[Bar] = []
    for section in range(total):
        kind = form[(first + section) % len(form)]
        if kind not in plans:
            length = usual if kind not in ("intro", "build", "break") else max(2, usual // 2)
            plans[kind] = length, _draw_progression(style, key, rng)
        length, degrees = plans[kind]
        here = key.up(modulation if first + section >= len(form) - 2 else 0)
        for place in range(length):
            chord = here.chord(degrees[place % len(degrees)], seventh=sevenths)
            bars.append(Bar(len(bars) * steps * step_s, step_s, steps, 6 if meter == (6, 8) else 4, here, chord,
                            section, kind, place, length, swing))  # fmt: skip
    return bars[:total]


def _draw_progression(style: Style, key: Key, rng: np.random.Generator) -> tuple[int, ...]:
    if style.degrees:
        return tuple(style.degrees[int(rng.integers(len(style.degrees)))])
    return draw_degrees(key.mode, int(rng.choice([4, 4, 8])), rng)


def draw_entries(bars: Sequence[Bar], families: Sequence[str], rng: np.random.Generator) -> list[list[Bar]]:
    """Draw the bars in which each part plays.

    The members of a family mostly enter and leave together; loud sections are full, breaks are left to one or two
    families; within a section a part may enter late or leave early. Every part plays in 40 % of the bars at least.

    Args:
        bars: Of the song.
        families: Of each part.
        rng: Decides.

    Returns:
        Per part: its bars.
    """
    sections = [list(section) for _, section in groupby(bars, key=lambda bar: bar.section)]
    playing: list[dict[int, list[Bar]]] = [{} for _ in families]  # section -> bars
    for number, section in enumerate(sections):
        kind = section[0].kind
        present = {family for family in sorted(set(families)) if rng.random() < PRESENCE[kind]}
        for part, family in enumerate(families):
            if family in present and rng.random() < (STEADY if family == "rhythm" else LOYAL):
                playing[part][number] = _without_rest(section, rng)
    for chosen in playing:
        for number in rng.permutation(len(sections)):
            if sum(map(len, chosen.values())) >= LEAST_SHARE * len(bars):
                break
            chosen[int(number)] = sections[number]
    return [[bar for number in sorted(chosen) for bar in chosen[number]] for chosen in playing]


def _without_rest(section: list[Bar], rng: np.random.Generator) -> list[Bar]:
    """Let a part enter late or leave early in a section, now and then; mostly where the section builds up."""
    if len(section) == 1 or rng.random() > (0.6 if section[0].kind in ("intro", "build") else REST):
        return section
    away = max(1, len(section) // int(rng.choice([2, 4])))
    return section[away:] if rng.random() < 0.7 else section[:-away]


def draw_meter(style: Style, rng: np.random.Generator) -> tuple[int, int]:
    """Draw a metre of a style: beats per bar and their note value."""
    beats, value = draw(style.meters, rng).split("/")
    return int(beats), int(value)
