"""Stage 1: train the network that a configuration describes.

Usage: python train.py CONF.yml EXP_DIR [--overwrite] [--section.key VALUE ...]
"""

from __future__ import annotations

import hiersep
from hiersep.cli.command import run_script
from hiersep.config import load_experiment


def main(conf: str, exp_dir: str, *overrides: str) -> None:
    settings = [word for word in overrides if word != "--overwrite"]
    checkpoint = hiersep.train(load_experiment(conf, settings), exp_dir, overwrite=len(settings) < len(overrides))
    print(f"Trained: {checkpoint}")


if __name__ == "__main__":
    run_script(main)
