"""Take the first held-out song of a configuration's data apart, whole, with a page to listen to, unless that is done.

Usage: python recipes/separate.py CONF.yml CHECKPOINT OUT [--section.key VALUE ...]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hiersep import audio
from hiersep.cli.command import run_script
from hiersep.config import load_experiment
from hiersep.data.catalog import open_dataset
from hiersep.data.reading import read_song
from hiersep.errors import DataError
from hiersep.models.locating import locate
from hiersep.report.page import PAGE_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from hiersep.data.catalog import Catalog


def main(conf: str, checkpoint: str, out: str, *overrides: str) -> None:
    config = load_experiment(conf, overrides)
    for data, splits in config.data.sets.items():
        folder = config.data.result_folder(out, data)
        page = folder / PAGE_NAME
        if page.is_file() and page.stat().st_mtime > locate(checkpoint).stat().st_mtime:
            print(f"Separated already: {folder}")
            continue
        catalog = open_dataset(data, sample_rate=config.data.sample_rate, splits=config.evaluation.splits or splits)
        held_out = next(iter(catalog.select(config.evaluation.split)), None)
        if held_out is None:
            raise DataError(f"{data}: expected a song in split '{config.evaluation.split}', got none")
        separate(mixture_of(catalog, held_out, folder), checkpoint, folder)


def mixture_of(catalog: Catalog, number: int, folder: Path) -> Path:
    """Name the mixture of a song; where the data set has none, write the sum of its stems beside the folder."""
    track = catalog.tracks[number]
    if track.mixture is not None:
        return track.mixture.path
    song = folder.with_name(f"{folder.name} {track.id.replace('/', ' ')}.wav")
    audio.write(song, read_song(catalog, number).sum(axis=0), catalog.sample_rate, subtype="FLOAT")
    return song


def separate(song: Path, checkpoint: str, folder: Path) -> None:
    from hiersep.models.checkpoint import from_pretrained
    from hiersep.report import report_folder
    from hiersep.separation import Passage, write_estimates

    files = write_estimates(song, Passage(from_pretrained(checkpoint)), folder)
    print(f"{song} taken apart:", *files, sep="\n  ")
    print(f"Listen: {report_folder(song, folder)}")


if __name__ == "__main__":
    run_script(main)
