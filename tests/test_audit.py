"""The audit of rendered data: phrases that songs share, renderings, splits, identical files."""

import json
import shutil

import numpy as np
import pretty_midi
import pytest
import yaml
from helpers import ACOUSTIC_GUITAR, BASS, DISTORTED_GUITAR, DRUMS, PIANO, noise, tone, write_folder, write_slakh

from hiersep import Hierarchy
from hiersep.errors import DataError, HierarchyError
from hiersep.render import RenderSettings, render
from hiersep.render.audit import Parts, Split, audit, summary
from hiersep.render.phrases import SharedPhrases, drum_phrases, find_shared, melody_phrases
from hiersep.render.song import Note, Part, Song

BAR = 16  # steps of 4/4
KICK, SNARE, CLOSED = 36, 38, 42
GROOVE = [(step, KICK) for step in (0, 7, 8)] + [(4, SNARE), (12, SNARE)] + [(step, CLOSED) for step in range(0, 16, 2)]


def tune(seed=0, bars=8):
    """Steps and pitches of a melody that no other seed has: four notes a bar, on all kinds of sixteenths."""
    rng = np.random.default_rng(seed)
    steps = [BAR * bar + step for bar in range(bars) for step in sorted(rng.choice(BAR, 4, replace=False))]
    return [(int(step), int(pitch)) for step, pitch in zip(steps, rng.integers(60, 72, len(steps)), strict=True)]


def play(events, *, tempo=120.0, swing=0.0, length=1.0, up=0, delays=0.0):
    """Play (step, pitch) events: notes of `length` sixteenths; `swing` in sixteenths, `delays` in seconds."""
    step_s = 15.0 / tempo
    delays = np.broadcast_to(delays, len(events))
    starts = [
        (step + swing * (step % 4 >= 2)) * step_s + delay for (step, _), delay in zip(events, delays, strict=True)
    ]
    notes = [
        Note(max(0.0, start), start + length * step_s, pitch + up, 90)
        for start, (_, pitch) in zip(starts, events, strict=True)
    ]
    return tuple(sorted(notes))


def song(notes, *, kind="flute", bars=8, tempo=120.0, meter=(4, 4), others=()):
    seconds = bars * meter[0] * 4 / meter[1] * 60 / tempo
    return Song((Part(kind, "melody", notes), *others), seconds, ((0.0, tempo),), meter)


TUNE = melody_phrases(song(play(tune())))
BEAT = [(BAR * bar + step, pitch) for bar in range(8) for step, pitch in GROOVE]


@pytest.fixture
def jitter(rng):
    return lambda events: rng.uniform(-0.01, 0.01, len(events))


# melodies


def test_a_tune_of_eight_bars_is_one_phrase_and_each_bar_more_begins_another():
    assert len(TUNE) == 1
    assert len(melody_phrases(song(play(tune(bars=11)), bars=11))) == 4
    assert len(melody_phrases(song(play(tune(bars=11)), bars=11), bars=4)) == 8
    assert melody_phrases(song(play(tune(bars=7)), bars=7)) == set()


@pytest.mark.parametrize("up", [-12, 5, 12])
@pytest.mark.parametrize("tempo", [70.0, 120.0, 180.0])
def test_a_tune_is_found_in_another_key_and_tempo(up, tempo):
    assert melody_phrases(song(play(tune(), up=up, tempo=tempo), tempo=tempo)) == TUNE


@pytest.mark.parametrize("swing", [0.0, 0.35, 0.5, 0.66])
def test_a_tune_is_found_however_it_swings_and_is_humanised(swing, jitter):
    notes = play(tune(), swing=swing, delays=jitter(tune()))
    assert melody_phrases(song(notes)) == TUNE


def test_a_tune_is_found_behind_a_players_own_lag(jitter):
    assert melody_phrases(song(play(tune(), swing=0.66, delays=0.015 + jitter(tune()) / 2))) == TUNE


@pytest.mark.parametrize("position", [0, 15, 31])
@pytest.mark.parametrize("change", [(1, 0), (0, 1)], ids=["step", "pitch"])
def test_a_tune_with_one_note_changed_is_another(position, change):
    events = tune(seed=1)
    step, pitch = events[position]
    assert (step + 1, pitch) not in events
    events[position] = (step + change[0], pitch + change[1])
    assert not melody_phrases(song(play(events))) & melody_phrases(song(play(tune(seed=1))))


