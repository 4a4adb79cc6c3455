"""Rhythms, drums and basses: what carries the beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hiersep.render.composer.harmony import nearest, pitches_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hiersep.render.composer.form import Bar
    from hiersep.render.song import Note

DRUM_PITCHES = {
    "kick": 36, "rim": 37, "snare": 38, "clap": 39, "closed": 42, "pedal": 44, "tom": 45, "open": 46, "crash": 49,
    "ride": 51, "tambourine": 54, "cowbell": 56, "conga": 63, "shaker": 70,
}  # fmt: skip
TOMS = (50, 48, 47, 45, 43, 41)
GHOST, SLIP = 0.12, 0.03  # chances that a bar leaves its pattern: at each doubtful stroke, at each certain one
BY_BEATS = {(12, 4): "waltz", (12, 6): "six_eight"}  # grooves of bars that are no cut-out of 4/4


class Stroke(NamedTuple):
    """One stroke of a rhythm: its sixteenth, sixteenths until the next stroke, velocity."""

    step: int
    length: int
    velocity: int


def draw_rhythm(steps: int, beat: int, *, density: float, offbeat: float, rng: np.random.Generator) -> list[Stroke]:
    """Draw a rhythm of a bar; at least one stroke.

    Args:
        steps: Sixteenths in the bar.
        beat: Sixteenths in a beat.
        density: Share of the sixteenths that are struck, about.
        offbeat: 0: on the beats first; 1: between them first.
        rng: Decides.
    """
    step = np.arange(steps)
    strength = np.select([step == 0, step % beat == 0, step % 2 == 0], [1.0, 0.8, 0.45], 0.15)
    wish = (1 - offbeat) * strength + offbeat * np.where(step % 2 == 0, 1 - strength + 0.2, 0.3)
    struck = np.flatnonzero(rng.random(steps) < wish * density * steps / wish.sum())
    places = [int(place) for place in struck] or [0]
    return [
        Stroke(place, following - place, 78 + round(30 * float(strength[place])))
        for place, following in zip(places, [*places[1:], steps], strict=True)
    ]


def rhythms(density: tuple[float, float], rng: np.random.Generator) -> Callable[[Bar], list[Stroke]]:
    """Make a part's memory of rhythms: two bars for each kind of section, of a density drawn in a range."""
    own, offbeat = float(rng.uniform(*density)), float(rng.choice([0.0, 0.2, 0.5]))
    known: dict[tuple[str, int], list[Stroke]] = {}

    def of(bar: Bar) -> list[Stroke]:
        memory = (bar.kind, bar.place % 2)
        if memory not in known:
            lively = own * (0.8 + 0.4 * bar.energy)
            known[memory] = draw_rhythm(bar.steps, bar.beat, density=lively, offbeat=offbeat, rng=rng)
        return known[memory]

    return of


def _chances(groove: Mapping[str, str], steps: int) -> dict[int, np.ndarray]:
    """Read a groove as drum pitch -> chance per sixteenth; a shorter or longer bar is cut out or goes round."""
    chances = {}
    for drum, digits in groove.items():
        tenths = [0 if sign == "." else int(sign) for sign in digits]
        chances[DRUM_PITCHES[drum]] = np.resize(np.array(tenths) / 9, steps)
    return chances


