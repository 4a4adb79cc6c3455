"""What it takes to separate long files, by their length: memory that does not grow, and time that grows in step.

A stereo file at 44.1 kHz of each length is separated into files by `hiersep.separation.write_estimates`, as the command
does: decoded, resampled to the network's rate, separated, resampled back and written as it goes. Each in a process of
its own, as a peak never falls. *Memory* is the most that the process has while it separates; beside it stands what that
is above what it has with the model loaded.

The network is `--model`'s, by default a small trained one (`tests/fixtures/path.safetensors`), so that an hour takes a
minute or two and what is not the network is seen; `--nodes` says which of its nodes are written. Lengths: `--minutes`,
the first of which is what the others are compared with.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks._report import Bar, run
from benchmarks.inference import FIXTURE, resident_mb
from hiersep import audio
from hiersep.models.loading import load_separator
from hiersep.separation import Passage, write_estimates

RATE, CHANNELS = 44100, 2
GROWTH, MOST_MB, SLOWER = 1.1, 1000.0, 1.2


def write_song(path: Path, minutes: float) -> None:
    """Write noise, ten seconds of it over and over."""
    block = 0.1 * np.random.default_rng(0).standard_normal((CHANNELS, 10 * RATE))
    frames = round(minutes * 60 * RATE)
    with audio.Writer(path, RATE, CHANNELS, frames=frames) as file:
        for start in range(0, frames, block.shape[1]):
            file.write(block[:, : frames - start])


def separate_file(model: str, nodes: list[str] | None, minutes: float) -> tuple[float, float, float]:
    """Measure the peak of memory in MB, what of it is above the loaded model's, and seconds."""
    passage = Passage(load_separator(model), nodes=nodes)
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "song.wav"
        write_song(song, minutes)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        before, started = resident_mb("VmRSS"), time.perf_counter()
        write_estimates(song, passage, Path(folder) / "out", file_format=audio.FileFormat.of("flac", "16"))
        peak, seconds = resident_mb("VmHWM"), time.perf_counter() - started
        return peak, peak - before, seconds


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--model", default=str(FIXTURE))
    parser.add_argument("--nodes", type=lambda words: words.split(","))
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 10.0, 60.0])
    options, rest = parser.parse_known_args(arguments)

    def measure(repeats: int):
        best: dict[float, tuple[float, ...]] = {}
        for minutes, _ in itertools.product(options.minutes, range(repeats)):
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                measured = pool.submit(separate_file, options.model, options.nodes, minutes).result()
            best[minutes] = tuple(map(min, measured, best.get(minutes, measured)))
        rows = [
            {"minutes": minutes, "peak_mb": peak, "above_model_mb": above, "s_per_minute": seconds / minutes}
            for minutes, (peak, above, seconds) in best.items()
        ]
        first, *_, last = rows
        second = rows[min(1, len(rows) - 1)]
        return rows, [
            Bar(f"times the memory of {first['minutes']:g} minutes for {last['minutes']:g}",
                last["peak_mb"] / first["peak_mb"], f"<= {GROWTH:g}"),
            Bar(f"of {MOST_MB:g} MB above the loaded model",
                max(row["above_model_mb"] for row in rows) / MOST_MB, "<= 1"),
            Bar(f"times the time per minute of {second['minutes']:g} minutes for {last['minutes']:g}",
                last["s_per_minute"] / second["s_per_minute"], f"<= {SLOWER:g}"),
        ]  # fmt: skip

    return run("Memory and time of separating long files.", measure, repeats=1, arguments=rest)


if __name__ == "__main__":
    sys.exit(main())
