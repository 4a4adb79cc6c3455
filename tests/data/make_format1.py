"""Made the checkpoints of format 1 in tests/data/format1, and what their networks make of a mixture.

They are what a user has on disk, so they stay as they are for as long as format 1 is read, and are not made again when
hiersep changes. A new format gets a script and a folder of its own.

Usage, from the repository's root: python tests/data/make_format1.py
"""

from pathlib import Path

import safetensors.torch
import torch

from hiersep.models import checkpoint
from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator
from hiersep.models.tree import TreeSeparator

FOLDER = Path(__file__).with_name("format1")
SIZES = {"hidden_size": 3, "num_layers": 1}
COMMON = {"sample_rate": 8000, "spectrum": {"n_fft": 32, "hop_length": 16}}


def main():
    torch.manual_seed(0)
    signals = {"mixture": torch.rand(1, 1, 400) - 0.5, "query": torch.rand(1, 1, 300) - 0.5}
    networks = {
        "path": PathSeparator("musdb18", ["accompaniment", "bass"], network=SIZES, **COMMON),
        "query": QuerySeparator("musdb18", ["stem"], network=SIZES, query={**SIZES, "embedding_size": 2}, **COMMON),
        "tree": TreeSeparator("musdb18", network={**SIZES, "skip": True}, **COMMON),
    }
    with torch.inference_mode():
        for name, network in networks.items():
            path = FOLDER / f"{name}.safetensors"
            provenance = {"data": "none", "steps": 0, "licence": "CC0-1.0", "scores": {"bass": -1.5}}
            checkpoint.save(network.eval(), path, provenance, half=name == "path")
            loaded = checkpoint.from_pretrained(path)
            inputs = [signals["mixture"], *([signals["query"]] if name == "query" else [])]
            signals[f"{name} output"] = loaded(*inputs)
    safetensors.torch.save_file(signals, FOLDER / "signals.safetensors")


if __name__ == "__main__":
    main()
