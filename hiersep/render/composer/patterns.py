"""How harmony and melody instruments play: strumming, arpeggios, riffs, comping, pads, melodies, stabs.

Every writer takes the bars in which its part plays, the lowest and highest pitch it may use, and a generator; it
draws its patterns once per kind of section, so that the second verse is played as the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hiersep.render.composer.harmony import lead_voices, nearest, pitches_of
from hiersep.render.composer.rhythm import rhythms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hiersep.render.composer.form import Bar
    from hiersep.render.composer.harmony import Chord
    from hiersep.render.song import Note

    Writer = Callable[[Sequence[Bar], int, int, np.random.Generator], list[Note]]

STROKE_S = 0.011  # between two strings of a strummed chord


def _stack(chord: Chord, low: int, high: int, voices: int) -> list[int]:
    """Build a guitar-like voicing: the root at the bottom, then chord tones upward."""
    bottom = min(pitches_of((chord.root,), low, low + 11))
    return [bottom, *pitches_of(chord.tones, bottom + 5, high)[: voices - 1]]


def strum(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Strum: down strokes on the beat from the lowest string, up strokes between from the highest, fewer strings."""
    rhythm = rhythms((0.25, 0.65), rng)
    short = rng.random() < 0.25
    notes = []
    for bar in bars:
        voicing = _stack(bar.chord, low, high, 6)
        for step, length, velocity in rhythm(bar):
            down = step % bar.beat == 0
            sounding = min(length, 1.2) if short else length * 0.97
            for order, pitch in enumerate(voicing if down else voicing[:1:-1]):
                note = bar.note(step, sounding, pitch, velocity - 12 * (not down) - 2 * order)
                late = STROKE_S * order
                notes.append(note._replace(start=note.start + late, end=note.end + late))
    return notes


