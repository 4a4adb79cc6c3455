"""How harmony and melody instruments play: strumming, arpeggios, power chords, comping, pads, melodies, stabs.

Every writer takes the bars in which its part plays, the lowest and highest pitch it may use, and a generator;
it draws one pattern per kind of section, so that the second verse is played as the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hiersep.render.harmony import lead_voices, nearest, pitches_of
from hiersep.render.rhythm import STEPS_PER_BEAT, strokes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from hiersep.render.harmony import Chord, Key
    from hiersep.render.rhythm import Bar
    from hiersep.render.song import Note

    Writer = Callable[[Sequence[Bar], int, int, np.random.Generator], list[Note]]

STRUMS = (
    "X...x.x...x.x.x.",
    "X.x.x.x.X.x.x.x.",
    "X...X.xox...X.xo",
    "X.......x.x.x.x.",
    "X..x..x...x.x...",
    "..X...X...X...X.",
)
COMPS = (
    "X.......X.......",
    "X...x...x...x...",
    "X..x..x...x.....",
    "..x...x...x...x.",
    "X.....x...x.....",
    "X..x..X...x..x..",
)
CHUGS = (
    "X.x.x.x.x.x.x.x.",
    "X...............",
    "X.xxX.xxX.xxX.xx",
    "X..x..x.X.......",
    "X.......X...X...",
)
STABS = (
    "X.....X.........",
    "....X.......X...",
    "X..x............",
    "..........x.X...",
    "X...............",
)
ORDERS = ((0, 1, 2, 3), (0, 2, 1, 2), (0, 1, 2, 1), (3, 2, 1, 0), (0, 2, 3, 2), (0, 3, 1, 2))
MOTIFS = (
    "X...x...x.......",
    "x.x.x...x.x.x...",
    "X.....x.x...x...",
    "..x.x.x.X.......",
    "X.......x...x...",
    "x..x..x...x.....",
)


def _choose(options: Sequence[str], chosen: dict[str, str], kind: str, rng: np.random.Generator) -> str:
    if kind not in chosen:
        chosen[kind] = options[int(rng.integers(len(options)))]
    return chosen[kind]


def _stack(chord: Chord, low: int, high: int, voices: int) -> list[int]:
    """Build a guitar-like voicing: the root at the bottom, then chord tones upward."""
    bottom = min(pitches_of((chord.root,), low, low + 11))
    above = [pitch for pitch in pitches_of(chord.tones, bottom + 4, high) if pitch >= bottom + 5]
    return [bottom, *above[: voices - 1]]


def strum(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Strum: down strokes on the beat from the lowest string, up strokes between from the highest, fewer strings."""
    chosen: dict[str, str] = {}
    short = rng.random() < 0.2
    notes = []
    for bar in bars:
        voicing = _stack(bar.chord, low, high, 6)
        for step, length, velocity in strokes(_choose(STRUMS, chosen, bar.kind, rng), bar.steps):
            down = step % STEPS_PER_BEAT == 0
            strings = voicing if down else voicing[:1:-1]
            sounding = min(length, 1.2) if short else length * 0.97
            for order, pitch in enumerate(strings):
                note = bar.note(step, sounding, pitch, velocity - 12 * (not down) - 2 * order)
                notes.append(note._replace(start=note.start + 0.011 * order, end=note.end + 0.011 * order))
    return notes


