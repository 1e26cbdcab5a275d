"""`tenure incident`: what is open, and closing what no program can see that it is over."""

from dataclasses import asdict
from typing import Annotated

import typer

from tenure.cli.arguments import Actor, acting
from tenure.cli.connection import connected
from tenure.cli.names import require_model
from tenure.cli.output import AsJson, print_json, say

group = typer.Typer(help="Open incidents.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="incident")


@group.command("list")
def list_(
    model: Annotated[str | None, typer.Option("--model", help="Only about this model.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print open incidents, newest first."""
    from tenure.usecases.incidents.close_incident import in_utc, list_open

    with connected() as platform:
        require_model(platform, model)
        found = list_open(platform, model=model)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        times = f" ({one.members} times)" if one.members > 1 else ""
        say(f"{one.id}  {in_utc(one.created_at)}  {one.kind}  {one.subject}{times}  {one.summary}")
    print(f"{len(found)} open.")


@group.command("close")
def close_(
    incident_id: Annotated[int, typer.Argument(help="Its number in `tenure incident list`.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the ledger.")],
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Close an incident that is over; one that is not opens again when it is seen again."""
    from tenure.usecases.incidents.close_incident import close_by_person

    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    with acting(actor) as (platform, user):
        closed = close_by_person(platform, incident_id, user=user, reason=reason.strip())
    if as_json:
        print_json(asdict(closed))
    else:
        say(f"Closed incident {incident_id}: {closed.kind} {closed.subject}.")
