"""`tenure review`: the queue of decisions that a person looks at."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.arguments import Actor, acting
from tenure.cli.connection import connected
from tenure.cli.names import one_of, require_model
from tenure.cli.output import AsJson, print_json, say

if TYPE_CHECKING:
    from tenure.usecases.decisions.reviews import QueuedDecision

group = typer.Typer(help="Decisions that wait for a person.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="review")


@group.command("list")
def list_(
    model: Annotated[str | None, typer.Option("--model", help="Only this model.")] = None,
    state: Annotated[
        list[str] | None, typer.Option("--state", help="open, claimed, answered or expired.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, help="Most decisions that are listed.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """Print what waits, soonest expiry first."""
    from tenure.usecases.decisions.reviews import DUE, STATES, counted, listed

    for one in state or ():
        one_of("state", one, STATES)
    with connected() as platform:
        require_model(platform, model)
        rows = listed(platform, models=model and [model], states=state or DUE, limit=limit)
        counts = counted(platform, state or DUE)
    there = counts.get(model, 0) if model else sum(counts.values())
    more = f"{len(rows):,} of {there:,} decisions; --limit {there} lists all."
    if as_json:
        print_json([asdict(row) for row in rows])
        if there > len(rows):
            print(more, file=sys.stderr)
        return
    for row in rows:
        say(_line(row))
    print(more if there > len(rows) else f"{len(rows):,} decisions.")


@group.command("claim")
def claim_(
    decision_id: Annotated[str, typer.Argument(help="Id of the decision.")],
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Take a decision for half an hour."""
    from tenure.usecases.decisions.reviews import claim

    with acting(actor) as (platform, user):
        row = claim(platform, decision_id, user=user)
    print_json(asdict(row)) if as_json else say(_line(row))


@group.command("answer")
def answer_(
    decision_id: Annotated[str, typer.Argument(help="Id of the decision.")],
    *,
    positive: Annotated[
        bool | None, typer.Option("--positive/--negative", help="What the decision should be.")
    ] = None,
    named: Annotated[
        str | None, typer.Option("--class", help="Which of several classes it should be.")
    ] = None,
    note: Annotated[str, typer.Option("--note", help="Why; it stands in the ledger.")] = "",
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Answer a decision that you claimed; an answer is never changed."""
    from tenure.usecases.decisions.reviews import answer

    said = positive if named is None else named
    if said is None or (positive is not None and named is not None):
        raise typer.BadParameter("say --positive or --negative, or of several classes --class NAME")
    with acting(actor) as (platform, user):
        row = answer(platform, decision_id, user=user, decision=said, note=note)
    print_json(asdict(row)) if as_json else say(_line(row))


def answered(row: "QueuedDecision") -> str:
    """What a person said, in a word."""
    said = row.person_said
    return said if isinstance(said, str) else "positive" if said else "negative"


def _line(row: "QueuedDecision") -> str:
    who = row.answered_by or row.claimed_by or "nobody"
    if row.person_said is not None:
        who += f": {answered(row)}"
    return (
        f"{row.decision_id}  {row.model}@{row.version}  score {row.score:.3f}  "
        f"{row.state} ({who})  until {row.expires_at:%Y-%m-%d %H:%M}  {row.reason}"
    ).rstrip()
