"""How fast mixtures are made, beside scaper, bare reads and the least that must be done; and how memory grows.

All in one process, on tracks that are rendered first: 16 kHz, about 8 stems, clips of 10 s, a path of 3 levels, tensors
out. The *floor* is one memory-mapped slice of all stems, to float32, and one matrix product. scaper generates the same
clips of the same stems, as arrays, without any annotation on disk. From flac, without a store, the other side is
soundfile's own reading of the same windows. The ways take turns, so that a busy moment falls on all; torch has one
thread, as it has in a loader's worker. Afterwards two workers make many items, and the anonymous memory of all
processes is watched: memory-mapped pages are not in it.

`--items N` says how many items that are (default: 10,000; the first 500, or half, do not count; 0: none).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import soundfile
import torch

from benchmarks._memory import WORKERS, memory_growth
from benchmarks._report import Bar, run
from hiersep import HierarchicalMixtureDataset
from hiersep.compat import scaper
from hiersep.data.catalog import index_dataset
from hiersep.render import RenderSettings, render

SETTINGS = RenderSettings(tracks=6, seed=3, splits=(1.0, 0.0, 0.0), duration=60.0, sample_rate=16000, format="wav")
CLIP_S, TARGET = 10.0, "clean_guitars"
CLIPS, SLOW_CLIPS = 100, 5  # per turn; scaper needs 50 times as long for one
OF_FLOOR, OF_SCAPER, OF_SOUNDFILE, GROWTH_MB = 0.5, 30.0, 0.7, 50.0


def open_mixtures(folder: Path, num_mixtures: int = CLIPS) -> HierarchicalMixtureDataset:
    return HierarchicalMixtureDataset(
        folder, "slakh_ismir2020", split="train", target=TARGET, duration=CLIP_S, num_mixtures=num_mixtures
    )


def copy_as_flac(folder: Path, out: Path) -> None:
    """Copy a data set whose stems are wav files, and make flac files of them."""
    shutil.copytree(folder, out)
    for path in out.glob("train/*/stems/*.wav"):
        samples, rate = soundfile.read(path, dtype="int16")
        soundfile.write(path.with_suffix(".flac"), samples, rate)
        path.unlink()


class Floor:
    """The least that must be done for a mixture, on memory-mapped files of its own."""

    def __init__(self, dataset: HierarchicalMixtureDataset, folder: Path) -> None:
        self.dataset, self.maps = dataset, []
        folder.mkdir()
        for number, track in enumerate(dataset.catalog.tracks):
            stems = np.stack([soundfile.read(stem.path, dtype="int16")[0] for stem in track.stems])
            np.save(folder / f"{number}.npy", stems)
            self.maps.append(np.load(folder / f"{number}.npy", mmap_mode="r"))
        self.rows = [torch.ones(1 + len(dataset.nodes), len(stems)) for stems in self.maps]

    def __call__(self, index: int) -> torch.Tensor:
        """Make the mixture and submixes of an item."""
        track, start_s = self.places[index]
        begin = round(start_s * SETTINGS.sample_rate)
        stems = self.maps[track][:, begin : begin + round(CLIP_S * SETTINGS.sample_rate)].astype(np.float32)
        return self.rows[track] @ torch.from_numpy(stems)

    def prepare(self) -> None:
        """Look up the clips beforehand: drawing them is not in the floor."""
        specs = map(self.dataset.spec, range(CLIPS))
        self.places = [(spec.track, spec.start_s) for spec in specs]


def generate(dataset: HierarchicalMixtureDataset, index: int, silence: Path) -> np.ndarray:
    """Let scaper make the clip of an item."""
    spec = dataset.spec(index)
    stems = dataset.catalog.tracks[spec.track].stems
    mixer = scaper.Scaper(CLIP_S, str(stems[0].path.parents[1]), str(silence), random_state=0)
    mixer.sr, mixer.ref_db, mixer.fade_in_len, mixer.fade_out_len = SETTINGS.sample_rate, -20, 0, 0
    for stem in stems:
        mixer.add_event(
            label=("const", stem.path.parent.name),
            source_file=("const", str(stem.path)),
            source_time=("const", spec.start_s),
            event_time=("const", 0),
            event_duration=("const", CLIP_S),
            snr=("const", 0),
            pitch_shift=None,
            time_stretch=None,
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mixer.generate(fix_clipping=False)[0]


def read_bare(dataset: HierarchicalMixtureDataset, index: int) -> list[np.ndarray]:
    """Read all stems of an item's clip with soundfile alone."""
    spec = dataset.spec(index)
    begin = round(spec.start_s * SETTINGS.sample_rate)
    end = begin + round(CLIP_S * SETTINGS.sample_rate)
    stems = dataset.catalog.tracks[spec.track].stems
    return [soundfile.read(stem.path, start=begin, stop=end, dtype="float32")[0] for stem in stems]


def per_second(make, count: int) -> float:
    started = time.perf_counter()
    for index in range(count):
        make(index)
    return count / (time.perf_counter() - started)


def measure(repeats: int, items: int):
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["HIERSEP_CACHE"] = str(folder / "cache")
        (folder / "silence").mkdir()
        render(folder / "wav", SETTINGS)
        copy_as_flac(folder / "wav", folder / "flac")
        index_dataset(folder / "wav", store_channels=1)
        stored, decoded = open_mixtures(folder / "wav"), open_mixtures(folder / "flac")
        assert stored.catalog.store is not None
        assert decoded.catalog.store is None
        floor = Floor(stored, folder / "floor")
        floor.prepare()
        ways = {
            "floor: slice, float32, product": (floor, CLIPS),
            "dataset[i], store": (stored.__getitem__, CLIPS),
            "process_item, AudioSignals, store": (lambda index: stored.process_item(stored.items[index]), CLIPS),
            "scaper.Scaper.generate, wav": (lambda index: generate(stored, index, folder / "silence"), SLOW_CLIPS),
            "soundfile.read, flac": (lambda index: read_bare(decoded, index), CLIPS // 4),
            "dataset[i], flac": (decoded.__getitem__, CLIPS // 4),
        }
        speeds = {name: [] for name in ways}
        for turn in range(repeats + 1):  # the first unmeasured: files come into the cache
            for name, (make, count) in ways.items():
                speed = per_second(make, count)
                if turn:
                    speeds[name].append(speed)
        grown = memory_growth(open_mixtures(folder / "wav", items), items) if items else None
    rows = [
        {"made by": name, "per_s": statistics.median(values), "fastest": max(values), "slowest": min(values)}
        for name, values in speeds.items()
    ]
    least, mine, _, its, bare, from_flac = (row["per_s"] for row in rows)
    bars = [
        Bar("of the floor's speed, with a store", mine / least, f">= {OF_FLOOR:g}"),
        Bar("times scaper's speed, with a store", mine / its, f">= {OF_SCAPER:g}"),
        Bar("of the speed of bare reads, from flac", from_flac / bare, f">= {OF_SOUNDFILE:g}"),
    ]
    if grown is not None:
        bars.append(
            Bar(f"MB that {WORKERS} workers and their parent grow in {items} items", grown, f"<= {GROWTH_MB:g}")
        )
    return rows, bars


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--items", type=int, default=10000)
    options, others = parser.parse_known_args(arguments)
    about = "Time mixtures. Also: --items N, how many two workers make while memory is watched (default: 10000)."
    return run(about, lambda repeats: measure(repeats, options.items), repeats=5, arguments=others)


if __name__ == "__main__":
    sys.exit(main())