def test_a_tune_is_found_where_it_begins_later_and_in_another_part():
    late = [(step + 3 * BAR, pitch) for step, pitch in tune()]
    chords = Part("organ", "pad", play([(step, pitch) for step in range(0, 176, 8) for pitch in (50, 54, 57)]))
    found = melody_phrases(song(play(late), kind="violin", bars=11, others=[chords]))
    assert found > TUNE
    assert len(found) == 4


def test_a_tune_is_found_through_a_change_of_tempo():
    first, second = [e for e in tune() if e[0] < 4 * BAR], [(s - 4 * BAR, p) for s, p in tune() if s >= 4 * BAR]
    later = [n._replace(start=n.start + 8.0, end=n.end + 8.0) for n in play(second, tempo=90.0)]
    changing = Song(
        (Part("flute", "melody", (*play(first), *later)),), 8.0 + 4 * 4 * 60 / 90, ((0.0, 120.0), (8.0, 90.0))
    )
    assert melody_phrases(changing) == TUNE


def test_bars_are_those_of_the_metre():
    events = [(12 * bar + step, 60 + (bar * step) % 7) for bar in range(9) for step in (0, 3, 6, 8)]
    for meter in ((3, 4), (6, 8)):
        waltz = song(play(events), bars=9, meter=meter)
        assert len(melody_phrases(waltz)) == 2
        moved = song(play([(step + 12, pitch) for step, pitch in events]), bars=10, meter=meter)
        assert melody_phrases(moved) > melody_phrases(waltz)


def chord(events):
    return [(step, pitch + third) for step, pitch in events for third in (0, 4)]


@pytest.mark.parametrize(
    "unmelodic",
    [
        song(play(tune()), kind="drums"),
        song(play(tune()), kind="electric_bass"),
        song(play(tune()), kind="synth_bass"),
        song(play(chord(tune()))),
        song(play(chord(tune()), length=0.3)),
        song(play(tune(), length=6.0)),
        song(play(tune()[:7])),
        song(play([(step, 60 + step % 2) for step, _ in tune()])),
        song(()),
    ],
    ids=["drums", "bass", "synth bass", "chords", "short chords", "notes held on", "7 notes", "2 pitches", "none"],
)
def test_what_is_no_melody_has_no_phrase(unmelodic):
    assert melody_phrases(unmelodic) == set()


@pytest.mark.parametrize(("chords", "phrases"), [(1, 1), (2, 0)])
def test_one_note_in_twenty_may_sound_with_another(chords, phrases):
    second_voice = play([(step, pitch - 12) for step, pitch in tune()[:chords]])
    assert len(melody_phrases(song(tuple(sorted(play(tune()) + second_voice))))) == phrases


def test_legato_is_one_voice():
    assert melody_phrases(song(play(tune(), length=1.4))) == TUNE


# drums


def test_a_beat_is_found_in_another_tempo_humanised_and_swung(jitter):
    known = drum_phrases(song(play(BEAT), kind="drums"))
    assert len(known) == 1
    for swing in (0.0, 0.5, 0.66):
        for tempo in (80.0, 150.0):
            notes = play(BEAT, tempo=tempo, swing=swing, delays=jitter(BEAT))
            assert drum_phrases(song(notes, kind="drums", tempo=tempo)) == known
    assert melody_phrases(song(play(BEAT), kind="drums")) == set()


@pytest.mark.parametrize("change", [[(5 * BAR + 15, SNARE)], [(5 * BAR + 1, CLOSED)], []])
def test_a_beat_with_one_stroke_changed_is_another(change):
    others = [event for event in BEAT if event != (5 * BAR + 4, SNARE)] + change
    assert not drum_phrases(song(play(others), kind="drums")) & drum_phrases(song(play(BEAT), kind="drums"))


def test_a_beat_has_thirty_two_strokes():
    strokes = [(4 * number, KICK) for number in range(32)]
    assert len(drum_phrases(song(play(strokes), kind="drums"))) == 1
    assert drum_phrases(song(play(strokes[:31]), kind="drums")) == set()


# between songs


