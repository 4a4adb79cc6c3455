"""Layouts: what the readers take for a track, a split, a stem, and what they refuse or leave out.

The data sets are the miniatures of `make_miniatures.py`, which knows nothing of hiersep.
"""

import itertools
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers import BASS, DRUMS, PIANO, error_db, tone, write_audio, write_folder, write_slakh
from hypothesis import given
from hypothesis import strategies as st

from hiersep import Hierarchy, audio
from hiersep.confined import inside
from hiersep.data.readers import READERS, find_reader, folder, medleydb, moisesdb, musdb18, slakh
from hiersep.errors import DataError, HiersepWarning

SOUND = tone(0.1)

# What each miniature is, and how far its mixture lies from the sum of its stems, in dB; None: it has no mixture.
EXACT = -120
MINIATURES = {
    "slakh_orig": (slakh, EXACT),
    "slakh_redux": (slakh, EXACT),
    "slakh_merl": (slakh, EXACT),
    "slakh_flat": (slakh, EXACT),
    "babyslakh_16k": (slakh, EXACT),
    "musdb18hq": (musdb18, EXACT),
    "musdb18": (musdb18, -15),  # the codec, above all at the song's ends
    "moisesdb": (moisesdb, None),
    "medleydb_v1": (medleydb, -9.5),  # mastered: 3.5 dB louder
    "medleydb_v1_v2": (medleydb, -9.5),
    "folder": (folder, EXACT),
    "folder_flat": (folder, None),
}
FAULTY = {"slakh_faulty": slakh, "moisesdb_odd": moisesdb}
HIERARCHIES = {
    slakh: ("slakh34", "slakh_ismir2020", "general_midi", "universal"),
    musdb18: ("musdb18", "universal"),
    moisesdb: ("moisesdb", "universal"),
    medleydb: ("medleydb", "universal"),
}

each_miniature = pytest.mark.parametrize("name", MINIATURES)


@pytest.fixture
def own_copy(miniatures, tmp_path):
    """Copy a miniature, to break it."""

    def copy(name):
        return Path(shutil.copytree(miniatures / name, tmp_path / name))

    return copy


def test_the_miniatures_owe_nothing_to_hiersep(miniatures):
    script = Path(__file__).with_name("make_miniatures.py").read_text()
    assert "hiersep" not in {line.split()[1].split(".")[0] for line in script.splitlines() if "import" in line}
    assert {path.name for path in miniatures.iterdir()} == {*MINIATURES, *FAULTY}


def read(place, splits=None):
    return tuple(find_reader(place).tracks(place, splits))


def listed(tracks):
    return {(track.split, track.id): [stem.id for stem in track.stems] for track in tracks}


