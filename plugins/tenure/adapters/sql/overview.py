"""What the pages show: models at a glance, one model in full. Reads only."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Select, String, cast, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from tenure.adapters.sql import data, presence
from tenure.adapters.sql import tables as t

Row = dict[str, Any]
_ABOUT_VERSION = ("mv", "canary", "approval", "decommission")
_ABOUT_MODEL = ("model", "promotion", "training")
"""Kinds of ledger subjects, before the colon."""
EVENTS = 200
"""Ledger events, analyses and results that one page shows, newest first."""


def models(connection: Connection) -> list[Row]:
    """Each model with `versions` (newest first), `plan`, `verdicts` by stage and `incidents`."""
    versions = _grouped(
        connection, select(t.model_version).order_by(t.model_version.c.version.desc()), "model"
    )
    plans = {row["model"]: row for row in _rows(connection, _newest_plans())}
    verdicts = _grouped(connection, _newest_reports("model"), "model")
    incidents = open_incidents(connection)
    return [
        row
        | {
            "versions": versions[row["name"]],
            "plan": plans.get(row["name"]),
            "verdicts": verdicts[row["name"]],
            "incidents": [one for one in incidents if concerns(one, row["name"])],
        }
        for row in _rows(connection, select(t.model).order_by(t.model.c.name))
    ]


def datasets(connection: Connection) -> list[Row]:
    """Each dataset with its newest `validation` and newest `snapshot`, where there are any."""
    table = t.validation
    newest = _rows(
        connection,
        select(table)
        .ext(distinct_on(table.c.dataset))
        .order_by(table.c.dataset, table.c.id.desc()),
    )
    judged = {row["dataset"]: row for row in newest}
    return [
        row
        | {"validation": judged.get(row["name"]), "snapshot": data.newest(connection, row["name"])}
        for row in _rows(connection, select(t.dataset).order_by(t.dataset.c.name))
    ]


def model_page(connection: Connection, name: str) -> Row | None:
    """Everything about one model, newest first; None when there is no such model."""
    found = next((row for row in models(connection) if row["name"] == name), None)
    if found is None:
        return None
    ids = [row["id"] for row in found["versions"]]
    return found | {
        "events": _events(connection, name, ids),
        "approvals": _of_versions(connection, t.approval, ids),
        "analyses": _of_versions(connection, t.canary_analysis, ids),
        "monitoring": _of_versions(connection, t.monitoring_result, ids),
        "decommissions": _decommissions(connection, ids),
        "plans": _of_model(connection, t.traffic_plan, name, limit=20),
        "retrains": _of_model(connection, t.retrain_request, name),
        "decisions": _retrain_reports(connection, name),
        "fleet": next(iter(presence.fleets(connection, name)), None),
        "consumers": _rows(connection, select(t.consumer).where(t.consumer.c.model == name)),
    }


def open_incidents(connection: Connection) -> list[Row]:
    """Incidents that nobody closed, newest first."""
    return _rows(
        connection,
        select(t.incident).where(t.incident.c.state == "open").order_by(t.incident.c.id.desc()),
    )


def concerns(incident: Row, model: str) -> bool:
    """Whether an incident is about the model: by its subject (`m`, `m@2`, `m/…`) or its facts."""
    subject = str(incident["subject"]).removeprefix("model:")
    head = subject.split("@")[0].split("/")[0].split(".")[0].split("__")[0]
    return head == model or incident["facts"].get("model") == model


def _rows(connection: Connection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _grouped(connection: Connection, query: Select[Any], key: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in _rows(connection, query):
        groups[row[key]].append(row)
    return groups


def _newest_plans() -> Select[Any]:
    plan = t.traffic_plan
    return (
        select(plan).ext(distinct_on(plan.c.model)).order_by(plan.c.model, plan.c.generation.desc())
    )


def _newest_reports(owner: str) -> Select[Any]:
    """The last report of each stage; failure cards are no verdicts."""
    report = t.report
    column = report.c[owner]
    return (
        select(report)
        .where(column.is_not(None), report.c.stage != "failure")
        .ext(distinct_on(column, report.c.stage))
        .order_by(column, report.c.stage, report.c.id.desc())
    )


def _of_versions(connection: Connection, table: Any, ids: Iterable[int]) -> list[Row]:
    return _rows(
        connection,
        select(table, t.model_version.c.version)
        .join(t.model_version, t.model_version.c.id == table.c.model_version_id)
        .where(table.c.model_version_id.in_(list(ids)))
        .order_by(table.c.id.desc())
        .limit(EVENTS),
    )


def _of_model(connection: Connection, table: Any, name: str, limit: int = EVENTS) -> list[Row]:
    query = select(table).where(table.c.model == name).order_by(table.c.id.desc()).limit(limit)
    return _rows(connection, query)


def _events(connection: Connection, name: str, ids: Iterable[int]) -> list[Row]:
    event = t.ledger_event
    subjects = [f"{kind}:{one}" for one in ids for kind in _ABOUT_VERSION]
    subjects += [f"{kind}:{name}" for kind in _ABOUT_MODEL]
    return _rows(
        connection,
        select(event)
        .where(or_(event.c.subject.in_(subjects), event.c.body["model"].astext == name))
        .order_by(event.c.seq.desc())
        .limit(EVENTS),
    )


def _decommissions(connection: Connection, ids: Iterable[int]) -> list[Row]:
    """Decommissions with the archive's items counted: all, verified, deleted."""
    item = t.archive_item
    rows = _of_versions(connection, t.decommission, ids)
    counts = {
        row["decommission_id"]: row
        for row in _rows(
            connection,
            select(
                item.c.decommission_id,
                func.count().label("items"),
                func.count(item.c.verified_at).label("verified"),
                func.count(item.c.deleted_at).label("deleted"),
                func.sum(item.c.size).label("bytes"),
            ).group_by(item.c.decommission_id),
        )
    }
    empty = {"items": 0, "verified": 0, "deleted": 0, "bytes": 0}
    return [row | {"archive": counts.get(row["id"], empty)} for row in rows]


def _retrain_reports(connection: Connection, name: str) -> list[Row]:
    report = t.report
    return _rows(
        connection,
        select(report)
        .where(report.c.stage == "retraining")
        .where(or_(report.c.model == name, cast(report.c.subject, String) == name))
        .order_by(report.c.id.desc())
        .limit(30),
    )
