"""Take the first held-out song of a configuration's data apart, whole, with a page to listen to, unless that is done.

Usage: python recipes/separate.py CONF.yml CHECKPOINT OUT [--section.key VALUE ...]
"""

from __future__ import annotations

from pathlib import Path

from hiersep.cli.command import run_script
from hiersep.config import load_experiment
from hiersep.models.locating import locate


def main(conf: str, checkpoint: str, out: str, *overrides: str) -> None:
    config, folder = load_experiment(conf, overrides), Path(out)
    done = sorted(folder.glob("*.wav"))
    if done and min(path.stat().st_mtime for path in done) > locate(checkpoint).stat().st_mtime:
        print(f"Separated already: {folder}")
        return
    from hiersep.models.checkpoint import from_pretrained
    from hiersep.report import report_folder
    from hiersep.separation import Passage, write_estimates

    song = min(Path(config.data.folder, config.evaluation.split).glob("Track*/mix.*"))
    files = write_estimates(song, Passage(from_pretrained(checkpoint)), folder)
    print(f"{song} taken apart:", *files, sep="\n  ")
    print(f"Listen: {report_folder(song, folder)}")


if __name__ == "__main__":
    run_script(main)
