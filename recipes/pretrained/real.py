"""Measure networks on the one real recording at hand: the song that stempeg carries (MUSDB18's format, 6 s).

Usage: python real.py CHECKPOINT ...

Its stems are drums, bass, vocals and other: each is held against the node that should hold it, where the network
estimates that. The mixture is the sum of the stems. One song of 6 s says how a network fails, not how good it is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import stempeg
import torch

from hiersep.cli.command import run_script
from hiersep.metrics import improvement, relative_level_db, si_sdr
from hiersep.models.checkpoint import from_pretrained
from hiersep.separation import separate

STEMS = ("drums", "bass", "other", "vocals")  # streams 1 to 4 of MUSDB18's files
# What a stem's instruments are called in the hierarchies that the shipped networks estimate. Vocals are in none.
NODES = {
    "drums": ("superlevel_percussion", "percussion", "drums"),
    "bass": ("superlevel_bass", "bass", "electric_basses"),
    "other": ("strings_guitars_keyboards", "guitar", "clean_guitars"),
}


def main(*checkpoints: str) -> None:
    streams, rate = stempeg.read_stems(stempeg.example_stem_path())  # (stem, time, channel)
    stems = np.moveaxis(np.asarray(streams, dtype=np.float32)[1:], -1, 1)
    mixture = torch.from_numpy(stems.sum(axis=0))
    print("SI-SDR in dB, of the mixture, of the estimate, and its improvement; the estimate's level under the mixture")
    for name in checkpoints:
        model = from_pretrained(name)
        estimates = dict(zip(model.nodes, separate(mixture.numpy(), rate, model), strict=True))
        print(f"\n{Path(name).stem}\n\n| stem | node | mixture | network | improvement | level |")
        print("|---|---|--:|--:|--:|--:|")
        for stem, nodes in NODES.items():
            reference = torch.from_numpy(stems[STEMS.index(stem)])[None]
            for node in (node for node in nodes if node in estimates):
                estimate = torch.from_numpy(estimates[node])[None]
                score = si_sdr(estimate, reference).item()
                gain = improvement(si_sdr, estimate, reference, mixture).item()
                level = relative_level_db(estimate, mixture).item()
                print(f"| {stem} | {node} | {score - gain:.1f} | {score:.1f} | {gain:.1f} | {level:.1f} |")


if __name__ == "__main__":
    run_script(main)
