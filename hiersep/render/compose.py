"""The seeded composer: songs of 6-9 parts with a form, so that there is something to separate at every level.

Not music to be proud of, but with the statistics that matter for learning: instruments of one group sound
together for most of a song, parts drop out and come back, and every song has another cast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hiersep.render import patterns, rhythm
from hiersep.render.ensemble import GROUPS, PLAYING, Group, draw, draw_cast
from hiersep.render.harmony import SCALES, Chord, Key, draw_progression
from hiersep.render.rhythm import STEPS_PER_BEAT, Bar
from hiersep.render.song import Note, Part, Song

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORTEST_NOTE_S = 0.03
LOUDER = 0.4  # how much likelier a part plays in a section of energy 1 than in one of energy 0


ENERGIES = {"intro": 0.35, "verse": 0.5, "chorus": 0.9, "bridge": 0.6}
FORM = ("verse", "chorus", "verse", "chorus", "bridge", "chorus")


def draw_bars(key: Key, tempo: float, beats: int, duration: float, rng: np.random.Generator) -> list[Bar]:
    """Lay out a form of sections of 4-8 bars that fills `duration` seconds."""
    swing = float(rng.choice([0.0, 0.0, 0.0, 0.35, 0.66]))
    step_s = 60.0 / tempo / STEPS_PER_BEAT
    steps = beats * STEPS_PER_BEAT
    progressions: dict[str, tuple[Chord, ...]] = {}
    lengths: dict[str, int] = {}
    bars: list[Bar] = []
    section, form_start = 0, int(rng.integers(2))
    kind = "intro" if rng.random() < 0.5 else FORM[form_start]
    while len(bars) * steps * step_s < duration:
        if kind not in progressions:
            progressions[kind] = draw_progression(key, rng)
            lengths[kind] = 4 if kind == "intro" else int(rng.choice([4, 4, 6, 8]))
        for place in range(lengths[kind]):
            chord = progressions[kind][place % 4]
            start, last = len(bars) * steps * step_s, place == lengths[kind] - 1
            bars.append(Bar(start, step_s, steps, chord, section, kind, ENERGIES[kind], place, last, swing))
        kind = FORM[(form_start + section) % len(FORM)]
        section += 1
    return [bar for bar in bars if bar.start < duration]


def draw_activity(bars: Sequence[Bar], group: Group, rng: np.random.Generator) -> set[int]:
    """Draw the sections in which a part plays: often in loud ones, and in no less than the group's share of bars."""
    counts = np.bincount([bar.section for bar in bars])
    energies = {bar.section: bar.energy for bar in bars}
    sections = {s for s in range(len(counts)) if rng.random() < group.playing + LOUDER * (energies[s] - 0.6)}
    for spare in rng.permutation(len(counts)):
        if sum(counts[s] for s in sections) >= group.bars * len(bars):
            break
        sections.add(int(spare))
    return sections


def _write(role: str, bars: Sequence[Bar], span: tuple[int, int], key: Key, rng: np.random.Generator) -> list[Note]:
    if role == "drums":
        return rhythm.drums(bars, draw(dict.fromkeys(rhythm.STYLES, 1.0), rng), rng)
    writers: dict[str, patterns.Writer] = {
        "bass": rhythm.bass,
        "strum": patterns.strum,
        "arpeggio": patterns.arpeggio,
        "power": patterns.power,
        "comp": patterns.comp,
        "pad": patterns.pad,
        "stabs": patterns.stabs,
        "melody": patterns.melody(key, long=False),
        "counter": patterns.melody(key, long=True),
    }
    return writers[role](bars, *span, rng)


def _humanise(notes: Sequence[Note], rng: np.random.Generator) -> tuple[Note, ...]:
    """Move the notes by some 6 ms and their velocities by some 6 steps.

    A note ends where its pitch is struck again, as MIDI has it; what that leaves too short to hear is dropped.
    """
    delays = rng.normal(0.0, 0.006, len(notes))
    accents = rng.normal(0.0, 6.0, len(notes))
    played = []
    for note, delay, accent in zip(notes, delays, accents, strict=True):
        start = max(0.0, note.start + float(delay))
        velocity = int(np.clip(round(note.velocity + float(accent)), 20, 127))
        played.append(Note(start, max(note.end, start + SHORTEST_NOTE_S), note.pitch, velocity))
    struck: dict[int, float] = {}
    kept = []
    for note in sorted(played, reverse=True):
        end = min(note.end, struck.get(note.pitch, note.end))
        if end - note.start >= SHORTEST_NOTE_S:
            struck[note.pitch] = note.start
            kept.append(note._replace(end=end))
    return tuple(sorted(kept))


def compose(seed: int, song: int, duration: float) -> Song:
    """Write a song.

    Args:
        seed: Of the data set.
        song: The song's number; equal (seed, song, duration) give the same song.
        duration: In seconds; the song fills it and is cut there.
    """
    rng = np.random.default_rng([seed, song])
    key = Key(int(rng.integers(12)), draw(dict(zip(SCALES, (4, 4, 1, 1), strict=True)), rng))
    beats = 3 if rng.random() < 0.15 else 4
    tempo = round(float(rng.uniform(70, 150)), 1)
    bars = draw_bars(key, tempo, beats, duration, rng)
    parts = []
    for group, kind in draw_cast(rng):
        sections = draw_activity(bars, GROUPS[group], rng)
        low, high, roles = PLAYING[kind]
        role = draw(roles, rng)
        playing = [bar for bar in bars if bar.section in sections]
        notes = _humanise(_write(role, playing, (low, high), key, rng), rng)
        parts.append(Part(kind, role, notes))
    return Song(tuple(parts), duration, ((0.0, tempo),), (beats, 4)).cut(duration)
