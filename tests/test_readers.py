"""Layouts: what the readers take for a track, a split, a stem, and what they refuse or leave out."""

import shutil

import pytest
import yaml
from helpers import BASS, DRUMS, PIANO, tone, write_audio, write_folder, write_slakh

from hiersep.data.readers import find_reader, folder, slakh
from hiersep.errors import DataError, HiersepWarning

SOUND = tone(0.1)


def listed(tracks):
    return {(track.split, track.id): [stem.id for stem in track.stems] for track in tracks}


def message_of(function, *arguments):
    with pytest.raises(DataError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_slakh_with_and_without_splits_in_either_format(tmp_path, suffix):
    stems = [(PIANO, SOUND), (DRUMS, SOUND)]
    split = write_slakh(tmp_path / "split", {"train/Track00002": stems, "test/Track00001": stems}, suffix=suffix)
    flat = write_slakh(tmp_path / "flat", {"Track00002": stems, "Track00001": stems}, suffix=suffix)
    assert find_reader(split) is find_reader(flat) is slakh
    assert listed(slakh.tracks(split)) == {
        ("train", "Track00002"): ["S00", "S01"],
        ("test", "Track00001"): ["S00", "S01"],
    }
    assert list(listed(slakh.tracks(flat))) == [(None, "Track00001"), (None, "Track00002")]
    (piano, drums) = next(slakh.tracks(split)).stems
    assert piano.path == split / f"train/Track00002/stems/S00{suffix}"
    assert (piano.attributes["program_num"], drums.attributes["program_num"]) == (PIANO, DRUMS)
    assert drums.attributes["is_drum"] is True


def test_the_omitted_tracks_of_slakh_are_a_split_of_their_own(tmp_path):
    write_slakh(tmp_path, {"omitted/Track00001": [(PIANO, SOUND)]})
    assert list(listed(slakh.tracks(tmp_path))) == [("omitted", "Track00001")]


def test_a_stem_that_slakh_did_not_render_is_no_stem_and_no_warning(tmp_path):
    write_slakh(tmp_path, {"Track00001": [(PIANO, SOUND), (BASS, None), (DRUMS, SOUND)]})
    assert listed(slakh.tracks(tmp_path)) == {(None, "Track00001"): ["S00", "S02"]}


def test_a_listed_stem_without_a_file_is_left_out_and_named(tmp_path):
    write_slakh(tmp_path, {"Track00001": [(PIANO, SOUND), (BASS, SOUND)]})
    (tmp_path / "Track00001/stems/S01.wav").unlink()
    with pytest.warns(HiersepWarning) as caught:
        assert listed(slakh.tracks(tmp_path)) == {(None, "Track00001"): ["S00"]}
    (warning,) = caught
    assert str(warning.message) == (
        f"{tmp_path}/Track00001/stems/S01.flac: metadata.yaml lists this stem but there is no file; "
        "it is left out of the mixture"
    )


def test_stems_lie_in_their_tracks_folder_whatever_the_metadata_say(tmp_path):
    write_slakh(tmp_path, {"Track00001": [(PIANO, SOUND)]})
    path = tmp_path / "Track00001/metadata.yaml"
    metadata = {**yaml.safe_load(path.read_text()), "audio_dir": "/elsewhere/stems"}
    path.write_text(yaml.safe_dump(metadata))
    ((stem,),) = [track.stems for track in slakh.tracks(tmp_path)]
    assert stem.path == tmp_path / "Track00001/stems/S00.wav"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"stems: [", ":2: expected YAML, got something else"),
        (b"a: 1\nb: }", ":2: expected YAML, got something else"),
        (b"stems: \xff", ": expected YAML, got something else"),
        (b"!!python/object/apply:os.system [ls]", ":1: expected YAML, got something else"),
        (b"", ": expected a mapping 'stems' of stem names to their attributes, got NoneType"),
        (b"- 1", ": expected a mapping 'stems' of stem names to their attributes, got NoneType"),
        (b"stems: [S00]", ": expected a mapping 'stems' of stem names to their attributes, got list"),
        (b"stems: {../../S00: {}}", ": expected stem names such as 'S00', got '../../S00'"),
        (b"stems: {0: {}}", ": expected stem names such as 'S00', got 0"),
        (b"stems: {S00: 3}", ": expected the attributes of S00 as a mapping, got int"),
    ],
)
def test_bad_metadata_are_named(tmp_path, content, message):
    write_slakh(tmp_path, {"Track00001": [(PIANO, SOUND)]})
    path = tmp_path / "Track00001/metadata.yaml"
    path.write_bytes(content)
    assert message_of(lambda: list(slakh.tracks(tmp_path))).startswith(f"{path}{message}")


def test_folders_of_songs_with_and_without_splits(tmp_path):
    song = {"vocals": SOUND, "drums": SOUND, "mixture": SOUND}
    split = write_folder(tmp_path / "split", {"train/b": song, "train/a": song, "validation/c": song})
    flat = write_folder(tmp_path / "flat", {"b": song, "a": song}, suffix=".flac")
    (flat / "empty").mkdir()
    (flat / "notes.txt").write_text("x")
    (flat / "a" / "notes.txt").write_text("x")
    assert find_reader(split) is find_reader(flat) is folder
    stems = ["drums", "vocals"]
    assert listed(folder.tracks(split)) == {("train", "a"): stems, ("train", "b"): stems, ("validation", "c"): stems}
    assert listed(folder.tracks(flat)) == {(None, "a"): stems, (None, "b"): stems}
    assert [stem.attributes["filename"] for stem in next(folder.tracks(flat)).stems] == ["drums.flac", "vocals.flac"]


@pytest.mark.parametrize("name", ["mixture.wav", "mix.flac", "Mixture.wav", "MIX.wav", ".hidden.wav", "._drums.wav"])
def test_a_mixture_or_a_hidden_file_is_no_stem(tmp_path, name):
    write_folder(tmp_path, {"song": {"drums": SOUND}})
    write_audio(tmp_path / "song" / name, SOUND)
    assert listed(folder.tracks(tmp_path)) == {(None, "song"): ["drums"]}


def test_a_stem_that_lies_there_in_two_formats_is_refused_not_doubled(tmp_path):
    write_folder(tmp_path, {"song": {"drums": SOUND, "drums_2": SOUND, "bass": SOUND}})
    write_audio(tmp_path / "song/drums.flac", SOUND)
    assert message_of(lambda: list(folder.tracks(tmp_path))) == (
        f"{tmp_path}/song: expected one file per stem, got drums.flac and drums.wav; remove one"
    )


def test_what_is_no_data_set_is_refused(tmp_path):
    gone = tmp_path / "gone"
    assert message_of(find_reader, gone) == f"{gone}: no such folder; check the path to the data set"
    file = write_audio(tmp_path / "song.wav", SOUND)
    assert message_of(find_reader, file) == f"{file}: expected a folder with multitracks, got a file"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert message_of(find_reader, empty) == (
        f"{empty}: the folder is empty; expected multitracks, for example from `hiersep render`"
    )
    assert message_of(find_reader, tmp_path).startswith(f"{tmp_path}: expected Slakh2100's layout")


def test_what_hiersep_renders_is_taken_for_slakh(rendered, tmp_path):
    assert find_reader(rendered) is slakh
    assert {track.split for track in slakh.tracks(rendered)} == {"train", "validation", "test"}
    shutil.copytree(next(rendered.glob("train/Track*")), tmp_path / "Track00001")
    assert find_reader(tmp_path) is slakh
