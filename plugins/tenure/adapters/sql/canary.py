"""Canaries as rows: where one began, its analyses, and the turn of those who write plans."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, text

from tenure.adapters.sql.tables import canary_analysis, ledger_event, model, traffic_plan
from tenure.vocabulary import State

PROLONGED = "prolong"
"""Action of the row that a person's answer to a hold leaves: the count of analyses begins anew."""


@dataclass(frozen=True)
class CanaryBeginning:
    """The first plan that gave a canary traffic."""

    generation: int
    at: datetime


@dataclass(frozen=True)
class CanaryRollback:
    """Who took a version out of traffic, and why; `evidence` is the digest of a report, if any."""

    actor: str
    reason: str | None
    evidence: str | None


def take_turn(connection: Connection) -> None:
    """Wait until no other transaction writes plans; ends with the transaction.

    Of any model: writers wait for each other at the ledger anyway. A role that may not write plans
    cannot take it. Take it before the ledger's own lock, so that nobody waits in a circle.
    """
    connection.execute(text("LOCK TABLE traffic_plan IN SHARE ROW EXCLUSIVE MODE"))


def began(connection: Connection, model_name: str, canary_id: int) -> CanaryBeginning | None:
    """Where the canary began, or None when no plan named it."""
    row = connection.execute(
        select(traffic_plan.c.generation, traffic_plan.c.created_at)
        .where(traffic_plan.c.model == model_name, traffic_plan.c.canary_id == canary_id)
        .order_by(traffic_plan.c.generation)
        .limit(1)
    ).first()
    return CanaryBeginning(row.generation, row.created_at) if row else None


def watermark(connection: Connection, model_name: str) -> datetime | None:
    """The moment up to which outcomes are complete."""
    query = select(model.c.watermark).where(model.c.name == model_name)
    moment: datetime | None = connection.execute(query).scalar_one()
    return moment


def next_number(connection: Connection, version_id: int) -> int:
    """Number of the next analysis, from 1."""
    newest = select(func.coalesce(func.max(canary_analysis.c.number), 0))
    return int(
        connection.execute(
            newest.where(canary_analysis.c.model_version_id == version_id)
        ).scalar_one()
        + 1
    )


def analyses_in_budget(connection: Connection, version_id: int) -> int:
    """Analyses since the canary began or a person prolonged it."""
    mine = canary_analysis.c.model_version_id == version_id
    last = (
        select(func.coalesce(func.max(canary_analysis.c.number), 0))
        .where(mine, canary_analysis.c.action == PROLONGED)
        .scalar_subquery()
    )
    query = select(func.count()).where(mine, canary_analysis.c.number > last)
    return int(connection.execute(query).scalar_one())


def analyses_made(connection: Connection, version_id: int) -> int:
    """Analyses of the version so far; a person's answer to a hold is none."""
    query = select(func.count()).where(
        canary_analysis.c.model_version_id == version_id, canary_analysis.c.action != PROLONGED
    )
    return int(connection.execute(query).scalar_one())


def add(
    connection: Connection,
    *,
    version_id: int,
    generation: int,
    share_bp: int,
    verdict: str,
    action: str,
    facts: Mapping[str, object],
    at: datetime,
) -> int:
    """Append an analysis and return its number."""
    number = next_number(connection, version_id)
    connection.execute(
        insert(canary_analysis).values(
            model_version_id=version_id,
            number=number,
            generation=generation,
            share_bp=share_bp,
            verdict=verdict,
            action=action,
            facts=dict(facts),
            created_at=at,
        )
    )
    return number


def last_action(connection: Connection, version_id: int) -> str | None:
    """What the newest analysis of the version led to; None before the first."""
    row = connection.execute(
        select(canary_analysis.c.action)
        .where(canary_analysis.c.model_version_id == version_id)
        .order_by(canary_analysis.c.number.desc())
        .limit(1)
    )
    return row.scalar_one_or_none()


def rollback_of(connection: Connection, version_id: int) -> CanaryRollback | None:
    """The newest event that took the version out of traffic."""
    row = connection.execute(
        select(ledger_event.c.actor, ledger_event.c.body)
        .where(
            ledger_event.c.subject == f"mv:{version_id}",
            ledger_event.c.dst == str(State.ROLLED_BACK),
        )
        .order_by(ledger_event.c.seq.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    return CanaryRollback(row.actor, row.body.get("reason"), row.body.get("evidence"))