def test_songs_that_share_are_counted_and_the_closest_named_first():
    phrases = {"a": {b"1", b"2", b"3"}, "b": {b"2", b"3"}, "c": {b"3"}, "d": {b"4"}, "e": set()}
    assert find_shared(phrases) == SharedPhrases(4, 3, 3, (("a", "b", 2), ("a", "c", 1), ("b", "c", 1)))
    assert find_shared({}) == SharedPhrases(0, 0, 0, ())
    many = find_shared({str(number): {b"1"} for number in range(30)})
    assert (many.sharing, many.pairs, len(many.most)) == (30, 435, 20)


def write_score(path, parts):
    """Write ``all_src.mid`` without hiersep's help: {program: notes}."""
    score = pretty_midi.PrettyMIDI(initial_tempo=120.0)
    for program, notes in parts.items():
        instrument = pretty_midi.Instrument(program % DRUMS, is_drum=program == DRUMS)
        instrument.notes = [pretty_midi.Note(n.velocity, n.pitch, n.start, n.end) for n in notes]
        score.instruments.append(instrument)
    score.write(str(path / "all_src.mid"))


@pytest.fixture
def data(tmp_path):
    """Five tracks of four songs: one in two splits, a copy in another key, one with its beat, one without."""
    stems = [(PIANO, noise(1.0, seed=1)), (ACOUSTIC_GUITAR, tone(1.0))]
    tracks = {
        "train/Track00001": [*stems, (BASS, noise(1.0, seed=2))],
        "test/Track00002": [(PIANO, noise(1.0, seed=3)), (DISTORTED_GUITAR, tone(1.0, hz=300))],
        "train/Track00003": [(PIANO, noise(1.0, seed=4)), (ACOUSTIC_GUITAR, tone(1.0)), (BASS, None)],
        "train/Track00004": [(PIANO, noise(2.0, seed=5)), (BASS, np.zeros((1, 16000)))],
        "test/Track00005": [(PIANO, noise(1.0, seed=6)), (BASS, np.zeros((1, 16000)))],
    }
    folder = write_slakh(tmp_path / "data", tracks)
    flute, violin = 73, 40
    scores = {
        "train/Track00001": ("lmd/one.mid", {flute: play(tune()), DRUMS: play(BEAT)}),
        "test/Track00002": ("lmd/one.mid", {flute: play(tune()), DRUMS: play(BEAT)}),
        "train/Track00003": ("lmd/copy.mid", {violin: play(tune(), up=7)}),
        "train/Track00004": ("lmd/beat.mid", {flute: play(tune(seed=1)), DRUMS: play(BEAT)}),
        "test/Track00005": ("", None),
    }
    for name, (source, score) in scores.items():
        path = folder / name / "metadata.yaml"
        metadata = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump(metadata | {"lmd_midi_dir": source, "UUID": f"uuid-{name[-1]}"}))
        if score:
            write_score(folder / name, score)
    return folder


def test_an_audit_tells_songs_splits_and_what_is_shared(data):
    found = audit(data, "slakh34", window_s=1.0, jobs=1)
    assert found.splits == {"train": Split(3, 3, pytest.approx(4 / 60)), "test": Split(2, 2, pytest.approx(2 / 60))}
    assert found.parts == Parts(2.0, (2.0, 2.0), {2: 4, 3: 1})
    assert (found.songs, found.several, found.crossing) == (4, 1, ("lmd/one.mid",))
    # Renderings of one song share its phrases by design; they are no pair.
    copy, beat, one = "lmd/copy.mid", "lmd/beat.mid", "lmd/one.mid"
    assert found.melodies == SharedPhrases(3, 2, 1, ((copy, one, 1),))
    assert found.drums == SharedPhrases(2, 2, 1, ((beat, one, 1),))
    assert found.unread == ("uuid-5",)
    assert found.identical == (("train/Track00001/stems/S01.wav", "train/Track00003/stems/S01.wav"),)
    assert (found.coverage.hierarchy, found.coverage.window_s, found.coverage.tracks) == ("slakh34", 1.0, 5)
    acoustic = next(node for node in found.coverage.nodes if node.id == "acoustic_guitar")
    assert (acoustic.stems, acoustic.salient, acoustic.share) == (2, 2, 0.4)