def skank(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Chop the chords shortly between the beats."""
    middle, double = (low + high) // 2, rng.random() < 0.4
    notes = []
    for bar in bars:
        voicing = sorted({nearest(tone, middle) for tone in bar.chord.tones})
        for step in range(bar.beat // 2, bar.steps, bar.beat):
            for offset in (0, 1) if double and rng.random() < 0.5 else (0,):
                notes += [bar.note(step + offset, 0.9, pitch, 94 - 14 * offset) for pitch in voicing]
    return notes


def arpeggio(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Break the chords in eighths, sixteenths or quarters; the notes ring on."""
    spacing = int(rng.choice([2, 2, 2, 1, 4]))
    ringing = float(rng.choice([0.9, 2.2, 4.0]))
    base = low + int(rng.integers(0, max(1, (high - low) // 3)))
    orders: dict[str, np.ndarray] = {}
    notes = []
    for bar in bars:
        if bar.kind not in orders:
            orders[bar.kind] = rng.permutation(np.r_[0:4, rng.integers(0, 4, int(rng.choice([0, 2, 4])))])
        order, voicing = orders[bar.kind], _stack(bar.chord, base, high, 5)
        for count, step in enumerate(range(0, bar.steps, spacing)):
            pitch = voicing[int(order[count % len(order)]) % len(voicing)]
            notes.append(bar.note(step, spacing * ringing, pitch, 96 if step % bar.beat == 0 else 78))
    return notes


def power(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Play root, fifth and octave: muted chugging where the strokes are close, held chords elsewhere."""
    rhythm = rhythms((0.12, 0.7), rng)
    notes = []
    for bar in bars:
        root = min(pitches_of((bar.chord.root,), low, low + 11))
        for step, length, velocity in rhythm(bar):
            muted = length <= 2 and bar.energy < 0.7
            for pitch in (root, root + 7, root + 12)[: 2 if muted else 3]:
                notes.append(bar.note(step, length * (0.6 if muted else 0.98), pitch, velocity))
    return notes


def riff(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Repeat a figure of two bars, on the chord's root or on the tonic throughout."""
    rhythm = rhythms((0.35, 0.6), rng)
    moving, held = rng.random() < 0.5, float(rng.uniform(0.5, 0.95))
    base = low + int(rng.integers(0, max(1, high - low - 19)))
    steps: dict[tuple[str, int], np.ndarray] = {}
    notes = []
    for bar in bars:
        memory = (bar.kind, bar.place % 2)
        if memory not in steps:
            steps[memory] = np.clip(np.cumsum(rng.choice([-2, -1, 0, 1, 1, 2, 3], bar.steps)), 0, 7)
        root = bar.chord.root if moving else bar.key.tonic
        scale = pitches_of(bar.key.pitch_classes, base, high)
        first = next(index for index, pitch in enumerate(scale) if pitch % 12 == root)
        for index, (step, length, velocity) in enumerate(rhythm(bar)):
            pitch = scale[min(first + int(steps[memory][index]), len(scale) - 1)]
            notes.append(bar.note(step, length * held, pitch, velocity))
    return notes


def comp(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Comp on keys: a close chord in the right hand, led to the next, and the root in the left."""
    rhythm = rhythms((0.1, 0.4), rng)
    middle, left_hand = (low + high) // 2, rng.random() < 0.6
    close = [middle - 4, middle, middle + 5]
    voicing, notes = close, []
    for bar in bars:
        voicing = lead_voices(bar.chord, voicing if len(voicing) > 2 else close, low, high)
        for step, length, velocity in rhythm(bar):
            notes += [bar.note(step, length * 0.85, pitch, velocity - 8) for pitch in voicing]
        if left_hand:
            root = min(pitches_of((bar.chord.root,), max(low, middle - 22), high))
            notes += [bar.note(step, 7.6, root, 80) for step in range(0, bar.steps - 3, 8)]
    return notes


def pad(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Hold the chords; a voice that stays on its pitch in the next bar is not struck again."""
    start = low + (high - low) // 3 + int(rng.integers(0, 6))
    close = [start, start + 4, start + 8, start + 12][: int(rng.choice([3, 3, 4]))]
    voicing = close
    held: dict[int, Note] = {}
    notes: list[Note] = []
    for bar in bars:
        voicing = lead_voices(bar.chord, voicing if len(voicing) > 2 else close, low, high)
        sounding = {}
        for pitch in voicing:
            note = bar.note(0, bar.steps, pitch, 84)
            before = held.get(pitch)
            tied = before is not None and abs(before.end - note.start) < 1e-6
            sounding[pitch] = before._replace(end=note.end) if before is not None and tied else note
        notes += [note for pitch, note in held.items() if pitch not in sounding or sounding[pitch].start != note.start]
        held = sounding
    return notes + list(held.values())


def stabs(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Punctuate with short chords in close position."""
    rhythm = rhythms((0.06, 0.2), rng)
    middle = (low + high) // 2
    notes = []
    for bar in bars:
        voicing = sorted({nearest(tone, middle) for tone in bar.chord.tones})
        for step, length, velocity in rhythm(bar):
            notes += [bar.note(step, min(length * 0.9, 6), pitch, velocity) for pitch in voicing]
    return notes


def _tune(bars: Sequence[Bar], span: tuple[int, int], density: tuple[float, float],
          rng: np.random.Generator) -> list[Note]:  # fmt: skip
    """Sing: a motif per kind of section over the chords, chord tones on the beats, breath at the ends of phrases."""
    low, high = span
    middle = (low + high) / 2 + float(rng.uniform(-4, 4))
    rhythm, held = rhythms(density, rng), float(rng.uniform(0.8, 0.98))
    breath = int(rng.choice([0, 2, 4]))  # bars of a phrase, of which the last ends early; 0: none
    motifs: dict[tuple[str, int], np.ndarray] = {}
    notes: list[Note] = []
    pitch = round(middle)
    for bar in bars:
        memory = (bar.kind, bar.place % 2)
        if memory not in motifs:
            motifs[memory] = rng.choice([-5, -3, -2, -2, -1, -1, 0, 1, 1, 2, 2, 3, 4, 7], bar.steps)
        ends = bar.steps // 2 if breath and bar.place % breath == breath - 1 else bar.steps
        for index, (step, length, velocity) in enumerate(rhythm(bar)):
            if step >= ends:
                break
            aim = pitch + int(motifs[memory][index]) - round((pitch - middle) / 4)
            classes = bar.chord.tones if step % bar.beat == 0 else bar.key.pitch_classes
            pitch = min(pitches_of(classes, low, high), key=lambda other: (abs(other - aim), other))
            notes.append(bar.note(step, length * held, pitch, velocity + 4))
    return notes


def melody(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Sing a moving line."""
    return _tune(bars, (low, high), (0.18, 0.42), rng)


def counter(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Sing held notes against the melody."""
    return _tune(bars, (low, high), (0.08, 0.18), rng)
