"""A song from a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hiersep.render.composer import patterns, rhythm
from hiersep.render.composer.expression import express, humanise
from hiersep.render.composer.form import draw_bars, draw_entries, draw_meter
from hiersep.render.composer.harmony import Key
from hiersep.render.composer.styles import draw, draw_cast, style_book
from hiersep.render.song import DRUMS, Part, Song

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hiersep.render.composer.form import Bar
    from hiersep.render.composer.styles import Style

WRITERS: Mapping[str, patterns.Writer] = {
    "bass": rhythm.bass,
    "walking": rhythm.walking,
    "strum": patterns.strum,
    "skank": patterns.skank,
    "arpeggio": patterns.arpeggio,
    "power": patterns.power,
    "riff": patterns.riff,
    "comp": patterns.comp,
    "pad": patterns.pad,
    "stabs": patterns.stabs,
    "melody": patterns.melody,
    "counter": patterns.counter,
}


def _play(kind: str, style: Style, bars: Sequence[Bar], rng: np.random.Generator) -> Part:
    """Let an instrument play in its bars."""
    book = style_book()
    instrument = book.instruments[kind]
    role = draw(style.roles.get(kind, instrument.roles), rng)
    low, high = instrument.range
    if kind == DRUMS:
        written = rhythm.drums(bars, book.grooves, style.grooves, rng)
    else:
        written = WRITERS[role](bars, low, high, rng)
    notes = humanise(written, rng)
    return Part(kind, role, notes, express(notes, kind, role, instrument, rng))


def compose(seed: int, song: int, duration: float) -> Song:
    """Write a song.

    Args:
        seed: Of the data set.
        song: The song's number; equal (seed, song, duration) give the same song.
        duration: In seconds; the song fills it and is cut there.
    """
    rng = np.random.default_rng([seed, song])
    book = style_book()
    style = book.styles[draw({name: style.share for name, style in book.styles.items()}, rng)]
    key = Key(int(rng.integers(12)), draw(style.modes, rng))
    meter = draw_meter(style, rng)
    tempo = round(float(rng.uniform(style.tempo[0], style.tempo[1])), 1)
    bars = draw_bars(style, key, meter, tempo=tempo, duration=duration, rng=rng)
    cast = draw_cast(style, rng)
    entries = draw_entries(bars, [book.instruments[kind].family for kind in cast], rng)
    parts = [_play(kind, style, playing, rng) for kind, playing in zip(cast, entries, strict=True)]
    return Song(tuple(parts), duration, ((0.0, tempo),), meter).cut(duration)
