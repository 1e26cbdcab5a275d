"""`tenure demo`: the whole life of one model, in minutes."""

import os
import signal
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    once: Annotated[
        bool, typer.Option("--once", envvar="ONCE", help="Stop everything at the end.")
    ] = False,
) -> None:
    """Live the whole life of the model flight_late on real data, and show what happened."""
    from rich.console import Console

    from tenure.demo import show
    from tenure.settings import Settings
    from tenure.stack import Stack

    settings = Settings.from_environment()
    console = Console(width=None if os.isatty(1) else 160)
    with Stack(settings.home) as stack:
        good = show.run(stack, folder=settings.home / "demo", console=console)
        if not once:
            console.print("Everything stays up. Ctrl-C ends every process.")
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    raise typer.Exit(0 if good else 1)
