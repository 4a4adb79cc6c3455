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
from hiersep.evaluation import table
from hiersep.evaluation.documents import fill_place, read_origin, say_origin


def main(name: str, results_dir: str, *files: str) -> None:
    origin = say_origin([read_origin(results_dir)])
    results = json.loads(Path(results_dir, "results.json").read_text(encoding="utf-8"))
    for file in files:
        if fill_place(file, name, f"{table(results)}\n{origin}"):
            print(f"Written: {file}")


if __name__ == "__main__":
    run_script(main)
