"""What a player does to a written note: late or early, louder or softer, swelling, bent into tune."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hiersep.render.song import PITCH_BEND, Control, Note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hiersep.render.composer.styles import Instrument

SHORTEST_NOTE_S = 0.03
EXPRESSION, PEDAL = 11, 64  # control numbers
BEND_RANGE = 2.0  # semitones of a full pitch bend, General MIDI's default
LEADS = ("melody", "counter", "riff")
SWELL_S, LONG_S = 0.1, 0.6  # between two controls; least length of a note that swells or vibrates
PEDALLED = ("comp", "arpeggio")


def humanise(notes: Sequence[Note], rng: np.random.Generator) -> tuple[Note, ...]:
    """Move the notes by some 6 ms around the player's own lag, their velocities by some 6 steps along slow waves.

    A note ends where its pitch is struck again, as MIDI has it; what that leaves too short to hear is dropped.
    """
    delays = rng.normal(float(rng.uniform(-0.004, 0.012)), 0.006, len(notes))
    waves = rng.uniform(0, 9) * np.sin(rng.uniform(0, 6.3) + np.array([note.start for note in notes]) / 2.5)
    accents = rng.normal(0.0, 6.0, len(notes)) + waves
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


def express(notes: Sequence[Note], kind: str, role: str, instrument: Instrument,
            rng: np.random.Generator) -> tuple[Control, ...]:  # fmt: skip
    """Draw the controls of a part: swells, slides and vibrato of a lead, a pianist's pedal.

    Args:
        notes: As played.
        kind: Of the instrument.
        role: How it plays.
        instrument: What it can do.
        rng: Decides.

    Returns:
        Control changes and pitch bends, sorted by time.
    """
    controls: list[Control] = []
    if instrument.swells and rng.random() < 0.8:
        controls += _swells(notes, rng)
    if instrument.bends and role in LEADS:
        controls += _bends(notes, rng)
    if kind in ("acoustic_piano", "electric_piano") and role in PEDALLED and rng.random() < 0.5:
        starts = sorted({round(note.start / 2) * 2.0 for note in notes})
        controls += [Control(time + off, PEDAL, value) for time in starts for off, value in ((0.0, 0), (0.05, 127))]
    return tuple(sorted(controls, key=lambda control: control.time))


def _swells(notes: Sequence[Note], rng: np.random.Generator) -> list[Control]:
    """Let long notes grow and fade: an arch of expression over each."""
    depth, controls = float(rng.uniform(20, 55)), [Control(0.0, EXPRESSION, 115)]
    for note in {note.start: note for note in notes if note.end - note.start > LONG_S}.values():
        times = np.arange(note.start, note.end, SWELL_S)
        arch = 115 - depth * (1 - np.sin(np.pi * (times - note.start) / (note.end - note.start)))
        controls += [Control(float(t), EXPRESSION, round(float(v))) for t, v in zip(times, arch, strict=True)]
        controls.append(Control(note.end, EXPRESSION, 115))
    return controls


def _bends(notes: Sequence[Note], rng: np.random.Generator) -> list[Control]:
    """Slide into some notes from below, and let long ones vibrate."""
    depth, rate = float(rng.uniform(0.1, 0.4)), float(rng.uniform(4.8, 6.2))
    controls: list[Control] = []
    for note in notes:
        times = np.arange(note.start, note.end, 0.03)
        bend = np.zeros(len(times))
        if rng.random() < 0.25:
            bend -= float(rng.choice([1, 2])) * np.clip(1 - (times - note.start) / 0.12, 0, 1)
        if note.end - note.start > LONG_S:
            grown = np.clip((times - note.start - 0.25) / 0.3, 0, 1)
            bend += depth * grown * np.sin(2 * np.pi * rate * (times - note.start))
        if bend.any():
            steps = np.clip(np.round(8192 * bend / BEND_RANGE), -8192, 8191)
            controls += [Control(float(t), PITCH_BEND, int(s)) for t, s in zip(times, steps, strict=True)]
            controls.append(Control(note.end, PITCH_BEND, 0))
    return controls
