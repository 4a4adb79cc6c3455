"""How fast a stem is rendered, beside FluidSynth alone: times real time, on one core.

Our way is all that `render_track` does for a stem: a fresh synthesizer with its soundfont, the notes, the loudness,
16 bits on disk. Bare FluidSynth is its own player and its own file renderer, on the MIDI file that we wrote of the
same stem, at the same rate and with the same settings. The two take turns, stem by stem. The bars: at least 30 times
real time, and at least 0.7 of bare FluidSynth.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import soundfile

from benchmarks._report import Bar, run
from hiersep.render import RenderSettings
from hiersep.render.midi import write_midi
from hiersep.render.multitrack import render_stem, write_stem
from hiersep.render.plan import make_plan
from hiersep.render.synth import synthesizer

SETTINGS = RenderSettings(tracks=2, seed=0, splits=(1.0, 0.0, 0.0), duration=60.0)
GAIN = 0.1  # a small track's: nothing clips
REAL_TIME, SHARE = 30.0, 0.7


def ours(folder: Path, part, voice, frames: int) -> float:
    """Render a stem as `render_track` does; give its length in seconds."""
    samples = render_stem(part, voice, frames, SETTINGS.sample_rate)
    write_stem(folder / f"ours.{SETTINGS.format}", samples, GAIN, SETTINGS.sample_rate)
    return frames / SETTINGS.sample_rate


def bare(folder: Path, midi: Path, voice) -> float:
    """Let FluidSynth play a MIDI file into an audio file; give its length in seconds."""
    with synthesizer(voice.soundfont.path, SETTINGS.sample_rate) as (synth, _):
        synth.midi2audio(str(midi), str(folder / "bare.wav"))
    return soundfile.info(folder / "bare.wav").duration


def speed(render, *arguments) -> float:
    """Give how many times faster than real time a rendering is."""
    started = time.perf_counter()
    seconds = render(*arguments)
    return seconds / (time.perf_counter() - started)


def measure(repeats: int):
    plan = make_plan(SETTINGS)
    speeds = {"ours": [], "bare FluidSynth": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for track in plan.tracks:
            arrangement = plan.arrange(track)
            (folder / track.name).mkdir()
            write_midi(folder / track.name, arrangement.song, arrangement.voices)
            frames = round(arrangement.song.duration * SETTINGS.sample_rate)
            stems = list(zip(arrangement.song.parts, arrangement.voices, strict=True))
            ours(folder, *stems[0], frames)  # once unmeasured: libraries are loaded, files come into the cache
            for _ in range(repeats):
                for index, (part, voice) in enumerate(stems):
                    midi = folder / track.name / "MIDI" / f"S{index:02d}.mid"
                    speeds["ours"].append(speed(ours, folder, part, voice, frames))
                    speeds["bare FluidSynth"].append(speed(bare, folder, midi, voice))
    rows = [
        {
            "stem rendered by": name,
            "times_real_time": statistics.harmonic_mean(values),
            "fastest": max(values),
            "slowest": min(values),
        }
        for name, values in speeds.items()
    ]
    mine, its = (row["times_real_time"] for row in rows)
    bars = [Bar("times real time, per core and stem", mine, f">= {REAL_TIME:g}")]
    return rows, [*bars, Bar("of the speed of bare FluidSynth", mine / its, f">= {SHARE:g}")]


def main(arguments: list[str] | None = None) -> int:
    return run("Time the rendering of stems.", measure, repeats=3, arguments=arguments)


if __name__ == "__main__":
    sys.exit(main())
