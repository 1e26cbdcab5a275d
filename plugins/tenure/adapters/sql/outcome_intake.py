"""Which snapshots of outcomes a model has taken."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, exists, select
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import model, outcome_intake, snapshot


@dataclass(frozen=True)
class OutcomeSnapshot:
    """A published snapshot of outcomes."""

    dataset: str
    digest: str
    created_at: datetime


def waiting(connection: Connection, model_name: str, dataset: str) -> list[OutcomeSnapshot]:
    """Published snapshots that were not taken, oldest first; none for an unregistered model."""
    taken = exists().where(
        outcome_intake.c.model == model_name, outcome_intake.c.snapshot_digest == snapshot.c.digest
    )
    query = (
        select(snapshot.c.dataset, snapshot.c.digest, snapshot.c.created_at)
        .where(snapshot.c.dataset == dataset, ~taken, exists().where(model.c.name == model_name))
        .order_by(snapshot.c.id)
    )
    return [as_row(OutcomeSnapshot, row) for row in connection.execute(query).mappings()]


def took(connection: Connection, model_name: str, digest: str, *, rows: int, refused: int) -> None:
    """Remember that it was taken; a second time changes nothing."""
    connection.execute(
        upsert(outcome_intake)
        .values(model=model_name, snapshot_digest=digest, rows=rows, refused=refused)
        .on_conflict_do_nothing()
    )
