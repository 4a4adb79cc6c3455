"""Take the first held-out song of a configuration's data apart, whole, with a page to listen to, unless that is done.

Usage: python recipes/separate.py CONF.yml CHECKPOINT OUT [--section.key VALUE ...]
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hiersep.cli.command import run_script
from hiersep.config import load_experiment
from hiersep.data.readers import find_reader
from hiersep.errors import DataError
from hiersep.models.locating import locate
from hiersep.report.page import PAGE_NAME

if TYPE_CHECKING:
    from hiersep.data.tracks import Track


def main(conf: str, checkpoint: str, out: str, *overrides: str) -> None:
    config = load_experiment(conf, overrides)
    for data, splits in config.data.sets.items():
        folder = Path(out) if len(config.data.sets) == 1 else Path(out, Path(data).name)
        page = folder / PAGE_NAME
        if page.is_file() and page.stat().st_mtime > locate(checkpoint).stat().st_mtime:
            print(f"Separated already: {folder}")
            continue
        tracks = find_reader(Path(data).resolve()).tracks(Path(data), config.evaluation.splits or splits)
        held_out = next((track for track in tracks if track.split == config.evaluation.split), None)
        if held_out is None:
            raise DataError(f"{data}: expected a song in split '{config.evaluation.split}', got none")
        separate(mixture_of(held_out, folder), checkpoint, folder)


def mixture_of(track: Track, folder: Path) -> Path:
    """Name the mixture of a song; where the data set has none, write the sum of its stems beside the folder."""
    if track.mixture is not None:
        return track.mixture.path
    import numpy as np

    from hiersep import audio

    stems = [audio.read(stem.path, stream=stem.stream) for stem in track.stems]
    (rate,), longest = {rate for _, rate in stems}, max(samples.shape[-1] for samples, _ in stems)
    channels = max(len(samples) for samples, _ in stems)
    mixture = np.zeros((channels, longest), np.float32)
    for samples, _ in stems:
        mixture[:, : samples.shape[-1]] += samples
    song = folder.with_name(f"{folder.name} {track.id}.wav")
    audio.write(song, mixture, rate, subtype="FLOAT")
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
