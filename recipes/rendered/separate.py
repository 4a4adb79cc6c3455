"""Stage 2: take the first held-out song apart, whole, with the trained network.

Usage: python separate.py EXP_DIR
"""

from __future__ import annotations

from pathlib import Path

from hiersep.cli.command import run_script
from hiersep.config import load_experiment
from hiersep.training.names import CHECKPOINT_NAME


def main(exp_dir: str) -> None:
    folder = Path(exp_dir)
    config = load_experiment(folder / "conf.yml")
    checkpoint, out = folder / CHECKPOINT_NAME, folder / "song"
    done = sorted(out.glob("*.wav"))
    if done and min(path.stat().st_mtime for path in done) > checkpoint.stat().st_mtime:
        print(f"Separated already: {out}")
        return
    from hiersep.models.checkpoint import from_pretrained
    from hiersep.separation import write_estimates

    song = min(Path(config.data.folder, config.evaluation.split).glob("Track*/mix.*"))
    files = write_estimates(song, from_pretrained(checkpoint), out)
    print(f"{song} taken apart:", *files, sep="\n  ")


if __name__ == "__main__":
    run_script(main)
