"""Windows that were judged, and the incidents that they open and close."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.tables import incident, model, monitoring_result, report, traffic_plan
from tenure.verdicts import Verdict


def watermark(connection: Connection, model_name: str) -> datetime | None:
    """The moment up to which outcomes are complete; None before the first."""
    query = select(model.c.watermark).where(model.c.name == model_name)
    found: datetime | None = connection.execute(query).scalar_one_or_none()
    return found


def serving_since(connection: Connection, version_id: int) -> datetime | None:
    """When the first traffic plan named the version (wall clock)."""
    first = select(func.min(traffic_plan.c.created_at)).where(
        or_(traffic_plan.c.champion_id == version_id, traffic_plan.c.canary_id == version_id)
    )
    found: datetime | None = connection.execute(first).scalar_one()
    return found


def judged_until(connection: Connection, version_id: int) -> dict[str, datetime]:
    """End of the last judged window (passed or failed) of each kind."""
    mine = monitoring_result.c
    rows = connection.execute(
        select(mine.kind, func.max(mine.window_end).label("until"))
        .where(mine.model_version_id == version_id, mine.verdict != str(Verdict.INCONCLUSIVE))
        .group_by(mine.kind)
    )
    return {row.kind: row.until for row in rows}


def is_stored(
    connection: Connection, version_id: int, kind: str, start: datetime, end: datetime
) -> bool:
    """Whether the very window has a result already."""
    mine = monitoring_result.c
    query = select(mine.id).where(
        mine.model_version_id == version_id,
        mine.kind == kind,
        mine.window_start == start,
        mine.window_end == end,
    )
    return connection.execute(query).first() is not None


def add(
    connection: Connection,
    *,
    model_name: str,
    version_id: int,
    window: tuple[datetime, datetime],
    kind: str,
    verdict: str,
    decisions: int,
    facts: Mapping[str, Any],
    report_digest: str,
    at: datetime,
) -> bool:
    """Append the result of a window; False when it stands already."""
    row = connection.execute(
        upsert(monitoring_result)
        .values(
            model=model_name,
            model_version_id=version_id,
            window_start=window[0],
            window_end=window[1],
            kind=kind,
            verdict=verdict,
            decisions=decisions,
            facts=dict(facts),
            report_digest=report_digest,
            created_at=at,
        )
        .on_conflict_do_nothing()
        .returning(monitoring_result.c.id)
    ).first()
    return row is not None


def results(connection: Connection, version_id: int) -> list[dict[str, Any]]:
    """Every result of the version, the newest window first."""
    rows = connection.execute(
        select(monitoring_result)
        .where(monitoring_result.c.model_version_id == version_id)
        .order_by(monitoring_result.c.window_end.desc(), monitoring_result.c.id.desc())
    )
    return [dict(row) for row in rows.mappings()]


def of_reports(connection: Connection, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """Results whose reports the Airflow run wrote, oldest first."""
    rows = connection.execute(
        select(monitoring_result)
        .join(report, report.c.digest == monitoring_result.c.report_digest)
        .where(report.c.dag_id == dag_id, report.c.run_id == run_id)
        .order_by(monitoring_result.c.id)
    )
    return [dict(row) for row in rows.mappings()]


def open_incident(
    connection: Connection,
    *,
    dedupe_key: str,
    kind: str,
    subject: str,
    severity: str,
    summary: str,
    facts: Mapping[str, Any],
    at: datetime,
) -> None:
    """Open the incident, or count one more in the open one and bring its words up to date."""
    fresh = upsert(incident).values(
        dedupe_key=dedupe_key,
        kind=kind,
        subject=subject,
        severity=severity,
        summary=summary,
        facts=dict(facts),
        created_at=at,
    )
    connection.execute(
        fresh.on_conflict_do_update(
            index_elements=["dedupe_key"],
            index_where=text("state = 'open'"),
            set_={
                "members": incident.c.members + 1,
                "summary": summary,
                "severity": severity,
                "facts": dict(facts),
            },
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


_OF_SERVING = ("monitoring", "artifact_refused", "model_crashed", "canary_stopped")


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
