"""`tenure authorization`: until when a model may serve, and renewing that without a training."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.connection import connected, login_name
from tenure.cli.names import require_model
from tenure.cli.output import AsJson, print_json, say

if TYPE_CHECKING:
    from tenure.usecases.promotion.authorization import Authorization, Renewal

group = typer.Typer(help="What lets a model serve, and until when.", no_args_is_help=True)
Model = Annotated[str, typer.Argument(help="Name of the model.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="authorization")


@group.command("show")
def show(model: Model, as_json: AsJson = False) -> None:
    """Print who authorized the champion and the canary, and until when; 1 when one has ended."""
    from tenure.usecases.promotion.authorization import authorizations

    with connected() as platform:
        require_model(platform, model)
        found, now = authorizations(platform, model), platform.clock.now()
    if as_json:
        print_json([_facts(one, now) for one in found])
    else:
        say(*(line for one in found for line in _lines(one, now)))
        say(*([] if found else [f"No version of {model} serves."]))
    if not all(one.holds(now) for one in found):
        raise typer.Exit(code=1)


@group.command("renew")
def renew_(
    model: Model,
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="Default: the champion.")
    ] = None,
    note: Annotated[str, typer.Option("--note", help="Why; it stands beside the approval.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Approve the same bytes and evidence once more: a review without a training.

    Any approver may, but who trained the version; also who approved it before, before its end and
    after. At risk tier high a second approver renews it too. Sent again, it changes nothing. An
    approval is a person's own: nobody renews on behalf of somebody else.
    """
    from tenure.usecases.promotion.authorization import renew

    user = login_name()
    with connected() as platform:
        require_model(platform, model)
        if not (yes or as_json):
            _ask(model, version, user)
        done = renew(platform, model, version, user=user, note=note)
        now = platform.clock.now()
    if as_json:
        print_json(_facts(done.authorization, now) | _result(done))
        return
    say(*_lines(done.authorization, now), _sentence(done, user))


def _ask(model: str, version: int | None, user: str) -> None:
    """What is renewed is on the model's page: reports, monitoring, incidents."""
    name = f"{model}@{version}" if version else f"the champion of {model}"
    say(f"You read what {name} is on the Tenure page of {model}: reports, monitoring, incidents.")
    typer.confirm(f"Does {user} approve it once more?", abort=True)


def _lines(one: "Authorization", now: datetime) -> list[str]:
    version = one.version
    lines = [f"{version.name} ({version.state}): {_state(one, now)}"]
    lines += [f"  approved by {who} until {_utc(until)}" for who, until in one.approvals]
    lines += [
        f"  excused from its {gate} gate until {_utc(end)}" for gate, end in one.excused.items()
    ]
    return [*lines, f"  needs {one.quorum} approver(s)"]


def _state(one: "Authorization", now: datetime) -> str:
    from tenure.lifecycle.serving import authorization_ended

    if one.until is None:
        return "no authorization: nobody approved what it is now"
    return (
        f"authorized until {_utc(one.until)}" if one.holds(now) else authorization_ended(one.until)
    )


def _sentence(done: "Renewal", user: str) -> str:
    if not done.is_new:
        return f"{user} had renewed it already; nothing was changed."
    more = f" {done.missing} more approver(s) must renew it." if done.missing else ""
    plan = f" Gateways follow plan generation {done.generation}." if done.generation else ""
    return f"{user} renewed it.{more}{plan}"


def _facts(one: "Authorization", now: datetime) -> dict[str, object]:
    return {
        "model": one.version.model,
        "version": one.version.version,
        "state": str(one.version.state),
        "authorized_until": one.until,
        "holds": one.holds(now),
        "quorum": one.quorum,
        "approvals": [{"approver": who, "until": until} for who, until in one.approvals],
        "excused": one.excused,
    }


def _result(done: "Renewal") -> dict[str, object]:
    return {key: value for key, value in asdict(done).items() if key != "authorization"}


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
