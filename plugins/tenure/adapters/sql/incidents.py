"""Incidents: one open row for one thing, whoever sees it and however often."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, or_, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.tables import incident


def open_incident(
    connection: Connection,
    *,
    dedupe_key: str,
    kind: str,
    subject: str,
    summary: str,
    at: datetime,
    severity: str = "error",
    facts: Mapping[str, object] | None = None,
) -> None:
    """Open the incident, or count one more in the open one and bring its words up to date."""
    said = {"summary": summary, "severity": severity, "facts": dict(facts or {})}
    fresh = upsert(incident).values(
        dedupe_key=dedupe_key,
        kind=kind,
        subject=subject,
        created_at=at,
        **said,
    )
    connection.execute(
        fresh.on_conflict_do_update(
            index_elements=["dedupe_key"],
            index_where=text("state = 'open'"),
            set_={"members": incident.c.members + 1, **said},
        )
    )


def close_incident(connection: Connection, *, dedupe_key: str, at: datetime) -> bool:
    """Close the open incident of the key; False when there is none."""
    closed = connection.execute(
        update(incident)
        .where(incident.c.dedupe_key == dedupe_key, incident.c.state == "open")
        .values(state="closed", closed_at=at)
    )
    return bool(closed.rowcount)


_OF_SERVING = (
    "monitoring",
    "artifact_refused",
    "variant_refused",
    "model_crashed",
    "canary_stopped",
)


def close_incidents_of(connection: Connection, *, version: str, at: datetime) -> None:
    """Close what was said of the serving of a version (`model@version`) that serves no more."""
    connection.execute(
        update(incident)
        .where(
            incident.c.subject == version,
            or_(*(incident.c.dedupe_key.startswith(f"{kind}:") for kind in _OF_SERVING)),
            incident.c.state == "open",
        )
        .values(state="closed", closed_at=at)
    )
