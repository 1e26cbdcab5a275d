"""Runs of batch scoring and their shards; a shard is done once, whoever finishes it."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import model_version, scoring_run, scoring_shard, snapshot


@dataclass(frozen=True)
class ScoringPlan:
    """What a run scores: the rows of a snapshot, by a version, in shards of a size."""

    model_version_id: int
    snapshot_id: int
    generation: int
    rows: int
    shard_rows: int
    requested_by: str
    planned_at: datetime


@dataclass(frozen=True)
class ScoringRun:
    """A planned run, with the snapshot that it scores."""

    id: int
    run_key: str
    model_version_id: int
    generation: int
    rows: int
    shard_rows: int
    planned_at: datetime
    dataset: str
    batch: str
    digest: str


@dataclass(frozen=True)
class ScoredShard:
    """What came of a shard: counts, seconds of scoring, and where decisions and scores lie."""

    number: int
    rows: int
    positive: int
    seconds: float
    decisions_key: str
    scores_key: str
    scores_digest: str


_RUN = (
    *(scoring_run.c[name] for name in ScoringRun.__dataclass_fields__ if name in scoring_run.c),
    snapshot.c.dataset,
    snapshot.c.batch,
    snapshot.c.digest,
)
_SHARD = tuple(scoring_shard.c[name] for name in ScoredShard.__dataclass_fields__)


def start(connection: Connection, run_key: str, plan: ScoringPlan) -> ScoringRun:
    """The run with this key, made now or before."""
    connection.execute(
        upsert(scoring_run).values(run_key=run_key, **asdict(plan)).on_conflict_do_nothing()
    )
    found = find(connection, run_key)
    assert found is not None
    return found


def find(connection: Connection, run_key: str) -> ScoringRun | None:
    """The run, or None."""
    query = (
        select(*_RUN)
        .join_from(scoring_run, snapshot, snapshot.c.id == scoring_run.c.snapshot_id)
        .where(scoring_run.c.run_key == run_key)
    )
    row = connection.execute(query).mappings().first()
    return as_row(ScoringRun, row) if row else None


def finish_shard(connection: Connection, run_id: int, shard: ScoredShard) -> None:
    """Record a shard; again is a no-op."""
    connection.execute(
        upsert(scoring_shard)
        .values(scoring_run_id=run_id, **asdict(shard))
        .on_conflict_do_nothing()
    )


def done_shards(connection: Connection, run_id: int) -> dict[int, ScoredShard]:
    """The finished shards by number."""
    query = select(*_SHARD).where(scoring_shard.c.scoring_run_id == run_id)
    rows = [as_row(ScoredShard, row) for row in connection.execute(query).mappings()]
    return {shard.number: shard for shard in rows}


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
