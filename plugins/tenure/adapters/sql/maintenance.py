"""What the reconciler and the watchdog look at."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import dataset, model, model_version, report, retrain_request
from tenure.lifecycle.audit.ledger import Anchor
from tenure.vocabulary import State

ALIASES = {"champion": State.CHAMPION, "challenger": State.CANARY}
"""MLflow alias to the state whose version it mirrors."""


@dataclass(frozen=True)
class ModelAliases:
    """Aliases of one model by the lifecycle database: now, and whoever had them before."""

    model: str
    wanted: dict[str, int | None]
    earlier: dict[str, set[int]]


def try_lock(connection: Connection, name: str) -> bool:
    """Whether this transaction now holds the named lock; it ends with the transaction."""
    query = text("SELECT pg_try_advisory_xact_lock(hashtext(:n))")
    return bool(connection.execute(query, {"n": name}).scalar_one())


@dataclass(frozen=True)
class AbandonedRequest:
    """A retrain request in state `running`."""

    id: int
    model: str
    model_version_id: int | None
    created_at: datetime


def aliases(connection: Connection) -> list[ModelAliases]:
    """What MLflow must mirror, by model."""
    found: dict[str, ModelAliases] = {}
    versions = select(model_version.c.model, model_version.c.version, model_version.c.state)
    for row in connection.execute(versions.order_by(model_version.c.model)):
        one = found.setdefault(
            row.model, ModelAliases(row.model, dict.fromkeys(ALIASES), defaultdict(set))
        )
        for alias, state in ALIASES.items():
            if row.state == str(state):
                one.wanted[alias] = row.version
    places = {str(state): alias for alias, state in ALIASES.items()}
    for row in connection.execute(text(_EVER), {"places": list(places)}):
        found[row.model].earlier[places[row.dst]].add(row.version)
    return list(found.values())


@dataclass(frozen=True)
class OrphanedCanary:
    """The newest plan of a model with a canary whose lease ended."""

    model: str
    version: int
    generation: int
    share_bp: int
    lease_until: datetime

    @property
    def name(self) -> str:
        """`model@version`."""
        return f"{self.model}@{self.version}"


def canaries_without_controller(connection: Connection, before: datetime) -> list[OrphanedCanary]:
    """Models whose newest plan has a canary with a lease that ended before a moment."""
    rows = connection.execute(text(_ORPHANS), {"before": before})
    return [as_row(OrphanedCanary, row) for row in rows.mappings()]


def open_incidents(connection: Connection, prefix: str) -> list[str]:
    """Dedupe keys of open incidents that begin with a prefix."""
    query = text(
        "SELECT dedupe_key FROM incident WHERE state = 'open' AND starts_with(dedupe_key, :prefix)"
    )
    return list(connection.execute(query, {"prefix": prefix}).scalars())


@dataclass(frozen=True)
class StoppedCanary:
    """What a gateway said of a canary that a person stopped at it; `at` is an ISO 8601 text."""

    version_id: int
    gateway: str
    by: str
    reason: str
    at: str


def stopped_canaries(connection: Connection) -> list[StoppedCanary]:
    """Those whose incident is open, oldest first."""
    rows = connection.execute(text(_STOPPED)).mappings()
    return [as_row(StoppedCanary, row) for row in rows]


def running_requests(connection: Connection, before: datetime) -> list[AbandonedRequest]:
    """Retrain requests that were taken up and not closed, filed before a moment."""
    names = AbandonedRequest.__dataclass_fields__
    query = select(*(retrain_request.c[name] for name in names)).where(
        retrain_request.c.state == "running", retrain_request.c.created_at < before
    )
    return [as_row(AbandonedRequest, row) for row in connection.execute(query).mappings()]


def names(connection: Connection) -> dict[str, str]:
    """Owner of every model and dataset that is known."""
    found = {row.name: row.owner for row in connection.execute(select(dataset))}
    return found | {row.name: row.owner for row in connection.execute(select(model))}


def tasks_with_card(connection: Connection) -> dict[tuple[str, str, str, int], int]:
    """The newest try that said why it failed, by DAG, run, task and map index."""
    where = (report.c.dag_id, report.c.run_id, report.c.task_id, report.c.map_index)
    tried = func.max(report.c.body["facts"]["try_number"].as_integer())
    query = select(*where, tried).where(report.c.stage == "failure").group_by(*where)
    return {(row[0], row[1], row[2], row[3]): row[4] or 1 for row in connection.execute(query)}


def kept_anchors(connection: Connection) -> list[Anchor]:
    """Where the stored verifications of the ledger ended, the newest last."""
    query = (
        select(report.c.body["facts"])
        .where(report.c.stage == "ledger", report.c.verdict == "passed")
        .order_by(report.c.id)
    )
    found = connection.execute(query).scalars()
    return [Anchor(int(facts["seq"]), str(facts["hash"])) for facts in found]


def kept_checkpoint(connection: Connection) -> str | None:
    """The note of the newest checkpoint of the ledger that was stored with its signatures."""
    query = (
        select(report.c.body["facts"]["note"].as_string())
        .where(report.c.stage == "checkpoint")
        .order_by(report.c.id.desc())
    )
    found: str | None = connection.execute(query.limit(1)).scalar_one_or_none()
    return found


_EVER = """
    SELECT DISTINCT v.model, v.version, x.dst FROM ledger_event x
    JOIN model_version v ON x.subject = 'mv:' || v.id WHERE x.dst = ANY(:places)
"""
_STOPPED = """
    SELECT (facts->>'version_id')::bigint AS version_id, facts->>'gateway' AS gateway,
           facts->>'by' AS "by", facts->>'reason' AS reason, facts->>'at' AS "at"
    FROM incident WHERE state = 'open' AND kind = 'canary_stopped' ORDER BY id
"""
_ORPHANS = """
    SELECT p.model, p.generation, p.share_bp, p.lease_until, v.version
    FROM (SELECT DISTINCT ON (model) * FROM traffic_plan ORDER BY model, generation DESC) p
    JOIN model_version v ON v.id = p.canary_id
    WHERE p.lease_until < :before ORDER BY p.model
"""
