"""The queue of decisions that a person looks at: listed, claimed, answered, expired."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tenure.errors import NotPermitted, StateConflict, TextRefused
from tenure.failpoints import failpoint
from tenure.installation import Installation
from tenure.usecases.incidents.one_by_one import one_by_one
from tenure.vocabulary import NOTE, Role, op_key

if TYPE_CHECKING:
    from tenure.adapters.sql.reviews import QueuedDecision

__all__ = ["QueuedDecision", "answer", "claim", "counted", "expire", "find", "listed"]

CLAIM = timedelta(minutes=30)
"""How long a decision is kept for who claimed it; afterwards anybody may take it."""
DUE = ("open", "claimed")
STATES = (*DUE, "answered", "expired")
MOST_LISTED = 100
"""Decisions that are listed at once, unless more are asked for."""
_SAFE = "The queue and the decision log were not changed."


def listed(
    platform: Installation,
    *,
    models: Sequence[str] | None = None,
    states: Sequence[str] = DUE,
    limit: int = MOST_LISTED,
    holder: str = "",
) -> "list[QueuedDecision]":
    """Queued decisions: the holder's first, then those that expire first; see `counted` for all."""
    from tenure.adapters.sql import reviews

    with platform.database.begin() as connection:
        return reviews.listed(connection, models=models, states=states, limit=limit, holder=holder)


def counted(platform: Installation, states: Sequence[str] = DUE) -> dict[str, int]:
    """Decisions queued in these states by model, without models that have none."""
    from tenure.adapters.sql import reviews

    with platform.database.begin() as connection:
        found = reviews.counts(connection)
    totals = {model: sum(by.get(s, 0) for s in set(states)) for model, by in found.items()}
    return {model: number for model, number in totals.items() if number}


def find(platform: Installation, decision_id: str) -> "QueuedDecision | None":
    """The queued decision, or None."""
    from tenure.adapters.sql import reviews

    with platform.database.begin() as connection:
        return reviews.find(connection, decision_id)


def claim(platform: Installation, decision_id: str, *, user: str) -> "QueuedDecision":
    """Take a decision for `CLAIM`; who holds it already holds it anew.

    Raises:
        NotPermitted: The person is no operator.
        StateConflict: Somebody else holds it, or it is closed or unknown.
    """
    from tenure.adapters.sql import reviews

    _permit(platform, user)
    now = platform.clock.now()
    with platform.database.begin() as connection:
        taken = reviews.claim(connection, decision_id, user=user, until=now + CLAIM, now=now)
        found = reviews.find(connection, decision_id)
    if not taken or found is None:
        raise _conflict(decision_id, found, now)
    return found


def known_classes(platform: Installation, found: "QueuedDecision") -> tuple[str, ...]:
    """The classes that a person may answer: those of the version; of a binary one there are none.

    Raises ArtifactRefused where the version's facts cannot be read.
    """
    from tenure.adapters.sql import versions

    if found.predicted is None:
        return ()
    with platform.database.begin() as connection:
        version = versions.get(connection, found.model, found.version)
        row = None if version is None else versions.row_by_id(connection, version.id)
    return (found.predicted,) if row is None else row.facts.class_names


def answer(
    platform: Installation, decision_id: str, *, user: str, decision: bool | str, note: str = ""
) -> "QueuedDecision":
    """Answer a claimed decision, once and with a ledger event; the same answer again is a no-op.

    Args:
        platform: The installation.
        decision_id: Of the decision.
        user: Who answers.
        decision: Yes or no; of several classes the name of one that the version knows.
        note: Why.

    Raises:
        NotPermitted: The person is no operator.
        TextRefused: The note cannot be kept, or the answer is not of the kind of the decision.
        StateConflict: The person does not hold it, or it is closed or unknown.
    """
    from tenure.adapters.sql import incidents, reviews

    _permit(platform, user)
    if note:
        NOTE.require(note, "note", still_safe=_SAFE)
    _require_kind(platform, decision_id, decision)
    now = platform.clock.now()
    with platform.database.begin() as connection:
        given = reviews.answer(
            connection,
            decision_id,
            user=user,
            answer=decision,
            note=note,
            now=now,
        )
        found = reviews.find(connection, decision_id)
        if given and found is not None:
            platform.ledger.note(
                connection,
                subject=f"review:{decision_id}",
                actor=user,
                body={
                    "model": found.model,
                    "version": found.version,
                    "model_said": found.model_said,
                    "person_said": decision,
                    "note": note,
                },
                op_key=op_key("review", decision_id, {}),
            )
            incidents.close_incident(connection, dedupe_key=_key(found.model), at=now)
            failpoint("review.answered")
    said = found and (found.answered_by, found.person_said) == (user, decision)
    if found is None or not (given or said):
        raise _conflict(decision_id, found, now)
    return found


