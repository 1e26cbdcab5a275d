"""`tenure ledger verify`: does the chain hold, and do the invariants."""

from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.connection import connected
from tenure.cli.output import AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from tenure.usecases.operations.ledger import LedgerVerification

group = typer.Typer(no_args_is_help=True, help="The hash chain of every change of state.")


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="ledger")


@group.callback()
def _group() -> None:
    """The hash chain of every change of state."""


@group.command()
def verify(
    invariants: Annotated[
        bool, typer.Option("--invariants", help="Also look for rows that break a rule.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Recompute every hash and compare with every anchor; exit 1 with what does not hold first."""
    from tenure.usecases.operations.ledger import verify_ledger

    with connected() as platform:
        found = verify_ledger(platform, invariants=invariants)
    if as_json:
        print_json(_plain(found))
    else:
        _print(found)
    raise typer.Exit(0 if found.ok else 1)


def _plain(found: "LedgerVerification") -> dict[str, object]:
    """JSON form; `ok` is about the chain and the invariants together."""
    return {
        "events": found.events,
        "head": found.head,
        "anchors": found.anchors,
        "platform_yaml_recorded": found.knows_platform,
        "ok": found.ok,
        "broken": vars(found.broken) if found.broken else None,
        "invariants": [
            {
                "id": one.id,
                "rows": len(one.breaches),
                "meaning": one.meaning,
                "examples": one.examples,
            }
            for one in found.invariants
        ],
    }


def _print(found: "LedgerVerification") -> None:
    if found.broken:
        say(f"BROKEN at event {found.broken.seq}: {found.broken.why}")
        print(f"Still safe: the {found.events} events before it hold.")
        print(
            "Next step: compare with a backup of the lifecycle database; find out who wrote to it."
        )
    else:
        print(f"{found.events} events hold; head {found.head}; {found.anchors} anchors agree")
    if not found.knows_platform:
        print(
            "platform.yaml, as it is in force, has no ledger event; maintain_platform writes it "
            "within minutes."
        )
    if not found.invariants:
        return
    rows = [(one.id, len(one.breaches), one.meaning) for one in found.invariants]
    print_table(("rule", "rows", "meaning"), rows)
    for one in found.invariants:
        for example in one.examples:
            say(f"{one.id}: " + ", ".join(f"{k}={v}" for k, v in example.items()))
