"""Write the table of an experiment into every README that has a place for it.

Usage: python recipes/tables.py EXP_DIR README.md ...
"""

from __future__ import annotations

import json
from pathlib import Path

from hiersep.cli.command import run_script
from hiersep.errors import DataError
from hiersep.evaluation import table
from hiersep.files import write_text
from hiersep.training.names import SUMMARY_NAME

BEGIN, END = "<!-- begin demo table -->", "<!-- end demo table -->"


def main(exp_dir: str, *readmes: str) -> None:
    results, training, made = (
        json.loads(Path(exp_dir, name).read_text(encoding="utf-8"))
        for name in ("results.json", SUMMARY_NAME, "environment.json")
    )
    torch = next(package for package in made["packages"] if package.startswith("torch=="))
    origin = (
        f"{training['steps']} steps in {training['seconds'] / 60:.0f} minutes on {made['machine']}, "
        f"{torch}, commit {results['commit']}."
    )
    for readme in readmes:
        text = Path(readme).read_text(encoding="utf-8")
        if BEGIN not in text or END not in text:
            raise DataError(f"{readme}: expected the lines '{BEGIN}' and '{END}', got neither; add them")
        head, rest = text.split(BEGIN, 1)
        _, tail = rest.split(END, 1)
        write_text(readme, f"{head}{BEGIN}\n{table(results)}\n{origin}\n{END}{tail}")
        print(f"Written: {readme}")


if __name__ == "__main__":
    run_script(main)