def test_a_rendering_of_midi_files_is_looked_over_by_their_programs(tmp_path):
    flute, fretless_bass = 73, 35
    for name, up in (("one", 0), ("two", 4)):
        (tmp_path / "midi" / name).mkdir(parents=True)
        parts = {flute: play(tune(), up=up, length=0.9), fretless_bass: play(tune(seed=2), up=-24, length=0.9)}
        write_score(tmp_path / "midi" / name, parts | {DRUMS: play(BEAT)} if up else parts)
    settings = RenderSettings(tracks=2, midi=tmp_path / "midi", sample_rate=8000, duration=18.0, splits=(0.5, 0.0, 0.5))
    render(tmp_path / "data", settings, jobs=1)
    found = audit(tmp_path / "data", "slakh34", jobs=1)
    names = ("one/all_src.mid", "two/all_src.mid")
    assert (found.melodies, found.drums) == (SharedPhrases(2, 2, 1, ((*names, 1),)), SharedPhrases(1, 0, 0, ()))
    assert (found.songs, found.unread, found.crossing) == (2, (), ())
    stems = {node.id: node.stems for node in found.coverage.nodes}
    assert stems["electric_bass"] >= 2
    assert stems["drums"] == 1


def test_json_is_what_the_dataclasses_say(data):
    found = audit(data, "slakh34", window_s=1.0, jobs=1)
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert set(content) == {"format", *vars(found)}
    assert content["format"] == 1
    assert content["splits"]["test"] == vars(found.splits["test"])
    assert content["parts"] == {"median": 2.0, "quartiles": [2.0, 2.0], "histogram": {"2": 4, "3": 1}}
    assert content["melodies"] == {"songs": 3, "sharing": 2, "pairs": 1, "most": [["lmd/copy.mid", "lmd/one.mid", 1]]}
    assert content["coverage"] == json.loads(json.dumps(found.coverage.to_dict()))


def test_the_summary_says_it_in_words(data):
    hierarchy = Hierarchy.load("slakh34")
    lines = summary(audit(data, hierarchy, window_s=1.0, jobs=1), hierarchy).splitlines()
    assert sum("acoustic_guitar" in line for line in lines) == 1
    assert lines[-10:-4] == [
        "Size: train 3 tracks of 3 songs, 0.1 minutes, test 2 tracks of 2 songs, 0.0 minutes",
        "Parts per track: median 2, quartiles 2 and 2 (2 in 4, 3 in 1 tracks)",
        "Songs: 4, 1 of them in several tracks; in more than one split: 1 (lmd/one.mid)",
        "Shared 8-bar melodies: in 2 of 3 songs, 1 pairs: lmd/copy.mid and lmd/one.mid (1)",
        "Shared 8-bar drum parts: in 2 of 2 songs, 1 pairs: lmd/beat.mid and lmd/one.mid (1)",
        "MIDI unreadable: 1 (uuid-5)",
    ]
    assert lines[-4] == "Identical stems: 1 (train/Track00001/stems/S01.wav = train/Track00003/stems/S01.wav)"
    assert lines[-3] == "Unclaimed stems: none"
    assert lines[-1].endswith(", ...)")


def test_any_number_of_processes_finds_the_same(data):
    assert audit(data, "slakh34", jobs=2) == audit(data, "slakh34", jobs=1)


def test_a_flat_folder_without_names_of_songs_is_looked_over_too(data, tmp_path):
    flat = tmp_path / "flat"
    shutil.copytree(data / "train" / "Track00003", flat / "Track00003")
    (flat / "Track00003" / "metadata.yaml").write_text(
        "stems: {S00: {program_num: 0}, S01: {program_num: 24}}", encoding="utf-8"
    )
    found = audit(flat, "slakh34", jobs=1)
    assert (found.songs, found.crossing, found.unread) == (1, (), ())
    assert found.splits == {"all": Split(1, 1, pytest.approx(1 / 60))}
    assert found.melodies == SharedPhrases(1, 0, 0, ())


def test_what_cannot_be_looked_over_is_refused(data, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        audit(tmp_path / "none", "slakh34")
    with pytest.raises(HierarchyError, match="slakh35"):
        audit(data, "slakh35")
    plain = write_folder(tmp_path / "plain", {"song": {"bass": tone(1.0)}})
    with pytest.raises(DataError) as caught:
        audit(plain, "slakh34", jobs=1)
    assert str(caught.value) == f"{plain}: expected a rendering, or a data set in Slakh2100's layout, got plain folders"