def message_of(function, *arguments):
    with pytest.raises(DataError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- the contract of every reader


def test_every_reader_has_a_miniature():
    assert {reader for reader, _ in MINIATURES.values()} == set(READERS)


@pytest.mark.parametrize("name", [*MINIATURES, *FAULTY])
def test_a_reader_recognises_its_own_and_no_others(miniatures, name):
    own = {**{name: reader for name, (reader, _) in MINIATURES.items()}, **FAULTY}[name]
    assert find_reader(miniatures / name) is own
    others = set(READERS) - {own, folder}  # the last in the row takes what no other does
    assert [reader.NAME for reader in others if reader.recognises(miniatures / name)] == []


@each_miniature
def test_tracks_and_stems_are_called_once_and_sorted(miniatures, name):
    tracks = read(miniatures / name)
    assert tracks == read(miniatures / name)
    assert len({track.id for track in tracks}) == len(tracks) > 1
    assert all(len({stem.id for stem in track.stems}) == len(track.stems) > 1 for track in tracks)
    splits = [track.split for track in tracks]
    assert [split for split, _ in itertools.groupby(splits)] == list(dict.fromkeys(splits))
    assert set(splits) <= {None, "train", "validation", "test", "omitted"}


@each_miniature
def test_every_file_is_there_and_lies_in_its_songs_folder(miniatures, name):
    for track in read(miniatures / name):
        for stem in (*track.stems, *filter(None, [track.mixture])):
            assert stem.path.is_file()
            assert stem.path.resolve().is_relative_to((miniatures / name).resolve())
            song = track.id.split("/")[-1]
            assert any(part.startswith(song) for part in stem.path.relative_to(miniatures / name).parts)


@each_miniature
def test_no_file_is_passed_over(miniatures, name):
    taken = Counter()
    for track in read(miniatures / name):
        taken.update(stem.path for stem in (*track.stems, *filter(None, [track.mixture])))
    there = {
        p for p in (miniatures / name).rglob("*") if p.suffix in (".wav", ".flac", ".mp4") and "_RAW" not in str(p)
    }
    assert set(taken) == there
    assert set(taken.values()) == {5 if name == "musdb18" else 1}


@each_miniature
def test_stems_sum_to_the_mixture_as_closely_as_the_data_sets_do(miniatures, name):
    _, difference_db = MINIATURES[name]
    for track in read(miniatures / name):
        assert (track.mixture is None) == (difference_db is None)
        if track.mixture and track.id != "Actions - One Minute Smile":  # compressed, the same song as the other
            mixture, _ = audio.read(track.mixture.path, stream=track.mixture.stream)
            total = np.sum([audio.read(s.path, stream=s.stream)[0] for s in track.stems], axis=0, dtype=np.float64)
            found = error_db(total, mixture)
            assert found < EXACT if difference_db == EXACT else found == pytest.approx(difference_db, abs=0.5)


@each_miniature
def test_the_shipped_hierarchies_claim_every_stem(miniatures, name):
    reader, _ = MINIATURES[name]
    stems = [stem for track in read(miniatures / name) for stem in track.stems]
    for hierarchy in map(Hierarchy.load, HIERARCHIES.get(reader, ())):
        dataset = reader.NAME
        unclaimed = [s for s in stems if hierarchy.claim(s.attributes, dataset) is None]
        assert [s.id for s in unclaimed if not hierarchy.ignores(s.attributes, dataset)] == []


@pytest.mark.parametrize("reader", [moisesdb, medleydb], ids=lambda reader: reader.NAME)
def test_the_published_vocabulary_reaches_every_leaf(miniatures, reader):
    hierarchy = Hierarchy.load(reader.NAME)
    places = [miniatures / name for name, (own, _) in MINIATURES.items() if own is reader]
    stems = [stem for place in places for track in read(place) for stem in track.stems]
    claims = Counter(hierarchy.claim(stem.attributes) for stem in stems)
    assert set(hierarchy.leaves) <= set(claims) <= {*hierarchy.leaves, "mixture"}
    assert all(claims[leaf] == 1 for leaf in hierarchy.leaves)


@pytest.mark.parametrize("name", ["musdb18hq", "medleydb_v1", "folder"])
def test_other_data_sets_have_no_tables_of_splits(miniatures, name):
    reader, _ = MINIATURES[name]
    assert message_of(read, miniatures / name, "split2") == (
        f"splits of {reader.NAME}: expected none: it has no tables of splits, got 'split2'"
    )


# --- Slakh2100


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


@pytest.mark.parametrize(
    ("splits", "sizes"),
    [
        ("orig", {"train": 1500, "validation": 375, "test": 225}),
        ("split2", {"train": 1500, "validation": 375, "test": 225}),
        ("redux", {"train": 1289, "validation": 270, "test": 151, "omitted": 390}),
    ],
)
def test_slakhs_tables_have_the_published_sizes(splits, sizes):
    table = slakh._table(splits)
    assert sorted(table) == list(range(1, 2101))
    assert Counter(table.values()) == sizes
    if splits == "redux":
        assert all(split in ("omitted", slakh._table("orig")[number]) for number, split in table.items())


def test_slakhs_tables_move_the_published_tracks(miniatures):
    in_split2 = {
        1: "train",
        3: "test",
        26: "validation",
        1506: "train",
        1510: "test",
        1879: "train",
        1890: "validation",
    }
    dealt = {track.id: track.split for track in read(miniatures / "slakh_orig", "split2")}
    assert {number: dealt[f"Track{number:05d}"] for number in in_split2} == in_split2


@pytest.mark.parametrize(("name", "splits"), [("slakh_orig", "orig"), ("slakh_redux", "redux")])
def test_the_published_folders_are_the_tables(miniatures, name, splits):
    assert read(miniatures / name, splits) == read(miniatures / name)


@pytest.mark.parametrize("splits", ["orig", "split2", "redux"])
def test_tracks_are_dealt_the_same_in_whatever_folder_they_lie(miniatures, tmp_path, splits):
    for track in (miniatures / "slakh_orig").glob("*/Track*"):
        shutil.copytree(track, tmp_path / track.name)
    flat, folders = read(tmp_path, splits), read(miniatures / "slakh_orig", splits)
    assert [(track.split, track.id) for track in flat] == [(track.split, track.id) for track in folders]


def test_a_table_that_slakh_does_not_have_is_refused(miniatures):
    assert message_of(read, miniatures / "slakh_flat", "v2") == (
        "splits of slakh: expected one of orig, split2, redux, got 'v2'"
    )


def test_a_track_that_is_in_no_table_is_refused(tmp_path):
    write_slakh(tmp_path, {"train/Track02101": [(PIANO, SOUND)]})
    assert message_of(read, tmp_path, "redux") == (
        f"{tmp_path}/train/Track02101: expected a track from 1 to 2100 for the splits 'redux', got 2101"
    )


def test_a_track_that_lies_there_twice_is_refused_not_doubled(tmp_path):
    write_slakh(tmp_path, {f"{split}/Track00001": [(PIANO, SOUND)] for split in ("train", "test")})
    assert message_of(read, tmp_path) == (
        f"{tmp_path}/test/Track00001: expected every track once, got 'Track00001' in {tmp_path}/train too; remove one"
    )


def test_a_stem_that_slakh_did_not_render_is_no_stem_and_no_warning(tmp_path):
    write_slakh(tmp_path, {"Track00001": [(PIANO, SOUND), (BASS, None), (DRUMS, SOUND)]})
    assert listed(slakh.tracks(tmp_path)) == {(None, "Track00001"): ["S00", "S02"]}


def test_what_is_wrong_in_slakh_is_left_out_and_named(miniatures):
    place = miniatures / "slakh_faulty"
    with pytest.warns(HiersepWarning) as caught:
        first, absolute = read(place)
    (warning,) = caught
    assert str(warning.message) == (
        f"{place}/train/Track00001/stems/S02.flac: metadata.yaml lists this stem but there is no file; "
        "it is left out of the mixture"
    )
    assert [stem.id for stem in first.stems] == ["S00", "S03", "S04"]
    assert first.stems[1].attributes["plugin_name"] == "/Library/Audio/Plug-Ins/Components/AGML2.component"
    assert absolute.id == "Track00616"
    assert [stem.path.parent for stem in absolute.stems] == [place / "train/Track00616/stems"] * 2


def _laughs(next_one: str) -> bytes:
    """YAML of which every line holds the one before it several times, 29 times over."""
    lines = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {next_one.replace('a0', f'a{n - 1}')}" for n in range(1, 30))]
    return "\n".join([*lines, "stems: {S00: {plugin_name: *a29}}"]).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"stems: [", ":2: expected YAML, got something else"),
        (b"a: 1\nb: }", ":2: expected YAML, got something else"),
        (b"stems: \xff", ": expected YAML, got something else"),
        (b"!!python/object/apply:os.system [ls]", ":1: expected YAML, got something else"),
        (b"[" * 100_000, ": expected YAML, got something else"),
        (b"", ": expected 'stems' to be a mapping, got NoneType"),
        (b"- 1", ": expected 'stems' to be a mapping, got NoneType"),
        (b"stems: [S00]", ": expected 'stems' to be a mapping, got list"),
        (b"stems: {../../S00: {}}", ": expected stem names such as 'S00', got '../../S00'"),
        (b"stems: {0: {}}", ": expected stem names such as 'S00', got 0"),
        (b"stems: {S00: 3}", ": expected 'S00' to be a mapping, got int"),
        # found by tests/fuzz: aliases that stand for 10^9 values, tags that do not fit, what Python cannot show
        (
            _laughs("[*a0, *a0, *a0, *a0, *a0, *a0, *a0, *a0, *a0, *a0]"),
            ": expected YAML, got something else (more than",
        ),
        (_laughs("{<<: [*a0, *a0, *a0, *a0, *a0, *a0, *a0, *a0]}"), ": expected YAML, got something else (more than"),
        (b"stems: &a {S00: *a}", ": expected YAML, got something else (an alias of what it stands in)"),
        (b"stems: !!bool x", ": expected YAML, got something else (a value that is not what its tag says"),
        (b'stems: !!int ""', ": expected YAML, got something else (a value that is not what its tag says"),
        (b"stems: !!timestamp x", ": expected YAML, got something else (a value that is not what its tag says"),
        (b"stems: 0x" + b"f" * 5000, ": expected YAML, got something else (a number of 20000 bits)"),
        (b"stems: " + b"[" * 1000 + b"]" * 1000, ": expected YAML, got something else (nested deeper than 100 levels)"),
        (b"#" * 5_000_000, ": expected YAML, got something else (more than 4194304 bytes)"),
    ],
    ids=range(20),
)
def test_bad_metadata_are_named(tmp_path, content, message):
    write_slakh(tmp_path, {"Track00001": [(PIANO, SOUND)]})
    path = tmp_path / "Track00001/metadata.yaml"
    path.write_bytes(content)
    assert message_of(lambda: list(slakh.tracks(tmp_path))).startswith(f"{path}{message}")


