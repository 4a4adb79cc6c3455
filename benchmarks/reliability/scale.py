"""A data set of 25,000 stems, a hierarchy of 2,000 nodes, 200,000 items: seconds, MB, and whether memory grows.

The data set has Slakh2100's layout and size: 2,500 tracks of 10 stems, each of half a second of other noise, so that
nothing but their number weighs. Every step runs in a process of its own; its MB are the most that it held beyond what
the imports take. The *floor* of opening is the least that tells whether anything has changed: one status per stem, the
bytes of the metadata, and the arrays of the catalog. Opening is judged by CPU time too, which other programs on the
machine do not change.

`--tracks N` and `--items N` make it smaller (default: 2500, 200000).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

from benchmarks._memory import WORKERS, memory_growth
from benchmarks._report import Bar, run
from hiersep import HierarchicalMixtureDataset, Hierarchy, open_dataset
from hiersep.cli import main as hiersep
from hiersep.data.annotation import to_jams
from hiersep.data.recipe import Recipe, render_recipe
from hiersep.data.restoring import read_annotation
from hiersep.files import write_json

RATE, LENGTH_S, STEMS = 8000, 0.5, 10
GROUPS, LEAVES = 40, 49  # with the root 2,001 nodes
LOADING_S, OF_FLOOR, GROWTH_MB = 2.0, 10.0, 50.0
ENTRY = """  S{stem:02d}:
    audio_rendered: true
    inst_class: Guitar
    integrated_loudness: -12.9
    is_drum: false
    midi_program_name: Acoustic Guitar (steel)
    midi_saved: true
    plugin_name: {leaf}
    program_num: {program}
"""


def write_data(folder: Path, tracks: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(tracks):
        place = folder / "train" / f"Track{number + 1:05d}"
        (place / "stems").mkdir(parents=True)
        entries = []
        for stem in range(STEMS):
            samples = 0.1 * rng.standard_normal(round(LENGTH_S * RATE))
            soundfile.write(place / "stems" / f"S{stem:02d}.wav", samples, RATE, "PCM_16")
            leaf = leaf_name((STEMS * number + stem) % (GROUPS * LEAVES))
            entries.append(ENTRY.format(stem=stem, leaf=leaf, program=8 * stem))
        (place / "metadata.yaml").write_text(f"UUID: {number:032x}\nstems:\n{''.join(entries)}", encoding="utf-8")


def leaf_name(number: int) -> str:
    return f"leaf_{number // LEAVES}_{number % LEAVES}"


def write_hierarchy(path: Path) -> None:
    groups = {f"group_{g}": [leaf_name(LEAVES * g + leaf) for leaf in range(LEAVES)] for g in range(GROUPS)}
    labels = {leaf: leaf for leaves in groups.values() for leaf in leaves}
    tree = {"mixture": groups}
    levels = ["mixture", "group", "leaf"]
    write_json(path, {"name": "many", "levels": levels, "tree": tree, "match": "plugin_name", "labels": labels})


def open_again(folder: Path, hierarchy: Path) -> None:
    open_dataset(folder, sample_rate=RATE)


def floor(folder: Path, hierarchy: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = f"{parent}/{name}"
            if name.endswith(".yaml"):
                Path(path).read_bytes()
            else:
                os.stat(path)  # noqa: PTH116  (the least that can be done)
    (catalog,) = Path(os.environ["HIERSEP_CACHE"]).rglob("catalog.npz")
    with np.load(catalog) as arrays:
        for name in arrays.files:
            arrays[name]


def sampled(folder: Path, hierarchy: Path | str, target: str | None, items: int) -> HierarchicalMixtureDataset:
    return HierarchicalMixtureDataset(
        folder, hierarchy, split="train", target=target, num_mixtures=items, duration=LENGTH_S, sample_rate=RATE
    )


def sample(folder: Path, hierarchy: Path) -> None:
    dataset = sampled(folder, "slakh_ismir2020", "guitar", 1000)
    for index in range(1000):
        dataset[index]


def print_tree(folder: Path, hierarchy: Path) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        sys.argv = ["hiersep", "tree", str(hierarchy)]
        hiersep()
    assert printed.getvalue().count("leaf_") >= GROUPS * LEAVES


def mix_all_nodes(folder: Path, hierarchy: Path) -> None:
    dataset = sampled(folder, hierarchy, None, 10)
    for index in range(10):
        item = dataset[index]
        assert len(item["sources"]) == len(dataset.hierarchy) - 1
        level = item["sources"][:GROUPS].sum(0)  # the coarsest below the root
        assert float((level - item["mix"]).abs().max()) < 1e-5


def annotate(folder: Path, hierarchy: Path) -> None:
    dataset = sampled(folder, hierarchy, None, 1)
    tree = Hierarchy.load(hierarchy)
    recipe = Recipe(dataset.spec(0), tree, tree.ids[1:], RATE)
    rendition = render_recipe(dataset.catalog, recipe)
    path = folder.parent / "mixture.jams"
    to_jams(dataset.catalog, recipe, rendition).save(str(path))
    again = render_recipe(dataset.catalog, read_annotation(path).recipe(dataset.catalog))
    assert again.digest == rendition.digest


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def watched(step, folder: Path, hierarchy: Path) -> tuple[float, float, float]:
    """Run a step; give its wall time and CPU time in seconds, and the MB that it added."""
    before = peak_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    step(folder, hierarchy)
    return time.perf_counter() - wall, time.process_time() - cpu, peak_mb() - before


def grow(folder: Path, items: int) -> float:
    return memory_growth(sampled(folder, "slakh_ismir2020", "guitar", items), items)


def apart(function, *arguments):
    """Call a function in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


