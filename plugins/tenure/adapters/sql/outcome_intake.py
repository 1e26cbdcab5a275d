"""Which snapshots of outcomes a model has taken."""

from typing import Any

from sqlalchemy import Connection, exists, select
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.tables import model, outcome_intake, snapshot


def waiting(connection: Connection, model_name: str, dataset: str) -> list[dict[str, Any]]:
    """Published snapshots that were not taken, oldest first; none for an unregistered model."""
    taken = exists().where(
        outcome_intake.c.model == model_name, outcome_intake.c.snapshot_digest == snapshot.c.digest
    )
    query = (
        select(snapshot)
        .where(snapshot.c.dataset == dataset, ~taken, exists().where(model.c.name == model_name))
        .order_by(snapshot.c.id)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def took(connection: Connection, model_name: str, digest: str, *, rows: int, refused: int) -> None:
    """Remember that it was taken; a second time changes nothing."""
    connection.execute(
        upsert(outcome_intake)
        .values(model=model_name, snapshot_digest=digest, rows=rows, refused=refused)
        .on_conflict_do_nothing()
    )
