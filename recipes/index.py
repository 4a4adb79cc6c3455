"""Measure the data sets of a configuration, and store them at the working rate, unless that is done.

Usage: python recipes/index.py CONF.yml [--section.key VALUE ...]
"""

from __future__ import annotations

from hiersep.cli.command import run_script
from hiersep.config import load_experiment
from hiersep.data.catalog import index_dataset
from hiersep.data.findings import draw_report


def main(conf: str, *overrides: str) -> None:
    data = load_experiment(conf, overrides).data
    for folder, splits in data.sets.items():
        _, report = index_dataset(
            folder, sample_rate=data.sample_rate, jobs=-1, splits=splits, store_channels=data.channels
        )
        print(draw_report(report))


if __name__ == "__main__":
    run_script(main)
