"""Stage 3: score the trained network on held-out songs, and write an example to look at and listen to.

Usage: python eval.py EXP_DIR
"""

from __future__ import annotations

from pathlib import Path

from hiersep.cli.command import run_script
from hiersep.config import load_experiment
from hiersep.report import run_evaluation, table
from hiersep.training.names import CHECKPOINT_NAME


def main(exp_dir: str) -> None:
    folder = Path(exp_dir)
    config = load_experiment(folder / "conf.yml")
    scores = run_evaluation(
        folder / CHECKPOINT_NAME, config.data.folder, folder, settings=config.evaluation, example=folder
    )
    print(table(scores))
    print(f"Scores: {folder / 'scores.json'}, clip by clip {folder / 'clips.csv'}")
    print(f"Listen: {folder / 'report.html'}; look: {folder / 'path.png'}")


if __name__ == "__main__":
    run_script(main)