# --- MUSDB18


@pytest.mark.parametrize("name", ["musdb18", "musdb18hq"])
def test_musdb_itself_reads_the_same_songs(miniatures, name):
    import musdb

    theirs = musdb.DB(root=str(miniatures / name), is_wav=name == "musdb18hq")
    held_out = [theirs.tracks[i].name for i in [[t.name for t in theirs.tracks].index("Actions - One Minute Smile")]]
    ours = {track.id: track for track in read(miniatures / name)}
    assert set(ours) == {track.name for track in theirs.tracks}
    for track in theirs.tracks:
        own = ours[track.name]
        assert own.split == ("validation" if track.name in held_out else track.subset)
        assert str(own.mixture.path) == track.path
        for stem in own.stems:
            source = track.sources[stem.id]
            assert str(stem.path) == source.path
            assert stem.stream == (source.stem_id if name == "musdb18" else None)
        assert {stem.id for stem in own.stems} == set(track.sources)


def test_both_versions_of_musdb18_say_the_same_of_their_stems(miniatures):
    said = [
        [(s.id, s.attributes) for s in t.stems] for name in ("musdb18", "musdb18hq") for t in read(miniatures / name)
    ]
    assert said == [[(id, {"filename": f"{id}.wav"}) for id in ("drums", "bass", "other", "vocals")]] * 5


