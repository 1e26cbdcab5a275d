"""Incidents: one open row for one thing, whoever sees it and however often."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, DateTime, cast, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import incident, model_version
from tenure.vocabulary import State, storable


@dataclass(frozen=True)
class Incident:
    """What somebody has to look at; `members` counts how often it was seen."""

    id: int
    dedupe_key: str
    kind: str
    subject: str
    severity: str
    summary: str
    state: str
    members: int
    facts: Mapping[str, object]
    created_at: datetime
    closed_at: datetime | None

    @property
    def model(self) -> str | None:
        """The model that its facts name; where none is named, the subject has to tell."""
        named = self.facts.get("model")
        return str(named) if named else None

    def concerns(self, model: str) -> bool:
        """Whether it is about the model: by its subject (`m`, `m@2`, `m/…`) or its facts."""
        subject = self.subject.removeprefix("model:")
        head = subject.split("@")[0].split("/")[0].split(".")[0].split("__")[0]
        return model in {head, self.model}


_INCIDENT = columns_of(Incident, incident)


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
    said = {"summary": storable(summary), "severity": severity, "facts": dict(facts or {})}
    fresh = upsert(incident).values(
        dedupe_key=storable(dedupe_key),
        kind=kind,
        subject=storable(subject),
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


def open_summary(connection: Connection, dedupe_key: str) -> str | None:
    """The words of the open incident of the key; None when there is none."""
    query = select(incident.c.summary).where(
        incident.c.dedupe_key == dedupe_key, incident.c.state == "open"
    )
    return connection.execute(query).scalar()


def every_open(connection: Connection) -> list[Incident]:
    """Incidents that nobody closed, newest first."""
    query = select(*_INCIDENT).where(incident.c.state == "open").order_by(incident.c.id.desc())
    return [as_row(Incident, row) for row in connection.execute(query).mappings()]


def locked(connection: Connection, incident_id: int) -> Incident | None:
    """The incident, or None; who else would change it waits until this transaction ends."""
    query = select(*_INCIDENT).where(incident.c.id == incident_id).with_for_update()
    row = connection.execute(query).mappings().first()
    return None if row is None else as_row(Incident, row)


def close_incident(connection: Connection, *, dedupe_key: str, at: datetime) -> bool:
    """Close the open incident of the key; False when there is none."""
    closed = connection.execute(
        update(incident)
        .where(incident.c.dedupe_key == dedupe_key, incident.c.state == "open")
        .values(state="closed", closed_at=at)
    )
    return bool(closed.rowcount)


def close_after_load(
    connection: Connection,
    *,
    model: str,
    version: int,
    before: datetime,
    is_as_asked: bool,
    at: datetime,
) -> None:
    """Close what gateways said of a version before the moment at which one began to load it.

    That it cannot be loaded is over wherever it is loaded: who still cannot says so again. That it
    died, or is not scored as its YAML asks or by the libraries that it was trained with, stays as
    long as it serves: other gateways say it once.

    Args:
        connection: Of the lifecycle database.
        model: Whose version.
        version: Its number.
        before: When the load began; what was said later, in the same trial, stays.
        is_as_asked: Whether it is scored by ONNX where its YAML asks for that.
        at: Now.
    """
    said_at = cast(incident.c.facts["said_at"].astext, DateTime(timezone=True))
    is_live = (
        select(model_version.c.id)
        .where(
            model_version.c.model == model,
            model_version.c.version == version,
            model_version.c.state.in_([State.CANARY, State.CHAMPION]),
        )
        .exists()
    )
    kinds = ["model_crashed", "other_libraries", *(["variant_refused"] if is_as_asked else [])]
    connection.execute(
        update(incident)
        .where(
            incident.c.subject == f"{model}@{version}",
            incident.c.state == "open",
            func.coalesce(said_at, incident.c.created_at) < before,
            or_(incident.c.kind == "artifact_refused", incident.c.kind.in_(kinds) & ~is_live),
        )
        .values(state="closed", closed_at=at)
    )


_OF_SERVING = (
    "monitoring",
    "artifact_refused",
    "variant_refused",
    "other_libraries",
    "model_crashed",
    "canary_stopped",
    "authorization_ends",
    "authorization_ended",
    "authorization_in_doubt",
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
