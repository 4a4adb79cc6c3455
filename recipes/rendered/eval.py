"""Stage 3: score the trained network on held-out songs, and write an example to look at and listen to.

Usage: python eval.py EXP_DIR
"""

from __future__ import annotations

from pathlib import Path

from hiersep.cli.command import run_script
from hiersep.config import load_experiment
from hiersep.evaluation import table
from hiersep.report import run_evaluation
from hiersep.training.names import CHECKPOINT_NAME


def main(exp_dir: str) -> None:
    folder = Path(exp_dir)
    config = load_experiment(folder / "conf.yml")
    results = run_evaluation(
        folder / CHECKPOINT_NAME, config.data.folder, folder, settings=config.evaluation, example=folder, jobs=-1
    )
    print(table(results))
    print(f"Scores: {folder / 'results.json'}, clip by clip {folder / 'scores.csv'}")
    print(f"Listen: {folder / 'report.html'}; look: {folder / 'path.png'}")


if __name__ == "__main__":
    run_script(main)
