"""``hiersep evaluate``: score a checkpoint on held-out songs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hiersep.cli.command import command


@command
def evaluate(
    data: Annotated[Path, typer.Option(help="Data set with the splits train and test.")],
    model: Annotated[Path, typer.Option(help="Checkpoint, *.safetensors.")],
    out: Annotated[Path, typer.Option(help="Folder for scores.json and clips.csv.")],
    split: Annotated[str, typer.Option(help="Split to score.")] = "test",
    clips: Annotated[int, typer.Option(min=1, help="Clips to score, at most.")] = 3000,
    static_clips: Annotated[int, typer.Option(min=1, help="Training clips for the static row.")] = 200,
    duration: Annotated[float, typer.Option(min=0.1, max=600, help="Length of a clip in seconds.")] = 10.0,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the clips.")] = 0,
    example: Annotated[
        Path | None, typer.Option(help="Folder for an example clip: audio, a picture, a page to listen to.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON instead of a table.")] = False,
) -> None:
    """Score a separator beside the mixture, a static filter and the oracles.

    [bold]Examples[/bold]

        hiersep evaluate --data data --model exp/first/best.safetensors --out exp/first
    """
    from hiersep.config import EvaluationConfig
    from hiersep.report import run_evaluation, table

    settings = EvaluationConfig(split=split, num_test=clips, num_static=static_clips, duration=duration, seed=seed)
    scores = run_evaluation(model, data, out, settings=settings, example=example)
    if as_json:
        print(json.dumps(scores, indent=2))
    else:
        print(table(scores))
        print(f"Written: {out / 'scores.json'}, {out / 'clips.csv'}")
        if example is not None:
            print(f"Listen: {example / 'report.html'}")
