"""`tenure incident`: what is open, what it is about, and who does what about it."""

from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.arguments import Actor, acting
from tenure.cli.connection import connected
from tenure.cli.names import require_model
from tenure.cli.output import AsJson, print_json, say

if TYPE_CHECKING:
    from tenure.views.incidents import IncidentPage

group = typer.Typer(
    help="Incidents: list, show, take, snooze, remediate, close.", no_args_is_help=True
)
Number = Annotated[int, typer.Argument(help="Its number in `tenure incident list`.")]
_MEMBERS = 10
"""Members that `show` prints; `--json` has all."""


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="incident")


@group.command("list")
def list_(
    model: Annotated[str | None, typer.Option("--model", help="Only about this model.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what is open or waits for its remediation, and how many alerts no receiver took."""
    from tenure.usecases.incidents.close_incident import in_utc, list_open
    from tenure.views.incidents import waiting_alerts

    with connected() as platform:
        require_model(platform, model)
        found = list_open(platform, model=model)
        waiting = waiting_alerts(platform)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        times = f" ({one.seen} times)" if one.seen > 1 else ""
        taken = f"  [{one.owner}]" if one.owner else ""
        waits = _remediation(one.remediation_due) if one.state == "restored" else ""
        say(
            f"{one.id}  {in_utc(one.created_at)}  {one.severity}  {one.kind}  {one.subject}{times}"
            f"{taken}{waits}  {one.summary}"
        )
    restored = sum(one.state == "restored" for one in found)
    print(f"{len(found) - restored} open{f', {restored} wait for remediation' * bool(restored)}.")
    if waiting.number and waiting.since:
        said = f": {waiting.last_error}" if waiting.last_error else "."
        say(f"{waiting.number} alerts wait to be delivered since {in_utc(waiting.since)}{said}")


@group.command("show")
def show(incident_id: Number, as_json: AsJson = False) -> None:
    """Print one incident: what happened, what is safe, what to do, its members and timeline."""
    from tenure.usecases.incidents.close_incident import not_open
    from tenure.views.incidents import incident_page

    with connected() as platform:
        page = incident_page(platform, incident_id)
    if page is None:
        raise not_open(incident_id, None)
    if as_json:
        print_json(
            asdict(page.incident)
            | {
                "title": page.incident.title,
                "still_safe": page.incident.still_safe,
                "next_step": page.incident.next_step,
                "members": [asdict(one) for one in page.members],
                "timeline": [asdict(one) for one in page.timeline],
                "remediations": [asdict(one) for one in page.remediations],
            }
        )
        return
    _print(page)


@group.command("ack")
def ack(incident_id: Number, actor: Actor = None, as_json: AsJson = False) -> None:
    """Take an incident: it is yours, and is not announced again for want of an answer."""
    from tenure.usecases.incidents.respond import acknowledge

    with acting(actor) as (platform, user):
        found = acknowledge(platform, incident_id, user=user)
    if as_json:
        print_json(asdict(found))
    else:
        say(f"Incident {incident_id} is {user}'s: {found.kind} {found.subject}.")


@group.command("snooze")
def snooze_(
    incident_id: Number,
    hours: Annotated[
        float, typer.Option("--hours", min=0.1, max=168, help="For how long nobody is told of it.")
    ],
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Take an incident, and have nobody told of it for some hours; its end is told all the same."""
    from tenure.usecases.incidents.close_incident import in_utc
    from tenure.usecases.incidents.respond import snooze

    with acting(actor) as (platform, user):
        until = platform.clock.now() + timedelta(hours=hours)
        found = snooze(platform, incident_id, user=user, until=until)
    if as_json:
        print_json(asdict(found))
    else:
        say(f"Incident {incident_id} is {user}'s and silent until {in_utc(until)}.")


@group.command("remediate")
def remediate_(  # noqa: PLR0917 -- the words of the command
    incident_id: Number,
    action: Annotated[str, typer.Option("--action", help="What is done about the cause.")],
    owner: Annotated[str, typer.Option("--owner", help="Who does it.")],
    due: Annotated[
        datetime, typer.Option("--due", formats=["%Y-%m-%d"], help="The last day, in UTC.")
    ],
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Write what is done about the cause of a sev1, which is not over before that is done."""
    from tenure.usecases.incidents.remediation import remediate

    with acting(actor) as (platform, user):
        found = remediate(
            platform, incident_id, user=user, action=action.strip(), owner=owner, due=due.date()
        )
    if as_json:
        print_json(asdict(found))
    else:
        say(
            f"Remediation {found.remediation} of incident {incident_id} is {owner}'s, due on "
            f"{due:%Y-%m-%d}. When it is done: `tenure incident remediated {incident_id}`."
        )


@group.command("remediated")
def remediated(
    incident_id: Number,
    note: Annotated[str, typer.Option("--note", help="What was done, and where it is seen.")],
    remediation: Annotated[
        int | None, typer.Option("--remediation", help="Its number, where several are not done.")
    ] = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Say that a remediation is done; the last one closes an incident that is restored."""
    from tenure.usecases.incidents.remediation import finish

    with acting(actor) as (platform, user):
        found = finish(platform, incident_id, user=user, note=note.strip(), remediation=remediation)
    if as_json:
        print_json(asdict(found))
    else:
        say(f"Remediation {found.remediation} is done; incident {incident_id} is {found.state}.")


@group.command("close")
def close_(
    incident_id: Number,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the ledger.")],
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Close an incident that is over; one that is not opens again when it is seen again.

    One of severity 1 is over when its remediation is done: `tenure incident remediate`.
    """
    from tenure.usecases.incidents.close_incident import close_by_person

    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    with acting(actor) as (platform, user):
        closed = close_by_person(platform, incident_id, user=user, reason=reason.strip())
    if as_json:
        print_json(asdict(closed))
    else:
        say(f"Closed incident {incident_id}: {closed.kind} {closed.subject}.")


def _remediation(due: date | None) -> str:
    return f"  [restored; remediation {f'due on {due}' if due else 'which nobody wrote'}]"


def _print(page: "IncidentPage") -> None:
    from tenure.usecases.incidents.close_incident import in_utc

    one = page.incident
    say(
        f"{one.severity} {one.state}: {one.title} ({one.subject})",
        one.summary,
        f"Still safe: {one.still_safe}",
        f"Next step: {one.next_step}",
        f"Seen {one.seen} times, the last one {in_utc(one.last_seen_at)}. "
        f"Taken by {one.owner or 'nobody'}.",
    )
    for entry in page.remediations:
        done = (
            f"done by {entry.done_by} {in_utc(entry.done_at)}: {entry.done_note}"
            if entry.done_at
            else f"due on {entry.due}"
        )
        say(f"Remediation {entry.id} of {entry.owner}: {entry.action}; {done}")
    if page.members:
        print(f"{len(page.members)} members, {page.unrepaired} not green again:")
    for member in page.members[:_MEMBERS]:
        state = "green" if member.repaired_at else "red"
        say(
            f"  {state}  {member.name}{f'  {member.item}' if member.dag_id and member.item else ''}"
        )
    if len(page.members) > _MEMBERS:
        print(f"  and {len(page.members) - _MEMBERS} more")
    for event in page.timeline:
        times = f" x{event.number}" if event.number > 1 else ""
        by = f" by {event.actor}" if event.actor else ""
        note = f": {event.note}" if event.note and event.kind != "opened" else ""
        say(f"{in_utc(event.at)}  {event.kind}{times}{by}{note}")
