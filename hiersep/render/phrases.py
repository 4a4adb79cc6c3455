"""Phrases of songs, in a form in which two songs can be compared: on a grid of sixteenths, in any key.

A phrase is what a melody or the drums play in some bars in a row, from any bar on. Notes are moved to the nearest
sixteenth, whatever the song's changes of tempo, its swing and its players' lag, so it does not matter how it was
humanised. Phrases are compared by digest: a song has hundreds.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from hiersep.render.orchestrate import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from hiersep.render.song import Note, Part, Song

    Floats = npt.NDArray[np.float64]
    Events = npt.NDArray[np.int64]

BARS = 8
STEPS_PER_BEAT = 4  # a beat is a quarter here
MELODY_NOTES, MELODY_PITCHES, DRUM_STROKES = 8, 3, 32  # fewest in a phrase
LISTED = 20  # pairs of songs named at most
POLYPHONIC = 0.05  # share of notes that sound with another, above which a part is no melody
SWINGS = np.linspace(0.0, 0.8, 9)  # how late the second half of a beat may be, in sixteenths
_BASSES = frozenset(kind_of(program) for program in range(32, 40))


def melody_phrases(song: Song, bars: int = BARS) -> set[bytes]:
    """Digest the melodies of a song; two songs have one in common where the sets have.

    A melodic part is no drums and no bass, and is played by one voice: at most 5 % of its notes begin together with
    another, or more than a sixteenth before the end of one. Its phrase is the sequence of steps and of intervals to
    its first pitch, so the key does not matter; it has at least 8 notes and 3 pitches.

    Args:
        song: Composed, or read from a MIDI file.
        bars: Length of a phrase.

    Returns:
        One digest per different phrase, of 12 bytes.
    """
    grid = _Grid(song)
    found = set()
    for part in song.parts:
        if part.is_drum or part.kind in _BASSES or not _is_one_voice(part, grid):
            continue
        for phrase in grid.windows(grid.events(part.notes), bars):
            if len(phrase) >= MELODY_NOTES and len(np.unique(phrase[:, 1])) >= MELODY_PITCHES:
                found.add(_digest(phrase - [0, phrase[0, 1]]))
    return found


def drum_phrases(song: Song, bars: int = BARS) -> set[bytes]:
    """Digest what the drums of a song play: which is struck at which step; a phrase has at least 32 strokes.

    Args:
        song: Composed, or read from a MIDI file.
        bars: Length of a phrase.

    Returns:
        One digest per different phrase, of 12 bytes.
    """
    grid = _Grid(song)
    strokes = [note for part in song.parts if part.is_drum for note in part.notes]
    return {_digest(p) for p in grid.windows(grid.events(strokes), bars) if len(p) >= DRUM_STROKES}


@dataclass(frozen=True)
class SharedPhrases:
    """Phrases that two different songs have in common.

    Attributes:
        songs: That have any phrase.
        sharing: Songs that share one with another song.
        pairs: Of songs that share one.
        most: (one song, another, phrases shared) of the pairs that share most, at most 20.
    """

    songs: int
    sharing: int
    pairs: int
    most: tuple[tuple[str, str, int], ...]


def find_shared(phrases: Mapping[str, set[bytes]]) -> SharedPhrases:
    """Find the songs that share a phrase.

    Args:
        phrases: Per song, what `melody_phrases` or `drum_phrases` gives.

    Example:
        >>> find_shared({"a": {b"1", b"2"}, "b": {b"2"}, "c": {b"3"}})
        SharedPhrases(songs=3, sharing=2, pairs=1, most=(('a', 'b', 1),))
    """
    holders: dict[bytes, list[str]] = defaultdict(list)
    for song, found in phrases.items():
        for phrase in found:
            holders[phrase].append(song)
    pairs = Counter(pair for songs in holders.values() for pair in combinations(sorted(songs), 2))
    sharing = {song for pair in pairs for song in pair}
    most = sorted((-shared, *pair) for pair, shared in pairs.items())[:LISTED]
    named = tuple((one, other, -shared) for shared, one, other in most)
    return SharedPhrases(sum(map(bool, phrases.values())), len(sharing), len(pairs), named)


class _Grid:
    """A song's sixteenths: what lies between its seconds and its bars."""

    def __init__(self, song: Song) -> None:
        times, tempi = np.array(song.tempi).T
        notes = [note for part in song.parts for note in part.notes]
        end = max([song.duration, *(note.end for note in notes), times[-1] + 1.0])
        self._times = np.append(times, end)
        self._beats = np.append(0.0, np.cumsum(np.diff(self._times) * tempi / 60))
        numerator, denominator = song.meter
        self.bar = max(1, round(4 * STEPS_PER_BEAT * numerator / denominator))  # steps
        self.bars = int(self.beats([song.duration])[0] * STEPS_PER_BEAT + 0.5) // self.bar  # whole ones
        starts = self.beats([note.start for note in notes])  # the swing is that by which most of them lie on the grid
        errors = [np.abs(_nearest_steps(starts, swing)[1]).sum() for swing in SWINGS]
        self.swing = SWINGS[int(np.argmin(errors))]

    def beats(self, times: Sequence[float]) -> Floats:
        """Turn seconds into quarters from the song's start."""
        return np.asarray(np.interp(times, self._times, self._beats))

    def steps(self, notes: Sequence[Note]) -> Events:
        """Give the nearest sixteenth of each note of a part, without the player's own lag; shape (note,)."""
        beats = self.beats([note.start for note in notes])
        _, late = _nearest_steps(beats, self.swing)
        steps, _ = _nearest_steps(beats - np.median(late) / STEPS_PER_BEAT, self.swing)
        return steps

    def events(self, notes: Sequence[Note]) -> Events:
        """Give the step and pitch of each note of a part, sorted, each once; shape (note, 2)."""
        if not notes:
            return np.zeros((0, 2), np.int64)
        return np.unique(np.stack([self.steps(notes), np.array([note.pitch for note in notes])], axis=1), axis=0)

    def windows(self, events: Events, bars: int) -> Iterator[Events]:
        """Yield the events of `bars` bars from each bar on, steps counted from there."""
        firsts = np.arange(0, (self.bars - bars + 1) * self.bar, self.bar)
        begins, ends = np.searchsorted(events[:, 0], [firsts, firsts + bars * self.bar])
        for first, begin, end in zip(firsts, begins, ends, strict=True):
            yield events[begin:end] - np.array([first, 0])


