"""What a data set says of itself, annotations and lists of mixtures, and what is kept of a data set in the cache."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from helpers import BASS, ELECTRIC_GUITAR, PIANO, noise, write_audio, write_slakh
from hypothesis import strategies as st

from fuzz.contents import spoiled_bytes
from fuzz.documents import as_json, spoiled, written
from fuzz.judging import Door
from hiersep.data.annotation import to_jams
from hiersep.data.catalog import index_dataset
from hiersep.data.mixers import make_mixer
from hiersep.data.readers import find_reader
from hiersep.data.reading import read_block
from hiersep.data.recipe import Recipe, render_recipe
from hiersep.data.restoring import read_annotation
from hiersep.data.sampling import Clip, claims_of
from hiersep.evaluation.clips import read_clips
from hiersep.files import fingerprint
from hiersep.hierarchy import Hierarchy

if TYPE_CHECKING:
    from pathlib import Path

RATE = 8000


def read(folder: Path) -> None:
    """Read the tracks of a data set, and what a hierarchy and the cache make of them."""
    reader = find_reader(folder)
    name = {"slakh": "slakh_ismir2020", "folder": "musdb18"}.get(reader.NAME, reader.NAME)
    hierarchy = Hierarchy.load(name)
    for track in reader.tracks(folder):
        fingerprint([track.id, *(str(stem.path) for stem in track.stems)])
        for stem in track.stems:  # a song may be a link; what is in it stays in it
            song = next((place for place in stem.path.parents if place.name == track.id), stem.path.parent)
            whole = stem.stream is not None  # the file is the song
            assert whole or stem.path.resolve().is_relative_to(song.resolve())
            hierarchy.claim(stem.attributes, next(iter(hierarchy.datasets), None))


SLAKH = {
    "UUID": "1a81ae09",
    "audio_dir": "stems",
    "overall_gain": 0.18,
    "stems": {
        f"S0{number}": {
            "audio_rendered": True,
            "inst_class": "Guitar",
            "integrated_loudness": -12.8,
            "is_drum": False,
            "midi_program_name": "Electric Guitar (clean)",
            "plugin_name": "elektrik_guitar.nkm",
            "program_num": 27,
        }
        for number in range(2)
    },
}
MOISES = {
    "song": "A song",
    "artist": "Mira",
    "genre": "rock",
    "stems": [
        {
            "id": "s",
            "stemName": name,
            "tracks": [{"id": "t", "trackType": kind, "has_bleed": False, "extension": "wav"}],
        }
        for name, kind in (("guitar", "clean electric guitar"), ("drums", "snare drum"))
    ],
}
MEDLEY = {
    "artist": "A",
    "has_bleed": "no",
    "mix_filename": "Song_MIX.wav",
    "stem_dir": "Song_STEMS",
    "stems": {
        f"S0{n}": {"component": "melody", "filename": f"Song_STEM_0{n}.wav", "instrument": "piano"} for n in (1, 2)
    },
}
FILES = {
    "slakh": ("Track00001/metadata.yaml", SLAKH, ("Track00001/stems/S00.wav", "Track00001/stems/S01.wav")),
    "moisesdb": ("song/data.json", MOISES, ("song/guitar/t.wav", "song/drums/t.wav")),
    "medleydb": (
        "Song/Song_METADATA.yaml",
        MEDLEY,
        ("Song/Song_STEMS/Song_STEM_01.wav", "Song/Song_STEMS/Song_STEM_02.wav"),
    ),
}


def _metadata_doors(folder: Path) -> list[Door]:
    doors = []
    for name, (file, content, sounds) in FILES.items():
        place = folder / name
        for sound in sounds:
            write_audio(place / sound, noise(0.01), RATE)
        is_yaml = file.endswith(".yaml")

        def take(metadata: bytes, place: Path = place, file: str = file) -> None:
            (place / file).write_bytes(metadata)
            read(place)

        valid = yaml.safe_dump(content).encode() if is_yaml else json.dumps(content).encode()
        doors += [
            Door(f"metadata of {name}", written(spoiled(st.just(content)), yaml=is_yaml), take, 120, 5_000),
            Door(f"metadata of {name}, bytes", spoiled_bytes(st.just(valid), head=2000), take, 50, 2_000),
        ]
    return doors


NAMES = (
    "Track00001",
    "train",
    "test",
    "val",
    "song",
    "stems",
    "S00.wav",
    "mix.wav",
    "metadata.yaml",
    "data.json",
    "a_STEMS",
    "a",
)
MORE = (
    "Audio",
    "V1",
    "vocals.wav",
    "drums.wav",
    ".hidden.wav",
    "x.stem.mp4",
    "bass.WAV",
    "Track\u0661\u0662\u0663\u0664\u0665",
    "\udcff.wav",
    "a\nb",
    "mixture.flac",
)


@st.composite
def layouts(draw) -> list[tuple[str, str]]:
    """Folders, files, links and what they are called."""
    name = st.sampled_from(NAMES + MORE)
    paths = st.lists(st.lists(name, min_size=1, max_size=4).map("/".join), min_size=1, max_size=6)
    kinds = st.sampled_from(("file", "file", "file", "folder", "loop", "out", "metadata"))
    return [(path, draw(kinds)) for path in draw(paths)]


def lay(folder: Path, layout: list[tuple[str, str]]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, kind in layout:
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "folder":
                path.mkdir(exist_ok=True)
            elif kind in ("loop", "out"):
                path.symlink_to(path if kind == "loop" else folder.parent)
            else:
                path.write_bytes(b"stems: {}\n" if kind == "file" else b'{"stems": {"S00": {"program_num": 1}}}')
        except OSError:
            continue  # a file of this name is a folder's parent


def doors(folder: Path) -> list[Door]:
    """Data sets."""
    laid = folder / "laid"

    def open_layout(layout: list[tuple[str, str]]) -> None:
        lay(laid, layout)
        read(laid)

    return [
        *_metadata_doors(folder),
        Door("folders of a data set", layouts(), open_layout, 100, 3_000),
        *_mixture_doors(folder),
        *_cache_doors(folder),
    ]


def _write_songs(folder: Path) -> Path:
    parts = (ELECTRIC_GUITAR, PIANO, BASS)
    songs = {f"train/Track0000{n}": [(part, noise(0.2, seed=n, rate=RATE)) for part in parts] for n in (1, 2)}
    return write_slakh(folder, songs, rate=RATE)


def _mixture_doors(folder: Path) -> list[Door]:
    """Annotations, and the lists of clips that an evaluation takes."""
    catalog, _ = index_dataset(_write_songs(folder / "songs"), sample_rate=RATE, jobs=1)
    tree = Hierarchy.load("slakh_ismir2020")
    nodes, rng = tree.path("clean_guitars")[1:], np.random.default_rng(0)
    spec = make_mixer("coherent", catalog, [0, 1], tree, 0.1).remix(Clip(0, 0.0), claims_of(catalog, 0, tree), rng)
    recipe = Recipe(spec, tree, nodes, sample_rate=RATE)
    path, clips = folder / "x.jams", folder / "clips.json"
    to_jams(catalog, recipe, render_recipe(catalog, recipe)).save(str(path))
    content = json.loads(path.read_text(encoding="utf-8"))
    own = content["sandbox"]["hiersep"]
    own["hierarchy"] = {key: own["hierarchy"][key] for key in ("name", "levels", "tree")}  # labels say nothing here

    def open_annotation(case: bytes) -> None:
        path.write_bytes(case)
        again = read_annotation(path).recipe(catalog)
        if again.spec.duration <= 1 and again.sample_rate == RATE and len(again.spec.events) <= 4:
            render_recipe(catalog, again)

    def open_clips(case: bytes) -> None:
        clips.write_bytes(case)
        read_clips(clips).to_dict()

    sandbox = spoiled(st.just(own))
    inner = sandbox.map(lambda changed: {**content, "sandbox": {"hiersep": changed}})
    place = {"track": "Track00001", "start_s": 0.5, "target": "guitar"}
    query = {"track": "Track00002", "stem": "S00", "start_s": 0.0, "duration": 1.0}
    listed = {
        "format": 1,
        "data": "d",
        "dataset": "slakh",
        "duration": 1.0,
        "clips": [place, {**place, "query": query}],
    }
    return [
        Door("annotation", written(inner | spoiled(st.just(content)), yaml=False), open_annotation, 120, 6_000),
        Door(
            "annotation, bytes",
            spoiled_bytes(st.just(as_json(content).encode()), head=4000),
            open_annotation,
            40,
            1_500,
        ),
        Door("list of clips", written(spoiled(st.just(listed)), yaml=False), open_clips, 150, 4_000),
    ]


def _cache_doors(folder: Path) -> list[Door]:
    """The files of the cache: damaged in whatever way, the data set opens, for all of it can be measured again."""
    data = _write_songs(folder / "kept")
    index_dataset(data, sample_rate=RATE, jobs=1, store_channels=1)
    catalog, _ = index_dataset(data, sample_rate=RATE, jobs=1)
    assert catalog.store is not None
    place = catalog.store.folder.parent
    kept = {name: (place / name).read_bytes() for name in ("catalog.npz", "store.npz")}
    arrays = {name: dict(np.load(io.BytesIO(content))) for name, content in kept.items()}

    def taker(name: str) -> Any:
        def take(content: bytes) -> None:
            for other, before in kept.items():
                (place / other).write_bytes(before if other != name else content)
            opened, _ = index_dataset(data, sample_rate=RATE, jobs=1)
            assert [len(track.stems) for track in opened.tracks] == [3, 3]
            opened.measurements[0][0].window_power(np.zeros(1), 0.1)
            read_block(opened, 1, 0.0, 100)

        return take

    def take_journal(content: bytes) -> None:
        (place / "catalog.npz").unlink(missing_ok=True)
        (place / "store.npz").write_bytes(kept["store.npz"])
        (place / "journal-0.jsonl").write_bytes(content)
        index_dataset(data, sample_rate=RATE, jobs=1)

    lines = _journal_of(data, place, catalog)
    (place / "catalog.npz").write_bytes(kept["catalog.npz"])
    found = []
    for name, columns in arrays.items():
        found.append(Door(f"cache, {name}", _archives(columns), taker(name), 50, 2_000))
        found.append(
            Door(f"cache, {name}, bytes", spoiled_bytes(st.just(kept[name]), head=2000), taker(name), 40, 1_000)
        )
    journals = st.lists(spoiled(st.sampled_from(lines)).map(as_json), max_size=3).map(
        lambda said: "\n".join(said).encode("utf-8", "replace")
    )
    return [*found, Door("cache, journal", journals | spoiled_bytes(journals), take_journal, 50, 2_000)]


def _journal_of(data: Path, place: Path, catalog: Any) -> list[Any]:
    """Lines of a journal as a killed run leaves them."""
    from hiersep.data.cache import load
    from hiersep.data.journal import Journal

    kept = load(place / "catalog.npz")
    assert kept is not None
    journal = Journal(place)
    for key, track in kept.tracks:
        journal.append(key, track)
    (path,) = place.glob("journal-*")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    path.unlink()
    return lines


@st.composite
def _archives(draw, columns: dict[str, np.ndarray]) -> bytes:
    """Arrays of which one was changed: its numbers, its type, its text, what its head says, how it is packed."""
    name = draw(st.sampled_from(sorted(columns)))
    values = columns[name].copy()
    text = bytes(values) if values.dtype == np.uint8 else b""
    if text and draw(st.integers(0, 3)):
        text = as_json(draw(spoiled(st.just(json.loads(text))))).encode("utf-8", "replace")
        values = np.frombuffer(text, np.uint8)
    elif len(values):
        kind = draw(st.sampled_from((values.dtype, np.int64, np.float32, np.uint8, np.complex64, "U3")))
        with np.errstate(all="ignore"):
            flat = values.reshape(-1).astype(kind)
            flat[draw(st.integers(0, len(flat) - 1))] = draw(
                st.sampled_from((0, 1, 2, 100, -1 if flat.dtype.kind != "u" else 1))
            )
        values = flat.reshape(values.shape) if draw(st.booleans()) else flat[: draw(st.integers(0, len(flat)))]
    out = io.BytesIO()
    packing = draw(
        st.sampled_from((zipfile.ZIP_STORED,) * 5 + (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2))
    )
    with zipfile.ZipFile(out, "w", packing) as archive:
        for other, before in columns.items():
            written_ = io.BytesIO()
            np.save(written_, values if other == name else before)
            head = written_.getvalue()
            if other == name and draw(st.integers(0, 4)) == 0:
                shape = draw(
                    st.sampled_from((b"(10000000000,)", b"(-1,)", b"()", b"(1e9,)", b"((((", b"(0,)", b"(3, 5, 2)"))
                )
                head = head.replace(b"(%d,)" % len(values), shape, 1)
            archive.writestr(f"{other}.npy", head)
    return out.getvalue()
