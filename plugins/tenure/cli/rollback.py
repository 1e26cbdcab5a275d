"""`tenure rollback`: take a version out of traffic now; works with Airflow stopped."""

from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.connection import connected, login_name
from tenure.cli.output import AsJson, print_json

if TYPE_CHECKING:
    from tenure.wiring.rollback import Intent


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rollback")(rollback)


def rollback(  # noqa: PLR0917  (the command line fills them by name)
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the ledger.")],
    version: Annotated[
        int | None,
        typer.Option(
            "--version", min=1, help="What to take out; default: the canary, else the champion."
        ),
    ] = None,
    actor: Annotated[
        str | None, typer.Option("--actor", help="Who does it; default: your login name.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give all traffic to the newest earlier version that loads (a canary: to its champion).

    With --version a second call does nothing; without it, a second call takes out the next one.
    """
    from tenure.wiring.rollback import intend, roll_back

    with connected() as platform:
        intent = intend(platform, model, version)
        if not as_json:
            _confirm(intent, asked=not yes)
        plan = roll_back(platform, intent, reason=reason, actor=actor or login_name())
    if as_json:
        print_json(
            {
                "model": model,
                "removed": intent.remove.version,
                "serving": intent.successor.version,
                "canary_ended": intent.cancels.version if intent.cancels else None,
                "passed_over": [{"version": n, "reason": why} for n, why in intent.refused],
                "generation": plan.generation,
                "fence": plan.fence,
                "done_before": intent.done,
            }
        )
    else:
        print(f"Done: plan generation {plan.generation}, fence {plan.fence}.")


def _confirm(intent: "Intent", *, asked: bool) -> None:
    for name, why in intent.refused:
        print(f"Passed over {name}: {why}")
    print(intent.describe())
    if asked and not intent.done:
        typer.confirm("Do it?", abort=True)
