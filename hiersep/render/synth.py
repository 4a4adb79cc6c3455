"""FluidSynth by its library: notes in, float samples out.

Each stem is played by a synthesizer of its own: only then are the samples the same on every run and in every
process. Events take effect at FluidSynth's internal blocks of 64 samples, so they are placed on that grid.
Reverb and chorus are off: stems are dry, and their sum is the mixture.
"""

from __future__ import annotations

import contextlib
import ctypes
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hiersep.errors import DataError, HiersepError
from hiersep.render.song import PITCH_BEND

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from hiersep.render.orchestrate import Voice
    from hiersep.render.song import Part

BLOCK_SAMPLES = 64
DRUM_CHANNEL = 9
_LOG_LEVELS = 5
_FAILED = -1


class _Library(NamedTuple):
    """pyfluidsynth's module, and the two calls that it does not wrap."""

    module: Any
    write_float: Any
    version: str


@lru_cache(maxsize=1)
def library() -> _Library:
    """Load FluidSynth, silence its log, and bind what pyfluidsynth leaves out.

    Raises:
        HiersepError: If the shared library or pyfluidsynth is not installed.
    """
    try:
        import fluidsynth
    except (ImportError, OSError, AttributeError) as error:
        raise HiersepError(
            f"FluidSynth cannot be loaded ({error}); install its library (Debian: `apt install libfluidsynth3`) "
            "and `pip install pyfluidsynth`"
        ) from error
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    write_float = fluidsynth.cfunc(
        "fluid_synth_write_float", integer,
        ("synth", pointer, 1), ("len", integer, 1),
        ("left", pointer, 1), ("left_offset", integer, 1), ("left_step", integer, 1),
        ("right", pointer, 1), ("right_offset", integer, 1), ("right_step", integer, 1),
    )  # fmt: skip
    set_log = fluidsynth.cfunc(
        "fluid_set_log_function",
        pointer,
        ("level", integer, 1),
        ("function", pointer, 1),
        ("data", pointer, 1),
    )
    for level in range(_LOG_LEVELS):
        set_log(level, None, None)
    numbers = [ctypes.c_int() for _ in range(3)]
    fluidsynth.fluid_version(*numbers)
    return _Library(fluidsynth, write_float, ".".join(str(number.value) for number in numbers))


@contextlib.contextmanager
def synthesizer(path: Path, sample_rate: int) -> Iterator[tuple[Any, int]]:
    """Give a fresh synthesizer with one soundfont loaded, and the soundfont's id; delete it afterwards."""
    synth = library().module.Synth(
        gain=0.5,
        samplerate=float(sample_rate),  # of a whole number pyfluidsynth 1.3.2 makes none, and 44.1 kHz it stays
        channels=16,
        **{
            "synth.dynamic-sample-loading": 1,
            "synth.reverb.active": 0,
            "synth.chorus.active": 0,
            "synth.cpu-cores": 1,
            "synth.threadsafe-api": 0,
        },
    )
    try:
        font = synth.sfload(str(path))
        if font == _FAILED:
            raise DataError(
                f"{path}: expected a soundfont that FluidSynth reads (.sf2, .sf3), got something else; "
                "choose another file"
            )
        yield synth, font
    finally:
        synth.delete()


def list_presets(path: Path) -> dict[tuple[int, int], str]:
    """List a soundfont's melodic presets of bank 0 and its drum kits (bank 128).

    Returns:
        (bank, preset number) -> name.

    Raises:
        DataError: If FluidSynth cannot read it.
    """
    presets = {}
    with synthesizer(path, 44100) as (synth, font):
        for bank in (0, 128):
            for number in range(128):
                name = synth.sfpreset_name(font, bank, number)
                if name is not None:
                    presets[bank, number] = " ".join(name.split())
    return presets


_OFF, _CONTROL, _ON = range(3)  # the order of what falls on one block


def _events(part: Part, sample_rate: int) -> list[tuple[int, int, int, int]]:
    """List (block, order, number, value), sorted: releases before controls before attacks."""
    blocks_per_s = sample_rate / BLOCK_SAMPLES
    events = []
    for note in part.notes:
        start = round(note.start * blocks_per_s)
        end = max(round(note.end * blocks_per_s), start + 1)
        events.append((start, _ON, note.pitch, note.velocity))
        events.append((end, _OFF, note.pitch, 0))
    for control in part.controls:
        events.append((round(control.time * blocks_per_s), _CONTROL, control.number, control.value))
    return sorted(events, key=lambda event: event[:2])  # stable: controls stay in their order


def _send(synth: Any, channel: int, event: tuple[int, int, int, int]) -> None:
    _, order, number, value = event
    if order == _ON:
        synth.noteon(channel, number, value)
    elif order == _OFF:
        synth.noteoff(channel, number)
    elif number == PITCH_BEND:
        synth.pitch_bend(channel, value)
    else:
        synth.cc(channel, number, value)


def synthesize(part: Part, voice: Voice, frames: int, sample_rate: int) -> npt.NDArray[np.float32]:
    """Play a part.

    Args:
        part: What is played.
        voice: The sound; its layers play the same notes, its level is not applied.
        frames: Length wanted.
        sample_rate: In Hz, 8000-96000.

    Returns:
        Mono samples at FluidSynth's own level, not normalised; the mean of its two channels.

    Shape:
        output: (frames,).

    Raises:
        DataError: If the soundfont cannot be read or lacks the preset.
    """
    stereo = np.zeros((2, frames), np.float32)  # (channel, time)
    left, right = stereo.ctypes.data, stereo[1:].ctypes.data
    channels = range(DRUM_CHANNEL, DRUM_CHANNEL + 1) if part.is_drum else range(len(voice.layers))
    write = library().write_float
    with synthesizer(voice.soundfont.path, sample_rate) as (synth, font):
        for channel, (bank, preset) in zip(channels, voice.layers, strict=True):
            if synth.program_select(channel, font, bank, preset) == _FAILED:
                raise DataError(f"{voice.soundfont.path}: preset {bank}:{preset} cannot be selected")
        position = 0
        for block, events in groupby(_events(part, sample_rate), key=lambda event: event[0]):
            until = min(block * BLOCK_SAMPLES, frames)
            if until > position:
                write(synth.synth, until - position, left, position, 1, right, position, 1)
                position = until
            for event in events:
                for channel in channels:
                    _send(synth, channel, event)
        if frames > position:
            write(synth.synth, frames - position, left, position, 1, right, position, 1)
    mono: npt.NDArray[np.float32] = stereo.mean(axis=0, dtype=np.float32)
    return mono