def test_a_stem_that_is_missing_in_musdb18hq_is_left_out_and_named(own_copy):
    place = own_copy("musdb18hq")
    (place / "test/AM Contra - Heart Peripheral/bass.wav").unlink()
    with pytest.warns(
        HiersepWarning, match=r"Heart Peripheral/bass\.wav: MUSDB18-HQ lists this stem but there is no file"
    ):
        assert listed(read(place))["test", "AM Contra - Heart Peripheral"] == ["drums", "other", "vocals"]


def test_a_song_in_both_versions_is_refused_not_doubled(own_copy, miniatures):
    place, name = own_copy("musdb18hq"), "train/Actions - One Minute Smile.stem.mp4"
    shutil.copyfile(miniatures / "musdb18" / name, place / name)
    assert "got 'Actions - One Minute Smile' in" in message_of(read, place)


def test_without_ffmpeg_musdb18_is_refused_in_one_line_and_hq_is_read(miniatures, monkeypatch):
    monkeypatch.setenv("PATH", "")
    song = miniatures / "musdb18/train/Actions - One Minute Smile.stem.mp4"
    assert message_of(read, miniatures / "musdb18") == (
        f"{song}: expected ffmpeg and ffprobe to read its streams, found none; install ffmpeg, for example with "
        "`apt-get install ffmpeg`"
    )
    assert len(read(miniatures / "musdb18hq")) == 3


@pytest.mark.parametrize("change", ["validation", "val", "another stem"])
def test_plain_folders_that_look_like_musdb18_keep_what_it_does_not_have(own_copy, change):
    place = own_copy("musdb18hq")
    song = place / "test/AM Contra - Heart Peripheral"
    if change in ("validation", "val"):
        shutil.copytree(song, place / change / "song")
    else:
        shutil.copyfile(song / "bass.wav", song / "piano.wav")
    assert find_reader(place) is folder


# --- MoisesDB


def test_a_track_of_moisesdb_says_what_it_is(miniatures):
    song = read(miniatures / "moisesdb")[1]
    lead, *_ = song.stems
    assert lead.id.startswith("vocals-")
    assert dict(lead.attributes) == {
        "stem_name": "vocals",
        "track_type": "lead male singer",
        "has_bleed": True,
        "filename": lead.path.name,
        "artist": "An Artist",
        "song": "A Song",
        "genre": "pop",
    }
    assert Counter(stem.attributes["stem_name"] for stem in song.stems)["drums"] == 7


