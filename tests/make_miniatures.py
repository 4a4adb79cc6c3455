"""Write miniatures of the data sets that hiersep reads: ``python tests/make_miniatures.py FOLDER``.

One tree per data set and version, with the folders, keys and strings that they publish (Slakh: slakh-utils; MUSDB18:
musdb; MoisesDB: moises-db; MedleyDB: marl/medleydb) and a fifth of a second of noise per stem. Knows nothing of
hiersep, so that its readers are judged by what is published and not by what they believe.

Stems are 16-bit and small, so their sum is exact; a mixture is that sum where the data set's is.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import uuid
from itertools import count
from pathlib import Path

import numpy as np
import soundfile
import yaml

SECONDS, RATE = 0.2, 44100
SEEDS = count()

# (program, inst_class, midi_program_name, plugin_name)
SLAKH_STEMS = [
    (0, "Piano", "Acoustic Grand Piano", "grand-piano-YDP-20160804.nkm"),
    (24, "Guitar", "Acoustic Guitar (nylon)", "nylon_guitar.nkm"),
    (27, "Guitar", "Electric Guitar (clean)", "elektrik_guitar.nkm"),
    (30, "Guitar", "Distortion Guitar", "/Library/Audio/Plug-Ins/Components/AGML2.component"),
    (33, "Bass", "Electric Bass (finger)", "scarbee_jay_bass_both.nkm"),
    (48, "Strings (continued)", "String Ensemble 1", "string_ensemble.nkm"),
    (65, "Reed", "Alto Sax", "alto_sax.nkm"),
    (128, "Drums", "Drums", "modern_kit_full.nkm"),
]

MOISES_TYPES = {
    "vocals": [
        "lead male singer",
        "lead female singer",
        "human choir",
        "background vocals",
        "other (vocoder, beatboxing etc)",
    ],
    "bass": [
        "bass guitar",
        "bass synthesizer (moog etc)",
        "contrabass/double bass (bass of instrings)",
        "tuba (bass of brass)",
        "bassoon (bass of woodwind)",
    ],
    "drums": ["snare drum", "toms", "kick drum", "cymbals", "overheads", "full acoustic drumkit", "drum machine"],
    "other": ["fx/processed sound, scratches, gun shots, explosions etc", "click track"],
    "guitar": [
        "clean electric guitar",
        "distorted electric guitar",
        "lap steel guitar or slide guitar",
        "acoustic guitar",
    ],
    "other_plucked": ["banjo, mandolin, ukulele, harp etc"],
    "percussion": [
        "a-tonal percussion (claps, shakers, congas, cowbell etc)",
        "pitched percussion (mallets, glockenspiel, ...)",
    ],
    "piano": ["grand piano", "electric piano (rhodes, wurlitzer, piano sound alike)"],
    "other_keys": ["organ, electric organ", "synth pad", "synth lead", "other sounds (hapischord, melotron etc)"],
    "bowed_strings": [
        "violin (solo)",
        "viola (solo)",
        "cello (solo)",
        "violin section",
        "viola section",
        "cello section",
        "string section",
        "other strings",
    ],
    "wind": [
        "brass (trumpet, trombone, french horn, brass etc)",
        "flutes (piccolo, bamboo flute, panpipes, flutes etc)",
        "reeds (saxophone, clarinets, oboe, english horn, bagpipe)",
        "other wind",
    ],
}

MEDLEY_INSTRUMENTS = {
    "strings": """erhu, violin, viola, cello, double bass, violin section, viola section, cello section, string section,
        dilruba, acoustic guitar, banjo, guzheng, harp, harpsichord, liuqin, mandolin, oud, slide guitar, ukulele,
        zhongruan, sitar, dulcimer, yangqin, piano, tack piano""",
    "winds": """dizi, flute, flute section, piccolo, bamboo flute, panpipes, recorder, alto saxophone,
        baritone saxophone, bass clarinet, clarinet, clarinet section, tenor saxophone, soprano saxophone, oboe,
        english horn, bassoon, bagpipe, trumpet, cornet, trombone, french horn, euphonium, tuba, brass section,
        french horn section, trombone section, horn section, trumpet section, harmonica, concertina, accordion,
        bandoneon, harmonium, pipe organ, melodica""",
    "voices": """male singer, female singer, male speaker, female speaker, male rapper, female rapper, beatboxing,
        vocalists, choir, crowd, male screamer, female screamer""",
    "percussion": """triangle, sleigh bells, cowbell, cabasa, high hat, gong, guiro, gu, cymbal, chimes, castanet,
        claps, rattle, shaker, maracas, xylophone, vibraphone, marimba, glockenspiel, whistle, snaps, timpani, toms,
        snare drum, kick drum, bass drum, bongo, conga, tambourine, darbuka, doumbek, tabla, auxiliary percussion,
        drum set""",
    "electric": """clean electric guitar, distorted electric guitar, electric bass, lap steel guitar, drum machine,
        electric piano, electronic organ, synthesizer, theremin, fx/processed sound, scratches, sampler""",
    "other": "Main System, Unlabeled",
}


def write_noise(path: Path, *, channels: int = 1, rate: int = RATE) -> np.ndarray:
    """Write 16-bit noise, each time another, and return it. Shape: (time, channel)."""
    samples = np.random.default_rng(next(SEEDS)).integers(-200, 201, (round(SECONDS * rate), channels), dtype=np.int16)
    write(path, samples, rate)
    return samples


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, "PCM_16")


def write_yaml(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


# --- Slakh2100


def write_slakh_track(track: Path, programs: list[int], *, suffix: str = ".flac", rate: int = RATE, **changes) -> None:
    """Write a track with stems of the given programs."""
    known = {program: rest for program, *rest in SLAKH_STEMS}
    listed, total = {}, 0
    for number, program in enumerate(programs):
        inst_class, name, plugin = known[program]
        listed[f"S{number:02d}"] = {
            "audio_rendered": True,
            "inst_class": inst_class,
            "integrated_loudness": -13.017,
            "is_drum": program == 128,
            "midi_program_name": name,
            "midi_saved": True,
            "plugin_name": plugin,
            "program_num": program,
        }
        total = total + write_noise(track / "stems" / f"S{number:02d}{suffix}", rate=rate)
    write(track / f"mix{suffix}", total, rate)
    for midi in ("all_src.mid", *(f"MIDI/{stem}.mid" for stem in listed)):
        (track / midi).parent.mkdir(exist_ok=True)
        (track / midi).write_bytes(b"MThd")
    metadata = {
        "UUID": "1a81ae092884234f3264e2f45927f00a",
        "audio_dir": "stems",
        "lmd_midi_dir": "lmd_matched/O/O/B/TROOBTK128F427E2A7/1a81ae092884234f3264e2f45927f00a.mid",
        "midi_dir": "MIDI",
        "normalization_factor": -13.0,
        "normalized": True,
        "overall_gain": 0.18270259567062658,
        "stems": listed,
        "target_peak": -1.0,
    }
    write_yaml(track / "metadata.yaml", {**metadata, **changes})


def write_slakh(root: Path) -> None:
    all_programs = [program for program, *_ in SLAKH_STEMS]
    orig = {"train": (1, 3, 26), "validation": (1501, 1506, 1510), "test": (1876, 1879, 1890)}
    for split, numbers in orig.items():
        for number in numbers:
            write_slakh_track(root / "slakh_orig" / split / f"Track{number:05d}", all_programs[number % 4 :])
    redux = {"train": (1, 3), "validation": (1501,), "test": (1876,), "omitted": (49, 1506, 1879)}
    for split, numbers in redux.items():
        for number in numbers:
            write_slakh_track(root / "slakh_redux" / split / f"Track{number:05d}", all_programs[:4])
    for split, number in (("train", 1), ("val", 1501), ("test", 1876)):
        write_slakh_track(root / "slakh_merl" / split / f"Track{number:05d}", all_programs[:4], suffix=".wav")
    for number in (1, 1501, 1506, 1876):
        write_slakh_track(root / "slakh_flat" / f"Track{number:05d}", all_programs[4:])
    for number in (1, 2):
        write_slakh_track(root / "babyslakh_16k" / f"Track{number:05d}", all_programs[:5], suffix=".wav", rate=16000)
    write_faulty_slakh(root / "slakh_faulty")


def write_faulty_slakh(root: Path) -> None:
    """S01 of Track00001 was not rendered, S02 has no file; Track00616 has absolute folders."""
    track = root / "train/Track00001"
    write_slakh_track(track, [0, 24, 27, 30, 128])
    metadata = yaml.safe_load((track / "metadata.yaml").read_text(encoding="utf-8"))
    metadata["stems"]["S01"]["audio_rendered"] = False
    write_yaml(track / "metadata.yaml", metadata)
    for stem in ("S01", "S02"):
        (track / f"stems/{stem}.flac").unlink()
    absolute = "/data/slakh/train/Track00616"
    write_slakh_track(root / "train/Track00616", [0, 33], audio_dir=f"{absolute}/stems", midi_dir=f"{absolute}/MIDI")


# --- MUSDB18


def write_musdb18(root: Path) -> None:
    """HQ's five wav files per song; the compressed version is stempeg's own song, once as a song held out."""
    songs = ("train/A Song - In Train", "train/Actions - One Minute Smile", "test/AM Contra - Heart Peripheral")
    for song in songs:
        folder = root / "musdb18hq" / song
        stems = [write_noise(folder / f"{name}.wav", channels=2) for name in ("drums", "bass", "other", "vocals")]
        write(folder / "mixture.wav", sum(stems))
    package = Path(importlib.util.find_spec("stempeg").origin).parent
    (song,) = (package / "data").glob("*.stem.mp4")
    for name in ("train/Actions - One Minute Smile", "test/The Easton Ellises - Falcon 69"):
        target = root / "musdb18" / f"{name}.stem.mp4"
        target.parent.mkdir(parents=True)
        shutil.copyfile(song, target)


# --- MoisesDB


def write_moisesdb_song(folder: Path, stems: dict[str, list[str]]) -> None:
    """Write a song with the given track types per stem."""
    listed = []
    for stem, types in stems.items():
        tracks = []
        for kind in types:
            id = str(uuid.UUID(int=next(SEEDS)))
            write_noise(folder / stem / f"{id}.wav", channels=2)
            tracks.append({"trackType": kind, "id": id, "extension": "wav", "has_bleed": False, "type": "audio"})
        listed.append({"stemName": stem, "id": str(uuid.UUID(int=next(SEEDS))), "tracks": tracks})
    listed[0]["tracks"][0]["has_bleed"] = True
    content = {"artist": "An Artist", "song": "A Song", "genre": "pop", "stems": listed}
    (folder / "data.json").write_text(json.dumps(content), encoding="utf-8")


def write_moisesdb(root: Path) -> None:
    """Every track type once; in another tree, types that are in no list."""
    songs = root / "moisesdb/moisesdb_v0.1"
    half = len(MOISES_TYPES) // 2
    for name, stems in (("1b", list(MOISES_TYPES.items())[:half]), ("0a", list(MOISES_TYPES.items())[half:])):
        write_moisesdb_song(songs / f"{name}000000-0000-4000-8000-000000000000", dict(stems))
    odd = {"drums": ["hi-hat", "cajon", "cajon"], "wind": ["kazoo"]}
    write_moisesdb_song(root / "moisesdb_odd/2c000000-0000-4000-8000-000000000000", odd)


# --- MedleyDB


def write_medleydb_song(song: Path, instruments: list[str], *, has_bleed: str = "no", **more) -> None:
    """Write a song; its mixture is mastered: half as loud again as the sum of its stems."""
    stems, total = {}, 0
    for number, instrument in enumerate(instruments, 1):
        filename = f"{song.name}_STEM_{number:02d}.wav"
        total = total + write_noise(song / f"{song.name}_STEMS" / filename, channels=2).astype(np.int32)
        raw = f"{song.name}_RAW_{number:02d}_01.wav"
        write_noise(song / f"{song.name}_RAW" / raw)
        stems[f"S{number:02d}"] = {
            "component": {1: "melody", 2: "bass"}.get(number, ""),
            "filename": filename,
            "instrument": instrument,
            "raw": {"R01": {"filename": raw, "instrument": instrument}},
        }
    write(song / f"{song.name}_MIX.wav", np.rint(total * 1.5).astype(np.int16))
    artist, _, title = song.name.partition("_")
    metadata = {
        "album": "An Album",
        "artist": artist,
        "composer": [artist],
        "excerpt": "no",
        "genre": "Classical",
        "has_bleed": has_bleed,
        "instrumental": "yes",
        "mix_filename": f"{song.name}_MIX.wav",
        "origin": "Dolan Studio",
        "producer": [artist],
        "raw_dir": f"{song.name}_RAW",
        "stem_dir": f"{song.name}_STEMS",
        "stems": stems,
        "title": title,
        "website": [""],
        **more,
    }
    write_yaml(song / f"{song.name}_METADATA.yaml", metadata)


def write_medleydb(root: Path) -> None:
    """Every instrument of the taxonomy once; version 1 has its metadata in a folder of their own."""
    taxonomy = {family: " ".join(names.split()).split(", ") for family, names in MEDLEY_INSTRUMENTS.items()}
    v1 = root / "medleydb_v1"
    write_medleydb_song(v1 / "Audio/AnArtist_Strings", taxonomy["strings"])
    write_medleydb_song(v1 / "Audio/AnArtist_Bleeding", taxonomy["winds"] + taxonomy["other"], has_bleed="yes")
    (v1 / "Metadata").mkdir()
    for path in v1.glob("Audio/*/*_METADATA.yaml"):
        path.rename(v1 / "Metadata" / path.name)
    both = root / "medleydb_v1_v2"
    write_medleydb_song(both / "V1/AnArtist_Band", taxonomy["voices"] + taxonomy["electric"])
    write_medleydb_song(both / "V2/AnotherArtist_Drums", taxonomy["percussion"], version=1.2, **{"release date": None})


# --- plain folders


def write_folders(root: Path) -> None:
    for song, stems in {
        "train/one": ("vocals", "drums", "gtr_left", "gtr_right"),
        "train/two": ("vocals", "drums", "bass", "piano"),
        "val/three": ("vocals", "drums"),
        "test/one": ("vocals", "gtr_left"),
    }.items():
        write(
            root / "folder" / song / "mixture.wav", sum(write_noise(root / "folder" / song / f"{s}.wav") for s in stems)
        )
    for song in ("a", "b"):
        for stem in ("drums", "synth"):
            write_noise(root / "folder_flat" / song / f"{stem}.flac")


def main() -> None:
    root = Path(sys.argv[1])
    for write_data_set in (write_slakh, write_musdb18, write_moisesdb, write_medleydb, write_folders):
        write_data_set(root)


if __name__ == "__main__":
    main()
