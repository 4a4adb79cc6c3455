"""What data from elsewhere may not do: lead to a file outside of their folder, and run code.

A door is a place where a name out of a file becomes a path. Each is tried with every kind of name that leads away; what
is let through stays below its folder. One policy for links: a data set and a song may be links, which whoever keeps the
data has laid; within a song, or a folder of results, no link leads out of it.
"""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers import noise, write_audio, write_folder

from hiersep import audio, strict_yaml
from hiersep.cli.mixtures import find_mixtures
from hiersep.data import cache, store
from hiersep.data.mixers import load_mixing
from hiersep.data.readers import find_reader
from hiersep.data.restoring import read_annotation
from hiersep.errors import DataError, HiersepError
from hiersep.evaluation.clips import read_clips
from hiersep.hierarchy import Hierarchy
from hiersep.separation.files import ABOUT, read_separation

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = {
    "above": "../../secret.wav",
    "absolute": "/etc/hostname",
    "down and up": "x/../../../secret.wav",
    "an option, and up": "-version/../../../secret.wav",
    "a device": "/dev/zero",
    "a zero byte": "a\0b.wav",
    "endless": "x" * 5000,
    "deep": "x/" * 3000,
}


def one_line(function, *arguments):
    with pytest.raises(HiersepError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def read(folder):
    return list(find_reader(folder).tracks(folder))


# --- names in metadata


def in_yaml(path, change):
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def in_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


BAND, MOISES = "V1/AnArtist_Band/AnArtist_Band_METADATA.yaml", "2c000000-0000-4000-8000-000000000000/data.json"
# Miniature, its file, and how a name is put into that.
DOORS = {
    "slakh: stem": (
        "slakh_flat", "Track00001/metadata.yaml",
        lambda path, name: in_yaml(path, lambda c: c["stems"].update({name: dict(c["stems"]["S00"])})),
    ),
    "medleydb: filename": (
        "medleydb_v1_v2", BAND, lambda path, name: in_yaml(path, lambda c: c["stems"]["S03"].update(filename=name)),
    ),
    "medleydb: stem_dir": (
        "medleydb_v1_v2", BAND, lambda path, name: in_yaml(path, lambda c: c.update(stem_dir=name)),
    ),
    "medleydb: mix_filename": (
        "medleydb_v1_v2", BAND, lambda path, name: in_yaml(path, lambda c: c.update(mix_filename=name)),
    ),
    "moisesdb: stemName": (
        "moisesdb_odd", MOISES, lambda path, name: in_json(path, lambda c: c["stems"][0].update(stemName=name)),
    ),
    "moisesdb: id": (
        "moisesdb_odd", MOISES, lambda path, name: in_json(path, lambda c: c["stems"][0]["tracks"][0].update(id=name)),
    ),
    "moisesdb: extension": (
        "moisesdb_odd", MOISES,
        lambda path, name: in_json(path, lambda c: c["stems"][0]["tracks"][0].update(extension=f"wav/../{name}")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("door", DOORS)
def test_no_name_in_metadata_leads_out_of_its_song(miniatures, tmp_path, door, name):
    miniature, file, put = DOORS[door]
    place = Path(shutil.copytree(miniatures / miniature, tmp_path / "a/b/data"))
    (tmp_path / "a/secret.wav").write_bytes(b"secret")
    put(place / file, name)
    if door == "moisesdb: extension" and name.startswith("/"):
        pytest.skip("after other text, a name that begins with / is no absolute one")
    message = one_line(read, place)
    assert message.startswith(str(place / file))
    assert len(message) < 1000


def test_an_absolute_folder_for_the_audio_is_passed_over(miniatures, tmp_path):
    place = Path(shutil.copytree(miniatures / "slakh_flat", tmp_path / "data"))
    in_yaml(place / "Track00001/metadata.yaml", lambda c: c.update(audio_dir="/etc", midi_dir="../.."))
    assert all(stem.path.is_relative_to(place) for track in read(place) for stem in track.stems)


# --- links


SONGS = {  # miniature or made, and files that a song is looked through for
    "slakh_flat": ["Track00001/metadata.yaml", "Track00001/stems/S00.flac"],
    "medleydb_v1_v2": [BAND],
    "moisesdb_odd": [MOISES],
    "folder": ["train/song/vocals.wav", "train/song/mixture.wav"],
    "musdb18hq": ["train/song/vocals.wav", "train/song/mixture.wav"],
}


def lay_out(kind, miniatures, folder):
    """A data set, with its files linked to nowhere yet."""
    if kind in ("folder", "musdb18hq"):
        names = ["vocals", "mixture"] + (["drums", "bass", "other"] if kind == "musdb18hq" else [])
        return write_folder(folder, {"train/song": {name: noise(0.05) for name in names}})
    return Path(shutil.copytree(miniatures / kind, folder))


@pytest.mark.parametrize(("kind", "file"), [(kind, file) for kind, files in SONGS.items() for file in files])
def test_no_link_within_a_song_leads_out_of_it(miniatures, tmp_path, kind, file):
    place = lay_out(kind, miniatures, tmp_path / "data")
    secret = (place / file).rename(tmp_path / f"secret{Path(file).suffix}")
    (place / file).symlink_to(secret)
    assert "which leads out of it" in one_line(read, place)


def test_a_slakh_mixture_that_is_a_link_away_is_refused(miniatures, tmp_path):
    place = Path(shutil.copytree(miniatures / "slakh_flat", tmp_path / "data"))
    mixture = next((place / "Track00001").glob("mix.*"))
    mixture.symlink_to(mixture.rename(tmp_path / "secret.wav"))
    assert "which leads out of it" in one_line(read, place)


@pytest.mark.parametrize("kind", ["folder", "musdb18hq"])
def test_a_song_may_be_a_link_and_so_may_a_file_within_it_that_stays_there(miniatures, tmp_path, kind):
    place = lay_out(kind, miniatures, tmp_path / "data")
    song = (place / "train/song").rename(tmp_path / "elsewhere")
    (place / "train/song").symlink_to(song)
    (song / "real.bin").symlink_to(song / "vocals.wav")
    (track,) = read(place)
    assert "vocals" in [stem.id for stem in track.stems]


def test_a_loop_of_links_is_an_error_of_one_line(tmp_path):
    place = write_folder(tmp_path / "data", {"song": {"vocals": noise(0.05), "drums": noise(0.05)}})
    metadata = place / "song" / "song_STEMS"
    metadata.mkdir()
    (place / "song/song_METADATA.yaml").symlink_to("song_METADATA.yaml")
    one_line(read, place)


# --- names in what hiersep wrote, and others may have changed


@pytest.fixture
def separation(tmp_path):
    """A folder of results, and a function that reads it when what stands beside them is changed."""
    write_audio(tmp_path / "results/guitar.wav", noise(0.05))
    write_audio(tmp_path / "secret.wav", noise(0.05))
    about = {
        "format": 1, "start": 0, "frames": 800, "sample_rate": 16000, "files": {"guitar": "guitar.wav"},
        "hierarchy": Hierarchy.load("slakh34").to_dict(),
    }  # fmt: skip

    def read(**changes):
        (tmp_path / "results" / ABOUT).write_text(json.dumps({**about, **changes}))
        return read_separation(tmp_path / "results")

    return read


@pytest.mark.parametrize("name", ["../secret.wav", *NAMES.values()], ids=["beside", *NAMES])
def test_no_name_beside_results_leads_out_of_their_folder(separation, name):
    assert "guitar" in separation().files
    message = one_line(lambda: separation(files={"guitar": name}))
    assert "which leads out of it" in message or "expected the name of a file" in message  # too long for one


def test_no_link_among_results_leads_out_of_their_folder(separation, tmp_path):
    (tmp_path / "results/guitar.wav").unlink()
    (tmp_path / "results/guitar.wav").symlink_to(tmp_path / "secret.wav")
    assert "which leads out of it" in one_line(separation)


def test_no_file_is_read_that_results_name_as_their_hierarchy(separation, tmp_path):
    (tmp_path / "tree.yaml").write_text(Hierarchy.load("slakh34").dump())
    one_line(lambda: separation(hierarchy=str(tmp_path / "tree.yaml")))


@pytest.mark.parametrize("name", [*NAMES.values(), ".."], ids=[*NAMES, "the folder above"])
def test_a_store_opens_no_file_but_those_beside_its_list(tmp_path, name):
    header = {"format": store.FORMAT, "key": "k", "channels": 1, "tracks": [[name, 4, 0, 1]]}
    np.savez(tmp_path / store.FILE, header=np.frombuffer(json.dumps(header).encode(), np.uint8), scales=np.ones(1))
    loaded = store.load_store(tmp_path / store.FILE)
    if loaded is not None:
        assert Path(loaded.names[0]).name == loaded.names[0]
        with pytest.raises((OSError, RuntimeError, ValueError)):
            loaded.read(0, 0, 4)
        assert not loaded.holds([1])


# --- names of results


@pytest.mark.parametrize(
    "name", ["...wav", "..wav", "....flac", "song/...wav", "-x.wav", ".hidden.wav", "a\\..\\b.wav"]
)
def test_the_results_of_a_mixture_lie_below_the_folder_that_was_named(tmp_path, name):
    songs, out = tmp_path / "songs", tmp_path / "there/out"
    (songs / name).parent.mkdir(parents=True, exist_ok=True)
    (songs / name).write_bytes(b"x")
    for words in ([songs], [songs / name], [Path(f"{songs}/**/{Path(name).name[:-3]}*")]):
        for folder in find_mixtures(words, out).values():
            assert folder.resolve() != out.resolve()
            assert folder.resolve().is_relative_to(out.resolve())


@pytest.mark.parametrize("name", [*NAMES.values(), "..", ".", "-x", "a b", "a\\b", "<b>"])
def test_no_node_level_or_hierarchy_is_called_what_may_not_be_a_file(name):
    def tree(node="guitar", level="instrument", own="songs"):
        return Hierarchy.load({"name": own, "levels": ["mixture", level], "tree": {"mixture": [node, "drums"]}})

    assert tree().ids == ("mixture", "guitar", "drums")
    for wrong in ({"node": name}, {"level": name}, {"own": name}):
        one_line(lambda wrong=wrong: tree(**wrong))


# --- files that name other files and hosts


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{secret}'\n",
    "dash": "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'><BaseURL>{secret}</BaseURL></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_song_that_is_a_list_of_other_files_is_no_audio(tmp_path, kind):
    secret = tmp_path / "secret.mp3"
    write_audio(tmp_path / "secret.wav", noise(0.5, rate=44100), 44100)
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "secret.wav", secret], check=True)
    for name in ("song.stem.mp4", "song.m3u8"):
        song = tmp_path / "data" / name
        song.parent.mkdir(exist_ok=True)
        song.write_text(PLAYLISTS[kind].format(secret=secret))
        assert "got none or damaged" in one_line(lambda song=song: audio.info(song, stream=0))
        with pytest.raises(DataError), audio.decoded(song):
            pass


# --- nothing is unpickled

READERS = {  # what reads a file, and as what it is named
    "audio header": (audio.info, "a.wav"),
    "audio": (audio.read, "a.flac"),
    "audio, by ffmpeg": (lambda path: audio.decoded(path).__enter__(), "a.m4a"),
    "stream": (lambda path: audio.read(path, stream=0), "a.stem.mp4"),
    "catalog": (cache.load, "catalog.npz"),
    "store": (store.load_store, "store.npz"),
    "annotation": (read_annotation, "a.jams"),
    "packed annotation": (read_annotation, "a.jamz"),
    "hierarchy": (Hierarchy.load, "a.yaml"),
    "hierarchy as JSON": (Hierarchy.load, "a.json"),
    "configuration": (strict_yaml.read, "conf.yml"),
    "distributions": (load_mixing, "mixing.yml"),
    "clips": (read_clips, "clips.json"),
    "results": (lambda path: read_separation(path.parent), ABOUT),
}


class Bomb:
    """What would make a folder if it were unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.mkdir, (self.trace,)


def bombs(trace):
    """A pickle; text that YAML's other loaders make objects of; arrays of objects, as numpy packs them."""
    yield "pickle", lambda path: path.write_bytes(pickle.dumps(Bomb(trace)))
    yield "yaml", lambda path: path.write_text(f"!!python/object/apply:os.mkdir ['{trace}']")

    def save_arrays(path):
        content = np.array([Bomb(trace)], dtype=object)
        with path.open("wb") as file:
            np.savez(file, header=content, scales=content, stamps=content, numbers=content, loudness=content)

    yield "arrays", save_arrays


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_runs_what_it_reads(tmp_path, reader):
    function, name = READERS[reader]
    trace = tmp_path / "executed"
    for _, write in bombs(trace):
        write(tmp_path / name)
        found, said = None, ""
        try:
            found = function(tmp_path / name)
        except HiersepError as error:
            said = str(error)
        assert found is None
        assert "\n" not in said
        assert not trace.exists()


def test_the_bombs_explode_where_they_are_unpickled(tmp_path):
    trace = tmp_path / "executed"
    for kind, write in bombs(trace):
        write(tmp_path / kind)
        if kind == "pickle":
            pickle.loads((tmp_path / kind).read_bytes())
        elif kind == "yaml":
            yaml.unsafe_load((tmp_path / kind).read_text())
        else:
            with np.load(tmp_path / kind, allow_pickle=True) as arrays:
                assert len(arrays["header"]) == 1
        trace.rmdir()