def test_track_types_that_moisesdb_does_not_list_are_named_once_and_count_as_their_stem(miniatures):
    with pytest.warns(HiersepWarning) as caught:
        (song,) = read(miniatures / "moisesdb_odd")
    assert [str(warning.message).partition(": ")[2] for warning in caught] == [
        "track type 'cajon' is not in MoisesDB's list (2 of the stems have it); it counts as its stem, of no type",
        "track type 'kazoo' is not in MoisesDB's list (1 of the stems have it); it counts as its stem, of no type",
    ]
    claims = [Hierarchy.load("moisesdb").claim(stem.attributes) for stem in song.stems]
    assert claims == ["cymbals", "drums", "drums", "wind"]


def write_moisesdb(root, artists):
    """A song of one stem per artist; None: nobody says whose it is."""
    for number, artist in enumerate(artists):
        song = root / f"{number:08d}-0000-4000-8000-000000000000"
        write_audio(song / "drums" / "kit.wav", SOUND)
        tracks = [{"id": "kit", "extension": "wav", "trackType": "full acoustic drumkit"}]
        content = {"artist": artist, "stems": [{"stemName": "drums", "tracks": tracks}]}
        (song / "data.json").write_text(json.dumps(content))
    return root


def test_moisesdbs_songs_are_dealt_by_artist_so_that_nobody_is_heard_on_both_sides(tmp_path):
    artists = [f"Artist {number // 3}" for number in range(90)]  # three songs each
    place = write_moisesdb(tmp_path, [name.upper() if n % 3 else f" {name}" for n, name in enumerate(artists)])
    songs = read(place, "artists")
    splits = {song.id: song.split for song in songs}
    assert [song.split for song in songs] == sorted(splits.values(), key=moisesdb.SPLITS.index)
    assert all(len({splits[f"{3 * artist + n:08d}-0000-4000-8000-000000000000"] for n in range(3)}) == 1
               for artist in range(30))  # fmt: skip
    assert {song.split for song in read(place)} == {None}
    assert message_of(read, place, "folds") == "splits of moisesdb: expected one of artists, got 'folds'"


def test_moisesdbs_shares_are_about_those_that_are_said():
    dealt = Counter(moisesdb.split_of(f"Artist {number}") for number in range(5000))
    assert [dealt[split] / 5000 for split in moisesdb.SPLITS] == pytest.approx([0.7, 0.1, 0.2], abs=0.03)


def test_a_song_of_moisesdb_without_an_artist_stands_for_itself(tmp_path):
    songs = read(write_moisesdb(tmp_path, [None] * 40), "artists")
    assert {song.split for song in songs} == set(moisesdb.SPLITS)


def test_the_songs_of_moisesdb_are_found_with_and_without_their_outer_folder(miniatures):
    outer, inner = read(miniatures / "moisesdb"), read(miniatures / "moisesdb/moisesdb_v0.1")
    assert outer == inner


# --- MedleyDB


def test_a_stem_of_medleydb_says_what_it_is(miniatures):
    bleeding, strings = read(miniatures / "medleydb_v1")
    assert dict(strings.stems[1].attributes) == {
        "instrument": "violin",
        "component": "bass",
        "filename": "AnArtist_Strings_STEM_02.wav",
        "has_bleed": False,
    }
    assert {stem.attributes["has_bleed"] for stem in bleeding.stems} == {True}
    assert strings.mixture.path.name == "AnArtist_Strings_MIX.wav"


def test_medleydb_without_its_metadata_says_where_to_get_them(own_copy):
    place = own_copy("medleydb_v1")
    shutil.rmtree(place / "Metadata")
    assert message_of(read, place) == (
        f"{place}/Audio/AnArtist_Bleeding: expected AnArtist_Bleeding_METADATA.yaml here or in {place}/Metadata, found "
        "neither; copy Metadata/ from github.com/marl/medleydb"
    )


# --- what metadata may not do


def change_json(path, change):
    content = json.loads(path.read_text())
    change(content["stems"][0])
    path.write_text(json.dumps(content))


def change_yaml(path, change):
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


ESCAPES = ["../../../../secret.wav", "/etc/hostname", "x/../../../../secret.wav", "a\0b"]


