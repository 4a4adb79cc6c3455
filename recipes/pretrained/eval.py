"""Stage 2: score a trained network, in half precision as it is shipped, on each test set.

Usage: python eval.py EXP_DIR TEST.yml ... [--evaluation.key VALUE ...]

The scores on the test set that TEST.yml describes lie in EXP_DIR/TEST.
"""

from __future__ import annotations

from pathlib import Path

from hiersep.cli.command import run_script
from hiersep.config import load_experiment
from hiersep.evaluation import table
from hiersep.models import checkpoint
from hiersep.report import run_evaluation
from hiersep.training.names import CHECKPOINT_NAME

HALF_NAME = "half.safetensors"


def main(exp_dir: str, *words: str) -> None:
    first = next((place for place, word in enumerate(words) if word.startswith("--")), len(words))
    tests, overrides = words[:first], words[first:]
    folder = Path(exp_dir)
    best, half = folder / CHECKPOINT_NAME, folder / HALF_NAME
    if not half.is_file() or half.stat().st_mtime < best.stat().st_mtime:
        checkpoint.save(checkpoint.from_pretrained(best), half, checkpoint.describe(best)["provenance"], half=True)
    for test in tests:
        config = load_experiment(test, overrides)
        out = folder / Path(test).stem
        results = run_evaluation(half, config.data.folder, out, settings=config.evaluation, example=out, jobs=-1)
        print(
            f"\n{config.data.folder}\n\n{table(results)}\nScores: {out / 'results.json'}; listen: {out / 'report.html'}"
        )


if __name__ == "__main__":
    run_script(main)
