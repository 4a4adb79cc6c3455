"""Wrote tests/fixtures/vX.Y.Z/: one small file of every kind that hiersep writes, as that version wrote it.

They are what a user has on disk: every later version reads them (tests/test_upgrades.py), so they are made once, when a
version is released, and stay. Usage, from the repository's root: python tests/make_version.py

The data set lies at one place while it is measured and when it is tested, with times that are set, because a catalog
knows its files by their paths, sizes and times.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from helpers import BASS, PIANO, RATE, noise, write_slakh

from hiersep import Hierarchy, __version__, evaluate, train
from hiersep.config import DataConfig, EvaluationConfig, ExperimentConfig, NetworkConfig, SpectrumConfig, TrainingConfig
from hiersep.data.catalog import index_dataset
from hiersep.data.writing import WriteSettings, write_mixtures
from hiersep.render import RenderSettings, render

PLACE = Path("/tmp/hiersep-upgrades")
MODIFIED_S = 1_700_000_000
TRACKS = ("train/Track00001", "train/Track00002", "validation/Track00003", "test/Track00004")
TREE = {
    "name": "small",
    "levels": ["mixture", "group", "stem"],
    "tree": {"mixture": {"keys": ["piano"], "low": ["bass"]}},
    "match": "program_num",
    "labels": {"piano": PIANO, "bass": BASS},
}
RENDERED = RenderSettings(tracks=1, seed=1, duration=4.0, splits=(1.0, 0.0, 0.0), sample_rate=8000, format="wav")


def restore_data(data: Path, place: Path) -> Path:
    """Lay a data set where it was measured, with the times that it had; what lies there already stays."""
    for path in sorted(data.rglob("*")):
        there = place / path.relative_to(data)
        if path.is_file() and not (there.is_file() and there.read_bytes() == path.read_bytes()):
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, there)
        if path.is_file():
            os.utime(there, (MODIFIED_S, MODIFIED_S))
    return place


def write_data(folder: Path) -> None:
    stems = [
        [
            (program, noise(1.0, db=-25.0, rate=RATE, seed=10 * track + stem))
            for stem, program in enumerate((PIANO, BASS))
        ]
        for track in range(len(TRACKS))
    ]
    # Of 8 bits, so that the files are small.
    coarse = [[(program, np.round(samples * 128) / 128) for program, samples in track] for track in stems]
    write_slakh(folder, dict(zip(TRACKS, coarse, strict=True)), suffix=".flac")


def experiment(data: Path, hierarchy: Path) -> ExperimentConfig:
    return ExperimentConfig(
        data=DataConfig(
            folder=str(data), hierarchy=str(hierarchy), target="piano", duration=0.5, sample_rate=RATE, num_train=2,
            num_validation=1,
        ),
        spectrum=SpectrumConfig(n_fft=32, hop_length=16),
        network=NetworkConfig(hidden_size=2, num_layers=1, dropout=0.0),
        training=TrainingConfig(batch_size=2, max_epochs=1, num_workers=0, device="cpu"),
    )  # fmt: skip


def call(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "hiersep", *map(str, words)], check=True)


def main() -> None:
    torch.set_num_threads(1)
    out = Path(__file__).parent / "fixtures" / f"v{__version__}"
    PLACE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PLACE, prefix="work") as scratch:
        tree = PLACE / "hierarchy.yaml"  # so that what is written names no folder of whoever ran this
        os.environ["HIERSEP_CACHE"] = str(out / "cache")
        write_data(out / "data")
        data = restore_data(out / "data", PLACE / "data")
        for suffix in ("yaml", "json"):
            (out / f"hierarchy.{suffix}").write_text(Hierarchy.load(TREE).dump(suffix), encoding="utf-8")
        shutil.copy(out / "hierarchy.yaml", tree)
        index_dataset(data, sample_rate=RATE, store_channels=1)
        settings = WriteSettings(str(data), str(tree), 1, duration=0.5, sample_rate=RATE)
        write_mixtures(Path(scratch, "mixtures"), settings, jobs=1)
        (out / "mixtures").mkdir()
        for file in Path(scratch, "mixtures").glob("*.j*"):
            shutil.copy(file, out / "mixtures")
        exp = Path(scratch, "exp")
        best = train(experiment(data, tree), exp)
        scored = EvaluationConfig(num_test=1, num_static=2, duration=0.5)
        evaluate(best, data, scored, out=exp, device="cpu")
        (out / "exp").mkdir()
        for name in ("conf.yml", "best.safetensors", "last.ckpt", "results.json", "clips.json", "scores.csv"):
            if (exp / name).exists():
                shutil.copy(exp / name, out / "exp")
        call("separate", next(data.rglob("S00.flac")), "--model", best, "--out", exp / "separated")
        shutil.copy(next((exp / "separated").rglob("separation.json")), out)
        render(Path(scratch, "songs"), RENDERED, jobs=1)
        shutil.copy(Path(scratch, "songs/render.json"), out)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out}: {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
