"""``hiersep app``: a page in the browser that takes mixtures apart."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Annotated

import typer

from hiersep.cli.command import command, say


@command
def app(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="May be chosen beside the shipped networks: a checkpoint's file, user/model on the hub, or another "
            "library's, such as demucs:htdemucs. May be repeated.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at. By default only this computer is answered.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0: any that is free.")] = 7860,
    max_mb: Annotated[float, typer.Option(help="Most megabytes of an upload.")] = 200.0,
    max_minutes: Annotated[float, typer.Option(help="Most minutes of a mixture.")] = 15.0,
    keep_minutes: Annotated[
        float, typer.Option(help="After so long without a request, uploads and results are removed.")
    ] = 60.0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or mps. Default: the fastest at hand.")] = None,
) -> None:
    """Open a page to take mixtures apart in: choose a file, a network and nodes of its tree, and listen.

    Only this computer is answered; uploads and results stay on it, and are removed when the page is closed.

    [bold]Examples[/bold]

        hiersep app

        hiersep app --model exp/first/best.safetensors --port 8000
    """
    from hiersep.errors import ConfigError

    if find_spec("gradio") is None:
        raise ConfigError('app: expected gradio, which the page is made with, got none; pip install "hiersep[app]"')
    from hiersep.app.listening import LOCAL, listen
    from hiersep.app.uploads import Limits
    from hiersep.cli.command import say_warning

    limits = Limits(max_mb, max_minutes, keep_minutes)
    if host not in LOCAL:
        say_warning(f"{host}: others can reach this page, and there is no password; leave --host out to keep it here")
    place = listen(host, port)  # before what takes seconds
    from hiersep.app.server import serve
    from hiersep.app.work import Networks
    from hiersep.separation import choose_device

    networks, device = Networks(model or []), choose_device(device)
    working = serve(
        networks, limits, place, device=device, ready=lambda: say(f"hiersep is at {place.url} (Ctrl-C stops it)")
    )
    say("Stopped; uploads and results are removed.")
    if working:
        os._exit(0)  # otherwise Python waits for the network's thread
