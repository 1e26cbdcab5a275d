"""Stores failure cards: each under its task, as evidence, and opens the incident of its cause."""

import re
from datetime import datetime
from typing import TYPE_CHECKING

from tenure.installation import Installation
from tenure.lifecycle.incidents.cause import IncidentCause, broken_columns, cause_of_card
from tenure.lifecycle.incidents.failure_card import FailureCard
from tenure.lifecycle.incidents.restart import (
    Kill,
    KillSpan,
    kill_of,
    restart_card,
    restart_of,
)
from tenure.usecases.incidents.open_incident import dedupe_key
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tenure.adapters.sql.incident_members import Member

_DIGEST = re.compile(r"[0-9a-f]{64}")


def save(platform: Installation, card: FailureCard, run: RunRef, *, item: str = "") -> str:
    """Store the card under its task, and let the task join the incident of its cause.

    A card that stands already changes nothing. One of a try after which Airflow tries again by
    itself opens no incident.

    Args:
        platform: The installation.
        card: Of one try.
        run: The task.
        item: What the task was at, when it has copies.

    Returns:
        The digest of the card.
    """
    from tenure.adapters.sql import reports

    report = card.report(run)
    with platform.database.begin() as connection:
        is_new = reports.insert(connection, report, model=card.model, dataset=card.dataset, run=run)
        if is_new and card.next_try_at is None:
            _join(platform, connection, card, run, item)
    return report.digest


def repaired(platform: Installation, run: RunRef, *, item: str = "") -> int:
    """The task is green: it is repaired in every open incident; how many closed by that."""
    from tenure.adapters.sql import incidents
    from tenure.adapters.sql.incident_members import of_task

    with platform.database.begin() as connection:
        return incidents.close_repaired(connection, of_task(run, item), platform.clock.now())


def _join(
    platform: Installation, connection: "Connection", card: FailureCard, run: RunRef, item: str
) -> None:
    from tenure.adapters.sql.incident_members import Member

    member = Member(item=item, run=run, report_digest=card.report(run).digest)
    at = platform.clock.now()
    cause = cause_of_card(card, run, _broken(connection, card.evidence))
    kill = kill_of(card)
    if kill is None:
        _open(connection, cause, card, member, at)
    else:
        _join_kill(connection, cause, card, kill, member, at)


def _open(  # noqa: PLR0917 -- what an incident is made of
    connection: "Connection",
    cause: IncidentCause,
    card: FailureCard,
    member: "Member | None",
    at: datetime,
    span: KillSpan | None = None,
) -> None:
    from tenure.adapters.sql import incidents

    named = {
        "model": card.model,
        "dataset": card.dataset,
        "owner": card.owner,
        "report": card.evidence,
        "still_safe": card.still_safe,
        "next_step": card.next_step,
    } | (incidents.span_facts(span) if span else {})
    incidents.open_incident(
        connection,
        dedupe_key=dedupe_key(cause.key),
        kind=cause.kind[:64],
        subject=f"{cause.subject}: {cause.detail}" if cause.detail else cause.subject,
        summary=card.what,
        facts={key: value for key, value in named.items() if value},
        member=member,
        at=at,
    )


def _join_kill(  # noqa: PLR0917 -- as `_open`
    connection: "Connection",
    cause: IncidentCause,
    card: FailureCard,
    kill: Kill,
    member: "Member",
    at: datetime,
) -> None:
    """Tasks that one host lost at once are one incident; a task that was killed alone is its own.

    Nobody knows at the first one whether others follow, so its incident becomes that of the
    restart with the second: people are told once.
    """
    from tenure.adapters.sql import incident_members, incidents

    near = restart_of(kill, incidents.kill_spans(connection, kill.host))
    if near is None or near.dedupe_key == dedupe_key(cause.key):
        span = near or KillSpan(0, "", kill.host, kill.at, kill.at)
        _open(connection, cause, card, member, at, span.including(kill))
        return
    span = near.including(kill)
    shared = span.cause
    incidents.rename(
        connection,
        near.incident,
        dedupe_key=dedupe_key(shared.key),
        subject=f"{shared.subject}: {shared.detail}",
    )
    incident_members.join(connection, near.incident, member, at)
    ended = incident_members.number(connection, near.incident)
    _open(connection, shared, restart_card(span, ended), None, at, span)


def _broken(connection: "Connection", evidence: str | None) -> tuple[str, ...]:
    """Columns of the failed checks of the report that a card names."""
    from tenure.adapters.sql import reports

    if evidence is None or not _DIGEST.fullmatch(evidence):
        return ()
    row = reports.by_digest(connection, evidence)
    return () if row is None else broken_columns(row.report.checks)
