"""Runs of batch scoring and their shards; a shard is done once, whoever finishes it."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.tables import model_version, scoring_run, scoring_shard, snapshot


def start(connection: Connection, run_key: str, values: dict[str, Any]) -> dict[str, Any]:
    """The run with this key, made now or before."""
    connection.execute(
        upsert(scoring_run).values(run_key=run_key, **values).on_conflict_do_nothing()
    )
    found = find(connection, run_key)
    assert found is not None
    return found


def find(connection: Connection, run_key: str) -> dict[str, Any] | None:
    """The run with its `dataset`, `batch` and `digest`, or None."""
    query = (
        select(scoring_run, snapshot.c.dataset, snapshot.c.batch, snapshot.c.digest)
        .join(snapshot, snapshot.c.id == scoring_run.c.snapshot_id)
        .where(scoring_run.c.run_key == run_key)
    )
    row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def finish_shard(connection: Connection, run_id: int, number: int, values: dict[str, Any]) -> None:
    """Record a shard; again is a no-op."""
    connection.execute(
        upsert(scoring_shard)
        .values(scoring_run_id=run_id, number=number, **values)
        .on_conflict_do_nothing()
    )


def done_shards(connection: Connection, run_id: int) -> dict[int, dict[str, Any]]:
    """The finished shards by number."""
    query = select(scoring_shard).where(scoring_shard.c.scoring_run_id == run_id)
    return {row["number"]: dict(row) for row in connection.execute(query).mappings()}


def finish(connection: Connection, run_id: int, report: str, now: datetime) -> None:
    """Record the end; the first one stays."""
    connection.execute(
        update(scoring_run)
        .where(scoring_run.c.id == run_id)
        .values(
            report_digest=func.coalesce(scoring_run.c.report_digest, report),
            finished_at=func.coalesce(scoring_run.c.finished_at, now),
        )
    )


def datasets_of(connection: Connection, model: str) -> list[str]:
    """Datasets of which a version of the model ever scored a snapshot."""
    query = (
        select(snapshot.c.dataset)
        .distinct()
        .join(scoring_run, scoring_run.c.snapshot_id == snapshot.c.id)
        .join(model_version, model_version.c.id == scoring_run.c.model_version_id)
        .where(model_version.c.model == model)
    )
    return sorted(connection.execute(query).scalars())
