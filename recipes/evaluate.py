"""Score a network on the data of a configuration, and write an example to look at and listen to, unless that is done.

Of several data sets each is scored by itself, in a folder of its name.

Usage: python recipes/evaluate.py CONF.yml CHECKPOINT OUT [--section.key VALUE ...]
"""

from __future__ import annotations

import dataclasses

from hiersep.cli.command import run_script
from hiersep.config import load_experiment
from hiersep.evaluation import table
from hiersep.report import run_evaluation


def main(conf: str, checkpoint: str, out: str, *overrides: str) -> None:
    config = load_experiment(conf, overrides)
    for data, splits in config.data.sets.items():
        folder = config.data.result_folder(out, data)
        settings = dataclasses.replace(config.evaluation, splits=config.evaluation.splits or splits)
        results = run_evaluation(checkpoint, data, folder, settings=settings, example=folder, jobs=-1)
        print(table(results))
        print(f"Scores: {folder / 'results.json'}, clip by clip {folder / 'scores.csv'}")
        print(f"Listen: {folder / 'report.html'}; look: {folder / 'path.png'}")


if __name__ == "__main__":
    run_script(main)
