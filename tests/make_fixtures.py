"""Trains the three small networks of tests/fixtures/, on which statements about sound are tested.

Usage, from the repository's root: python tests/make_fixtures.py [path] [query] [tree]

Songs and trainings lie in out/fixtures/; what is there already is not made again. On two cores the songs take two
minutes and each training five to ten. Another machine's arithmetic gives slightly other weights.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from hiersep.config import (
    DataConfig,
    ExperimentConfig,
    NetworkConfig,
    QueryConfig,
    SeparatorConfig,
    SpectrumConfig,
    TrainingConfig,
)
from hiersep.models import checkpoint
from hiersep.render import RenderSettings, render
from hiersep.training.experiment import train

FIXTURES = Path(__file__).parent / "fixtures"
WORK = Path("out/fixtures")
# Other songs than those of the tests (seed 25 in conftest.py). The first soundfont found is pretty_midi's own.
SONGS = RenderSettings(tracks=360, seed=588, duration=16.0, splits=(0.9, 0.1, 0.0), sample_rate=8000, format="wav")

DATA = DataConfig(
    folder=str(WORK / "songs"),
    duration=2.0,
    sample_rate=8000,
    incoherent=0.5,
    gain_db=3.0,
    num_train=1600,
    num_validation=160,
)
# What most songs have, of six families: enough examples of each to learn from 324 songs.
ASKED = ["distorted_electric_guitar", "acoustic_piano", "organ", "string_ensemble", "electric_bass", "drums"]
# Nodes that sound in most clips. Where one is silent in half of them, the network learns silence and keeps to it.
NODES = ["strings_guitars_keyboards", "superlevel_bass", "superlevel_percussion", "guitar", "clean_guitars"]
PATH = ExperimentConfig(
    data=replace(DATA, target="clean_guitars"),
    # Bins of 31 Hz keep the head, which has most of the weights, small: 600 kB a file at most.
    spectrum=SpectrumConfig(n_fft=256, hop_length=128),
    network=NetworkConfig(hidden_size=56, num_layers=1, dropout=0.0, skip=True),
    training=TrainingConfig(
        loss="negative_snr",
        batch_size=16,
        max_epochs=30,
        learning_rate=3e-3,
        schedule="cosine",
        num_workers=1,
        device="cpu",
    ),
)
EXPERIMENTS = {
    "path": PATH,
    "query": replace(
        PATH,
        data=replace(DATA, hierarchy="slakh34", target=ASKED, balanced=True),
        separator=SeparatorConfig(kind="query"),
        network=replace(PATH.network, hidden_size=40),
        query=QueryConfig(hidden_size=16, num_layers=1, dropout=0.0, embedding_size=8),
    ),
    "tree": replace(
        PATH,
        data=replace(DATA, target=NODES, salient=["clean_guitars"]),
        separator=SeparatorConfig(kind="tree"),
        network=replace(PATH.network, hidden_size=40),
    ),
}


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    songs = render(DATA.folder, SONGS)
    # All are trained before one is written: the commit that each says it is of is clean then.
    trained = {name: train(EXPERIMENTS[name], WORK / name) for name in names or EXPERIMENTS}
    for name, best in trained.items():
        made = {
            **checkpoint.describe(best)["provenance"],
            "data": f"{sum(songs.tracks.values())} songs of {SONGS.duration:.0f} s, composed and rendered by hiersep "
            f"with seed {SONGS.seed}",
            "recipe": "tests/make_fixtures.py",
            "licence": "MIT",
        }
        out = FIXTURES / f"{name}.safetensors"
        checkpoint.save(checkpoint.from_pretrained(best), out, made)
        print(f"{out}: {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