@pytest.mark.parametrize("name", ESCAPES, ids=range(4))
@pytest.mark.parametrize("key", ["filename", "stem_dir", "mix_filename"])
def test_no_path_of_medleydb_leaves_its_song(own_copy, key, name):
    place = own_copy("medleydb_v1_v2")
    path = place / "V1/AnArtist_Band/AnArtist_Band_METADATA.yaml"
    change_yaml(path, lambda content: (content["stems"]["S03"] if key == "filename" else content).update({key: name}))
    message = message_of(read, place)
    assert message.startswith(f"{path}: expected a file in {path.parent}, got ")
    assert message.endswith(", which leads out of it")


@pytest.mark.parametrize("name", [*ESCAPES, "x/../../../secret"], ids=range(5))
@pytest.mark.parametrize("key", ["stemName", "id"])
def test_no_path_of_moisesdb_leaves_its_song(own_copy, key, name):
    place = own_copy("moisesdb")
    path = place / "moisesdb_v0.1/0a000000-0000-4000-8000-000000000000/data.json"
    change_json(path, lambda stem: (stem if key == "stemName" else stem["tracks"][0]).update({key: name}))
    message = message_of(read, place)
    assert message.startswith(f"{path}: expected a file in {path.parent}, got ")


@pytest.mark.parametrize("name", ["x" * 300, "\ud800", "loop"])
def test_a_name_that_no_file_can_have_is_named(own_copy, name):
    place = own_copy("moisesdb")
    path = place / "moisesdb_v0.1/0a000000-0000-4000-8000-000000000000/data.json"
    (path.parent / "loop").symlink_to("loop")
    change_json(path, lambda stem: stem.update(stemName=name))
    message = message_of(read, place)
    assert message.startswith(f"{path}: expected the name of a file, got ")
    message.encode()


def test_an_artist_who_is_no_text_is_dealt_to_a_split_too():
    assert moisesdb.split_of("\ud800") in ("train", "validation", "test")


def test_no_suffix_of_moisesdb_leaves_its_song(own_copy):
    place = own_copy("moisesdb_odd")
    path = place / "2c000000-0000-4000-8000-000000000000/data.json"
    change_json(path, lambda stem: stem["tracks"][0].update(extension="wav/../../../secret.wav"))
    assert "which leads out of it" in message_of(read, place)


NAMES = st.lists(st.sampled_from(["..", ".", "a", "b c", "/", "/etc", "a/..", "a/../..", ""]), min_size=1, max_size=6)


@given(names=NAMES)
def test_a_path_is_refused_where_its_plain_reading_leads_out(tmp_path_factory, names):
    folder = tmp_path_factory.getbasetemp().resolve()
    plain = os.path.normpath(os.path.join(folder, *names))  # noqa: PTH118 - the independent reading
    if plain == str(folder) or plain.startswith(f"{folder}/"):
        assert inside(folder, folder / "metadata.yaml", *names).resolve() == Path(plain)
    else:
        assert "which leads out of it" in message_of(inside, folder, folder / "metadata.yaml", *names)


@pytest.mark.parametrize(
    ("name", "song", "stem"),
    [
        ("slakh_flat", "Track00001", "stems/S00.flac"),
        ("medleydb_v1_v2", "V2/AnotherArtist_Drums", "AnotherArtist_Drums_STEMS/AnotherArtist_Drums_STEM_01.wav"),
    ],
)
@pytest.mark.parametrize("link", ["file", "folder"])
def test_no_link_leads_out_of_a_song(own_copy, tmp_path, name, song, stem, link):
    place = own_copy(name)
    linked = place / song / stem if link == "file" else (place / song / stem).parent
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    assert "which leads out of it" in message_of(read, place)


def test_a_data_set_may_be_put_together_of_links_to_songs(miniatures, tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
    (tmp_path / "train/Track00002").symlink_to(miniatures / "babyslakh_16k/Track00002")
    (tmp_path / "test/Track00001").symlink_to(miniatures / "babyslakh_16k/Track00001")
    assert [(track.split, track.id) for track in read(tmp_path)] == [("train", "Track00002"), ("test", "Track00001")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", ":1: expected JSON, got something else"),
        ("\n[1,\n", ":3: expected JSON, got something else"),
        ("[" * 100_000, ": expected JSON, got something else"),
        ("[]", ": expected 'stems' to be a list, got NoneType"),
        ('{"stems": [3]}', ": expected 'stemName' of a stem to be a text, got NoneType"),
        ('{"stems": [{"stemName": "bass"}]}', ": expected 'tracks' of stem 'bass' to be a list, got NoneType"),
        ('{"stems": [{"stemName": "b", "tracks": [{"id": 3}]}]}', ": expected 'id' of a track to be a text, got int"),
    ],
    ids=range(7),
)
def test_bad_json_is_named(own_copy, content, message):
    place = own_copy("moisesdb_odd")
    path = place / "2c000000-0000-4000-8000-000000000000/data.json"
    path.write_text(content)
    assert message_of(read, place).startswith(f"{path}{message}")


