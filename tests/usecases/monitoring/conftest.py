"""A champion with a reference, and its decisions and outcomes, on a real PostgreSQL and store."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from version_rows import facts

from tenure.adapters import sealing
from tenure.adapters.decision_tables import decisions_to_parquet, outcomes_to_parquet
from tenure.adapters.sql import data, plans, versions
from tenure.adapters.sql.tables import approval, model, snapshot, training_snapshot
from tenure.installation import Installation
from tenure.lifecycle.data.sources import Rules
from tenure.settings import Settings
from tenure.usecases.serving.log_files import RecordedFiles
from tenure.usecases.serving.subject_keys import subject_keys
from tenure.verdicts import Verdict
from tenure.vocabulary import RunRef, State, VersionRef, digest_bytes, digest_json

MODEL, DATASET = "late", "trips"
JUNE = datetime(2013, 6, 1, tzinfo=UTC)
PLATFORM = "roles: {approver: [grace]}\n"
DATASET_YAML = """
name: trips
description: trips
owner: ada
steward: sam
time_column: at
suite: trips
contract:
  key: [id]
  columns:
    id: {type: string}
    at: {type: timestamp}
    temp: {type: number}
    carrier: {type: string}
    late: {type: boolean}
"""
MODEL_YAML = """
name: late
purpose: tests
owner: ada
dataset: trips
label: {column: late, horizon_hours: 24}
subject_column: id
features: {numeric: [temp], categorical: [carrier]}
training: {window_batches: 3}
evaluation: {gates: [{metric: roc_auc, minimum: 0.5}]}
bias: {attributes: [carrier], metric: selection_rate, max_difference: 0.9, bootstrap_draws: 100}
canary: {metrics: [{event: error, margin: 1.5}]}
monitoring: {min_decisions: 300, metric: wrong_label_rate, max_decay: 0.1, bins: 10}
retraining: {cooldown_hours: 1}
"""


@dataclass
class Life:
    """One installation, and short ways through a model's life."""

    platform: Installation
    shipped: int = 0
    labelled: int = 0
    folder: str = ""
    stated: dict[str, Any] = field(default_factory=dict)
    """Facts of its versions that are not those of a binary model."""

    def run(self, run_id: str = "run-1", dag: str = f"{MODEL}__monitor_model") -> RunRef:
        return RunRef(dag, run_id, "monitor")

    def publish(self, *numbers: int) -> None:
        """Months of the dataset, as the data gate leaves them."""
        with self.platform.database.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO dataset (name, owner, steward, sensitivity) "
                "VALUES ('trips', 'ada', 'sam', 'internal') ON CONFLICT DO NOTHING"
            )
            for month in numbers:
                batch, digest = f"2013-{month:02}", digest_json(month)
                new = data.NewSnapshot(
                    digest=digest,
                    rows=10,
                    manifest_digest="m" * 64,
                    time_min=datetime(2013, month, 1, tzinfo=UTC),
                    time_max=datetime(2013, month + 1, 1, tzinfo=UTC) - timedelta(hours=1),
                )
                number = data.publish(connection, DATASET, batch, "s" * 64, new)
                judged = data.NewValidation(
                    batch=batch,
                    source_key=f"landing/{DATASET}/{batch}.parquet",
                    source_digest=digest,
                    verdict=Verdict.PASSED,
                    rows_in=10,
                    rows_ok=10,
                    rows_quarantined=0,
                    quarantine_key=None,
                    report_digest="r" * 64,
                    shape=None,
                )
                rules = Rules("s" * 64, "c" * 64)
                data.record(connection, DATASET, rules, judged, snapshot_id=number)

    def version(self, *, state: State = State.TRAINED, months: tuple[int, ...] = ()) -> VersionRef:
        """A version with a scored holdout, wrong in 20% of its labels."""
        rng = np.random.default_rng(1)
        holdout = _reference(rng, 3000)
        key = f"reference/{MODEL}/{digest_bytes(holdout)[:8]}.parquet"
        self.platform.store.put(key, holdout)
        with self.platform.database.begin() as connection:
            versions.register_model(
                connection, name=MODEL, owner="ada", risk_tier="limited", purpose="tests"
            )
            count = len(versions.all_of(connection, MODEL))
            version = versions.create_draft(
                connection, model_name=MODEL, trained_by="ada", training_key=f"k{count}"
            )
            ids = connection.execute(
                snapshot.select().where(snapshot.c.digest.in_([digest_json(m) for m in months]))
            )
            for row in ids.all():
                connection.execute(
                    training_snapshot.insert().values(
                        model_version_id=version.id, snapshot_id=row.id
                    )
                )
            stated = facts(
                holdout_key=key,
                holdout_digest=digest_bytes(holdout),
                metrics={"wrong_label_rate": 0.2},
                features={"numeric": ["temp"], "categorical": ["carrier"], "dates": []},
                ranges={"temp": [0.0, 100.0]},
                categories={"carrier": ["AA", "UA"]},
            )
            stated |= self.stated
            artifact = {"artifact_digest": digest_json(count), "signature": "s", "facts": stated}
            self._move(connection, version, State.TRAINED, artifact)
        return self._carry(version, state)

    def _carry(self, version: VersionRef, state: State) -> VersionRef:
        """Along the legal moves to the state."""
        path = [State.TRAINED, State.VALIDATED, State.APPROVED, State.CHAMPION]
        path = path[: path.index(state) + 1] if state in path else [State.TRAINED, state]
        with self.platform.database.begin() as connection:
            for step in path[1:]:
                if step is State.APPROVED:
                    self._approve(connection, version)
                gates = {"evaluation_report": "e" * 64, "bias_report": "b" * 64}
                seen = versions.get_by_id(connection, version.id)
                self._move(connection, seen, step, gates if step is State.VALIDATED else {})
            if state is State.CHAMPION:
                self._plan(connection, version)
            return versions.get_by_id(connection, version.id)

    def succeed(self, champion: VersionRef) -> VersionRef:
        """Another version takes the champion's place, as a promotion does it."""
        fresh = self.version(state=State.APPROVED)
        with self.platform.database.begin() as connection:
            self._move(connection, fresh, State.CANARY, {})
            old = versions.get_by_id(connection, champion.id)
            self._move(connection, old, State.SUPERSEDED, {})
            self._move(connection, versions.get_by_id(connection, fresh.id), State.CHAMPION, {})
            self._plan(connection, fresh)
            return versions.get_by_id(connection, fresh.id)

    def _approve(self, connection: Any, version: VersionRef) -> None:
        row = versions.row_by_id(connection, version.id)
        connection.execute(
            approval.insert().values(
                model_version_id=version.id,
                action="serve",
                approver="grace",
                trained_by="ada",
                answer="approve",
                artifact_digest=row.artifact_digest,
                evidence_digest="e" * 64,
                expires_at=datetime.now(tz=UTC) + timedelta(days=9),
            )
        )

    def _plan(self, connection: Any, version: VersionRef) -> None:
        plans.publish(
            connection,
            self.platform.ledger,
            model=MODEL,
            seen=plans.newest(connection, MODEL),
            fence=1,
            champion_id=version.id,
            canary_id=None,
            share_bp=0,
            salt="s",
            lease_seconds=None,
            champion_until=datetime.now(tz=UTC) + timedelta(days=1),
            canary_until=None,
            now=self.platform.clock.now(),
            reason="test",
            actor="test",
        )

    def _move(
        self, connection: Any, version: VersionRef, dst: State, columns: dict[str, Any]
    ) -> None:
        self.platform.ledger.move(
            connection,
            version,
            dst,
            actor="test",
            body={},
            op_key=digest_json([version.id, dst]),
            columns=columns,
        )

    def champion(self, months: tuple[int, ...] = ()) -> VersionRef:
        return self.version(state=State.CHAMPION, months=months)

    def sealed(
        self, ids: list[str], temps: Sequence[float], carriers: Sequence[str]
    ) -> list[bytes]:
        """Features of each decision under the key of its subject."""
        keys = subject_keys(self.platform, set(ids), make=True)
        return [
            sealing.seal(
                keys[name] or b"",
                json.dumps(
                    {"numeric": {"temp": temp}, "categorical": {"carrier": carrier}}
                ).encode(),
                about=name,
            )
            for name, temp, carrier in zip(ids, temps, carriers, strict=True)
        ]

    def ship(
        self,
        version: VersionRef,
        count: int,
        *,
        wrong: float = 0.2,
        start: datetime = JUNE,
        warmer: float = 0.0,
        carrier: str = "AA",
        labelled: bool = True,
        is_personal: bool = False,
    ) -> datetime:
        """Decisions a minute apart with their outcomes; returns the last event_time.

        What is personal is sealed row by row, as gateways do.
        """
        self.shipped += 1
        rng = np.random.default_rng(self.shipped)
        ids = [f"{self.shipped}-{i}" for i in range(count)]
        times = [_micros(start + timedelta(minutes=i)) for i in range(count)]
        now = _micros(datetime.now(tz=UTC))
        decided = [i % 2 == 0 for i in range(count)]
        columns: dict[str, list[Any]] = {
            "decision_id": ids,
            "request_id": ids,
            "model": [MODEL] * count,
            "version": [version.version] * count,
            "version_id": [version.id] * count,
            "arm_assigned": ["champion"] * count,
            "arm_answered": ["champion"] * count,
            "generation": [1] * count,
            "share_bp": [0] * count,
            "subject": ids,
            "received_at": [now] * count,
            "event_time": times,
            "score": [0.7 if d else 0.3 for d in decided],
            "decision": decided,
            "confidence": [0.7] * count,
            "fallback_level": ["model"] * count,
            "reason": [""] * count,
            "latency_ms": [1.0] * count,
            "f_temp": list(rng.normal(50 + warmer, 10, count)),
            "f_carrier": [carrier if i % 3 else "UA" for i in range(count)],
        }
        clear: dict[str, Any] = {"numeric": ["temp"], "categorical": ["carrier"]}
        if is_personal:
            columns["sealed"] = self.sealed(ids, columns.pop("f_temp"), columns.pop("f_carrier"))
            clear = {"numeric": [], "categorical": []}
        shipped = decisions_to_parquet(columns, **clear)
        today = datetime.now(tz=UTC)
        folder = f"model={MODEL}/date={today:%Y-%m-%d}/hour={today:%H}"
        RecordedFiles(self.platform, "g").put(
            f"decisions/{folder}/g-{self.shipped}.parquet", shipped
        )
        if labelled:
            errs = [i < round(wrong * count) for i in range(count)]
            self._outcomes(folder, ids, [d != e for d, e in zip(decided, errs, strict=True)], now)
        self.folder = folder
        return start + timedelta(minutes=count - 1)

    def label(self, shipment: int, count: int, *, wrong: int = 0) -> None:
        """Outcomes of the first decisions of a shipment, the first so many against the decision."""
        self.labelled += 1
        ids = [f"{shipment}-{i}" for i in range(count)]
        labels = [(i % 2 == 0) != (i < wrong) for i in range(count)]
        now = _micros(datetime.now(tz=UTC))
        self._outcomes(self.folder, ids, labels, now, name=f"l-{self.labelled}")

    def _outcomes(
        self, folder: str, ids: list[str], labels: list[bool], now: int, *, name: str = "o"
    ) -> None:
        columns = {
            "outcome_id": [f"{name}-{one}" for one in ids],
            "decision_id": [None] * len(ids),
            "request_id": ids,
            "label": labels,
            "observed_at": [now] * len(ids),
            "received_at": [now] * len(ids),
        }
        shipped = outcomes_to_parquet(columns)
        RecordedFiles(self.platform, "g").put(
            f"outcomes/{folder}/{name}-{self.shipped}.parquet", shipped
        )

    def watermark(self, at: datetime) -> None:
        with self.platform.database.begin() as connection:
            connection.execute(model.update().values(watermark=at))

    def rows(self, table: str) -> list[dict[str, Any]]:
        with self.platform.database.begin() as connection:
            found = connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1")
            return [dict(row) for row in found.mappings()]


def _micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _reference(rng: np.random.Generator, count: int) -> bytes:
    target = io.BytesIO()
    table = pa.table(
        {
            "f_temp": rng.normal(50, 10, count),
            "f_carrier": ["AA" if i % 3 else "UA" for i in range(count)],
            "g_carrier": ["AA" if i % 3 else "UA" for i in range(count)],
            "event_time": pa.array(
                [_micros(JUNE - timedelta(days=60)) + i for i in range(count)],
                pa.timestamp("us", tz="UTC"),
            ),
            "score": rng.choice([0.3, 0.7], count),
            "decision": [True] * count,
            "label": [True] * count,
        }
    )
    pq.write_table(table, target)
    return target.getvalue()


@pytest.fixture
def life(settings: Settings, tmp_path: Path) -> Iterator[Life]:
    """An installation with one dataset and one model."""
    include = tmp_path / "include"
    files = {
        "platform": PLATFORM,
        f"datasets/{DATASET}": DATASET_YAML,
        f"models/{MODEL}": MODEL_YAML,
    }
    for name, text in files.items():
        path = include / "configs" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    platform = Installation(replace(settings, include=include))
    yield Life(platform)
    platform.database.dispose()
