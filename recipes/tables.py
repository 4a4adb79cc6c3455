"""Write the table of an evaluation into every file that has a place for it.

Usage: python recipes/tables.py NAME RESULTS_DIR FILE.md ...

The place is between the lines ``<!-- begin NAME table -->`` and ``<!-- end NAME table -->``. RESULTS_DIR is the folder
of the experiment, or a folder in it. Of a network that was not trained there, a shipped one, the table says where it
was scored.
"""

from __future__ import annotations

import json
from pathlib import Path

from hiersep.cli.command import run_script
from hiersep.errors import DataError
from hiersep.evaluation import table
from hiersep.files import write_text
from hiersep.training.names import SUMMARY_NAME


def main(name: str, results_dir: str, *files: str) -> None:
    folder = Path(results_dir)
    home = folder if (folder / SUMMARY_NAME).is_file() else folder.parent
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    origin = (
        f"{_trained(home)}, commit {results['commit']}."
        if (home / SUMMARY_NAME).is_file()
        else f"Scored on {results['machine']}, torch {results['torch']}, commit {results['commit']}."
    )
    begin, end = f"<!-- begin {name} table -->", f"<!-- end {name} table -->"
    for file in files:
        text = Path(file).read_text(encoding="utf-8")
        if begin not in text or end not in text:
            raise DataError(f"{file}: expected the lines '{begin}' and '{end}', got neither; add them")
        head, rest = text.split(begin, 1)
        _, tail = rest.split(end, 1)
        filled = f"{head}{begin}\n{table(results)}\n{origin}\n{end}{tail}"
        if filled != text:
            write_text(file, filled)
            print(f"Written: {file}")


def _trained(folder: Path) -> str:
    """Say how long the network of an experiment was trained, and on what."""
    training, made = (
        json.loads((folder / record).read_text(encoding="utf-8")) for record in (SUMMARY_NAME, "environment.json")
    )
    torch = next(package for package in made["packages"] if package.startswith("torch=="))
    return f"{training['steps']} steps in {training['seconds'] / 60:.0f} minutes on {made['machine']}, {torch}"


if __name__ == "__main__":
    run_script(main)
