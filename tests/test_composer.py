"""The composer without audio: its statistics, its harmony, and who may play a part."""

import itertools

import numpy as np
import pytest

from hiersep.render.compose import compose
from hiersep.render.ensemble import GROUPS, PARTS, PLAYING
from hiersep.render.harmony import SCALES, Chord, Key, lead_voices, nearest
from hiersep.render.orchestrate import KINDS, inst_class, kind_of
from hiersep.render.plan import apportion
from hiersep.render.rhythm import BASS_LINES, STYLES, strokes
from hiersep.render.song import Note, Part, Song

DURATION = 60.0
GROUP_OF = {kind: name for name, group in GROUPS.items() for kind in group.kinds}
INST_CLASSES = {
    "Piano": (0, 7), "Chromatic Percussion": (8, 15), "Organ": (16, 23), "Guitar": (24, 31), "Bass": (32, 39),
    "Strings": (40, 47), "Strings (continued)": (48, 55), "Brass": (56, 63), "Reed": (64, 71), "Pipe": (72, 79),
    "Synth Lead": (80, 87), "Synth Pad": (88, 95), "Sound Effects": (96, 103), "Ethnic": (104, 111),
    "Percussive": (112, 118), "Sound effects": (119, 127), "Drums": (128, 128),
}  # fmt: skip


@pytest.fixture(scope="module")
def songs():
    return [compose(0, number, DURATION) for number in range(100)]


def bars_played(song, part):
    bar_s = song.meter[0] * 60 / song.tempi[0][1]
    heard = np.zeros(int(np.ceil(song.duration / bar_s)), bool)
    for note in part.notes:
        heard[int(note.start / bar_s) : int((note.end - 1e-3) / bar_s) + 1] = True
    return heard


def test_songs_have_six_to_nine_parts(songs):
    counts = [len(song.parts) for song in songs]
    assert (min(counts), max(counts)) == PARTS


@pytest.mark.parametrize(
    ("group", "share"),
    [
        ("drums", 0.95), ("bass", 0.95), ("clean_guitars", 0.8), ("distorted_guitars", 0.65), ("pianos", 0.75),
        ("electronic_keys", 0.55), ("strings", 0.5), ("winds_and_voices", 0.6), ("mallets_and_harp", 0.25),
    ],
)  # fmt: skip
def test_a_group_plays_in_its_share_of_the_songs(songs, group, share):
    having = np.mean([any(GROUP_OF[part.kind] == group for part in song.parts) for song in songs])
    assert having == pytest.approx(share, abs=0.1)  # two standard errors of 100 songs


def test_guitars_play_in_most_bars_and_still_drop_out(songs):
    shares = [
        bars_played(song, part).mean()
        for song in songs
        for part in song.parts
        if GROUP_OF[part.kind] in ("clean_guitars", "distorted_guitars")
    ]
    assert min(shares) >= 0.6
    assert np.mean(np.array(shares) < 0.99) > 0.3


def test_the_levels_of_the_guitar_path_differ(songs):
    """Where a clean guitar plays, another guitar often plays too, and mostly something else of the top group."""
    with_distorted, with_others = [], []
    for song in songs:
        heard = {group: np.zeros(0, bool) for group in GROUPS}
        for part in song.parts:
            group, played = GROUP_OF[part.kind], bars_played(song, part)
            heard[group] = heard[group] | played if heard[group].size else played
        clean, distorted = heard["clean_guitars"], heard["distorted_guitars"]
        others = [heard[name] for name in ("distorted_guitars", "pianos", "strings") if heard[name].size]
        if clean.any():
            with_distorted.append((clean & distorted).sum() / clean.sum() if distorted.size else 0.0)
            with_others.append((clean & np.any(others, axis=0)).sum() / clean.sum() if others else 0.0)
    assert np.mean(with_distorted) > 0.45
    assert np.mean(with_others) > 0.8


def test_parts_drop_out_and_come_back(songs):
    def returns(song, part):
        changes = np.diff(bars_played(song, part).astype(int))
        return -1 in changes and 1 in changes[np.argmax(changes == -1) :]

    assert sum(returns(song, part) for song in songs for part in song.parts) > 100


def test_notes_are_in_range_sorted_and_within_the_song(songs):
    for song in songs:
        assert 70 <= song.tempi[0][1] <= 150
        assert song.meter in ((3, 4), (4, 4))
        for part in song.parts:
            low, high, _ = PLAYING[part.kind]
            assert list(part.notes) == sorted(part.notes)
            assert all(0 <= note.start < note.end <= DURATION for note in part.notes)
            assert all(1 <= note.velocity <= 127 for note in part.notes)
            assert all(low <= note.pitch <= high for note in part.notes)


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


def test_most_pitches_are_in_one_scale(songs):
    keys = [Key(tonic, mode) for tonic, mode in itertools.product(range(12), SCALES)]
    for song in songs[:20]:
        pitches = [note.pitch % 12 for part in song.parts if not part.is_drum for note in part.notes]
        best = max(np.isin(pitches, key.pitch_classes).mean() for key in keys)
        assert best > 0.9


def test_cutting_ends_notes_and_leaves_out_late_parts():
    early = Part("organ", "pad", (Note(0.0, 9.0, 60, 80), Note(7.0, 8.0, 60, 80)))
    late = Part("organ", "pad", (Note(4.9, 9.0, 60, 80),))
    cut = Song((early, late), 9.0, ((0.0, 120.0), (6.0, 90.0))).cut(5.0)
    assert cut == Song((Part("organ", "pad", (Note(0.0, 5.0, 60, 80),)),), 5.0, ((0.0, 120.0),))


def test_drum_rhythms_and_bass_lines_fill_their_bars():
    for in_four, in_three in STYLES.values():
        assert {len(rhythm) for rhythm in in_four.values()} == {16}
        assert {len(rhythm) for rhythm in in_three.values()} == {12}
    for rhythm, tones in BASS_LINES:
        assert len(list(strokes(rhythm, 16))) == len(tones)


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


def test_instrument_classes_are_slakhs():
    for name, (first, last) in INST_CLASSES.items():
        assert {inst_class(program) for program in range(first, last + 1)} == {name}


def test_no_program_is_in_two_kinds_and_every_written_kind_exists():
    programs = [program for members in KINDS.values() for program in set(members)]
    assert sorted(programs) == [*range(96), 128]
    assert set(GROUP_OF) <= set(KINDS)
    assert set(GROUP_OF) == set(PLAYING)
    assert all(kind_of(program) == kind for kind, members in KINDS.items() for program in members)


@pytest.mark.parametrize("total", [1, 2, 3, 7, 10, 120])
@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (1.0, 0.0, 0.0), (0.5, 0.0, 0.5), (0.34, 0.33, 0.33)])
def test_dealing_out_keeps_the_total_and_the_shares(total, shares):
    counts = apportion(total, shares)
    assert sum(counts) == total
    assert all(count == 0 for count, share in zip(counts, shares, strict=True) if share == 0)
    if total >= 10:
        assert all(abs(count - share * total) <= 1 for count, share in zip(counts, shares, strict=True))
