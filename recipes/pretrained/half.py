"""Round the weights of a trained network to half precision, as they are shipped, unless that is done.

Usage: python half.py EXP_DIR HALF.safetensors
"""

from __future__ import annotations

from pathlib import Path

from hiersep.cli.command import run_script
from hiersep.models import checkpoint
from hiersep.training.names import CHECKPOINT_NAME


def main(exp_dir: str, half: str) -> None:
    best, rounded = Path(exp_dir) / CHECKPOINT_NAME, Path(half)
    if not rounded.is_file() or rounded.stat().st_mtime < best.stat().st_mtime:
        checkpoint.save(checkpoint.from_pretrained(best), rounded, checkpoint.describe(best)["provenance"], half=True)


if __name__ == "__main__":
    run_script(main)
