"""`tenure demo`: the whole life of one model, in minutes."""

import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.output import say
from tenure.errors import TenureError

if TYPE_CHECKING:
    from rich.console import Console

    from tenure.demo.story import Story
    from tenure.stack.embedded import Stack


class StoryLength(StrEnum):
    """How much the demo tells."""

    SHORT = "short"
    FULL = "full"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    once: Annotated[
        bool, typer.Option("--once", envvar="ONCE", help="Stop everything at the end.")
    ] = False,
    story: Annotated[
        StoryLength,
        typer.Option(
            "--story", envvar="STORY", help="full: two models more, one of which must not serve."
        ),
    ] = StoryLength.SHORT,
) -> None:
    """Live the whole life of the model flight_late on real data, and show what happened."""
    from rich.console import Console

    from tenure.demo import show
    from tenure.demo.chapters import FullStory, configs_of_its_own
    from tenure.demo.receiver import receiving
    from tenure.demo.story import Story
    from tenure.settings import REPOSITORY, Settings
    from tenure.stack import foreground
    from tenure.stack.embedded import Stack
    from tenure.stack.endpoints import StackEndpoints

    settings = Settings.from_environment(project=REPOSITORY)  # it brings its own configs
    console = Console(width=None if sys.stdout.isatty() else 160)
    good = False
    show.make_room(settings.home)
    include, kind = settings.include, Story
    if story is StoryLength.FULL:
        include, kind = configs_of_its_own(include, settings.home), FullStory
    with receiving(settings.home / "demo" / "notices.jsonl") as url:
        stack = Stack(
            settings.home,
            StackEndpoints.from_environment(os.environ),
            include=include,
            extra=show.people_around(url),
        )
        try:
            with foreground.ends_with(stack):
                good = _lived(stack, console, kind, stays=not once)
                if not once:
                    console.print("Everything stays up. Ctrl-C ends every process.")
                    foreground.hold(stack, lambda name: console.print(f"{name} ended by itself"))
        except KeyboardInterrupt:
            console.print("Ended; no process is left.")
    raise typer.Exit(0 if good else 1)


def _lived(
    stack: "Stack", console: "Console", kind: "type[Story] | None" = None, *, stays: bool
) -> bool:
    """Whether all went well; what went wrong is said while the stack can still be looked at."""
    from tenure.demo import show
    from tenure.demo.story import Story

    try:
        return show.run(stack, console=console, kind=kind or Story)
    except TenureError as error:
        if not (stays and stack.is_up):
            raise
        say("", f"{type(error).__name__}: {error.what}", *error.lines()[1:])
        show.doors(console, stack.settings)
        return False
