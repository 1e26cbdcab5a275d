"""`tenure gateways`: which gateways are there, and by which traffic plan each of them serves."""

from datetime import UTC
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenure.cli.connection import connected
from tenure.cli.names import require_model
from tenure.cli.output import AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from tenure.lifecycle.serving.presence import Fleet


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("gateways")(gateways)


def gateways(
    model: Annotated[str | None, typer.Argument(help="One model; all when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the gateways of each model: by the plan in force, behind, or silent since when.

    Exit 1 when one that is alive is behind, or none is alive.
    """
    from tenure.views.fleets import fleets

    with connected() as platform:
        require_model(platform, model)
        found = fleets(platform, model)
    is_current = bool(found) and all(fleet.is_current for fleet in found)
    if as_json:
        print_json({"ok": is_current, "models": [_facts(fleet) for fleet in found]})
    else:
        _print(found, model)
    raise typer.Exit(0 if is_current else 1)


def _print(found: "list[Fleet]", model: str | None) -> None:
    rows = [
        (
            one.gateway,
            fleet.model,
            one.generation,
            fleet.generation,
            one.standing,
            f"{one.since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        )
        for fleet in found
        for one in fleet.gateways
    ]
    if rows:
        print_table(("gateway", "model", "generation", "newest", "state", "since"), rows)
    for fleet in found:
        if not fleet.alive:
            say(f"No gateway of {fleet.model} is alive.")
    if not found:
        say(f"{model or 'No model'} has {'no' if model else 'a'} traffic plan yet.")


def _facts(fleet: "Fleet") -> dict[str, Any]:
    return {
        "model": fleet.model,
        "generation": fleet.generation,
        "ok": fleet.is_current,
        "gateways": [
            {
                "gateway": one.gateway,
                "generation": one.generation,
                "state": one.standing,
                "taken_at": one.taken_at,
                "alive_at": one.alive_at,
            }
            for one in fleet.gateways
        ],
    }
