"""Stage 3: put a scored network where `hiersep.from_pretrained` finds it by name.

Usage: python ship.py EXP_DIR HALF.safetensors CARD.md TEST ...

The network, rounded to half precision, is called as its card is, CARD, and lies beside it. The card's heading,
``# CARD: what it does``, describes it in a line. TEST names a folder of EXP_DIR with scores.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hiersep.cli.command import run_script
from hiersep.errors import DataError
from hiersep.models import checkpoint

DATA = (
    "songs composed by hiersep (MIT) and General MIDI by others: OpenMSX, MMA's examples, MMA's grooves (GPL-2); "
    "soundfonts FluidR3_GM (MIT), sf_GMbank of Csound (LGPL-2.1), OPL-3_FM_128M (CC-BY-SA-4.0)"
)
LICENCE = "MIT, as far as weights can be owned; the data's licences are named under data"


def main(exp_dir: str, half: str, card: str, *tests: str) -> None:
    folder, target = Path(exp_dir), Path(card).with_suffix(".safetensors")
    heading = Path(card).read_text(encoding="utf-8").splitlines()[0]
    name, _, description = heading.removeprefix("# ").partition(": ")
    if name != target.stem or not description:
        raise DataError(f"{card}: expected the heading '# {target.stem}: what it does', got {heading!r}; write it")
    scores = [folder / test / "results.json" for test in tests]
    made_of = [Path(half), Path(card), *scores]
    if target.is_file() and target.stat().st_mtime > max(path.stat().st_mtime for path in made_of):
        print(f"Shipped already: {target}")
        return
    provenance = {
        "description": description,
        **checkpoint.describe(half)["provenance"],
        "data": DATA,
        "licence": LICENCE,
        "recipe": "recipes/pretrained",
        "improvement_db": {path.parent.name: _improvements(path) for path in scores},
    }
    checkpoint.save(checkpoint.from_pretrained(half), target, provenance, half=True)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


def _improvements(path: Path) -> dict[str, Any]:
    """Mean improvement in SI-SDR over the mixture, by level, in dB."""
    levels = json.loads(path.read_text(encoding="utf-8"))["levels"]
    return {name: round(level["si_sdri"]["mean"], 2) for name, level in levels.items() if level["si_sdri"]}


if __name__ == "__main__":
    run_script(main)
