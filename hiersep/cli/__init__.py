"""The command line: ``hiersep COMMAND``, one file per command.

A command file imports nothing heavy at its top (typer only): ``hiersep tree`` must start at once, and torch
takes seconds. What a command needs it imports in its body.
"""

from __future__ import annotations

from typing import Annotated

import typer

from hiersep import __version__
from hiersep.cli.app import app as app_command
from hiersep.cli.doctor import doctor
from hiersep.cli.evaluate import evaluate
from hiersep.cli.index import index
from hiersep.cli.info import info
from hiersep.cli.mix import mix
from hiersep.cli.query import query
from hiersep.cli.render import render
from hiersep.cli.report import report
from hiersep.cli.separate import separate
from hiersep.cli.train import train
from hiersep.cli.tree import tree

app = typer.Typer(
    name="hiersep",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(tree)
app.command()(render)
app.command()(index)
app.command()(mix)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(train)
app.command()(separate)
app.command()(query)
app.command()(evaluate)
app.command()(report)
app.command("app")(app_command)
app.command()(info)
app.command()(doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"hiersep {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take music apart at several levels of an instrument hierarchy at once."""


def main() -> None:
    """Run the command line; the entry point of the console script."""
    app()