def _nearest_steps(beats: Floats, swing: float) -> tuple[Events, Floats]:
    """Find the nearest sixteenth of each place, and how late after it that is, in sixteenths.

    Args:
        beats: Places in quarters from the song's start.
        swing: How late the second half of each beat is, in sixteenths.

    Shape:
        beats, output: (note,).
    """
    whole = np.floor(beats)
    grid = np.array([0, 1, 2 + swing, 3 + swing, STEPS_PER_BEAT])
    late = ((beats - whole) * STEPS_PER_BEAT)[:, None] - grid  # (note, place)
    nearest = np.abs(late).argmin(axis=1)
    return (whole * STEPS_PER_BEAT + nearest).astype(np.int64), np.take_along_axis(late, nearest[:, None], 1)[:, 0]


def _is_one_voice(part: Part, grid: _Grid) -> bool:
    if not part.notes:
        return False
    starts = grid.beats([note.start for note in part.notes])
    ends = np.maximum.accumulate(grid.beats([note.end for note in part.notes]))  # when all notes so far have ended
    together = (ends[:-1] - starts[1:] > 1 / STEPS_PER_BEAT) | (np.diff(grid.steps(part.notes)) == 0)
    return bool(np.count_nonzero(together) <= POLYPHONIC * len(part.notes))


def _digest(phrase: Events) -> bytes:
    return hashlib.blake2b(phrase.tobytes(), digest_size=12).digest()