STEPS = {
    "open again": open_again,
    "floor: status, metadata's bytes, arrays": floor,
    "open and make 1000 items": sample,
    "hiersep tree FILE, 2001 nodes": print_tree,
    "open and mix 10 items of 2001 nodes": mix_all_nodes,
    "open, write and rebuild JAMS of 2001 nodes": annotate,
}


def measure(repeats: int, tracks: int, items: int):
    with tempfile.TemporaryDirectory() as scratch:
        folder, hierarchy = Path(scratch, "data"), Path(scratch, "many.json")
        os.environ["HIERSEP_CACHE"] = str(Path(scratch, "cache"))
        write_data(folder, tracks)
        write_hierarchy(hierarchy)
        found = {f"index {STEMS * tracks} stems": [apart(watched, open_again, folder, hierarchy)]}
        for _ in range(repeats):  # in turn, so that a busy moment falls on all
            for name, step in STEPS.items():
                found.setdefault(name, []).append(apart(watched, step, folder, hierarchy))
        grown = apart(grow, folder, items) if items else None
    medians = {name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in found.items()}
    rows = [{"step": name, "s": wall, "cpu_s": cpu, "mb": mb} for name, (wall, cpu, mb) in medians.items()]
    loading, least = medians["open again"], medians["floor: status, metadata's bytes, arrays"]
    bars = [
        Bar(f"seconds to open {STEMS * tracks} stems", loading[0], f"<= {LOADING_S:g}"),
        Bar(f"CPU seconds to open {STEMS * tracks} stems", loading[1], f"<= {LOADING_S:g}"),
        Bar("times the floor's CPU time to open", loading[1] / least[1], f"<= {OF_FLOOR:g}"),
        Bar("most MB that a step takes", max(mb for _, _, mb in medians.values()), "<= 500"),
    ]
    if grown is not None:
        name = f"MB that {WORKERS} workers and their parent grow in {items} items"
        bars.append(Bar(name, grown, f"<= {GROWTH_MB:g}"))
    return rows, bars


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--tracks", type=int, default=2500)
    parser.add_argument("--items", type=int, default=200000)
    options, others = parser.parse_known_args(arguments)
    about = "Measure size. Also: --tracks N (default: 2500), --items N (default: 200000; 0: none)."
    return run(about, lambda repeats: measure(repeats, options.tracks, options.items), repeats=3, arguments=others)


if __name__ == "__main__":
    sys.exit(main())
