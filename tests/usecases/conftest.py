"""A small model on a real PostgreSQL and store: loans that are decided by income and branch."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.adapters.sql import data, training, versions
from tenure.installation import Installation
from tenure.lifecycle.data.sources import Rules
from tenure.lifecycle.model_version import VersionRow
from tenure.settings import REPOSITORY, Settings
from tenure.usecases.evaluation import gates
from tenure.usecases.training import planning
from tenure.usecases.training import training as use_case
from tenure.verdicts import Verdict
from tenure.vocabulary import RunRef, VersionRef, digest_bytes

MODEL = "loan_ok"

DATASET = """
name: loans
description: made up
owner: ada
steward: sam
time_column: at
suite: loans
contract:
  columns:
    at: {type: timestamp}
    income: {type: number}
    branch: {type: string}
    sex: {type: string}
    ok: {type: boolean}
"""

CONFIG = """
name: loan_ok
purpose: tests
owner: ada
dataset: loans
label: {{column: ok, horizon_hours: 1}}
subject_column: branch
features: {{numeric: [income], categorical: [branch]}}
training: {{estimator: {estimator}, window_batches: 2, gap_hours: 1, seed: 7}}
evaluation:
  min_rows: {min_rows}
  gates: [{{metric: roc_auc, minimum: {auc}}}]
bias:
  attributes: [sex]
  max_difference: {difference}
  min_group_rows: 20
  bootstrap_draws: 200
  {excuse}
canary: {{metrics: [{{event: error, margin: 1.5}}]}}
"""

SOUND: dict[str, Any] = {
    "estimator": "logistic_regression",
    "min_rows": 50,
    "auc": 0.6,
    "difference": 0.4,
    "excuse": "mode: enforce",
}


@dataclass
class FakeTracking:
    """MLflow in memory, with its manners: a parameter never changes, a run is found by its key."""

    runs: dict[str, str] = field(default_factory=dict)
    params: dict[str, dict[str, object]] = field(default_factory=dict)
    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    versions: dict[tuple[str, int], str] = field(default_factory=dict)
    trials: dict[str, list[Any]] = field(default_factory=dict)

    def ensure_run(
        self, model: str, *, training_key: str, name: str, tags: Mapping[str, str]
    ) -> str:
        assert all(isinstance(v, str) and v for v in tags.values())
        return self.runs.setdefault(training_key, f"run-{len(self.runs) + 1}")

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        files: Mapping[str, bytes],
    ) -> None:
        assert self.params.setdefault(run_id, dict(params)) == dict(params)
        self.files |= {(run_id, place): content for place, content in files.items()}

    def log_trials(self, model: str, run_id: str, trials: Any) -> None:
        self.trials[run_id] = list(trials)

    def ensure_version(
        self,
        model: str,
        *,
        version: int,
        run_id: str,
        folder: str,
        tags: Mapping[str, str],
        files: Mapping[str, bytes],
    ) -> str:
        assert (run_id, f"{folder}/model.skops") in self.files
        return self.versions.setdefault((model, version), str(len(self.versions) + 1))


@dataclass
class World:
    """One installation, and short ways through a training."""

    platform: Installation
    mlflow: Any = field(default_factory=FakeTracking)

    def configure(self, **other: Any) -> None:
        folder = self.platform.settings.configs
        folder.joinpath("models", f"{MODEL}.yaml").write_text(CONFIG.format(**SOUND | other))

    def state(self, *lines: str) -> None:
        """Add keys to `evaluation` of the model's YAML."""
        path = self.platform.settings.configs / "models" / f"{MODEL}.yaml"
        added = "".join(f"  {line}\n" for line in lines)
        path.write_text(path.read_text().replace("evaluation:\n", f"evaluation:\n{added}"))

    def publish(
        self,
        month: int,
        rows: int = 200,
        *,
        unfair: bool = False,
        seed: int = 1,
        content: bytes | None = None,
        **columns: Any,
    ) -> str:
        """Publish a batch as ingestion does; returns the snapshot's digest.

        `content` is the whole file, where the test makes it.

        `columns` stand in for those that are made up: values, an array of another type, or None
        for a column that is not there.
        """
        store, first = self.platform.store, datetime(2013, month, 1, tzinfo=UTC)
        if content is None:
            content = _batch(first, rows, unfair=unfair, seed=seed + month, instead=columns)
        digest = digest_bytes(content)
        store.put(f"snapshots/loans/{digest}/data.parquet", content)
        new = data.NewSnapshot(digest, rows, "m" * 64, first, first + timedelta(hours=rows))
        with self.platform.database.begin() as connection:
            data.register_dataset(
                connection, name="loans", owner="ada", steward="sam", sensitivity="internal"
            )
            batch = f"2013-{month:02d}"
            number = data.publish(connection, "loans", batch, "s" * 64, new)
            judged = data.NewValidation(
                batch=batch,
                source_key=f"landing/loans/{batch}.parquet",
                source_digest=digest,
                verdict=Verdict.PASSED,
                rows_in=rows,
                rows_ok=rows,
                rows_quarantined=0,
                quarantine_key=None,
                report_digest="r" * 64,
                shape=None,
            )
            rules = Rules("s" * 64, "c" * 64)
            data.record(connection, "loans", rules, judged, snapshot_id=number)
        return digest

    def request(self, reason: str = "performance fell") -> int:
        """File a retrain request as the controller does."""
        with self.platform.database.begin() as connection:
            versions.register_model(
                connection, name=MODEL, owner="ada", risk_tier="limited", purpose="tests"
            )
            return training.file_request(
                connection,
                model=MODEL,
                reason_code="performance",
                reason=reason,
                requested_by="controller",
            ).id

    def run(self, run_id: str = "r1", task: str = "plan", user: str | None = None) -> RunRef:
        return RunRef(f"{MODEL}__train_model", run_id, task, user=user)

    def plan(self, run_id: str = "r1", user: str | None = None, **how: Any) -> Any:
        settings = {"by_hand": user is not None, **how}
        return planning.plan(self.platform, MODEL, self.run(run_id, user=user), **settings)

    def train(self, run_id: str = "r1") -> Any:
        return use_case.train(self.platform, MODEL, self.run(run_id, "train"), self.mlflow)

    def evaluate(self, run_id: str = "r1") -> Any:
        return gates.evaluate(self.platform, MODEL, self.run(run_id, "evaluate"))

    def audit(self, run_id: str = "r1") -> Any:
        return gates.audit_bias(self.platform, MODEL, self.run(run_id, "audit_bias"))

    def register(self, run_id: str = "r1") -> Any:
        return gates.register(self.platform, MODEL, self.run(run_id, "register"), self.mlflow)

    def steps(self, run_id: str = "r1") -> list[Callable[[], Any]]:
        """The tasks of a DAG run that an asset started, in order."""
        tasks = (self.plan, self.train, self.evaluate, self.audit, self.register)
        return [lambda task=task: task(run_id) for task in tasks]  # type: ignore[misc]

    def life(self, run_id: str = "r1") -> None:
        for step in self.steps(run_id):
            step()

    def versions(self) -> list[VersionRef]:
        with self.platform.database.begin() as connection:
            return versions.all_of(connection, MODEL)

    def row(self, version: int = 1) -> VersionRow:
        with self.platform.database.begin() as connection:
            ref = versions.get(connection, MODEL, version)
            assert ref is not None
            return versions.row_by_id(connection, ref.id)

    def request_row(self, number: int) -> training.RetrainRequestRow:
        with self.platform.database.begin() as connection:
            return training.request_by_id(connection, number)

    def ledger(self) -> list[tuple[str, str | None]]:
        from sqlalchemy import select

        from tenure.adapters.sql.tables import ledger_event as event

        with self.platform.database.begin() as connection:
            rows = connection.execute(select(event.c.subject, event.c.dst).order_by(event.c.seq))
            return [(row.subject, row.dst) for row in rows]

    def last_reason(self) -> str:
        """Why the newest event of the ledger happened."""
        from sqlalchemy import select

        from tenure.adapters.sql.tables import ledger_event as event

        with self.platform.database.begin() as connection:
            newest = select(event.c.body).order_by(event.c.seq.desc()).limit(1)
            return str(connection.execute(newest).scalar_one()["reason"])


