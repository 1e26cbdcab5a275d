"""`tenure rollback`: take a version out of traffic now; works with Airflow stopped."""

from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.arguments import Actor, acting
from tenure.cli.names import require_model
from tenure.cli.output import AsJson, print_json, say
from tenure.errors import ServiceUnreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tenure.installation import Installation
    from tenure.lifecycle.promotion.trial_loads import TrialAnswer
    from tenure.usecases.promotion.rollback import Intent


_LOCK_SECONDS = 1.0
"""Who rolls back needs the traffic moved, or to hear at once who is in the way."""


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
    actor: Actor = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give all traffic to the newest earlier version that loads (a canary: to its champion).

    The version that takes over is loaded on trial first. When the one of --to does not load,
    nothing moves and the newest that does is offered. With --version a second call does nothing;
    without it, a second call takes out the next one.
    """
    from tenure.usecases.promotion.rollback import intend, roll_back

    with acting(actor, lock_seconds=_LOCK_SECONDS) as (platform, user):
        require_model(platform, model)
        intent = intend(platform, model, version, to=to, actor=user)
        if not as_json:
            _describe(intent)
        if not (as_json or yes):
            _confirm(platform, intent)
        elif not intent.is_as_asked:
            _offer(intent, as_json=as_json)
        plan = roll_back(platform, intent, reason=reason, actor=user)
        done = {"generation": plan.generation, "fence": plan.fence, "done_before": intent.done}
        if as_json:
            refused = _as_facts(_who_cannot(platform, intent))
            print_json({**_facts(intent), "done": True, **done, "refused_by": refused})
            return
        say(f"Done: plan generation {plan.generation}, fence {plan.fence}.")
        if yes:
            _report_refusals(platform, intent)


def _facts(intent: "Intent") -> dict[str, object]:
    return {
        "model": intent.remove.model,
        "removed": intent.remove.version,
        "serving": intent.successor.version,
        "canary_ended": intent.cancels.version if intent.cancels else None,
        "loaded": intent.loaded or None,
        "lapsed": intent.lapsed or None,
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
        say(f"Nothing was done. {intent.successor.name} loads: run it again with {again}.")
    raise typer.Exit(code=1)


def _describe(intent: "Intent") -> None:
    for name, why in intent.refused:
        say(f"Passed over {name}: {why}")
    say(intent.describe())


def _confirm(platform: "Installation", intent: "Intent") -> None:
    _report_refusals(platform, intent)
    if not intent.done:
        typer.confirm("Do it?" if intent.is_as_asked else "Take this one instead?", abort=True)


def _report_refusals(platform: "Installation", intent: "Intent") -> None:
    refused = _who_cannot(platform, intent)
    if refused is None:
        say("What other gateways found is not known: the lifecycle database does not answer.")
    for one in refused or ():
        say(
            f"Gateway {one.gateway} cannot load {intent.successor.name} and keeps the plan that it "
            f"has: {one.cause}"
        )


def _who_cannot(platform: "Installation", intent: "Intent") -> "Sequence[TrialAnswer] | None":
    """None when nobody can tell: what is done is done, and must be said all the same."""
    from tenure.usecases.promotion.trial_loads import refusals

    try:
        return refusals(platform, intent.remove.model, intent.trial)
    except ServiceUnreachable:
        return None


def _as_facts(refused: "Sequence[TrialAnswer] | None") -> list[dict[str, str]] | None:
    if refused is None:
        return None
    return [{"gateway": one.gateway, "reason": one.cause} for one in refused]
