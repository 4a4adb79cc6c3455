"""Doubling: a part that a related instrument plays as well, as bands and orchestras do.

It puts relatives into one song: a distorted guitar beside the clean one whose notes it plays is what a network must
learn to take apart. A double has its own small deviations in time and strength, may lie an octave away, and often
rests for a while, so that both are heard alone too.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hiersep.render.composer.expression import SHORTEST_NOTE_S, humanise
from hiersep.render.composer.styles import draw, style_book

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hiersep.render.song import Note, Part, Song

MOST_PARTS = 10  # no song is doubled beyond
MOST_DOUBLES = 2
CHANCE, CHANCE_PER_PLACE = 0.6, 0.15  # of a double: at most, and per part that the song lacks to have the most
OCTAVES = {0: 4.0, -12: 1.0, 12: 1.0}  # semitones away -> weight
BEYOND = 5  # semitones beyond the range that is written for an instrument: it can play more
RESTING = 0.6  # share of the doubles that rest now and then
STRETCH_S = (4.0, 12.0)  # least and greatest length of playing and of resting

# Kind -> who doubles it, by weight. Basses and percussion stay alone.
RELATED: dict[str, dict[str, float]] = {
    "acoustic_piano": {"electric_piano": 4, "organ": 2, "synth_pad": 2, "harpsichord": 0.5},
    "electric_piano": {"acoustic_piano": 4, "organ": 2, "synth_pad": 2, "clavinet": 1},
    "harpsichord": {"acoustic_piano": 2, "organ": 1, "harp": 1},
    "clavinet": {"electric_piano": 2, "organ": 1, "clean_guitar": 1},
    "organ": {"acoustic_piano": 2, "electric_piano": 2, "synth_pad": 1, "accordion": 0.5},
    "accordion": {"organ": 1, "clarinet": 1, "violin": 1},
    "synth_lead": {"distorted_guitar": 2, "synth_pad": 1, "electric_piano": 1},
    "synth_pad": {"synth_strings": 2, "string_ensemble": 2, "choir": 1, "organ": 1},
    "acoustic_guitar": {"clean_guitar": 3, "distorted_guitar": 2},
    "clean_guitar": {"distorted_guitar": 4, "acoustic_guitar": 3},
    "distorted_guitar": {"clean_guitar": 4, "acoustic_guitar": 2, "organ": 1},
    "violin": {"string_ensemble": 4, "viola": 1, "flute": 1},
    "viola": {"violin": 2, "cello": 2, "string_ensemble": 2},
    "cello": {"viola": 2, "string_ensemble": 2, "bassoon": 1},
    "tremolo_strings": {"string_ensemble": 2, "synth_strings": 1},
    "pizzicato_strings": {"harp": 2, "mallets": 1},
    "harp": {"pizzicato_strings": 1, "acoustic_piano": 1, "acoustic_guitar": 1},
    "string_ensemble": {"synth_strings": 3, "choir": 2, "woodwind_section": 1, "brass_section": 1},
    "synth_strings": {"string_ensemble": 3, "choir": 2, "synth_pad": 1},
    "choir": {"string_ensemble": 2, "synth_strings": 1, "organ": 1},
    "trumpet": {"brass_section": 3, "trombone": 2, "high_sax": 2},
    "trombone": {"brass_section": 2, "french_horn": 1, "tenor_sax": 1, "tuba": 1},
    "tuba": {"trombone": 2, "baritone_sax": 1, "bassoon": 1},
    "french_horn": {"brass_section": 2, "trombone": 1, "cello": 1},
    "brass_section": {"high_sax": 2, "tenor_sax": 2, "string_ensemble": 1},
    "high_sax": {"tenor_sax": 2, "trumpet": 2, "brass_section": 1},
    "tenor_sax": {"high_sax": 2, "baritone_sax": 1, "trombone": 1},
    "baritone_sax": {"tenor_sax": 2, "trombone": 1},
    "oboe": {"flute": 2, "clarinet": 2, "woodwind_section": 2, "violin": 1},
    "english_horn": {"clarinet": 1, "viola": 1, "woodwind_section": 1},
    "bassoon": {"cello": 2, "clarinet": 1, "woodwind_section": 1},
    "clarinet": {"flute": 2, "oboe": 2, "woodwind_section": 2, "bassoon": 1},
    "woodwind_section": {"string_ensemble": 2, "flute": 2, "oboe": 1, "clarinet": 1},
    "flute": {"clarinet": 3, "oboe": 3, "woodwind_section": 2, "violin": 1},
    "bells": {"mallets": 1, "harp": 1},
    "mallets": {"bells": 1, "harp": 1, "flute": 1},
}


def _choices(part: Part) -> dict[tuple[str, int], float]:
    """List who can double a part, and how many semitones away: (kind, shift) -> weight."""
    low, high = min(note.pitch for note in part.notes), max(note.pitch for note in part.notes)
    choices = {}
    for kind, weight in RELATED.get(part.kind, {}).items():
        lowest, highest = style_book().instruments[kind].range
        for shift, share in OCTAVES.items():
            if lowest - BEYOND <= low + shift and high + shift <= highest + BEYOND:
                choices[kind, shift] = weight * share
    return choices


def _with_rests(notes: Sequence[Note], duration: float, rng: np.random.Generator) -> tuple[Note, ...]:
    """Keep what falls into every other stretch of time; notes that sound on are ended with it.

    Where that leaves nothing but the end, everything is kept.
    """
    edges = np.cumsum(rng.uniform(*STRETCH_S, math.ceil(duration / STRETCH_S[0]) + 1))
    first = int(rng.integers(2))
    kept = []
    for note in notes:
        stretch = int(np.searchsorted(edges, note.start, side="right"))
        end = min(note.end, float(edges[stretch]))
        if stretch % 2 == first and end - note.start >= SHORTEST_NOTE_S:
            kept.append(note._replace(end=end))
    return tuple(kept if kept and kept[0].start <= duration - STRETCH_S[0] else notes)


def _double_of(part: Part, duration: float, rng: np.random.Generator) -> Part:
    kind, shift = draw(_choices(part), rng)
    notes = humanise([note._replace(pitch=note.pitch + shift) for note in part.notes], rng)
    if rng.random() < RESTING:
        notes = _with_rests(notes, duration, rng)
    return replace(part, kind=kind, notes=notes)


def double(song: Song, rng: np.random.Generator) -> tuple[Song, frozenset[int]]:
    """Double some parts of a song, fewer where it has many.

    Args:
        song: Parts with notes.
        rng: Decides.

    Returns:
        The song with every double behind the part that it doubles, in that part's role; and which parts are doubles.
    """
    doubles: dict[int, Part] = {}  # by the part that is doubled
    for _ in range(MOST_DOUBLES):
        chance = min(CHANCE, CHANCE_PER_PLACE * (MOST_PARTS - len(song.parts) - len(doubles)))
        alone = [index for index, part in enumerate(song.parts) if index not in doubles and _choices(part)]
        if alone and rng.random() < chance:
            index = alone[int(rng.integers(len(alone)))]
            doubles[index] = _double_of(song.parts[index], song.duration, rng)
    parts: list[Part] = []
    for index, part in enumerate(song.parts):
        parts += [part, doubles[index]] if index in doubles else [part]
    places = frozenset(index + 1 + before for before, index in enumerate(sorted(doubles)))
    return replace(song, parts=tuple(parts)), places
