"""Batch scoring: a snapshot through the champion, shard by shard, into the decision log."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.config import load_model
from tenure.errors import DataRejected, NotPermitted, StateConflict
from tenure.failpoints import failpoint
from tenure.installation import Installation
from tenure.layout import PROMOTE_MODEL, dag_id, run_folder, scores_prefix
from tenure.lifecycle.decisions.batch_scoring import SHARD_ROWS, shards
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.serving import GONE, authorization_ended
from tenure.lifecycle.task import Task
from tenure.usecases.decisions.batch_shard import ShardScoring, miscounted
from tenure.verdicts import Check, Report, Verdict
from tenure.vocabulary import RunRef, op_key

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tenure.adapters.sql.batch_scoring import ScoredShard, ScoringRun
    from tenure.adapters.sql.data import SnapshotRow

SCORER = "service:scorer"
_SHOWN = 5
_NOTHING = "Nothing was scored; gateways are not affected."


@dataclass(frozen=True)
class ShardScores:
    """A shard that is done: its rows, and the key of its table of scores."""

    shard: int
    rows: int
    scores: str


@dataclass(frozen=True)
class BatchScores:
    """A run that is done: rows, those that were refused, the report, the folder of the scores."""

    rows: int
    refused: int
    report: str
    scores: str


def plan(
    platform: Installation,
    model: str,
    run: RunRef,
    *,
    snapshot: str = "",
    shard_rows: int = SHARD_ROWS,
) -> list[int]:
    """Fix version and snapshot for a DAG run; the same run gives the same plan again.

    Args:
        platform: The installation.
        model: Name of the model.
        run: The DAG run.
        snapshot: Digest (or its beginning) or batch; empty for the newest.
        shard_rows: Rows of a shard.

    Returns:
        Numbers of the shards.

    Raises:
        StateConflict: The model has no champion.
        NotPermitted: Its authorization has ended.
        DataRejected: There is no such snapshot.
    """
    from tenure.adapters.sql import batch_scoring as table
    from tenure.adapters.sql import plans

    key = _run_key(model, run)
    with platform.database.begin() as connection:
        found = table.find(connection, key)
        if found is None:
            traffic = plans.newest(connection, model)
            if traffic is None:
                raise _no_champion(model)
            _require_authorization(platform, connection, traffic.champion_id)
            chosen = _choose(connection, platform, model, snapshot)
            scoring = table.ScoringPlan(
                model_version_id=traffic.champion_id,
                snapshot_id=chosen.id,
                generation=traffic.generation,
                rows=chosen.rows,
                shard_rows=shard_rows,
                requested_by=run.user or SCORER,
                planned_at=platform.clock.now(),
            )
            found = table.start(connection, key, scoring)
            _note(platform, connection, model, run, found)
    return [shard.number for shard in shards(found.rows, found.shard_rows)]


def score_shard(platform: Installation, model: str, run: RunRef, number: int) -> ShardScores:
    """Score one shard; one that is done stays as it is.

    Raises:
        StateConflict: The run has no plan, or its version was retired meanwhile.
        NotPermitted: The authorization of its version ended meanwhile.
        ArtifactRefused: Snapshot or artifact are not the bytes that were registered.
        GateFailed: The model gave something else than probabilities.
    """
    from tenure.adapters.sql import batch_scoring as table
    from tenure.adapters.sql import versions

    with platform.database.begin() as connection:
        job = table.find(connection, _run_key(model, run))
        if job is None:
            raise _no_plan(model, run)
        done = table.done_shards(connection, job.id).get(number)
        row = versions.row_by_id(connection, job.model_version_id)
        if done is not None:
            return _answer(done)
        if row.state in GONE:
            raise _retired(row)
        _require_authorization(platform, connection, row.id)
    shard = shards(job.rows, job.shard_rows)[number]
    scored = ShardScoring(platform, job, row, shard, run).run()
    failpoint("batch.stored")
    with platform.database.begin() as connection:
        table.finish_shard(connection, job.id, scored)
    failpoint("batch.recorded")
    return _answer(scored)


def finish(platform: Installation, model: str, run: RunRef) -> BatchScores:
    """Count what was stored against the snapshot, and report rows and throughput.

    Raises:
        StateConflict: The run has no plan, or shards are missing.
        GateFailed: The files do not hold exactly the snapshot's rows.
    """
    from tenure.adapters.decision_files import counted, row_count
    from tenure.adapters.sql import batch_scoring as table
    from tenure.adapters.sql import versions

    with platform.database.begin() as connection:
        job = table.find(connection, _run_key(model, run))
        if job is None:
            raise _no_plan(model, run)
        done = table.done_shards(connection, job.id)
        task = versions.row_by_id(connection, job.model_version_id).facts.task
    missing = {s.number for s in shards(job.rows, job.shard_rows)} - set(done)
    if missing:
        raise _incomplete(model, missing, len(done))
    paths = [platform.store.fetch(s.scores_key, s.scores_digest) for s in done.values()]
    rows, refused = row_count(paths), counted(paths, "refused")
    report = _report(model, job, list(done.values()), rows, refused, task=task)
    digest = platform.reports.save(report, model=model, dataset=None, run=run)
    if report.verdict is not Verdict.PASSED:
        raise miscounted(report.summary, digest)
    with platform.database.begin() as connection:
        table.finish(connection, job.id, digest, platform.clock.now())
    return BatchScores(rows, refused.total(), digest, scores_prefix(model, job.run_key))


def _run_key(model: str, run: RunRef) -> str:
    return op_key("batch_score", model, {"dag": run.dag_id, "run": run.run_id})


def _choose(
    connection: "Connection", platform: Installation, model: str, wanted: str
) -> "SnapshotRow":
    """The newest snapshot in force, or that of the batch that was named, or the one of a digest."""
    from tenure.adapters.sql import data

    config, _ = load_model(platform.settings.include, model)
    published = data.snapshots(connection, config.dataset)
    found = [
        s
        for s in published
        if s.batch == wanted or (len(wanted) >= 8 and s.digest.startswith(wanted))
    ]
    if not wanted:
        found = data.in_force(connection, config.dataset)
    if not found:
        raise DataRejected(
            f"{config.dataset} has no snapshot {wanted!r}; {len(published)} are published.",
            still_safe=_NOTHING,
            next_step=f"Name a batch or a digest of `tenure data list {config.dataset}` in the "
            "form, or leave it empty for the newest.",
        )
    return found[-1]


def _require_authorization(
    platform: Installation, connection: "Connection", version_id: int
) -> None:
    """Refuse a version as gateways do; nobody waits for an answer, so the rule gives none.

    Raises:
        NotPermitted: Its authorization has ended.
    """
    from tenure.adapters.sql import plans, versions

    until = plans.champion_until(connection, version_id)
    if until is None or until <= platform.clock.now():
        version = versions.get_by_id(connection, version_id)
        ended = authorization_ended(until) if until else "it was never champion"
        raise NotPermitted(
            f"{version.name} scores no batch: {ended}.",
            still_safe="Shards that are done stand; nothing more was scored.",
            next_step=f"Approvers renew it with `tenure authorization renew {version.model} "
            f"--version {version.version}`; then clear this task. Or promote another version and "
            "trigger a new run.",
        )


def _note(
    platform: Installation, connection: "Connection", model: str, run: RunRef, job: "ScoringRun"
) -> None:
    platform.ledger.note(
        connection,
        subject=f"batch_scoring:{model}",
        actor=run.user or SCORER,
        body={
            "model_version_id": job.model_version_id,
            "digest": job.digest,
            "rows": job.rows,
            "generation": job.generation,
            "run_id": run.run_id,
        },
        op_key=job.run_key,
    )


def _answer(shard: "ScoredShard") -> ShardScores:
    return ShardScores(shard.number, shard.rows, shard.scores_key)


def _report(
    model: str,
    job: "ScoringRun",
    done: "Sequence[ScoredShard]",
    rows: int,
    refused: Counter[str],
    *,
    task: Task,
) -> Report:
    seconds, positive = sum(s.seconds for s in done), sum(s.positive for s in done)
    verdict = Verdict.PASSED if rows == job.rows else Verdict.FAILED
    speed = rows / seconds if seconds else 0.0
    return Report(
        stage="batch_scoring",
        subject=f"{model}/{run_folder(job.run_key)}",
        verdict=verdict,
        summary=f"{model}: {rows:,} of {job.rows:,} rows of {job.dataset} {job.batch} "
        f"scored in {len(done)} shards, {speed:,.0f} rows a second of scoring; "
        f"{_positive(positive, task)}{_not_decided(refused)}",
        checks=(
            Check(
                rule="rows",
                verdict=verdict,
                observed=f"{rows:,} rows",
                allowed=f"exactly {job.rows:,}",
                value=float(rows),
                limit=float(job.rows),
            ),
        ),
        facts={
            "snapshot": job.digest,
            "model_version_id": job.model_version_id,
            "generation": job.generation,
            "rows": rows,
            "shards": len(done),
            "positive": positive if task == "binary" else None,
            "refused": dict(refused.most_common()),
            "scores": scores_prefix(model, job.run_key),
        },
        enforced=True,
    )


def _positive(positive: int, task: Task) -> str:
    if task == "regression":
        return "each answer is a number."
    if task == "multiclass":
        return "each answer is a class."
    return f"{positive:,} decisions are positive."


def _not_decided(refused: Counter[str]) -> str:
    """What the model's serving policy did not let through, the most frequent reasons first."""
    if not refused:
        return ""
    shown = ", ".join(f"{why} {count:,}" for why, count in refused.most_common(_SHOWN))
    more = f" and {len(refused) - _SHOWN} more reasons" if len(refused) > _SHOWN else ""
    return f" {refused.total():,} of the rows were refused and have no decision: {shown}{more}."


def _no_champion(model: str) -> StateConflict:
    return StateConflict(
        f"{model} has no champion: no version is authorized to score.",
        still_safe=_NOTHING,
        next_step=f"Promote a version first (`{dag_id(model, PROMOTE_MODEL)}`), then trigger a new "
        "run.",
    )


def _no_plan(model: str, run: RunRef) -> StateConflict:
    return StateConflict(
        f"Run {run.run_id} has planned no batch scoring of {model}.",
        still_safe=_NOTHING,
        next_step="Clear its task `plan`, or trigger a new run.",
    )


def _retired(row: VersionRow) -> StateConflict:
    return StateConflict(
        f"{row.name} is {row.state} and never answers again.",
        still_safe="Shards that are done stand; nothing more was scored.",
        next_step="Trigger a new run: it takes the champion of now.",
    )


def _incomplete(model: str, missing: set[int], done: int) -> StateConflict:
    shown = ", ".join(str(n) for n in sorted(missing)[:5]) + (" …" if len(missing) > 5 else "")
    return StateConflict(
        f"{model}: {len(missing)} of {len(missing) + done} shards are not scored: {shown}.",
        still_safe="The others are done and are not scored again.",
        next_step="Clear the failed `score` tasks; this task then follows.",
    )
