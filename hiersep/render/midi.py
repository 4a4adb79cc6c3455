"""Songs from General MIDI files, and songs to MIDI files."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import mido
import numpy as np
import pretty_midi

from hiersep.errors import DataError
from hiersep.render.orchestrate import kind_of
from hiersep.render.song import DRUMS, PITCH_BEND, Control, Note, Part, Song

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hiersep.render.orchestrate import Voice

SUFFIXES = (".mid", ".midi")
TICKS_PER_BEAT = 480
TAIL_S = 1.0  # let the last note fade
DRUM_CHANNEL = 9
_MELODIC_CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)
_BANK_SELECT = (0, 32)  # the soundfont's bank is ours to choose
_FIRST_MODE_MESSAGE = 120


def find_midi(folder: Path) -> list[Path]:
    """List the MIDI files in a folder and its subfolders, in an order that does not depend on the machine.

    Raises:
        DataError: If there is no such folder, or no MIDI file in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of MIDI files, found none; check the path")
    found = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not found:
        raise DataError(f"{folder}: no .mid or .midi file in it; give a folder of General MIDI files")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _part(kind: str, instruments: Sequence[pretty_midi.Instrument]) -> Part:
    notes, controls = [], []
    for instrument in instruments:
        notes += [Note(float(n.start), float(n.end), int(n.pitch), int(n.velocity)) for n in instrument.notes]
        controls += [
            Control(float(change.time), int(change.number), int(change.value))
            for change in instrument.control_changes
            if change.number not in _BANK_SELECT and change.number < _FIRST_MODE_MESSAGE
        ]
        controls += [Control(float(bend.time), PITCH_BEND, int(bend.pitch)) for bend in instrument.pitch_bends]
    return Part(kind, "written", tuple(sorted(notes)), tuple(sorted(controls, key=lambda control: control.time)))


def read_midi(path: Path) -> Song:
    """Read a General MIDI file: one part per channel and program; the drums of all tracks are one part.

    Raises:
        DataError: If it is not a MIDI file, or holds no note.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tempo changes on later tracks: common, harmless
            score = pretty_midi.PrettyMIDI(str(path))
            times, tempi = score.get_tempo_changes()
            if not (np.isfinite(tempi).all() and (tempi > 0).all()):
                raise ValueError("a tempo without end")
    except Exception as error:  # mido and pretty_midi let any type of error out of a malformed file
        detail = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: expected a MIDI file, got something else ({detail})") from error
    melodic = [instrument for instrument in score.instruments if not instrument.is_drum and instrument.notes]
    kits = [instrument for instrument in score.instruments if instrument.is_drum and instrument.notes]
    parts = [_part(DRUMS, kits)] if kits else []
    parts += [_part(kind_of(instrument.program), [instrument]) for instrument in melodic]
    if not parts:
        raise DataError(f"{path}: expected notes, got a MIDI file without any")
    meter = score.time_signature_changes[0] if score.time_signature_changes else None
    return Song(
        tuple(parts),
        max(note.end for part in parts for note in part.notes) + TAIL_S,
        tuple((float(time), float(tempo)) for time, tempo in zip(times, tempi, strict=True)),
        (int(meter.numerator), int(meter.denominator)) if meter else (4, 4),
    )


class _Clock:
    """Seconds to ticks, through the song's changes of tempo."""

    def __init__(self, tempi: Sequence[tuple[float, float]]) -> None:
        self.starts = np.array([time for time, _ in tempi])
        self.rates = np.array([tempo for _, tempo in tempi]) * TICKS_PER_BEAT / 60  # ticks per second
        self.ticks = np.concatenate([[0.0], np.cumsum(np.diff(self.starts) * self.rates[:-1])])

    def __call__(self, times: Sequence[float]) -> list[int]:
        seconds = np.asarray(times, float)
        segment = np.searchsorted(self.starts, seconds, side="right") - 1
        exact = self.ticks[segment] + (seconds - self.starts[segment]) * self.rates[segment]
        return [int(tick) for tick in np.rint(exact)]


def _track(events: list[tuple[int, int, mido.Message]], name: str) -> mido.MidiTrack:
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=name, time=0)])
    now = 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        message.time = tick - now
        now = tick
        track.append(message)
    track.append(mido.MetaMessage("end_of_track", time=0))
    return track


def _tempo_track(song: Song, clock: _Clock) -> mido.MidiTrack:
    numerator, denominator = song.meter
    meter = mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator)
    events = [(0, 0, meter)]
    for tick, (_, tempo) in zip(clock([time for time, _ in song.tempi]), song.tempi, strict=True):
        events.append((tick, 1, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo))))
    return _track(events, "tempo")


def _part_track(part: Part, voice: Voice | None, channel: int, clock: _Clock) -> mido.MidiTrack:
    program = voice.layers[0][1] if voice is not None else 0
    events = [(0, 0, mido.Message("program_change", channel=channel, program=program))]
    for tick, control in zip(clock([control.time for control in part.controls]), part.controls, strict=True):
        if control.number == PITCH_BEND:
            message = mido.Message("pitchwheel", channel=channel, pitch=control.value)
        else:
            message = mido.Message("control_change", channel=channel, control=control.number, value=control.value)
        events.append((tick, 2, message))
    starts, ends = clock([note.start for note in part.notes]), clock([note.end for note in part.notes])
    for note, start, end in zip(part.notes, starts, ends, strict=True):
        on = mido.Message("note_on", channel=channel, note=note.pitch, velocity=note.velocity)
        off = mido.Message("note_off", channel=channel, note=note.pitch, velocity=0)
        events += [(start, 3, on), (max(end, start + 1), 1, off)]
    return _track(events, part.kind)


def write_midi(folder: Path, song: Song, voices: Sequence[Voice | None]) -> None:
    """Write a track's MIDI: ``all_src.mid`` with every part, and ``MIDI/S00.mid`` and so on with one each.

    Args:
        folder: The track's.
        song: The parts.
        voices: Their sounds; a part without one is written with program 0.
    """
    clock = _Clock(song.tempi)
    tempo_track = _tempo_track(song, clock)
    (folder / "MIDI").mkdir()
    tracks = []
    for index, (part, voice) in enumerate(zip(song.parts, voices, strict=True)):
        channel = DRUM_CHANNEL if part.is_drum else _MELODIC_CHANNELS[index % len(_MELODIC_CHANNELS)]
        tracks.append(_part_track(part, voice, channel, clock))
        _save(folder / "MIDI" / f"S{index:02d}.mid", [tempo_track, tracks[-1]])
    _save(folder / "all_src.mid", [tempo_track, *tracks])


def _save(path: Path, tracks: list[mido.MidiTrack]) -> None:
    mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT, tracks=tracks).save(str(path))