def test_a_file_that_metadata_list_twice_is_refused_not_doubled(own_copy):
    place = own_copy("medleydb_v1_v2")
    path = place / "V1/AnArtist_Band/AnArtist_Band_METADATA.yaml"
    change_yaml(path, lambda content: content["stems"].update(S99=content["stems"]["S01"]))
    assert (
        message_of(read, place)
        == f"{path}: expected a file per stem, got AnArtist_Band_STEM_01.wav for two; remove one"
    )


# --- plain folders


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


def test_songs_of_one_name_in_two_splits_are_told_apart(miniatures):
    assert [(track.split, track.id) for track in read(miniatures / "folder")] == [
        ("train", "train/one"),
        ("train", "two"),
        ("validation", "three"),
        ("test", "test/one"),
    ]


def test_globs_of_a_hierarchy_name_the_stems_of_plain_folders(miniatures):
    tree = {"mixture": ["vocals", {"band": ["drums", "guitars"]}]}
    labels = {"vocals": "vocals", "drums": "drums", "guitars": "gtr_*"}
    levels = ["mixture", "group", "stem"]
    content = {"name": "own", "levels": levels, "tree": tree, "match": "filename", "labels": labels}
    hierarchy = Hierarchy.load(content)
    claims = {
        (t.id, s.id): hierarchy.claim(s.attributes, "folder") for t in read(miniatures / "folder") for s in t.stems
    }
    assert claims["train/one", "gtr_left"] == claims["train/one", "gtr_right"] == "guitars"
    assert {key for key, claim in claims.items() if claim is None} == {("two", "bass"), ("two", "piano")}


@pytest.mark.parametrize("name", ["mixture.wav", "mix.flac", "Mixture.wav", "MIX.wav"])
def test_a_mixture_is_no_stem(tmp_path, name):
    write_folder(tmp_path, {"song": {"drums": SOUND}})
    path = write_audio(tmp_path / "song" / name, SOUND)
    (track,) = folder.tracks(tmp_path)
    assert [stem.id for stem in track.stems] == ["drums"]
    assert track.mixture.path == path


@pytest.mark.parametrize("name", [".hidden.wav", "._drums.wav"])
def test_a_hidden_file_is_no_stem(tmp_path, name):
    write_folder(tmp_path, {"song": {"drums": SOUND}})
    write_audio(tmp_path / "song" / name, SOUND)
    assert listed(folder.tracks(tmp_path)) == {(None, "song"): ["drums"]}


def test_a_stem_that_lies_there_in_two_formats_is_refused_not_doubled(tmp_path):
    write_folder(tmp_path, {"song": {"drums": SOUND, "drums_2": SOUND, "bass": SOUND}})
    write_audio(tmp_path / "song/drums.flac", SOUND)
    assert message_of(lambda: list(folder.tracks(tmp_path))) == (
        f"{tmp_path}/song: expected one file per stem, got drums.flac and drums.wav; remove one"
    )


# --- which reader


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
    message = message_of(find_reader, tmp_path)
    assert message.startswith(f"{tmp_path}: expected multitracks in a layout that is known (Slakh2100's: Track")
    assert message.endswith(", found none; see the data guide")
    assert all(reader.LAYOUT in message for reader in READERS)


def test_the_folder_above_a_data_set_leads_to_it(own_copy):
    place = own_copy("babyslakh_16k")
    assert message_of(find_reader, place.parent).endswith(f", found none; did you mean {place}?")


def test_what_hiersep_renders_is_taken_for_slakh(rendered, tmp_path):
    assert find_reader(rendered) is slakh
    assert {track.split for track in slakh.tracks(rendered)} == {"train", "validation", "test"}
    shutil.copytree(next(rendered.glob("train/Track*")), tmp_path / "Track00001")
    assert find_reader(tmp_path) is slakh
