"""The composer without audio: its form, its harmony, its rhythm, and what it never does."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from hiersep.render.composer import compose
from hiersep.render.composer.compose import WRITERS
from hiersep.render.composer.expression import SHORTEST_NOTE_S, humanise
from hiersep.render.composer.form import FORMS, draw_bars, draw_entries, draw_meter
from hiersep.render.composer.harmony import MOVES, SCALES, Chord, Key, draw_degrees, lead_voices, nearest
from hiersep.render.composer.rhythm import BY_BEATS, DRUM_PITCHES, draw_rhythm, walking
from hiersep.render.composer.styles import PARTS, draw_cast, style_book
from hiersep.render.orchestrate import KINDS
from hiersep.render.song import DRUMS, PITCH_BEND, Note, Part, Song

DURATION = 60.0
BOOK = style_book()


@pytest.fixture(scope="module")
def songs():
    return [compose(0, number, DURATION) for number in range(100)]


def seconds_played(song, part):
    """One flag for every second: whether the part sounds in it."""
    heard = np.zeros(int(song.duration), bool)
    for note in part.notes:
        heard[int(note.start) : int(note.end - 1e-6) + 1] = True
    return heard


def bars_of(rng, style="rock", duration=DURATION):
    style = BOOK.styles[style]
    return draw_bars(style, Key(0, "major"), draw_meter(style, rng), tempo=120.0, duration=duration, rng=rng)


def test_the_book_of_styles_is_whole():
    assert len(BOOK.styles) >= 12
    assert set(BOOK.instruments) <= set(KINDS)
    assert {role for instrument in BOOK.instruments.values() for role in instrument.roles} <= {*WRITERS, "drums"}
    assert {kind for style in BOOK.styles.values() for _, *players in style.cast for p in players for kind in p} == set(
        BOOK.instruments
    )
    for style in BOOK.styles.values():
        assert set(style.grooves) <= set(BOOK.grooves)
        assert set(style.modes) <= set(SCALES) == set(MOVES)
        assert all(set(roles) <= set(WRITERS) for roles in style.roles.values())
        assert all(0 < chance <= 1 for chance, *_ in style.cast)
    for name, groove in BOOK.grooves.items():
        assert set(groove) <= set(DRUM_PITCHES)
        assert {len(strokes) for strokes in groove.values()} == {12 if name in BY_BEATS.values() else 16}


def test_styles_have_casts_of_their_own():
    casts = {frozenset(kind for _, *players in s.cast for p in players for kind in p) for s in BOOK.styles.values()}
    assert len(casts) == len(BOOK.styles)


def test_songs_have_six_to_nine_parts(songs):
    counts = [len(song.parts) for song in songs]
    assert PARTS[0] - 1 <= min(counts)  # one may enter too late to be kept
    assert max(counts) == PARTS[1]
    assert 6 <= np.median(counts) <= 9


@pytest.mark.parametrize("name", BOOK.styles)
def test_a_cast_is_of_its_style(name):
    style = BOOK.styles[name]
    rng = np.random.default_rng(0)
    for _ in range(20):
        cast = draw_cast(style, rng)
        assert PARTS[0] <= len(cast) <= PARTS[1]
        assert all(any(kind in player for _, *players in style.cast for player in players) for kind in cast)


def test_the_players_of_a_line_come_together_or_not_at_all():
    lines = [[0.5, {"flute": 1}, {"oboe": 1}], *([0.9, {kind: 1}] for kind in ("organ", "harp", "viola", "cello"))]
    style = replace(BOOK.styles["rock"], cast=[*lines, *([0.8, {kind: 1}] for kind in ("tuba", "choir", "bells"))])
    casts = [draw_cast(style, np.random.default_rng(seed)) for seed in range(200)]
    assert all(("flute" in cast) == ("oboe" in cast) for cast in casts)
    assert 0.3 < np.mean(["flute" in cast for cast in casts]) < 0.9


def test_parts_drop_out_and_come_back(songs):
    def returns(song, part):
        changes = np.diff(seconds_played(song, part).astype(int))
        return -1 in changes and 1 in changes[np.argmax(changes == -1) :]

    sustained = [(s, p) for s in songs for p in s.parts if p.role in ("pad", "comp", "strum", "drums", "bass", "power")]
    assert np.mean([returns(song, part) for song, part in sustained]) > 0.5


def test_every_part_plays_in_its_least_share_of_the_bars_and_breaks_are_thin():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        bars = bars_of(rng)
        entries = draw_entries(bars, ["rhythm", "rhythm", "guitars", "guitars", "keys", "winds", "strings"], rng)
        assert all(len(entry) >= 0.4 * len(bars) for entry in entries)
        assert all(entry == sorted(entry, key=lambda bar: bar.start) for entry in entries)
    playing = {kind: [] for kind in ("chorus", "break")}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        bars = bars_of(rng)
        entries = draw_entries(bars, ["rhythm", "rhythm", "guitars", "guitars", "keys", "winds", "strings"], rng)
        for bar in bars:
            if bar.kind in playing:
                playing[bar.kind].append(sum(bar in entry for entry in entries))
    assert np.mean(playing["break"]) < 0.7 * np.mean(playing["chorus"])


def test_a_song_has_a_form_and_sections_of_a_kind_share_their_chords():
    for seed in range(30):
        bars = bars_of(np.random.default_rng(seed), "pop", 90.0)
        kinds = [bar.kind for bar in bars if bar.place == 0]
        assert len(set(kinds)) >= 3
        assert any("/".join(kinds[:5]) in "/".join(form * 3) for form in FORMS)
        assert [bar.start for bar in bars] == sorted(bar.start for bar in bars)
        by_place = {}
        for bar in bars:
            degrees = tuple((tone - bar.key.tonic) % 12 for tone in bar.chord.tones)
            assert by_place.setdefault((bar.kind, bar.place), degrees) == degrees
        assert bars[-1].start < 90.0 <= bars[-1].start + bars[-1].steps * bars[-1].step_s + 1e-9


def test_notes_are_in_range_sorted_and_within_the_song(songs):
    for song in songs:
        assert 56 <= song.tempi[0][1] <= 200
        for part in song.parts:
            low, high = BOOK.instruments[part.kind].range
            assert list(part.notes) == sorted(part.notes)
            assert all(0 <= note.start < note.end <= DURATION for note in part.notes)
            assert all(1 <= note.velocity <= 127 for note in part.notes)
            assert all(low <= note.pitch <= high for note in part.notes)
            assert list(part.controls) == sorted(part.controls, key=lambda control: control.time)


def test_no_pitch_of_a_part_sounds_twice_at_once(songs):
    for part in (part for song in songs for part in song.parts):
        ends = {}
        for note in part.notes:
            assert note.start >= ends.get(note.pitch, 0.0)
            ends[note.pitch] = note.end


def test_songs_are_a_function_of_seed_and_number():
    assert compose(3, 1, 10.0) == compose(3, 1, 10.0)
    assert compose(3, 1, 10.0) != compose(3, 2, 10.0)
    assert compose(3, 1, 10.0) != compose(4, 1, 10.0)


def test_songs_differ_in_metre_tempo_and_mode(songs):
    assert {song.meter for song in songs} >= {(4, 4), (3, 4), (6, 8)}
    tempi = [song.tempi[0][1] for song in songs]
    assert min(tempi) < 75
    assert max(tempi) > 150


def test_most_pitches_are_in_one_scale(songs):
    keys = [Key(tonic, mode) for tonic, mode in itertools.product(range(12), SCALES)]
    shares = []
    for song in songs[:30]:
        pitches = [note.pitch % 12 for part in song.parts if not part.is_drum for note in part.notes]
        shares.append(max(np.isin(pitches, key.pitch_classes).mean() for key in keys))
    assert np.median(shares) > 0.95  # a last chorus may stand a step higher


def test_leads_bend_and_bends_return(songs):
    bent = [part for song in songs for part in song.parts if any(c.number == PITCH_BEND for c in part.controls)]
    assert len(bent) >= 20
    for part in bent:
        assert BOOK.instruments[part.kind].bends
        bends = [control for control in part.controls if control.number == PITCH_BEND]
        assert all(-8192 <= bend.value <= 8191 for bend in bends)
        ends = {round(note.end, 9) for note in part.notes}
        assert sum(bend.value == 0 and round(bend.time, 9) in ends for bend in bends) >= 1


def test_a_rhythm_fills_its_bar_and_keeps_its_density():
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(300):
        strokes = draw_rhythm(16, 4, density=0.4, offbeat=0.2, rng=rng)
        assert [s.step for s in strokes] == sorted({s.step for s in strokes})
        assert strokes[0].step + sum(stroke.length for stroke in strokes) == 16
        counts.append(len(strokes))
    assert np.mean(counts) == pytest.approx(0.4 * 16, rel=0.1)
    on_beat = [s.step % 4 == 0 for _ in range(200) for s in draw_rhythm(16, 4, density=0.3, offbeat=0, rng=rng)]
    off_beat = [s.step % 4 == 0 for _ in range(200) for s in draw_rhythm(16, 4, density=0.3, offbeat=1, rng=rng)]
    assert np.mean(on_beat) > 0.4 > np.mean(off_beat)


def test_a_walking_bass_steps_and_leads_into_the_next_root():
    bars = bars_of(np.random.default_rng(5), "jazz")
    notes = walking(bars, 28, 52, np.random.default_rng(0))
    by_bar = {
        bar.start: [n for n in notes if bar.start <= n.start < bar.start + bar.steps * bar.step_s] for bar in bars
    }
    for bar, following in itertools.pairwise(bars):
        assert by_bar[bar.start][0].pitch % 12 == bar.chord.root
        assert (by_bar[bar.start][-1].pitch - following.chord.root) % 12 in (1, 11)


def test_humanising_moves_notes_a_little_and_loses_none_that_can_be_heard():
    written = [Note(0.5 * k, 0.5 * k + 0.4, 60 + k % 12, 90) for k in range(200)]
    played = humanise(written, np.random.default_rng(0))
    assert len(played) == 200
    shifts = np.array([a.start - b.start for a, b in zip(played, written, strict=True)])
    assert 0.003 < shifts.std() < 0.01
    assert np.abs(shifts).max() < 0.05
    assert len({note.velocity for note in played}) > 10
    assert min(note.end - note.start for note in played) >= SHORTEST_NOTE_S


def test_cutting_ends_notes_and_leaves_out_late_parts():
    early = Part("organ", "pad", (Note(0.0, 9.0, 60, 80), Note(7.0, 8.0, 60, 80)))
    late = Part("organ", "pad", (Note(4.9, 9.0, 60, 80),))
    cut = Song((early, late), 9.0, ((0.0, 120.0), (6.0, 90.0))).cut(5.0)
    assert cut == Song((Part("organ", "pad", (Note(0.0, 5.0, 60, 80),)),), 5.0, ((0.0, 120.0),))


@pytest.mark.parametrize("mode", SCALES)
def test_progressions_stay_on_the_scale(mode):
    rng = np.random.default_rng(1)
    for _ in range(20):
        degrees = draw_degrees(mode, 8, rng)
        assert len(degrees) == 8
        assert set(degrees) <= set(range(7))
        for degree in degrees:
            assert set(Key(3, mode).chord(degree, seventh=True).tones) <= set(Key(3, mode).pitch_classes)


@pytest.mark.parametrize("pitch_class", range(12))
def test_the_nearest_pitch_is_of_its_class_and_at_most_a_tritone_away(pitch_class):
    for target in range(30, 90):
        found = nearest(pitch_class, target)
        assert found % 12 == pitch_class
        assert abs(found - target) <= 6


def test_voices_move_by_small_steps_and_sound_the_whole_triad():
    voices = [60, 64, 67]
    for degree in (3, 4, 5, 1, 0):
        chord = Key(0, "major").chord(degree)
        moved = lead_voices(chord, voices, 48, 84)
        assert {pitch % 12 for pitch in moved} == set(chord.tones)
        assert max(abs(a - b) for a, b in zip(moved, voices, strict=True)) <= 5
        voices = moved
    assert lead_voices(Chord((0, 4, 7)), [60, 64, 67], 48, 84) == [60, 64, 67]


def test_drums_are_drums(songs):
    kits = [part for song in songs for part in song.parts if part.is_drum]
    assert len(kits) > 70
    assert all(part.kind == DRUMS and {note.pitch for note in part.notes} <= set(range(35, 82)) for part in kits)
