"""`tenure reconcile`: makes what follows the lifecycle database follow it, now."""

from collections.abc import Mapping
from dataclasses import asdict

import typer

from tenure.cli.connection import connected
from tenure.cli.output import AsJson, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reconcile)


def reconcile(as_json: AsJson = False) -> None:
    """Deliver notices, repair MLflow's aliases, resume retirements, check the ledger.

    Safe at any time, as often as you like; exit 1 when a part failed, 3 when one is unreachable.
    """
    from tenure.usecases.operations.reconcile import reconcile as do
    from tenure.vocabulary import RunRef

    with connected() as platform:
        parts = asdict(do(platform, RunRef("cli", "reconcile", "reconcile")))
    if as_json:
        print_json(parts)
    else:
        rows = [(name, found.get("kind", "ok"), _words(found)) for name, found in parts.items()]
        print_table(("part", "result", "what"), rows)
    kinds = {found["kind"] for found in parts.values() if "kind" in found}
    if kinds:
        raise typer.Exit(3 if kinds == {"ServiceUnreachable"} else 1)


def _words(found: Mapping[str, object]) -> str:
    return ", ".join(f"{k}={v}" for k, v in found.items() if k != "kind")
