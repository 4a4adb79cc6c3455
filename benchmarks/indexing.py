"""How fast a data set is indexed and its store written, beside the bare work of the libraries on the same cores.

The data set: flac files of 44.1 kHz, 16 bits, white noise in bursts, eight to a track. Bare is what nobody can go
without: soundfile decodes, soxr resamples, pyloudnorm listens, in as many processes. Both run in turn, on processes
that were started before; the first round is not counted. The bar: index and store at 0.8 of the bare speed or more.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyloudnorm
import soundfile
import soxr
from joblib import Parallel, cpu_count, delayed

from benchmarks._report import Bar, run
from hiersep.data.catalog import index_dataset

RATE, SOURCE_RATE = 16000, 44100
TRACKS, STEMS, LENGTH_S = 8, 8, 60.0


def write_data(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    count = round(LENGTH_S * SOURCE_RATE)
    paths = []
    for track in range(TRACKS):
        for stem in range(STEMS):
            bursts = np.repeat(rng.random(60) > 0.3, -(-count // 60))[:count]
            path = folder / f"song{track}" / f"stem{stem}.flac"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, 0.05 * bursts * rng.standard_normal(count), SOURCE_RATE, "PCM_16")
            paths.append(path)
    return paths


def bare(path: Path) -> float:
    samples, rate = soundfile.read(path, dtype="float32")
    return float(pyloudnorm.Meter(RATE).integrated_loudness(soxr.resample(samples, rate, RATE)))


def run_bare(paths: list[Path], folder: Path) -> None:
    Parallel(n_jobs=-1, batch_size=1)(delayed(bare)(path) for path in paths)


def run_index(paths: list[Path], folder: Path) -> None:
    index_dataset(folder)


def run_index_and_store(paths: list[Path], folder: Path) -> None:
    index_dataset(folder, store_channels=1)


WORK = {"bare libraries": run_bare, "index": run_index, "index --store": run_index_and_store}


def measure(repeats: int):
    times = {name: [] for name in WORK}
    with tempfile.TemporaryDirectory() as place:
        data = Path(place, "data")
        data.mkdir()
        paths = write_data(data)
        for number in range(repeats + 1):
            for name, work in WORK.items():
                os.environ["HIERSEP_CACHE"] = f"{place}/cache {number} {name}"  # an empty one
                started = time.perf_counter()
                work(paths, data)
                times[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    audio_s = TRACKS * STEMS * LENGTH_S
    rows = [
        {"what": name, "processes": cpu_count(), "median_s": median, "times_real_time": audio_s / median}
        for name, median in medians.items()
    ]
    reference = medians["bare libraries"]
    return rows, [
        Bar(
            "speed of the index and the store, as a share of the bare libraries'",
            reference / medians["index --store"],
            ">= 0.8",
        )
    ]


def main(arguments: list[str] | None = None) -> int:
    return run(
        "Time the measuring of a data set, and the writing of its store.", measure, repeats=3, arguments=arguments
    )


if __name__ == "__main__":
    sys.exit(main())