@pytest.fixture
def world(settings: Settings, tmp_path: Path) -> Any:
    include = tmp_path / "include"
    for folder in ("datasets", "models"):
        (include / "configs" / folder).mkdir(parents=True)
    shutil.copy(REPOSITORY / "include" / "configs" / "platform.yaml", include / "configs")
    (include / "configs" / "datasets" / "loans.yaml").write_text(DATASET)
    platform = Installation(replace(settings, include=include))
    found = World(platform)
    found.configure()
    yield found
    platform.database.dispose()


def _batch(
    first: datetime, rows: int, *, unfair: bool, seed: int, instead: Mapping[str, Any]
) -> bytes:
    rng = np.random.default_rng(seed)
    income = rng.normal(size=rows)
    sex = rng.choice(["f", "m"], rows)
    branch = np.where(sex == "f", "north", "south") if unfair else rng.choice(["n", "s"], rows)
    chance = income + (3.0 * (sex == "m") - 1.5 if unfair else 0.0)
    table = pa.table(
        {
            "at": pa.array([first + timedelta(hours=i) for i in range(rows)]).cast(
                pa.timestamp("us", "UTC")
            ),
            "income": income,
            "branch": branch,
            "sex": sex,
            "ok": chance + rng.normal(size=rows) > 0,
        }
    )
    for name, values in instead.items():
        place, kind = table.column_names.index(name), table.schema.field(name).type
        if values is None:
            table = table.drop_columns([name])
        else:
            given = values if isinstance(values, pa.Array) else pa.array(values, kind)
            table = table.set_column(place, name, given)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()