def drums(bars: Sequence[Bar], grooves: Mapping[str, Mapping[str, str]], chosen: Sequence[str],
          rng: np.random.Generator) -> list[Note]:  # fmt: skip
    """Play the drums: a groove drawn per kind of section, ghost strokes, fills before and crashes after a change.

    Args:
        bars: Where they play.
        grooves: Every groove there is: drum -> chance of each sixteenth, in tenths.
        chosen: Names of those that the style has.
        rng: Decides.
    """
    loud = rng.random() < 0.7  # the ride instead of the hi-hat in loud sections
    patterns: dict[str, tuple[dict[int, np.ndarray], dict[int, np.ndarray]]] = {}
    notes = []
    for bar in bars:
        if bar.kind not in patterns:
            name = BY_BEATS.get((bar.steps, bar.beat)) or str(rng.choice(list(chosen)))
            chances = _chances(grooves[name], bar.steps)
            struck = {pitch: rng.random(bar.steps) < chance for pitch, chance in chances.items()}
            patterns[bar.kind] = chances, struck
        chances, struck = patterns[bar.kind]
        fill = bar.steps - bar.beat * int(rng.integers(1, 3)) if bar.last and rng.random() < 0.7 else bar.steps
        for pitch, chance in chances.items():
            changed = rng.random(bar.steps) < np.select([chance == 0, chance == 1], [0.0, SLIP], GHOST)
            sound = 51 if pitch == 42 and loud and bar.energy > 0.9 else pitch
            for step in np.flatnonzero(struck[pitch] ^ changed):
                if step < fill or pitch == 36:
                    notes.append(bar.note(int(step), 1, sound, 52 + 58 * float(chance[step])))
        notes += _fill(bar, fill, rng)
        if bar.place == 0 and bar.energy > 0.4 and rng.random() < 0.8:
            notes.append(bar.note(0, 4, 49, 104))
    return notes


def _fill(bar: Bar, start: int, rng: np.random.Generator) -> list[Note]:
    """Roll down the toms, or along the snare, from a sixteenth to the bar's end."""
    steps = [step for step in range(start, bar.steps) if rng.random() < 0.8]
    fall = float(rng.choice([0.4, 0.8, 1.2]))
    return [
        bar.note(step, 1, 38 if rng.random() < 0.35 else TOMS[min(5, int(fall * (step - start)))], 78 + 3 * index)
        for index, step in enumerate(steps)
    ]


def bass(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Follow the chords' roots with fifths, octaves and thirds; lead into the next root now and then."""
    rhythm = rhythms((0.15, 0.5), rng)
    held = float(rng.uniform(0.5, 0.98))
    tones: dict[tuple[str, int], np.ndarray] = {}
    notes = []
    for bar, following in zip(bars, [*bars[1:], bars[-1]], strict=True):
        memory = (bar.kind, bar.place % 2)
        if memory not in tones:
            tones[memory] = rng.choice([0, 0, 0, 0, 2, 3, 1], bar.steps)
            tones[memory][0] = 0
        root = nearest(bar.chord.root, low + 8)
        for index, (step, length, velocity) in enumerate(rhythm(bar)):
            tone = int(tones[memory][index])
            pitch = root + 12 if tone == 3 else root + (bar.chord.tones[tone] - bar.chord.root) % 12
            if step >= bar.steps - bar.beat and following.chord != bar.chord and rng.random() < 0.35:
                pitch = nearest(following.chord.root, root) + int(rng.choice([-1, 1, 2]))
            pitch += 12 * (pitch < low) - 12 * (pitch > high)
            notes.append(bar.note(step, length * held, pitch, velocity))
    return notes


def walking(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Walk in quarters: the root, steps of the scale and of the chord, a semitone before the next root."""
    notes: list[Note] = []
    pitch = (low + high) // 2
    for bar, following in zip(bars, [*bars[1:], bars[-1]], strict=True):
        beats = range(0, bar.steps, 4)
        pitch = nearest(bar.chord.root, min(max(pitch, low + 6), high - 6))
        for step in beats:
            if step:
                allowed = pitches_of((*bar.chord.tones, *bar.key.pitch_classes), low, high)
                around = [other for other in allowed if 0 < abs(other - pitch) <= 4]
                pitch = int(rng.choice(around))
            if step == beats[-1]:
                pitch = nearest(following.chord.root, pitch) + int(rng.choice([-1, 1]))
                pitch += 12 * (pitch < low) - 12 * (pitch > high)
            notes.append(bar.note(step, 3.7, pitch, 92))
    return notes