def _require_kind(platform: Installation, decision_id: str, decision: bool | str) -> None:
    found = find(platform, decision_id)
    if found is None:
        return  # which is said by the answer itself
    classes = known_classes(platform, found)
    if isinstance(decision, bool) and not classes:
        return
    if isinstance(decision, str) and decision in classes:
        return
    said = "yes or no" if isinstance(decision, bool) else f"class {decision[:_SHOWN_OF_A_CLASS]!r}"
    allowed = f"one of {', '.join(classes)} (--class)" if classes else "yes or no (--positive)"
    raise TextRefused(
        f"{decision_id} cannot be answered with {said}: {found.model}@{found.version} answers "
        f"{'classes' if classes else 'yes or no'}.",
        still_safe=_SAFE,
        next_step=f"Answer {allowed}.",
    )


_SHOWN_OF_A_CLASS = 40


def expire(platform: Installation) -> dict[str, int]:
    """Close what nobody answered in time, and open an incident for each model of it.

    It closes when a person answers another decision of the model.
    """
    from tenure.adapters.sql import reviews

    now = platform.clock.now()
    with platform.database.begin() as connection:
        models = reviews.expiring(connection, now)
    expired = one_by_one(
        platform,
        "expired_reviews",
        models,
        name=str,
        do=lambda model: (model, _expire(platform, model, now)),
    )
    return dict(expired)


def _expire(platform: Installation, model: str, now: datetime) -> int:
    from tenure.adapters.sql import incidents, reviews

    with platform.database.begin() as connection:
        number = reviews.expire(connection, model, now)
        incidents.open_incident(
            connection,
            dedupe_key=_key(model),
            kind="review_expired",
            subject=model,
            summary=f"{number:,} decisions of {model} waited for a person until they expired; "
            "what the gateway answered stands. Open ones: tenure review list.",
            at=now,
        )
    return number


def _key(model: str) -> str:
    return f"review:{model}"


def _permit(platform: Installation, user: str) -> None:
    if not platform.config.allows(user, Role.OPERATOR):
        raise NotPermitted(
            f"{user} may not review decisions: that needs the role operator.",
            still_safe=_SAFE,
            next_step="Ask an operator, or add the name to `roles.operator` in "
            "include/configs/platform.yaml.",
        )


def _conflict(decision_id: str, found: "QueuedDecision | None", now: datetime) -> StateConflict:
    """Why not, by the clock rather than by what maintenance has swept so far."""
    if found is None:
        what = f"No decision {decision_id} is in the review queue."
        step = "Compare the id with `tenure review list`."
    elif found.state == "answered":
        what = f"{decision_id} was answered by {found.answered_by}."
        step = "Nothing: an answer is never changed."
    elif found.expires_at <= now:
        what = f"{decision_id} expired at {found.expires_at:%Y-%m-%d %H:%M} UTC."
        step = "Nothing here; what the gateway answered stands."
    elif found.claimed_by and found.claim_until and found.claim_until > now:
        what = (
            f"{decision_id} is held by {found.claimed_by} until "
            f"{found.claim_until:%Y-%m-%d %H:%M} UTC."
        )
        step = "Take another one, or claim it when it is free again."
    else:
        what = f"{decision_id} is not claimed."
        step = f"Claim it first: `tenure review claim {decision_id}`."
    return StateConflict(what, still_safe=_SAFE, next_step=step)
