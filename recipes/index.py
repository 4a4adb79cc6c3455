"""Measure the data sets of a configuration, and store them at the working rate, unless that is done.

Usage: python recipes/index.py CONF.yml [--section.key VALUE ...]
"""

from __future__ import annotations

import functools
from pathlib import Path

from hiersep.cli.command import run_script
from hiersep.config import load_experiment
from hiersep.data.cache import dataset_cache, file_name
from hiersep.data.catalog import index_dataset
from hiersep.data.findings import draw_report


def main(conf: str, *overrides: str) -> None:
    data = load_experiment(conf, overrides).data
    for folder, splits in data.sets.items():
        place = dataset_cache(Path(folder).resolve(), data.sample_rate)
        index = functools.partial(index_dataset, folder, sample_rate=data.sample_rate, jobs=-1, splits=splits)
        # A store that is there is opened; to be written anew, all would be decoded, and its files replaced.
        is_there = (place / file_name("store", splits)).exists()
        catalog, report = index(store_channels=None if is_there else data.channels)
        if catalog.store is None or catalog.store.channels < data.channels:
            _, report = index(store_channels=data.channels)
        print(draw_report(report))


if __name__ == "__main__":
    run_script(main)
