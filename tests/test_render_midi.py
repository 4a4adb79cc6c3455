"""Songs from General MIDI files, and songs to MIDI files."""

import json

import mido
import numpy as np
import pretty_midi
import pytest
import yaml

from hiersep import audio
from hiersep.errors import DataError, HiersepWarning
from hiersep.render import RenderSettings, render
from hiersep.render.midi import read_midi, write_midi
from hiersep.render.multitrack import SILENT_LUFS
from hiersep.render.orchestrate import orchestrate
from hiersep.render.song import Control, Note, Part, Song
from hiersep.render.soundfonts import open_soundfont, resolve


def read_metadata(track):
    return yaml.safe_load((track / "metadata.yaml").read_text(encoding="utf-8"))


def write_song(path, *, pitch=60, program=0, n_notes=8, drums=True):
    """Write a small General MIDI file with a melody and, if wanted, a kit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    score = pretty_midi.PrettyMIDI(initial_tempo=100)
    melody = pretty_midi.Instrument(program)
    kit = pretty_midi.Instrument(0, is_drum=True)
    for beat in range(n_notes):
        melody.notes.append(pretty_midi.Note(90, pitch + beat % 5, beat * 0.5, beat * 0.5 + 0.4))
        kit.notes.append(pretty_midi.Note(100, 36 if beat % 2 else 38, beat * 0.5, beat * 0.5 + 0.1))
    score.instruments = [melody, kit] if drums else [melody]
    score.write(str(path))
    return path


def test_songs_of_a_midi_folder_stay_in_their_split(tmp_path):
    for number in range(4):
        write_song(tmp_path / "midi" / f"sub{number % 2}" / f"song{number}.MID", pitch=50 + 3 * number, program=25)
    (tmp_path / "midi" / "broken.mid").write_bytes(b"MThd nonsense")
    write_song(tmp_path / "midi" / "empty.mid", n_notes=0)
    settings = RenderSettings(tracks=9, splits=(0.5, 0.25, 0.25), midi=tmp_path / "midi", sample_rate=8000, duration=3)
    with pytest.warns(HiersepWarning) as caught:
        summary = render(tmp_path / "out", settings, jobs=1)
    said = sorted(str(warning.message) for warning in caught)
    assert said[0].startswith(f"{tmp_path}/midi/broken.mid: expected a MIDI file, got something else (")
    assert said[1] == f"{tmp_path}/midi/empty.mid: expected notes, got a MIDI file without any; left out"
    assert summary.tracks == {"train": 5, "validation": 2, "test": 2}
    plan = json.loads((tmp_path / "out" / "render.json").read_text())
    songs = [set(names) for names in plan["songs"].values()]
    assert [len(names) for names in songs] == [2, 1, 1]
    assert len(set.union(*songs)) == 4
    assert str(tmp_path) not in json.dumps(plan)
    renderings = {}
    for track in sorted((tmp_path / "out").glob("*/Track*")):
        metadata = read_metadata(track)
        assert metadata["lmd_midi_dir"] in plan["songs"][track.parent.name]
        kit, guitar, *doubles = metadata["stems"].values()
        assert (kit["program_num"], guitar["inst_class"]) == (128, "Guitar")
        assert {stem["inst_class"] for stem in doubles} <= {"Guitar"}
        assert guitar["program_num"] in (24, 25)
        renderings.setdefault(metadata["lmd_midi_dir"], []).append((kit["plugin_name"], guitar["program_num"]))
    assert all(len(sounds) >= 2 for sounds in renderings.values())
    assert any(len(set(sounds)) > 1 for sounds in renderings.values())


def test_midi_is_read_as_it_was_written(tmp_path):
    soundfont = open_soundfont(resolve(())[0])
    notes = tuple(Note(0.25 * index, 0.25 * index + 0.2, 60 + index, 80) for index in range(8))
    controls = (Control(0.0, 101, 0), Control(0.0, 100, 0), Control(0.0, 6, 12), Control(1.0, -1, 4000))
    parts = (Part("drums", "written", notes), Part("violin", "written", notes[:4], controls))
    song = Song(parts, 3.0, ((0.0, 120.0), (1.0, 90.0)), (3, 4))
    write_midi(tmp_path, song, orchestrate(song, [soundfont], np.random.default_rng(0)))
    back = read_midi(tmp_path / "all_src.mid")
    assert back.meter == (3, 4)
    np.testing.assert_allclose(back.tempi, song.tempi, atol=2e-3)
    assert [part.kind for part in back.parts] == ["drums", "violin"]
    np.testing.assert_allclose(back.parts[1].controls, controls, atol=2e-3)
    for part, original in zip(back.parts, parts, strict=True):
        np.testing.assert_allclose(part.notes, original.notes, atol=2e-3)
    assert back.duration == pytest.approx(notes[-1].end + 1.0, abs=2e-3)


def test_a_short_midi_file_gives_a_short_track(tmp_path):
    write_song(tmp_path / "midi" / "short.mid", n_notes=2, drums=False)
    settings = RenderSettings(tracks=1, midi=tmp_path / "midi", sample_rate=8000)
    render(tmp_path / "out", settings, jobs=1)
    assert audio.info(tmp_path / "out/train/Track00001/mix.flac").duration == pytest.approx(1.9, abs=0.01)


def test_a_silent_stem_is_said_to_be_silent_and_has_no_file(tmp_path):
    path = write_song(tmp_path / "midi" / "song.mid", program=33)  # a bass: never doubled
    score = mido.MidiFile(path)
    channel = next(m.channel for m in score.tracks[1] if m.type == "program_change")
    for control in (7, 11):
        score.tracks[1].insert(0, mido.Message("control_change", channel=channel, control=control, value=0))
    score.save(path)
    render(tmp_path / "out", RenderSettings(tracks=1, midi=tmp_path / "midi", sample_rate=8000, duration=2), jobs=1)
    track = tmp_path / "out/train/Track00001"
    kit, bass = read_metadata(track)["stems"].values()
    assert (kit["audio_rendered"], kit["integrated_loudness"]) == (True, pytest.approx(-13, abs=6))
    assert (bass["audio_rendered"], bass["integrated_loudness"]) == (False, SILENT_LUFS)
    assert len(list((track / "stems").iterdir())) == 1
    assert len(list((track / "MIDI").iterdir())) == 2


def test_a_midi_folder_without_a_usable_file_is_refused(tmp_path):
    (tmp_path / "broken.mid").write_bytes(b"nonsense")
    with pytest.warns(HiersepWarning, match="broken.mid: expected a MIDI file"), pytest.raises(DataError) as caught:
        render(tmp_path / "out", RenderSettings(tracks=3, midi=tmp_path))
    assert str(caught.value) == f"{tmp_path}: none of its 1 MIDI files can be used; give General MIDI files"


def test_fewer_songs_than_splits_are_refused(tmp_path):
    write_song(tmp_path / "song.mid")
    with pytest.raises(DataError) as caught:
        render(tmp_path / "out", RenderSettings(tracks=3, midi=tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}: 1 usable MIDI file(s) leave no song for validation and test, and a song is never in two splits; "
        "give more files, or --splits 1/0/0"
    )
    assert not (tmp_path / "out").exists()


def test_a_tempo_of_no_time_at_all_is_refused(tmp_path):
    path = tmp_path / "x.mid"
    events = b"\x00\xff\x51\x03\x00\x00\x00" + b"\x00\x90\x40\x40" + b"\x60\x80\x40\x00" + b"\x00\xff\x2f\x00"
    path.write_bytes(b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk" + len(events).to_bytes(4, "big") + events)
    with pytest.raises(DataError, match=r"x\.mid: expected a MIDI file, got something else"):
        read_midi(path)
