"""MUSDB18, compressed and HQ.

Origin: Rafii, Liutkus, Stoeter, Mimilakis, Bittner, zenodo 1117372 (2017) and 3338373 (HQ, 2019).
Size: 150 songs, 10 h, 44.1 kHz stereo; 4.7 GB as AAC, 22 GB as wav. Licence: per song, for education only.
Get it: zenodo.org/record/1117372 (``.stem.mp4``, read by ffmpeg), zenodo.org/record/3338373 (HQ).
Layout: ``{train,test}/SONG.stem.mp4``, streams mixture, drums, bass, other, vocals; HQ:
``{train,test}/SONG/{mixture,drums,bass,other,vocals}.wav``. musdb's own table (``mus.yaml``) says streams and names.
Splits: ``train`` (86), ``validation`` (the 14 songs of ``train`` that musdb holds out), ``test`` (50).
Traps: the AAC streams do not sum to the mixture stream (about -22 dB), and hold nothing above 16 kHz; an excerpt of one
is decoded from the song's beginning, so a store pays; in "PR - Oh No" the left channels do not sum up; "Hop Along -
Sister Cities", "Chris Durban - Celebrate", "Leaf - Wicked" and "Detsky Sad - Walkie Talkie" have bleed.

`musdb.DB` itself is not used: it starts ffprobe five times per song whenever it is opened, for wav files too.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiersep import audio
from hiersep.confined import own
from hiersep.data.readers.metadata import each_once, mixture_at, present, read_metadata, refuse_splits
from hiersep.data.tracks import Stem, Track
from hiersep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "musdb18"
LAYOUT = "MUSDB18's: {train,test}/SONG.stem.mp4, or SONG/{mixture,drums,bass,other,vocals}.wav"
SUBSETS = ("train", "test")
SUFFIX = ".stem.mp4"
SPLITS = ("train", "validation", "test")


@functools.cache
def _setup() -> dict[str, Any]:
    """Read musdb's table of streams, file names and validation songs, without importing it (that needs ffmpeg)."""
    package = importlib.util.find_spec("musdb")
    if package is None or package.origin is None:
        raise DataError("MUSDB18: the package musdb is missing; pip install musdb")
    return read_metadata(Path(package.origin).with_name("configs") / "mus.yaml")


def _songs(folder: Path) -> Iterator[Path]:
    for subset in SUBSETS:
        parent = folder / subset
        for place in sorted(parent.iterdir()) if parent.is_dir() else ():
            if not place.name.startswith(".") and (place.name.endswith(SUFFIX) or _wav_names(place)):
                yield place


def _stem_files(parent: Path) -> Iterator[str]:
    return (path.name for path in parent.glob(f"*{SUFFIX}"))


def _wav_names(song: Path) -> set[str]:
    return {path.name for path in song.glob("*.wav") if not path.name.startswith(".")}


def recognises(folder: Path) -> bool:
    """Say whether `folder` holds ``.stem.mp4`` files, or songs of MUSDB18's five wav files and no other."""
    if any((folder / split).exists() for split in ("validation", "val")):
        return False  # MUSDB18 has no such folder: these songs would be passed over
    if any(not name.startswith(".") for subset in SUBSETS for name in _stem_files(folder / subset)):
        return True
    five = {_setup()["mixture"], *_setup()["sources"].values()}
    whole = False
    for song in _songs(folder):  # up to the first that is no song of MUSDB18's
        names = _wav_names(song)
        if not names <= five:
            return False
        whole |= names == five
    return whole


def tracks(folder: Path, splits: str | None = None) -> Iterator[Track]:
    """Yield the songs below `folder`, sorted by split and name.

    Args:
        folder: Of the data set.
        splits: None: there are no tables of splits.

    Raises:
        DataError: If a song is there twice, or ffmpeg is missing and needed.
    """
    refuse_splits(NAME, splits)
    songs = [(_split(song), song) for song in each_once((_name(song), song) for song in _songs(folder))]
    for split, song in sorted(songs, key=lambda pair: (SPLITS.index(pair[0]), pair[1].name)):
        yield _from_streams(song, split) if song.name.endswith(SUFFIX) else _from_files(song, split)


def _name(song: Path) -> str:
    return song.name.removesuffix(SUFFIX)


def _split(song: Path) -> str:
    held_out = song.parent.name == "train" and _name(song) in _setup()["validation_tracks"]
    return "validation" if held_out else song.parent.name


def _from_streams(song: Path, split: str) -> Track:
    audio.need_ffmpeg(song)
    files, streams = _setup()["sources"], _setup()["stem_ids"]
    stems = tuple(
        Stem(id, song, {"filename": files[id]}, stream)
        for id, stream in sorted(streams.items(), key=lambda pair: pair[1])
        if id in files
    )
    return Track(_name(song), split, stems, Stem("mixture", song, {}, streams["mixture"]))


def _from_files(song: Path, split: str) -> Track:
    files, streams = _setup()["sources"], _setup()["stem_ids"]
    stems = (Stem(id, own(song, files[id]), {"filename": files[id]}) for id in sorted(files, key=streams.__getitem__))
    return Track(_name(song), split, present(stems, Path("MUSDB18-HQ")), mixture_at(own(song, _setup()["mixture"])))
