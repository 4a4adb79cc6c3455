"""``hiersep train``: from a configuration to a checkpoint."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from hiersep.cli.command import INTERRUPTED, command, say, say_error


@command
def train(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="Experiment, YAML. Any setting is changed by --section.key VALUE.")],
    exp_dir: Annotated[
        Path | None, typer.Option(help="Folder of the experiment. Default: exp/ and the name of the configuration.")
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            help="YAML of settings that hold over those of CONFIG's base: for a machine, or a size. Repeatable."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew where another configuration was trained.")
    ] = False,
    init_from: Annotated[
        str | None, typer.Option(help="Checkpoint whose weights are taken over as far as they fit.")
    ] = None,
) -> None:
    """Train a separator, or go on with a training that was interrupted.

    [bold]Examples[/bold]

        hiersep train my.yml --exp-dir exp/first --training.max_epochs 10
    """
    from hiersep.config import load_experiment
    from hiersep.training.experiment import train as run
    from hiersep.training.processes import is_first

    words = [*(word for name in profile or [] for word in ("--profile", name)), *context.args]
    if init_from is not None:
        words = [*words, "--training.init_from", json.dumps(init_from)]  # quoted: a path is no YAML
    experiment = load_experiment(config, words)
    folder = exp_dir or Path("exp") / config.stem
    try:
        checkpoint = run(experiment, folder, overwrite=overwrite)
    except KeyboardInterrupt:
        same = shlex.join(["hiersep", "train", str(config), "--exp-dir", str(folder), *words])
        say_error(f"interrupted; the same command again goes on from the last saved step: {same}")
        raise typer.Exit(INTERRUPTED) from None
    if is_first(experiment.training):
        say(f"Trained: {checkpoint}")
        say(f"Next: hiersep separate SONG.wav --model {checkpoint} --out OUT")
