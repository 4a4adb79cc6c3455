"""Score a network on whole held-out songs of a configuration's data, a table per data set, unless that is done.

Usage: python recipes/songs.py CONF.yml CHECKPOINT OUT [--section.key VALUE ...]
"""

from __future__ import annotations

import dataclasses

from hiersep.cli.command import run_script
from hiersep.config import load_experiment


def main(conf: str, checkpoint: str, out: str, *overrides: str) -> None:
    config = load_experiment(conf, overrides)
    from hiersep.evaluation import score_songs, song_table

    for data, splits in config.data.sets.items():
        folder = config.data.result_folder(out, data)
        settings = dataclasses.replace(config.songs, splits=config.songs.splits or splits)
        print(song_table(score_songs(checkpoint, data, settings, out=folder, jobs=-1)))
        print(f"Scores: {folder / 'songs.json'}, song by song {folder / 'songs'}")


if __name__ == "__main__":
    run_script(main)
