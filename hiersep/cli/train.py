"""``hiersep train``: from a configuration to a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hiersep.cli.command import command


@command
def train(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="Experiment, YAML. Any setting is changed by --section.key VALUE.")],
    exp_dir: Annotated[
        Path | None, typer.Option(help="Folder of the experiment. Default: exp/ and the name of the configuration.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew where another configuration was trained.")
    ] = False,
) -> None:
    """Train a separator, or go on with a training that was interrupted.

    [bold]Examples[/bold]

        hiersep train my.yml --exp-dir exp/first --training.max_epochs 10
    """
    from hiersep.config import load_experiment
    from hiersep.training.experiment import train as run

    experiment = load_experiment(config, context.args)
    folder = exp_dir or Path("exp") / config.stem
    checkpoint = run(experiment, folder, overwrite=overwrite)
    print(f"Trained: {checkpoint}")
    print(f"Next: hiersep separate SONG.wav --model {checkpoint} --out OUT")
