"""`tenure drill`: a named fault in a sandbox copy, and how long until it is found and over."""

import logging
from dataclasses import asdict
from typing import Annotated

import typer

from tenure.cli.arguments import Actor, acting
from tenure.cli.connection import connected
from tenure.cli.output import AsJson, print_json, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(drill)


def drill(
    name: Annotated[
        str | None, typer.Argument(help="Of the drill; `--list` shows all, with their last run.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Say which there are, and end.")] = False,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Break one thing in a sandbox copy, and record how long the response took.

    The copy has its own home and PostgreSQL; the running installation is not touched. Operators
    only. The pages of such incidents show the last result.
    """
    from tenure.lifecycle.incidents.drill import DRILLS

    if list_:
        _list(as_json=as_json)
        return
    if name is None or name not in DRILLS:
        known = ", ".join(DRILLS)
        raise typer.BadParameter(f"{name or 'no name'}; there are: {known}", param_hint="NAME")
    from tenure.drills.run import run
    from tenure.usecases.operations.drills import record, require_drilling

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("tenure.drill").setLevel(logging.INFO)
    with acting(actor) as (platform, user):
        require_drilling(platform, user)
        if not as_json:
            say(f"{name}: {DRILLS[name].about}")
        result = run(name, platform.settings)
        record(platform, result, user=user)
    if as_json:
        print_json(asdict(result) | {"succeeded": result.succeeded})
    elif result.succeeded:
        say(
            f"Found in {result.found:.1f} s, told in {result.alerted:.1f} s, back in "
            f"{result.back:.1f} s, counted from {DRILLS[name].counted_from}. Recorded."
        )
    else:
        say(f"The drill failed: {result.problem}. Recorded.")
    raise typer.Exit(0 if result.succeeded else 1)


def _list(*, as_json: bool) -> None:
    from tenure.lifecycle.incidents.drill import DRILLS, drill_words
    from tenure.views.incidents import last_drills

    with connected() as platform:
        last = last_drills(platform, [*DRILLS])
        now = platform.clock.now()
    if as_json:
        print_json(
            [
                asdict(one) | {"name": name, "last": last[name] and asdict(last[name])}
                if name in last
                else asdict(one) | {"name": name, "last": None}
                for name, one in DRILLS.items()
            ]
        )
        return
    for name, one in DRILLS.items():
        say(f"{name}  {one.kind} {one.subject}".rstrip(), f"  {one.about}")
        say(f"  {drill_words(name, last.get(name), now)}")