def arpeggio(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Break the chords in eighths or sixteenths; the notes ring on."""
    spacing = int(rng.choice([2, 2, 2, 1, 4]))
    base = low + int(rng.integers(0, max(1, (high - low) // 3)))
    orders: dict[str, tuple[int, ...]] = {}
    notes = []
    for bar in bars:
        if bar.kind not in orders:
            orders[bar.kind] = ORDERS[int(rng.integers(len(ORDERS)))]
        voicing = _stack(bar.chord, base, high, 5)
        order = orders[bar.kind]
        for count, step in enumerate(range(0, bar.steps, spacing)):
            tone = order[count % len(order)] % len(voicing)
            velocity = 96 if step % STEPS_PER_BEAT == 0 else 78
            notes.append(bar.note(step, spacing * 2.2, voicing[tone], velocity))
    return notes


def power(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Play root, fifth and octave: muted eighths, held chords or a riff of both."""
    chosen: dict[str, str] = {}
    notes = []
    for bar in bars:
        root = min(pitches_of((bar.chord.root,), low, low + 11))
        rhythm = _choose(CHUGS, chosen, bar.kind, rng)
        for step, length, velocity in strokes(rhythm, bar.steps):
            muted = length <= 2 and bar.energy < 0.7
            for pitch in (root, root + 7, root + 12)[: 2 if muted else 3]:
                if pitch <= high:
                    notes.append(bar.note(step, length * (0.6 if muted else 0.98), pitch, velocity))
    return notes


def comp(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Comp on keys: a close chord in the right hand, led to the next, and the root in the left."""
    chosen: dict[str, str] = {}
    middle = (low + high) // 2
    voicing = [nearest(tone, middle) for tone in (0, 4, 7)]
    left_hand = rng.random() < 0.6
    notes = []
    for bar in bars:
        voicing = lead_voices(bar.chord, voicing if len(voicing) > 2 else [middle - 4, middle, middle + 5], low, high)
        for step, length, velocity in strokes(_choose(COMPS, chosen, bar.kind, rng), bar.steps):
            notes += [bar.note(step, length * 0.85, pitch, velocity - 8) for pitch in voicing]
        if left_hand:
            root = min(pitches_of((bar.chord.root,), max(low, middle - 22), high))
            half = bar.steps // 2 if bar.steps == 16 else bar.steps
            notes += [bar.note(step, half * 0.95, root, 80) for step in range(0, bar.steps, half)]
    return notes


def pad(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
    """Hold the chords; a voice that stays on its pitch in the next bar is not struck again."""
    start = low + (high - low) // 3 + int(rng.integers(0, 6))
    voicing = [start, start + 4, start + 8]
    held: dict[int, Note] = {}
    notes: list[Note] = []
    for bar in bars:
        voicing = lead_voices(bar.chord, voicing if len(voicing) > 2 else [start, start + 4, start + 8], low, high)
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
    chosen: dict[str, str] = {}
    middle = (low + high) // 2
    notes = []
    for bar in bars:
        voicing = sorted({nearest(tone, middle) for tone in bar.chord.tones})
        for step, length, velocity in strokes(_choose(STABS, chosen, bar.kind, rng), bar.steps):
            notes += [bar.note(step, min(length * 0.9, 6), pitch, velocity) for pitch in voicing]
    return notes


def melody(key: Key, *, long: bool) -> Writer:
    """Make a writer of melodies in a key.

    A two-bar motif per kind of section is repeated over the chords: chord tones on the beats, steps of the scale
    between, back towards the middle of the range.

    Args:
        key: The song's.
        long: Held notes, as a counter melody has, instead of a moving line.
    """

    def write(bars: Sequence[Bar], low: int, high: int, rng: np.random.Generator) -> list[Note]:
        middle = (low + high) / 2 + float(rng.uniform(-3, 3))
        motifs: dict[tuple[str, int], tuple[str, list[int]]] = {}
        notes: list[Note] = []
        pitch = round(middle)
        for bar in bars:
            motif = (bar.kind, bar.place % 2)
            if motif not in motifs:
                rhythm = MOTIFS[int(rng.integers(len(MOTIFS)))] if not long else COMPS[int(rng.integers(2))]
                motifs[motif] = (
                    rhythm,
                    [int(move) for move in rng.choice([-4, -2, -1, 1, 2, 3, 5], 8)],
                )
            rhythm, moves = motifs[motif]
            for (step, length, velocity), move in zip(strokes(rhythm, bar.steps), moves, strict=False):
                aim = pitch + move - round((pitch - middle) / 4)
                strong = step % STEPS_PER_BEAT == 0
                allowed = pitches_of(bar.chord.tones if strong else key.pitch_classes, low, high)
                pitch = min(allowed, key=lambda candidate: (abs(candidate - aim), candidate))
                notes.append(bar.note(step, length * 0.92, pitch, velocity + 4))
        return notes

    return write
