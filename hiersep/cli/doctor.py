"""``hiersep doctor``: whether everything is there that hiersep needs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from hiersep.cli.command import SOME_FAILED, command
from hiersep.errors import printable


@command
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look whether everything is there that hiersep needs, and say what to do about the rest.

    Ends with 1 where hiersep does not work; what only some commands need may be missing.

    [bold]Examples[/bold]

        hiersep doctor

        hiersep doctor --json > report-of-a-bug.json
    """
    from rich.console import Console
    from rich.markup import escape

    from hiersep.doctor import examine

    console, findings = Console(highlight=False, soft_wrap=True), []
    marks = {"ok": "[green]ok[/green]     ", "missing": "[yellow]missing[/yellow]", "broken": "[red]broken[/red] "}
    for finding in examine():
        findings.append(finding)
        if not as_json:
            console.print(f"{marks[finding.state]}  {escape(finding.name)}: {escape(printable(finding.text))}")
    if as_json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(SOME_FAILED)
