"""`tenure decision`: what was decided, why, and whether it is decided so again."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, NoReturn
from uuid import UUID

import typer

from tenure.cli.connection import connected, login_name
from tenure.cli.erasure import erase
from tenure.cli.names import require_model
from tenure.cli.output import AsJson, print_json, print_table, say
from tenure.cli.review import answered

if TYPE_CHECKING:
    from tenure.lifecycle.decisions.replay import ReplayResult
    from tenure.usecases.decisions.replay import DecisionRecap
    from tenure.usecases.decisions.reviews import QueuedDecision

group = typer.Typer(no_args_is_help=True, help="Logged decisions.")

_QUIET_SECONDS = 2.0
_LISTED = 20
_OF_REVIEW = (
    "state",
    "claimed_by",
    "answered_by",
    "answer",
    "answer_class",
    "note",
    "answered_at",
    "expires_at",
)
"""What the JSON of a decision tells of its review."""


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="decision")
    group.command("erase")(erase)


@group.callback()
def _group() -> None:
    """Logged decisions."""


@group.command()
def show(
    decision_id: Annotated[str, typer.Argument(metavar="ID", help="As the gateway answered it.")],
    as_json: AsJson = False,
) -> None:
    """Show a decision: who answered, why, from which features, and what happened in truth.

    The ledger keeps who looked.
    """
    from tenure.usecases.decisions import replay

    wanted = _id(decision_id)
    with connected() as platform:
        replay.note_read(platform, [wanted], how="show", reader=login_name())
        found = replay.show(platform, wanted)
    if found is None:
        _not_there(wanted)
    if as_json:
        print_json(_plain(found))
    else:
        _print_recap(found)


def _print_recap(found: "DecisionRecap") -> None:
    for name, value in _facts(found).items():
        say(f"{name.replace('_', ' ')}: {value if value not in (None, '') else '-'}")
    outcome = found.outcome
    print(f"outcome: {f'{outcome.label}, {outcome.received_at}' if outcome else 'none yet'}")
    if found.review is not None:
        say(f"review: {_reviewed(found.review)}")
    if found.is_erased:
        print("features: erased (the key of the subject was destroyed)")
    elif found.features is None:
        print("features: sealed (personal data); `tenure decision replay` opens them for itself")
    else:
        print_table(("feature", "value"), sorted(found.features.items()))


def _facts(found: "DecisionRecap") -> dict[str, object]:
    """The row of the log without features, and what was looked up beside it."""
    return {name: value for name, value in vars(found.decision).items() if name != "features"} | {
        "variant": found.variant,
        "threshold": found.threshold,
        "sealed": found.is_sealed,
        "erased": found.is_erased,
    }


def _plain(found: "DecisionRecap") -> dict[str, object]:
    """JSON form."""
    review = asdict(found.review) if found.review else None
    return _facts(found) | {
        "features": found.features,
        "outcome": asdict(found.outcome) if found.outcome else None,
        "review": review and {name: review[name] for name in _OF_REVIEW},
    }


def _reviewed(review: "QueuedDecision") -> str:
    """What a person said, or that nobody did yet."""
    if review.person_said is None:
        return f"{review.state}, until {review.expires_at}"
    said = answered(review)
    note = f" ({review.note})" if review.note else ""
    return f"{said}, by {review.answered_by} at {review.answered_at}{note}"


@group.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...")] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, help="So many, chosen at random.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, another choice.")] = 0,
    model: Annotated[str | None, typer.Option("--model", help="Choose among its own only.")] = None,
    as_json: AsJson = False,
) -> None:
    """Score decisions again from the log and the archived artifact; exit 1 if one differs.

    The ledger keeps who did it.
    """
    from tenure.usecases.decisions import replay

    if bool(ids) == (sample is not None):
        raise typer.BadParameter("give decision ids, or --sample N")
    with connected() as platform:
        require_model(platform, model)
        wanted = list(dict.fromkeys(map(_id, ids or ())))
        if sample is not None:
            wanted = replay.chosen(platform, rows=sample, seed=seed, model=model)
        replay.note_read(platform, wanted, how="replay", reader=login_name())
        found = replay.replay(platform, wanted, _progress(len(wanted)))
    bad = [one for one in found if one.found not in replay.GOOD]
    summary = _summary(found)
    if as_json:
        answer = {"ok": bool(found) and not bad, **vars(summary)}
        print_json(answer | {"decisions": [*map(asdict, found)]})
    else:
        _print(found if ids else bad, summary)
    raise typer.Exit(0 if found and not bad else 1)


@dataclass(frozen=True)
class ReplaySummary:
    """What came of a replay: how many of each kind, and the largest difference of two scores."""

    verdict: str
    replayed: int
    found: dict[str, int]
    largest_difference: float | None


def _summary(found: "Sequence[ReplayResult]") -> ReplaySummary:
    from tenure.lifecycle.decisions.replay import verdict

    counted = Counter(str(one.found) for one in found)
    largest = max((one.difference for one in found if one.difference is not None), default=None)
    return ReplaySummary(str(verdict(found)), len(found), dict(counted), largest)


def _print(shown: "Sequence[ReplayResult]", summary: ReplaySummary) -> None:
    if shown:
        print_table(
            ("decision", "version", "found", "logged", "now", "why"),
            [
                (o.decision_id, o.version or "-", o.found, _score(o.logged), _score(o.score), o.why)
                for o in shown[:_LISTED]
            ],
        )
    if len(shown) > _LISTED:
        print(f"and {len(shown) - _LISTED:,} more")
    parts = ", ".join(f"{count:,} {what}" for what, count in summary.found.items())
    said = f"{summary.replayed:,} decisions replayed: {parts or 'the log has none'}"
    print(f"{said} ({summary.verdict})")
    if summary.largest_difference is not None:
        print(f"largest difference of scores: {summary.largest_difference:.3g}")


def _score(value: float | None) -> str:
    return "-" if value is None else repr(value)


def _progress(total: int) -> Callable[[int], None]:
    """Says how far it is, every two seconds, beside the answer."""
    said = time.monotonic()

    def tell(done: int) -> None:
        nonlocal said
        if time.monotonic() - said >= _QUIET_SECONDS:
            said = time.monotonic()
            print(f"{done:,} of {total:,} replayed", file=sys.stderr)

    return tell


def _id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a decision id (a UUID)") from error


def _not_there(decision_id: str) -> NoReturn:
    print(f"The log has no decision {decision_id}; gateways ship within seconds.", file=sys.stderr)
    raise typer.Exit(1)
