"""Incidents: one open row for one cause, whoever sees it and however often."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    DateTime,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.incident_members import Member, join, repaired_now
from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import dataset, incident, model_version
from tenure.adapters.sql.tables import model as model_table
from tenure.lifecycle.incidents.alert_text import REMEDIATE
from tenure.lifecycle.incidents.failure_card import KILLED
from tenure.lifecycle.incidents.kinds import SEV1, IncidentSeverity, kind_of
from tenure.lifecycle.incidents.restart import KillSpan
from tenure.vocabulary import Role, State, storable


@dataclass(frozen=True)
class Incident:
    """What somebody has to look at; `seen` counts how often it was found.

    `owner` is who acknowledged it; `escalation` why people were told once more. `state` is open,
    closed, or restored: a sev1 that was over at `restored_at`, by `closed_by` and `closed_reason`,
    and waits for the remediation that is due first at `remediation_due`.
    """

    id: int
    dedupe_key: str
    kind: str
    subject: str
    severity: IncidentSeverity
    summary: str
    state: str
    seen: int
    facts: Mapping[str, object]
    created_at: datetime
    last_seen_at: datetime
    escalation: str | None
    owner: str | None
    acknowledged_at: datetime | None
    snoozed_until: datetime | None
    restored_at: datetime | None
    remediation_due: date | None
    remediated_at: datetime | None
    closed_at: datetime | None
    closed_by: str | None
    closed_reason: str | None

    @property
    def model(self) -> str | None:
        """The model that its facts name; where none is named, the subject has to tell."""
        named = self.facts.get("model")
        return str(named) if named else None

    @property
    def dataset(self) -> str | None:
        """The dataset that its facts name."""
        named = self.facts.get("dataset")
        return str(named) if named else None

    @property
    def datasets(self) -> tuple[str, ...]:
        """All that its facts name: a suite may judge several."""
        named = self.facts.get("datasets")
        one = (self.dataset,) if self.dataset else ()
        return tuple(map(str, named)) if isinstance(named, list) else one

    @property
    def roles(self) -> tuple[Role, ...]:
        """Who may act on it: operators, and stewards when it is about a dataset."""
        return (Role.OPERATOR,) if self.dataset is None else (Role.OPERATOR, Role.STEWARD)

    @property
    def title(self) -> str:
        """Its kind in words of a person."""
        return kind_of(self.kind).title

    @property
    def still_safe(self) -> str:
        """What is not affected: by the failure card, else by the table of kinds."""
        return str(self.facts.get("still_safe") or kind_of(self.kind).still_safe)

    @property
    def next_step(self) -> str:
        """What to do, from the same place; of a restored one, what it waits for."""
        if self.state == "restored":
            return REMEDIATE
        return str(self.facts.get("next_step") or kind_of(self.kind).next_step)

    def needs_person(self, now: datetime) -> bool:
        """Whether somebody has to act now: of a restored one, until a remediation is under way."""
        if self.state == "restored":
            return self.remediation_due is None or self.remediation_due < now.astimezone(UTC).date()
        return self.state == "open"

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
    severity: IncidentSeverity | None = None,
    facts: Mapping[str, object] | None = None,
    member: Member | None = None,
) -> int:
    """Open the incident, or count once more in the open one and bring its words up to date.

    An open one only becomes graver. One that became so, or whose `facts["stage"]` is another text
    than before, is announced once more; any other repetition announces nothing. One of the same
    subject that waits for its remediation is open again, and announced.

    Args:
        connection: Of the lifecycle database.
        dedupe_key: The cause: kind, subject, and the column or file.
        kind: One of `lifecycle/incidents/kinds.py`, or the class of an error.
        subject: What it is about.
        summary: What happened, with numbers.
        at: Now.
        severity: That of the table of kinds, unless a reason is known here.
        facts: `model`, `dataset`, `datasets`, `owner`, `report`, `still_safe`, `next_step`, `stage`
            are read.
        member: What joins it.

    Returns:
        Its number.
    """
    grave = severity or kind_of(kind).severity
    said = {"summary": storable(summary), "facts": dict(facts or {}), "last_seen_at": at}
    _reopen(connection, storable(dedupe_key), storable(subject))
    fresh = upsert(incident).values(
        dedupe_key=storable(dedupe_key),
        kind=kind,
        subject=storable(subject),
        severity=str(grave),
        created_at=at,
        **said,
    )
    number: int = connection.execute(
        fresh.on_conflict_do_update(
            index_elements=["dedupe_key"],
            index_where=text("state = 'open'"),
            set_={
                "seen": incident.c.seen + 1,
                "severity": func.least(incident.c.severity, fresh.excluded.severity),
                "escalation": _escalation(fresh.excluded),
                **said,
            },
        ).returning(incident.c.id)
    ).scalar_one()
    if member is not None:
        join(connection, number, member, at)
    return number


def _reopen(connection: Connection, dedupe_key: str, subject: str) -> None:
    """What comes back before its remediation is done is the same incident."""
    again = incident.alias()
    is_open = exists().where(again.c.dedupe_key == dedupe_key, again.c.state == "open")
    moment = func.to_char(incident.c.restored_at.op("AT TIME ZONE")("UTC"), "YYYY-MM-DD HH24:MI")
    connection.execute(
        update(incident)
        .where(
            incident.c.dedupe_key == dedupe_key,
            incident.c.subject == subject,
            incident.c.state == "restored",
            ~is_open,
        )
        .values(
            state="open",
            escalation=literal("It came back: service had been restored at ") + moment + " UTC.",
            restored_at=None,
            closed_by=None,
            closed_reason=None,
        )
    )


def _escalation(new: Any) -> ColumnElement[Any]:
    """Why people are told again; what it said before, when there is no reason."""
    stage = new.facts["stage"].astext
    return case(
        (
            new.severity < incident.c.severity,
            literal("It became graver: ") + incident.c.severity + " → " + new.severity + ".",
        ),
        (stage.is_distinct_from(incident.c.facts["stage"].astext) & stage.is_not(None), stage),
        else_=incident.c.escalation,
    )


def kill_spans(connection: Connection, host: str) -> list[KillSpan]:
    """Kills on a host of which an incident is open.

    Whoever else asks for the host waits until this transaction ends: what follows is not the first
    kill of a restart twice.
    """
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"killed:{host}"))))
    query = select(incident.c.id, incident.c.dedupe_key, incident.c.facts).where(
        incident.c.state == "open",
        incident.c.kind == KILLED,
        incident.c.facts["host"].astext == host,
    )
    return [
        KillSpan(
            row.id,
            row.dedupe_key,
            host,
            *(datetime.fromisoformat(row.facts[name]) for name in ("killed_from", "killed_until")),
        )
        for row in connection.execute(query)
    ]


def span_facts(span: KillSpan) -> dict[str, object]:
    """What `kill_spans` reads back."""
    return {
        "host": span.host,
        "killed_from": span.first.isoformat(),
        "killed_until": span.last.isoformat(),
    }


def rename(connection: Connection, incident_id: int, *, dedupe_key: str, subject: str) -> None:
    """It turned out to be about more than it was opened for."""
    connection.execute(
        update(incident)
        .where(incident.c.id == incident_id)
        .values(dedupe_key=storable(dedupe_key), subject=storable(subject))
    )


def open_summary(connection: Connection, dedupe_key: str) -> str | None:
    """The words of the open incident of the key; None when there is none."""
    query = select(incident.c.summary).where(
        incident.c.dedupe_key == dedupe_key, incident.c.state == "open"
    )
    return connection.execute(query).scalar()


def unclosed(connection: Connection) -> list[Incident]:
    """Incidents that are open or wait for their remediation, open and newest first."""
    query = (
        select(*_INCIDENT)
        .where(incident.c.state != "closed")
        .order_by(incident.c.state == "restored", incident.c.id.desc())
    )
    return [as_row(Incident, row) for row in connection.execute(query).mappings()]


def find(connection: Connection, incident_id: int) -> Incident | None:
    """The incident, open or closed."""
    row = connection.execute(select(*_INCIDENT).where(incident.c.id == incident_id)).first()
    return None if row is None else as_row(Incident, row)


def concerned(connection: Connection, found: Incident) -> tuple[list[str], list[str]]:
    """Known models and datasets that it is about."""
    models = connection.execute(select(model_table.c.name).order_by(model_table.c.name)).scalars()
    datasets = connection.execute(select(dataset.c.name).order_by(dataset.c.name)).scalars()
    return (
        [name for name in models if found.concerns(name)],
        [name for name in datasets if name in found.datasets or found.concerns(name)],
    )


def owner_of(connection: Connection, found: Incident) -> str | None:
    """Who answers for it: whom its facts name, the model's owner, else the dataset's steward."""
    if named := found.facts.get("owner"):
        return str(named)
    models, datasets = concerned(connection, found)
    if models:
        query = select(model_table.c.owner).where(model_table.c.name == models[0])
    elif datasets:
        query = select(dataset.c.steward).where(dataset.c.name == datasets[0])
    else:
        return None
    return connection.execute(query).scalar()


def locked(connection: Connection, incident_id: int) -> Incident | None:
    """The incident, or None; who else would change it waits until this transaction ends."""
    query = select(*_INCIDENT).where(incident.c.id == incident_id).with_for_update()
    row = connection.execute(query).mappings().first()
    return None if row is None else as_row(Incident, row)


def acknowledge(
    connection: Connection,
    incident_id: int,
    *,
    user: str,
    at: datetime,
    snoozed_until: datetime | None = None,
) -> None:
    """It is hers now; with a moment, it is also silent until then."""
    values: dict[str, object] = {"owner": user, "acknowledged_at": at}
    if snoozed_until is not None:
        values["snoozed_until"] = snoozed_until
    connection.execute(update(incident).where(incident.c.id == incident_id).values(**values))


def close_incident(
    connection: Connection,
    *,
    dedupe_key: str,
    at: datetime,
    by: str | None = None,
    reason: str | None = None,
) -> bool:
    """Close the open incident of the key, or let it wait for its remediation; False for none.

    Args:
        connection: Of the lifecycle database.
        dedupe_key: Its cause.
        at: Now.
        by: The person who closes it; None when it is over.
        reason: Why.
    """
    closed = connection.execute(
        update(incident)
        .where(incident.c.dedupe_key == dedupe_key, incident.c.state == "open")
        .values(**_over(at, reason, by))
    )
    return bool(closed.rowcount)


def _over(at: datetime, reason: str | None, by: str | None = None) -> dict[str, Any]:
    """The columns of an incident that is over; a sev1 without remediation is only restored."""
    waits = (incident.c.severity == str(SEV1)) & incident.c.remediated_at.is_(None)
    moment = literal(at, DateTime(timezone=True))
    return {
        "state": case((waits, "restored"), else_="closed"),
        "restored_at": case((waits, moment), else_=null()),
        "closed_at": case((waits, null()), else_=moment),
        "closed_by": by,
        "closed_reason": reason,
    }


def close_restored(
    connection: Connection, incident_id: int, *, at: datetime, by: str, reason: str
) -> bool:
    """Close one that waits for nothing else than a remediation, which is done; else False."""
    closed = connection.execute(
        update(incident)
        .where(
            incident.c.id == incident_id,
            incident.c.state == "restored",
            incident.c.remediated_at.is_not(None),
        )
        .values(state="closed", closed_at=at, closed_by=by, closed_reason=reason)
    )
    return bool(closed.rowcount)


def close_repaired(connection: Connection, repaired: ColumnElement[bool], at: datetime) -> int:
    """Note which members are green again, and close incidents that have no other member.

    Args:
        connection: Of the lifecycle database.
        repaired: Which members, as `incident_members` spells it.
        at: Now.

    Returns:
        How many incidents were closed.
    """
    waiting = repaired_now(connection, repaired, at)
    if not waiting:
        return 0
    closed = connection.execute(
        update(incident)
        .where(incident.c.id.in_(waiting), incident.c.state == "open")
        .values(**_over(at, "Each of its members is green again."))
    )
    return closed.rowcount


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
        .values(**_over(at, "A gateway loaded the version."))
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
        .values(**_over(at, "The version serves no more."))
    )
