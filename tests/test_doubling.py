"""Doubling: who plays along with whom, when and where, and that nobody else is changed."""

import numpy as np
import pytest

from hiersep.render.composer import compose
from hiersep.render.composer.styles import style_book
from hiersep.render.doubling import RELATED, double
from hiersep.render.orchestrate import KINDS
from hiersep.render.song import Control, Note, Part, Song

NOTES = tuple(Note(0.25 * step, 0.25 * step + 0.2, 60 + step % 5, 80) for step in range(160))


def song_of(*kinds, notes=NOTES):
    return Song(tuple(Part(kind, "melody", notes) for kind in kinds), 40.0, ((0.0, 120.0),))


def doubles_of(song, draws=60):
    """Yield (the part doubled, its double) over many draws."""
    for seed in range(draws):
        doubled, places = double(song, np.random.default_rng(seed))
        for place in places:
            yield doubled.parts[place - 1], doubled.parts[place]


def test_everyone_in_the_table_is_an_instrument_and_no_bass_or_drum_is():
    related = {kind for others in RELATED.values() for kind in others}
    assert {*RELATED, *related} <= KINDS.keys() & style_book().instruments.keys()
    assert not {*RELATED, *related} & {"drums", "acoustic_bass", "electric_bass", "synth_bass", "contrabass", "timpani"}
    assert all(kind not in others for kind, others in RELATED.items())


def test_the_parts_stay_and_every_double_stands_behind_its_part():
    for number in range(30):
        song = compose(5, number, 30.0)
        doubled, places = double(song, np.random.default_rng(number))
        assert tuple(part for index, part in enumerate(doubled.parts) if index not in places) == song.parts
        for place in places:
            part, other = doubled.parts[place - 1 : place + 1]
            assert other.kind in RELATED[part.kind]
            assert (other.role, other.controls) == (part.role, part.controls)
        assert (doubled.duration, doubled.tempi, doubled.meter) == (song.duration, song.tempi, song.meter)


@pytest.mark.parametrize(("parts", "mean"), [(4, 1.2), (6, 1.05), (8, 0.55), (9, 0.15), (10, 0.0), (14, 0.0)])
def test_the_fuller_a_song_the_fewer_doubles(parts, mean):
    song = song_of(*["clean_guitar"] * parts)
    counts = [len(double(song, np.random.default_rng(seed))[1]) for seed in range(300)]
    assert np.mean(counts) == pytest.approx(mean, abs=0.12)
    assert max(counts) <= max(0, min(2, 10 - parts))


def test_a_double_plays_the_notes_of_its_part_some_milliseconds_apart_or_an_octave_away():
    controls, shifts, deviations = (Control(1.0, 11, 90),), set(), []
    song = Song((Part("violin", "melody", NOTES, controls),), 40.0, ((0.0, 120.0),))
    for part, other in doubles_of(song):
        starts = np.array([note.start for note in part.notes])
        nearest = [part.notes[int(np.abs(starts - note.start).argmin())] for note in other.notes]
        (shift,) = {note.pitch - original.pitch for note, original in zip(other.notes, nearest, strict=True)}
        shifts.add(shift)
        deviations += [note.start - original.start for note, original in zip(other.notes, nearest, strict=True)]
        assert any(note.velocity != original.velocity for note, original in zip(other.notes, nearest, strict=True))
        assert other.controls == controls
    assert shifts == {0, 12, -12}
    assert 0.003 < np.std(deviations) < 0.012
    assert np.abs(deviations).max() < 0.06


def test_doubles_stay_where_they_can_play():
    high = tuple(note._replace(pitch=note.pitch + 26) for note in NOTES)  # 86-90
    for part, other in doubles_of(song_of("flute", notes=high)):
        assert part.kind == "flute"
        low, top = style_book().instruments[other.kind].range
        pitches = [note.pitch for note in other.notes]
        assert low - 5 <= min(pitches)
        assert max(pitches) <= top + 5
    too_high = tuple(note._replace(pitch=note.pitch + 60) for note in NOTES)
    assert list(doubles_of(song_of("trumpet", notes=too_high))) == []


def test_some_doubles_rest_for_seconds_and_enter_again():
    longest_gaps = []
    for part, other in doubles_of(song_of("clean_guitar")):
        starts = [0.0, *(note.start for note in other.notes), 40.0]
        longest_gaps.append(np.diff(starts).max())
        assert (len(other.notes) >= 0.98 * len(part.notes)) == (longest_gaps[-1] < 1)
    gaps = np.array(longest_gaps)
    assert np.mean(gaps > 1) == pytest.approx(0.6, abs=0.15)
    assert gaps[gaps > 1].min() > 3.7  # seconds, from note to note
    assert gaps.max() < 12.3


def test_a_song_too_short_for_a_rest_is_doubled_throughout():
    notes = NOTES[:12]  # 3 s
    song = Song((Part("clean_guitar", "strum", notes),), 3.0, ((0.0, 120.0),))
    assert {len(other.notes) for _, other in doubles_of(song)} == {len(notes)}
