"""Audio and MIDI files: headers that lie, and bytes that were flipped."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
import soundfile
from hypothesis import strategies as st

from fuzz.contents import spoiled_bytes
from fuzz.judging import Door
from hiersep import audio
from hiersep.audio.blocks import file_blocks
from hiersep.data.measuring import TrackWork, measure_track
from hiersep.data.tracks import Stem

RATE, FRAMES = 8000, 400
SIZES_32 = st.sampled_from((0, 1, 7, 44, 800, 836, 2**31 - 1, 2**31, 2**32 - 1, 10**9)) | st.integers(0, 2000)
RATES = st.sampled_from((8000, 16000, 44100, 0, 1, 7, 999, 768000, 10**6, 2**31 - 1, 2**31, 2**32 - 1))
CHANNELS = st.sampled_from((1, 2, 0, 3, 8, 255, 1024, 65535))


def _samples() -> np.ndarray:
    return (0.3 * np.sin(np.arange(FRAMES) / 5)).astype(np.float32)


@st.composite
def wavs(draw) -> bytes:
    """A WAV file of which any field of the header may be anything."""

    def one(good: int, bad: st.SearchStrategy) -> int:
        return good if draw(st.integers(0, 3)) else draw(bad)

    rate, channels = one(RATE, RATES), one(1, CHANNELS)
    bits = one(16, st.sampled_from((8, 24, 32, 64, 0, 1, 7, 255, 65535)))
    kind = one(1, st.sampled_from((3, 0xFFFE, 2, 6, 7, 17, 49, 85, 0, 65535)))
    align = one(channels * bits // 8 % 65536, st.sampled_from((0, 1, 2, 65535)))
    data = _samples().tobytes()[: draw(st.sampled_from((1600, 801, 3, 0)))]
    fmt = struct.pack("<HHIIHH", kind, channels, rate, rate * align % 2**32, align, bits)
    fmt += draw(
        st.sampled_from((b"", b"\x00\x00", b"\x16\x00" + b"\x10\x00" + b"\x03\x00\x00\x00" + b"\x01" + b"\x00" * 15))
    )
    chunks = [(b"fmt ", fmt), (b"data", data)]
    if draw(st.booleans()):
        chunks.insert(
            draw(st.integers(0, 2)),
            draw(
                st.sampled_from(
                    ((b"fact", b"\xff" * 4), (b"ds64", b"\xff" * 28), (b"LIST", b"INFO"), (b"PEAK", b"\x01"))
                )
            ),
        )
    if draw(st.integers(0, 4)) == 0:
        chunks.reverse()
    body = b"".join(
        name + struct.pack("<I", draw(SIZES_32) if draw(st.integers(0, 3)) == 0 else len(content)) + content
        for name, content in chunks
    )
    form = draw(st.sampled_from((b"RIFF",) * 5 + (b"RF64", b"RIFX", b"BW64")))
    return form + struct.pack("<I", one(len(body) + 4, SIZES_32)) + b"WAVE" + body


@st.composite
def flacs(draw, content: bytes) -> bytes:
    """A FLAC file whose STREAMINFO claims other block sizes, rates, channels and lengths."""
    head = bytearray(content)
    rate, channels, bits = (
        draw(st.sampled_from((8000, 0, 1, 655350, 2**20 - 1))),
        draw(st.integers(0, 7)),
        draw(st.integers(0, 31)),
    )
    total = draw(st.sampled_from((FRAMES, 0, 1, 10**9, 2**31, 2**36 - 1)))
    packed = (rate << 44) | (channels << 41) | (bits << 36) | total
    if draw(st.booleans()):
        packed = (int.from_bytes(head[18:26], "big") >> 36 << 36) | total  # the length alone
    head[18:26] = packed.to_bytes(8, "big")
    if draw(st.integers(0, 3)) == 0:
        head[8:12] = draw(st.binary(min_size=4, max_size=4))
    return bytes(head)


AU = struct.pack(">4sIIIII", b".snd", 24, 2**32 - 1, 3, RATE, 1) + _samples().tobytes()


def doors(folder: Path) -> list[Door]:
    """Sound files."""
    contents: dict[str, bytes] = {}
    for suffix in (".wav", ".flac", ".ogg", ".aiff", ".mp3"):
        soundfile.write(folder / f"made{suffix}", _samples(), RATE)
        contents[suffix] = (folder / f"made{suffix}").read_bytes()
    # RF64, W64 and CAF have 64 bits for their lengths; AU may leave its own open.
    for name in ("RF64", "W64", "CAF"):
        soundfile.write(folder / "made.x", _samples(), RATE, format=name, subtype="PCM_16")
        contents[f"{name}.wav"] = (folder / "made.x").read_bytes()
    contents["AU.wav"] = AU

    def take(case: tuple[str, bytes]) -> None:
        suffix, content = case
        path = folder / f"x{suffix}"
        path.write_bytes(content)
        header = audio.info(path)
        assert header.duration >= 0
        samples, rate = audio.read(path)
        assert samples.shape[0] == header.channels
        assert rate == header.sample_rate
        audio.read(path, start=FRAMES // 2, frames=10)
        for _ in file_blocks(path, frames=min(header.frames, 10_000)):
            pass
        measure_track(TrackWork((Stem("S00", path, {}),), (None,), None, RATE))

    other = [(Path(name).suffix, content) for name, content in contents.items()]
    flipped = st.sampled_from(other).flatmap(
        lambda pair: st.tuples(st.just(pair[0]), spoiled_bytes(st.just(pair[1]), head=100))
    )
    return [
        Door("audio, wav", wavs().map(lambda content: (".wav", content)), take, 150, 5_000),
        Door("audio, flac", flacs(contents[".flac"]).map(lambda content: (".flac", content)), take, 100, 3_000),
        Door("audio, bytes", flipped, take, 150, 6_000),
        *_stem_doors(folder),
        *_midi_doors(folder),
    ]


def _stem_doors(folder: Path) -> list[Door]:
    """MUSDB18's container, by ffmpeg: two programs are started for every case."""
    path = folder / "x.stem.mp4"
    streams = ["-f", "lavfi", "-i", "sine=440:r=8000:d=0.1"] * 2
    maps = ["-map", "0:a", "-map", "1:a", "-c:a", "aac"]
    subprocess.run(["ffmpeg", "-y", "-loglevel", "error", *streams, *maps, "-f", "mp4", str(path)], check=True)
    content = path.read_bytes()

    def take(case: bytes) -> None:
        path.write_bytes(case)
        audio.info(path, stream=1)
        audio.read(path, stream=1)

    near_end = st.builds(
        lambda head: content[: len(content) // 2] + head,
        spoiled_bytes(st.just(content[len(content) // 2 :]), head=3000),
    )
    return [Door("audio, stem.mp4, bytes", near_end | spoiled_bytes(st.just(content)), take, 2, 100)]


@st.composite
def midis(draw) -> bytes:
    """A MIDI file of events, some of them odd."""
    notes = st.sampled_from(
        (
            b"\x90\x40\x40",
            b"\x80\x40\x00",
            b"\x99\x24\x7f",
            b"\xc0\x18",
            b"\xe0\x00\x40",
            b"\xb0\x07\x7f",
            b"\xb0\x78\x00",
        )
    )
    metas = st.sampled_from(
        (
            b"\xffQ\x03\x07\xa1 ",
            b"\xffQ\x03\x00\x00\x00",
            b"\xffQ\x03\xff\xff\xff",
            b"\xffX\x04\x04\x02\x18\x08",
            b"\xffX\x04\x00\xff\x00\x00",
            b"\xff\x03\x02hi",
            b"\xff\x03\x02\xff\xfe",
            b"\xffY\x02\x7f\x07",
            b"\xf0\x01\xf7",
            b"@@",
        )
    )
    times = st.sampled_from((*(b"\x00", b"\x60") * 5, b"\x83\x60", b"\xff\xff\xff\x7f", b"\xff\xff\x7f"))
    tracks = []
    for _ in range(draw(st.integers(1, 3))):
        events = draw(st.lists(st.tuples(times, notes | metas), min_size=1, max_size=12))
        body = (
            b"\x00\x90\x40\x40\x60\x80\x40\x00"
            + b"".join(time + event for time, event in events)
            + draw(st.sampled_from((*(b"\x00\xff\x2f\x00",) * 5, b"")))
        )
        length = len(body) if draw(st.integers(0, 9)) else draw(SIZES_32)
        tracks.append(b"MTrk" + struct.pack(">I", length) + body)
    ticks = draw(st.sampled_from((*(480,) * 6, 96, 1, 0, 32767, 0xE728, 65535)))
    return (
        b"MThd"
        + struct.pack(">IHHH", 6, draw(st.sampled_from((1, 1, 1, 1, 0, 2, 9))), len(tracks), ticks)
        + b"".join(tracks)
    )


def _midi_doors(folder: Path) -> list[Door]:
    from hiersep.render.midi import read_midi

    path = folder / "x.mid"

    def take(case: bytes) -> None:
        path.write_bytes(case)
        song = read_midi(path).cut(10.0)
        assert song.duration <= 20

    return [Door("MIDI", midis() | spoiled_bytes(midis()), take, 150, 5_000)]
