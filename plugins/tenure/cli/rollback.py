"""`tenure rollback`: take a version out of traffic now; works with Airflow stopped."""

from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.connection import connected, login_name
from tenure.cli.known import known_model
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
    to: Annotated[
        int | None,
        typer.Option("--to", min=1, help="What serves instead; default: the newest that loads."),
    ] = None,
    actor: Annotated[
        str | None, typer.Option("--actor", help="Who does it; default: your login name.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give all traffic to the newest earlier version that loads (a canary: to its champion).

    The version that takes over is loaded on trial first. When the one of --to does not load,
    nothing moves and the newest that does is offered. With --version a second call does nothing;
    without it, a second call takes out the next one.
    """
    from tenure.wiring.rollback import intend, roll_back

    actor = actor or login_name()
    with connected() as platform:
        known_model(platform, model)
        intent = intend(platform, model, version, to=to, actor=actor)
        if not as_json:
            _confirm(intent, asked=not yes)
        if not intent.is_as_asked and (as_json or yes):
            _offer(intent, as_json=as_json)
        plan = roll_back(platform, intent, reason=reason, actor=actor)
    if as_json:
        print_json(
            {
                **_facts(intent),
                "done": True,
                "generation": plan.generation,
                "fence": plan.fence,
                "done_before": intent.done,
            }
        )
    else:
        print(f"Done: plan generation {plan.generation}, fence {plan.fence}.")


def _facts(intent: "Intent") -> dict[str, object]:
    return {
        "model": intent.remove.model,
        "removed": intent.remove.version,
        "serving": intent.successor.version,
        "canary_ended": intent.cancels.version if intent.cancels else None,
        "loaded": intent.loaded or None,
        "passed_over": [{"version": n, "reason": why} for n, why in intent.refused],
    }


def _offer(intent: "Intent", *, as_json: bool) -> None:
    """Nobody is there to take the offer: say it and leave."""
    again = f"--to {intent.successor.version}"
    if as_json:
        passed = _facts(intent)["passed_over"]
        offer = intent.successor.version
        print_json(
            {"model": intent.remove.model, "done": False, "passed_over": passed, "offer": offer}
        )
    else:
        print(f"Nothing was done. {intent.successor.name} loads: run it again with {again}.")
    raise typer.Exit(code=1)


def _confirm(intent: "Intent", *, asked: bool) -> None:
    for name, why in intent.refused:
        print(f"Passed over {name}: {why}")
    print(intent.describe())
    if asked and not intent.done:
        typer.confirm("Do it?" if intent.is_as_asked else "Take this one instead?", abort=True)
