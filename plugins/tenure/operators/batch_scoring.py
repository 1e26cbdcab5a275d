"""Tasks of `batch_score`: plan, score a shard, finish."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tenure.operators.base import TenureOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tenure.installation import Installation
    from tenure.vocabulary import RunRef


class PlanBatchOperator(TenureOperator):
    """Fixes the champion and the snapshot of the run; returns one number for each mapped task."""

    def work(self, platform: Installation, run: RunRef, context: Context) -> list[int]:
        """Numbers of the shards."""
        from tenure.usecases.decisions.batch_scoring import plan

        params: Any = context.get("params") or {}
        wanted, shard_rows = str(params.get("snapshot") or ""), int(params["shard_rows"])
        return plan(platform, str(self.model), run, snapshot=wanted, shard_rows=shard_rows)


class ScoreShardOperator(TenureOperator):
    """Scores one shard into the decision log; a shard that is done is not scored again.

    Args:
        number: Of the shard, from `plan`.
    """

    def __init__(self, *, model: str, number: int, **kwargs: Any) -> None:
        super().__init__(model=model, **kwargs)
        self.number = number

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """Rows and the key of the table of scores."""
        from tenure.usecases.decisions.batch_scoring import score_shard

        return asdict(score_shard(platform, str(self.model), run, self.number))


class FinishBatchOperator(TenureOperator):
    """Counts the stored rows against the snapshot and reports the throughput."""

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """Rows, the report's digest and the folder of the scores."""
        from tenure.usecases.decisions.batch_scoring import finish

        return asdict(finish(platform, str(self.model), run))
