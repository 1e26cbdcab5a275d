"""One shard of a batch scoring: read, score, store decisions and scores."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from tenure.config import DatasetConfig, ModelConfig, load_dataset
from tenure.errors import GateFailed
from tenure.installation import Installation
from tenure.layout import run_folder, scores_key
from tenure.lifecycle.decisions.batch_scoring import ARM, Shard, decision_id
from tenure.lifecycle.decisions.decision_log import micros, partition
from tenure.lifecycle.model_version import VersionRecord
from tenure.lifecycle.serving import (
    Arm,
    Level,
    ServingPolicy,
    Signature,
    confidence,
    pseudonym,
)
from tenure.lifecycle.task import Task, is_answer, is_distribution
from tenure.usecases.data.compatibility import other_names
from tenure.usecases.data.snapshots import open_snapshot
from tenure.usecases.serving.gateway import GatewayInstallation
from tenure.vocabulary import RunRef, canonical_json

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from tenure.adapters.sql.batch_scoring import ScoredShard, ScoringRun
    from tenure.adapters.training_rows import ShardRows


@dataclass(frozen=True)
class StoredShard:
    """Where the decisions and the scores of a shard lie."""

    decisions_key: str
    scores_key: str
    scores_digest: str


@dataclass(frozen=True)
class ShardScoring:
    """One shard of a planned run on its version."""

    platform: Installation
    job: "ScoringRun"
    row: VersionRecord
    shard: Shard
    asked: RunRef

    def run(self) -> "ScoredShard":
        """Score it and store decisions and scores.

        A row that the model's serving policy refuses is not decided: it stands in the scores with
        the reason, and in no decision.
        """
        import numpy as np

        from tenure.adapters.row_policy import refusals
        from tenure.adapters.sklearn_trainer import score
        from tenure.adapters.skops_artifacts import load_verified
        from tenure.adapters.sql.batch_scoring import ScoredShard

        began = time.monotonic()
        every = self._read(*self._configs())
        refused = refusals(every.features, self._signature, self._policy)
        rows = every.only(refused == "")
        public_key = self.platform.settings.signing_key.with_suffix(".pub")
        estimator = load_verified(self.platform.store, self.row, public_key)
        scores = score(estimator, rows.features) if rows.subjects else np.empty(0)
        self._check(scores)
        scores, answers = self._answers(scores)
        ends = self._ends(estimator, rows)
        seconds = time.monotonic() - began
        decisions = self._decided(scores)
        numbers = self.shard.start + np.flatnonzero(refused == "")
        columns = self._columns(rows, numbers.tolist(), scores, decisions, seconds) | ends
        if answers is not None:
            columns |= {"answer": answers, "confidence": scores.tolist()}
        stored = self._store(columns, rows, every.keys, refused)
        self._ask_people(columns)
        return ScoredShard(
            number=self.shard.number,
            rows=self.shard.rows,
            positive=sum(map(bool, decisions)),
            seconds=seconds,
            decisions_key=stored.decisions_key,
            scores_key=stored.scores_key,
            scores_digest=stored.scores_digest,
        )

    @property
    def _name(self) -> str:
        return self.row.name

    @property
    def _signature(self) -> Signature:
        return Signature.from_facts(self.row.facts)

    @cached_property
    def _policy(self) -> ServingPolicy:
        """What the model's YAML says now, as for gateways."""
        return self._gateway.policy()(self.row.model)

    @cached_property
    def _gateway(self) -> GatewayInstallation:
        return GatewayInstallation(self.platform, ARM)

    def _configs(self) -> tuple[ModelConfig, DatasetConfig]:
        """The dataset as it is now, the model as the version was planned with."""
        from tenure.usecases.training.planning import pinned_config

        dataset, _ = load_dataset(self.platform.settings.include, self.job.dataset)
        return pinned_config(self.platform, self.row), dataset

    def _read(self, config: ModelConfig, dataset: DatasetConfig) -> "ShardRows":
        from tenure.adapters.training_rows import read_shard

        signature, digest = self._signature, self.job.digest
        rows = read_shard(
            open_snapshot(
                self.platform,
                dataset.name,
                digest,
                purpose="scoring",
                run=self.asked,
                model=config.name,
            ),
            self.shard.start,
            self.shard.stop,
            numeric=signature.numeric,
            categorical=signature.categorical,
            subject=config.subject_column,
            time=config.time_in(dataset),
            keys=dataset.contract.key or tuple(filter(None, [config.subject_column])),
            names=other_names(config, dataset),
            kinds=signature.kinds,
        )
        if len(rows.subjects) != self.shard.rows:
            raise miscounted(
                f"Shard {self.shard.number} of snapshot {digest[:12]} holds {len(rows.subjects):,} "
                f"rows; its manifest promised {self.shard.rows:,}.",
                None,
            )
        return rows

    def _decided(self, scores: "NDArray[np.float64]") -> list[bool | None]:
        """Whether each score is a positive decision; None unless the model is binary."""
        threshold = self.row.facts.threshold
        if threshold is None:
            return [None] * len(scores)
        return [score >= threshold for score in scores.tolist()]

    def _answers(
        self, scores: "NDArray[np.float64]"
    ) -> "tuple[NDArray[np.float64], list[str] | None]":
        """Of several classes the answered one of each row, and its probability."""
        import numpy as np

        from tenure.lifecycle.training.evaluation.classes import answered_classes

        names = self.row.facts.class_names
        if not names:
            return scores, None
        if not len(scores):
            return np.empty(0), []
        places = answered_classes(scores, self.row.facts.class_costs)
        found = scores[np.arange(len(scores)), places]
        return found, [names[place] for place in places.tolist()]

    def _ends(self, estimator: object, rows: "ShardRows") -> dict[str, list[float]]:
        """Of each row's interval, by column; empty where the version gives none."""
        from tenure.adapters.interval_models import predict_ends
        from tenure.lifecycle.training.evaluation.prediction_intervals import widened

        stated = self.row.facts.interval
        if stated is None:
            return {}
        if not rows.subjects:
            return {"lower": [], "upper": []}
        found = widened(predict_ends(estimator, rows.features), stated.margin)
        self._check(found.lower)
        self._check(found.upper)
        return {"lower": found.lower.tolist(), "upper": found.upper.tolist()}

    def _check(self, scores: "NDArray[np.float64]") -> None:
        task = self.row.facts.task
        is_one = is_distribution if task == "multiclass" else partial(is_answer, task)
        bad = sum(not is_one(score) for score in scores.tolist())
        if bad:
            raise GateFailed(
                f"{self._name} gave {bad:,} of {len(scores):,} scores that are no "
                f"{_ANSWERS[task]}.",
                still_safe="Nothing of this shard was stored; other shards stand.",
                next_step="Look at the version's evaluation and roll it back if it serves.",
            )

    def _columns(
        self,
        rows: "ShardRows",
        numbers: Sequence[int],
        scores: "NDArray[np.float64]",
        decisions: Sequence[bool | None],
        seconds: float,
    ) -> dict[str, Sequence[object]]:
        """Of the decisions; `numbers` are those of the rows in the snapshot."""
        count, planned = len(numbers), micros(self.job.planned_at)
        secret = self._gateway.subject_key
        run_key = self.job.run_key
        same: dict[str, object] = {
            "model": self.row.model,
            "version": self.row.version,
            "version_id": self.row.id,
            "arm_assigned": ARM,
            "arm_answered": str(Arm.CHAMPION),
            "generation": self.job.generation,
            "share_bp": 0,
            "received_at": planned,
            "fallback_level": str(Level.MODEL),
            "reason": "",
            "latency_ms": 1000.0 * seconds / self.shard.rows,
        }
        constant = {name: [value] * count for name, value in same.items()}
        requests = [f"{ARM}:{run_folder(run_key)}:{n}" for n in numbers]
        subjects = zip(rows.subjects, requests, strict=True)
        own: dict[str, Sequence[object]] = {
            "decision_id": [decision_id(run_key, planned // 1000, n) for n in numbers],
            "request_id": requests,
            "subject": [pseudonym(secret, subject or request) for subject, request in subjects],
            "event_time": [planned] * count if rows.times is None else rows.times.tolist(),
            "score": scores.tolist(),
            "decision": decisions,
            "confidence": self._confidences(scores, decisions),
        }
        return constant | own

    def _confidences(
        self, scores: "NDArray[np.float64]", decisions: Sequence[bool | None]
    ) -> list[float | None]:
        """As online: of several classes the score itself, of a regression none."""
        if self.row.facts.classes:
            return list(scores.tolist())
        return [
            None if decided is None else confidence(score, decision=decided)
            for score, decided in zip(scores.tolist(), decisions, strict=True)
        ]

    def _store(
        self,
        columns: Mapping[str, Sequence[object]],
        rows: "ShardRows",
        keys: "pa.Table",
        refused: "NDArray[np.object_]",
    ) -> StoredShard:
        """Decisions of `rows`, and scores beside the `keys` of every row of the shard."""
        from tenure.adapters.decision_tables import decisions_to_parquet, scores_to_parquet

        model, run_key = self.row.model, self.job.run_key
        numeric, categorical = self._signature.numeric, self._signature.categorical
        sealed = self._sealed(columns, rows)
        features = {f"f_{n}": rows.features[n] for n in rows.features} if sealed is None else {}
        data = decisions_to_parquet(
            {**columns, **features, **({} if sealed is None else {"sealed": sealed})},
            numeric=numeric if sealed is None else (),
            categorical=categorical if sealed is None else (),
        )
        hour = partition("decisions", model, micros(self.job.planned_at))
        decisions_key = f"{hour}/{ARM}-{run_folder(run_key)}-{self.shard.number:05d}.parquet"
        asked = scores_key(model, run_key, self.shard.number)
        scores = scores_to_parquet(keys, columns, refused.tolist())
        digest = self.platform.store.put(asked, scores)
        self._gateway.log_files.put(decisions_key, data)
        return StoredShard(decisions_key, asked, digest)

    def _ask_people(self, columns: Mapping[str, Sequence[object]]) -> None:
        """Queue decisions that the model is not sure of; those that are queued stay as they are."""
        least = self._policy.review_below_confidence
        if least is None:
            return
        same = {
            "model": self.row.model,
            "version": self.row.version,
            "fallback_level": str(Level.MODEL),
            "reason": "low confidence",
            "received_at": self.job.planned_at,
        }
        names = ("decision_id", "subject", "score", "decision", "confidence")
        every = list(zip(*(columns[name] for name in names), strict=True))
        answers = columns.get("answer") or [None] * len(every)
        unsure = [
            same | dict(zip(names, row, strict=True)) | {"predicted": answer}
            for row, answer in zip(every, answers, strict=True)
            if row[-1] is not None and row[-1] < least
        ]
        self._gateway.enqueue_reviews(unsure)

    def _sealed(
        self, columns: Mapping[str, Sequence[object]], rows: "ShardRows"
    ) -> list[bytes | None] | None:
        """Features under their subjects' keys, as the gateway ships them; None: a plain model."""
        vault = self._gateway.vault
        if not vault.is_personal(self.row.model):
            return None
        signature = self._signature
        plain = rows.features.astype(object).where(rows.features.notna(), None)
        values = [
            canonical_json(
                {
                    "numeric": {name: row[name] for name in signature.numeric},
                    "categorical": {name: row[name] for name in signature.categorical},
                }
            )
            for row in plain.to_dict("records")
        ]
        names = (map(str, columns[name]) for name in ("subject", "decision_id"))
        wanted = zip(*names, values, strict=True)
        return [found or b"" for found in vault.seal_for_good(list(wanted))]


_ANSWERS: dict[Task, str] = {
    "binary": "probability",
    "multiclass": "probabilities of all classes",
    "regression": "finite number",
}


def miscounted(what: str, evidence: str | None) -> GateFailed:
    """The error of rows that are not as many as they must be."""
    return GateFailed(
        what,
        still_safe="Snapshot and decision log were not changed by this check.",
        next_step="Do not use these scores. Run `tenure ledger verify --invariants` and tell the "
        "platform team.",
        evidence=evidence,
    )
