"""Render a few short songs, and lay their stems out as a data set is published: real sound in the real layout.

Usage: python recipes/miniature.py KIND FOLDER

KIND is musdb18 (as MUSDB18-HQ), moisesdb or slakh. The songs are composed and rendered by hiersep, at the 44.1 kHz of
all three, in stereo but for slakh, each stem at a place of its own; the mixture is the sum of the stems, to the last
bit. Nobody sings in them: `vocals` are the choir, or else a melody. What is complete is not made again.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hiersep import audio
from hiersep.cli.command import run_script
from hiersep.data.readers import slakh
from hiersep.errors import ConfigError
from hiersep.files import atomic_path
from hiersep.render import RenderSettings, render

if TYPE_CHECKING:
    import numpy.typing as npt

    from hiersep.data.tracks import Track

RATE, FULL_SCALE, PEAK = 44100, 32768, 0.9
SEEDS = {"musdb18": 3, "moisesdb": 4, "slakh": 5}  # other songs for each
# The second is one of those that musdb holds out of `train` for the validation.
MUSDB18_SONGS = ("train/Miniature - One", "train/Actions - One Minute Smile", "train/Miniature - Two",
                 "test/Miniature - Three")  # fmt: skip
# Whom the table of splits `artists` deals to train, validation, train and test.
ARTISTS = ("The Lanterns", "Two Rivers", "Moth", "Salt")
# Up to which General MIDI program, and 128 for drums, a stem and a track type of MoisesDB, as it publishes them.
TYPES = (
    (3, "piano", "grand piano"),
    (7, "piano", "electric piano (rhodes, wurlitzer, piano sound alike)"),
    (15, "percussion", "pitched percussion (mallets, glockenspiel, ...)"),
    (23, "other_keys", "organ, electric organ"),
    (25, "guitar", "acoustic guitar"),
    (28, "guitar", "clean electric guitar"),
    (31, "guitar", "distorted electric guitar"),
    (32, "bass", "contrabass/double bass (bass of instrings)"),
    (37, "bass", "bass guitar"),
    (39, "bass", "bass synthesizer (moog etc)"),
    (40, "bowed_strings", "violin (solo)"),
    (41, "bowed_strings", "viola (solo)"),
    (43, "bowed_strings", "cello (solo)"),
    (51, "bowed_strings", "string section"),
    (54, "vocals", "human choir"),
    (63, "wind", "brass (trumpet, trombone, french horn, brass etc)"),
    (71, "wind", "reeds (saxophone, clarinets, oboe, english horn, bagpipe)"),
    (79, "wind", "flutes (piccolo, bamboo flute, panpipes, flutes etc)"),
    (87, "other_keys", "synth lead"),
    (95, "other_keys", "synth pad"),
    (107, "other_plucked", "banjo, mandolin, ukulele, harp etc"),
    (127, "percussion", "a-tonal percussion (claps, shakers, congas, cowbell etc)"),
    (128, "drums", "full acoustic drumkit"),
)
SINGERS = ("wind", "bowed_strings", "other_keys", "guitar")  # who takes the voice's part where there is no choir
MUSDB18_STEMS = {"vocals": "vocals", "bass": "bass", "drums": "drums", "percussion": "drums"}  # all else is `other`


class Sound(NamedTuple):
    """A stem as MoisesDB names it, and its samples in steps of 16 bits, (channel, time)."""

    stem: str
    track_type: str
    steps: npt.NDArray[np.int16]


def main(kind: str, folder: str) -> None:
    if kind not in SEEDS:
        raise ConfigError(f"KIND: expected {', '.join(SEEDS)}, got {kind!r}")
    settings = RenderSettings(
        tracks=4, seed=SEEDS[kind], splits=(0.5, 0.25, 0.25), sample_rate=RATE, duration=5.0, format="wav"
    )
    if kind == "slakh":
        render(folder, settings)
    elif not Path(folder).exists():
        write = write_musdb18 if kind == "musdb18" else write_moisesdb
        with tempfile.TemporaryDirectory() as songs, atomic_path(folder) as place:
            render(songs, settings)
            write(place, [sounds_of(track) for track in slakh.tracks(Path(songs))])
    print(f"{folder}: a miniature of {kind}, rendered")


def sounds_of(track: Track) -> list[Sound]:
    """Read the stems of a rendered song, each at a place between the channels, and let one of them sing."""
    count = len(track.stems)
    panned = []
    for number, stem in enumerate(track.stems):
        right = (number + 0.5) / count
        panned.append(np.sqrt([[1 - right], [right]]) * audio.read(stem.path)[0])
    loudest = max(np.abs(samples).max() for samples in (*panned, np.sum(panned, axis=0)))
    sounds = []
    for stem, samples in zip(track.stems, panned, strict=True):
        name, kind = next((name, kind) for last, name, kind in TYPES if stem.attributes["program_num"] <= last)
        sounds.append(Sound(name, kind, np.rint(samples * (PEAK * FULL_SCALE / loudest)).astype(np.int16)))
    if not any(sound.stem == "vocals" for sound in sounds):
        wanted = [place for name in SINGERS for place, sound in enumerate(sounds) if sound.stem == name]
        sounds[wanted[0]] = Sound("vocals", "lead female singer", sounds[wanted[0]].steps)
    return sounds


def write_musdb18(folder: Path, songs: list[list[Sound]]) -> None:
    for name, sounds in zip(MUSDB18_SONGS, songs, strict=True):
        stems = {stem: np.zeros_like(sounds[0].steps) for stem in ("drums", "bass", "other", "vocals")}
        for sound in sounds:
            stems[MUSDB18_STEMS.get(sound.stem, "other")] += sound.steps
        for stem, steps in {**stems, "mixture": np.sum(list(stems.values()), axis=0)}.items():
            audio.write(folder / name / f"{stem}.wav", steps / FULL_SCALE, RATE)


def write_moisesdb(folder: Path, songs: list[list[Sound]]) -> None:
    for artist, sounds in zip(ARTISTS, songs, strict=True):
        song = folder / "moisesdb_v0.1" / str(uuid.uuid5(uuid.NAMESPACE_URL, artist))
        listed: dict[str, list[dict[str, object]]] = {}
        for number, sound in enumerate(sounds):
            id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{artist}/{number}"))
            audio.write(song / sound.stem / f"{id}.wav", sound.steps / FULL_SCALE, RATE)
            track = {"trackType": sound.track_type, "id": id, "extension": "wav", "has_bleed": False}
            listed.setdefault(sound.stem, []).append(track)
        stems = [{"stemName": name, "id": name, "tracks": tracks} for name, tracks in listed.items()]
        about = {"artist": artist, "song": "A Miniature", "genre": "pop", "stems": stems}
        (song / "data.json").write_text(json.dumps(about, indent=2), encoding="utf-8")


if __name__ == "__main__":
    run_script(main)
