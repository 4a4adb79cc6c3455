"""What is rendered: a song of parts, each a list of notes in seconds.

The composer makes songs, and MIDI files are read into songs; the orchestration, the synthesizer and the MIDI
writer know nothing else. Times are seconds from the song's start, pitches and velocities are MIDI's 0-127.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

DRUMS = "drums"
SHORTEST_S = 0.5  # least that is kept of a part


class Note(NamedTuple):
    """One note: `start` and `end` in seconds, `pitch` and `velocity` 0-127."""

    start: float
    end: float
    pitch: int
    velocity: int


class Control(NamedTuple):
    """A control change at `time` seconds; `number` is MIDI's 0-127, or `PITCH_BEND` with a value of -8192..8191."""

    time: float
    number: int
    value: int


PITCH_BEND = -1


@dataclass(frozen=True)
class Part:
    """One instrument's music.

    Attributes:
        kind: The instrument class that plays it, a key of `orchestrate.KINDS`.
        role: How it plays: ``strum``, ``pad``, ...; ``written`` where it comes from a MIDI file.
        notes: Sorted by start.
        controls: Control changes and pitch bends, sorted by time.
    """

    kind: str
    role: str
    notes: tuple[Note, ...]
    controls: tuple[Control, ...] = ()

    @property
    def is_drum(self) -> bool:
        """Whether this is the drum kit."""
        return self.kind == DRUMS


@dataclass(frozen=True)
class Song:
    """Parts that sound together.

    Attributes:
        parts: In the order of the stems.
        duration: In seconds.
        tempi: (time in seconds, beats per minute) of each tempo change; the first is at 0.
        meter: Beats per bar and the note value of a beat.
    """

    parts: tuple[Part, ...]
    duration: float
    tempi: tuple[tuple[float, float], ...]
    meter: tuple[int, int] = (4, 4)

    def cut(self, duration: float) -> Song:
        """Keep what starts before `duration` seconds; notes that sound on are ended there.

        A part that enters in the last half second leaves: there is not enough of it to measure its loudness.
        """
        parts = []
        for part in self.parts:
            notes = tuple(note._replace(end=min(note.end, duration)) for note in part.notes if note.start < duration)
            if notes and notes[0].start <= duration - SHORTEST_S:
                controls = tuple(control for control in part.controls if control.time < duration)
                parts.append(replace(part, notes=notes, controls=controls))
        tempi = tuple(tempo for tempo in self.tempi if tempo[0] < duration)
        return Song(tuple(parts), min(self.duration, duration), tempi, self.meter)
