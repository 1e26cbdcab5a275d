"""What the page of a canary shows: its versions, its traffic plans, every analysis. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from tenure.adapters.sql import plans
from tenure.adapters.sql import tables as t
from tenure.adapters.sql.canary import CanaryRollback, rollback_of
from tenure.adapters.sql.model_page import AnalysisLine
from tenure.adapters.sql.overview import columns_of
from tenure.adapters.sql.plans import PlanRow
from tenure.adapters.sql.rows import as_row
from tenure.vocabulary import State


@dataclass(frozen=True)
class CanaryVersion:
    """A version that some plan named as canary."""

    id: int
    version: int
    state: State
    began_at: datetime


@dataclass(frozen=True)
class CanaryPlan:
    """A traffic plan of the canary; the last one is that with which it ended, if it has."""

    generation: int
    share_bp: int
    champion_id: int
    canary_id: int | None
    created_at: datetime
    lease_until: datetime | None


@dataclass(frozen=True)
class CanaryRows:
    """Everything that is stored about one canary, oldest first.

    `canaries` are those of the model, newest first; `chosen` is the one that the rest is about,
    `champion` the number of the version that it is compared with, `in_force` the newest plan.
    """

    canaries: Sequence[CanaryVersion]
    chosen: CanaryVersion
    champion: int
    plans: Sequence[CanaryPlan]
    in_force: PlanRow
    analyses: Sequence[AnalysisLine]
    rollback: CanaryRollback | None
    watermark: datetime | None


def canary_rows(connection: Connection, model: str, version: int | None) -> CanaryRows | None:
    """The canary of this version, or the newest; None where there is none."""
    found = canaries_of(connection, model)
    chosen = next((one for one in found if version in {None, one.version}), None)
    in_force = plans.newest(connection, model)
    if chosen is None or in_force is None:
        return None
    mine = _plans(connection, model, chosen.id)
    number = select(t.model_version.c.version).where(t.model_version.c.id == mine[0].champion_id)
    watermark = select(t.model.c.watermark).where(t.model.c.name == model)
    return CanaryRows(
        canaries=found,
        chosen=chosen,
        champion=int(connection.execute(number).scalar_one()),
        plans=mine,
        in_force=in_force,
        analyses=_analyses(connection, chosen),
        rollback=rollback_of(connection, chosen.id),
        watermark=connection.execute(watermark).scalar_one(),
    )


def canaries_of(connection: Connection, model: str) -> list[CanaryVersion]:
    """Versions of the model that had a share of the traffic on probation, newest first."""
    plan, version = t.traffic_plan, t.model_version
    began = func.min(plan.c.created_at).label("began_at")
    rows = connection.execute(
        select(version.c.id, version.c.version, version.c.state, began)
        .join_from(plan, version, version.c.id == plan.c.canary_id)
        .where(plan.c.model == model)
        .group_by(version.c.id, version.c.version, version.c.state)
        .order_by(func.min(plan.c.generation).desc())
    )
    return [as_row(CanaryVersion, row) for row in rows.mappings()]


def _plans(connection: Connection, model: str, canary_id: int) -> list[CanaryPlan]:
    table = t.traffic_plan
    of_it = (table.c.model == model) & (table.c.canary_id == canary_id)
    last = select(func.max(table.c.generation)).where(of_it).scalar_subquery()
    rows = connection.execute(
        select(*columns_of(CanaryPlan, table))
        .where(of_it | ((table.c.model == model) & (table.c.generation == last + 1)))
        .order_by(table.c.generation)
    )
    return [as_row(CanaryPlan, row) for row in rows.mappings()]


def _analyses(connection: Connection, chosen: CanaryVersion) -> list[AnalysisLine]:
    table = t.canary_analysis
    version = t.model_version.c.version
    rows = connection.execute(
        select(*columns_of(AnalysisLine, table), version)
        .join_from(table, t.model_version, t.model_version.c.id == table.c.model_version_id)
        .where(table.c.model_version_id == chosen.id)
        .order_by(table.c.number)
    )
    return [as_row(AnalysisLine, row) for row in rows.mappings()]
