"""What an evaluation costs, as a part of the training that it follows: all reports, no ablation.

Run: `.venv/bin/python benchmarks/evaluation.py [MONTHS] [ROUNDS] [--only MODEL]`. Every model of
`include/` whose dataset the demo can write is trained and judged on a PostgreSQL of its own, and
so is a made-up regression with intervals. In one process, CPU seconds of all threads: training is
the task `train`, evaluation the tasks `evaluate` and `audit_bias`; MLflow answers at once, and
what both import is imported before. Set OMP_NUM_THREADS=1 on a busy machine, where threads that
wait for each other count as work.
"""

import argparse
import cProfile
import importlib
import pstats
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tenure.adapters.sql import data, training, versions
from tenure.config import load_dataset, load_model
from tenure.demo.upstream import write_month
from tenure.errors import TenureError
from tenure.installation import Installation
from tenure.lifecycle.data.sources import Rules
from tenure.migrations import upgrade
from tenure.settings import REPOSITORY, Settings
from tenure.stack import postgres
from tenure.usecases.evaluation import gates
from tenure.usecases.training import planning
from tenure.usecases.training import training as trained
from tenure.verdicts import Verdict
from tenure.vocabulary import RunRef, digest_bytes

WARM = (
    "ibis.backends.duckdb",
    "scipy.stats",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.multioutput",
    "sklearn.pipeline",
    "skops.io",
)
DAY = datetime(2013, 1, 1, tzinfo=UTC)
DATASET = """
name: rides
description: made up
owner: ada
steward: sam
time_column: scheduled_at
suite: rides
contract:
  columns:
    ride_id: {type: string}
    scheduled_at: {type: timestamp}
    km: {type: number}
    hour: {type: number}
    rain: {type: number}
    kind: {type: string}
    district: {type: string}
    minutes: {type: number}
"""
MODEL = """
name: ride_minutes
purpose: how many minutes a ride takes
owner: ada
dataset: rides
task: regression
label: {column: minutes, horizon_hours: 1}
subject_column: ride_id
features: {numeric: [km, hour, rain], categorical: [kind, district]}
training: {window_batches: 3, gap_hours: 1, seed: 7}
evaluation: {conformal: {}, gates: [{metric: mae, maximum: 100}]}
bias: {attributes: [kind, district], metric: mean_error, max_difference: 50}
serving: {fallback_score: 20}
canary: {metrics: [{event: error, margin: 1.5}]}
monitoring: {metric: mae}
"""


class NoTracking:
    """MLflow that answers at once and keeps nothing."""

    def ensure_run(self, _model: str, *, training_key: str, **_: Any) -> str:
        """The run of a training."""
        return training_key

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_, **__: None


@dataclass(frozen=True)
class Measured:
    """CPU seconds of one round."""

    train: float
    evaluate: float
    audit: float

    @property
    def ratio(self) -> float:
        """Evaluation to training."""
        return (self.evaluate + self.audit) / self.train


def main(months: int, rounds: int, *, only: str | None, profile: bool) -> None:
    """Print the table of benchmarks/RESULTS.md."""
    for name in WARM:
        importlib.import_module(name)
    print("| model | rows | train | evaluate | audit_bias | evaluation / training |")
    print("|---|---|---|---|---|---|")
    with (
        tempfile.TemporaryDirectory(prefix="tenure-") as folder,
        OwnInstallation(Path(folder)) as one,
    ):
        for model in sorted(path.stem for path in (one.settings.configs / "models").glob("*.yaml")):
            if only not in (None, model):
                continue
            config, _ = load_model(one.settings.include, model)
            rows = sum(_publish(one, config.dataset, month) for month in range(1, months + 1))
            if not rows:
                print(f"| {model} | no data of {config.dataset} here | | | | |")
                continue
            found = [_round(one, model, n, profile=profile) for n in range(rounds)]
            middle = sorted(found, key=lambda each: each.ratio)[len(found) // 2]
            ratio = statistics.median(each.ratio for each in found)
            seconds = (middle.train, middle.evaluate, middle.audit)
            shown = " | ".join(f"{value:.2f}" for value in seconds)
            print(f"| `{model}` | {rows:,} | {shown} | {ratio:.2f} |", flush=True)


class OwnInstallation:
    """An installation on a PostgreSQL of its own, for the length of a `with` block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Installation:
        include = Path(shutil.copytree(REPOSITORY / "include", self._folder / "include"))
        (include / "configs" / "datasets" / "rides.yaml").write_text(DATASET)
        (include / "configs" / "models" / "ride_minutes.yaml").write_text(MODEL)
        home, nowhere = self._folder / "home", "http://127.0.0.1:9"
        self._server = postgres.start(home)
        url = self._server.url("tenure")
        upgrade(url)
        store = (home / "store").as_uri()
        self._platform = Installation(
            Settings(home, include, url, store, nowhere, nowhere, nowhere)
        )
        return self._platform

    def __exit__(self, *_: object) -> None:
        self._platform.database.dispose()
        postgres.stop(self._server)


def _publish(platform: Installation, dataset: str, month: int) -> int:
    """Rows of the month, published as ingestion does; 0 of data that cannot be made here."""
    content = _content(platform, dataset, month)
    if content is None:
        return 0
    table = pq.read_table(pa.BufferReader(content))
    config, _ = load_dataset(platform.settings.include, dataset)
    times = table[config.time_column].to_pylist() if config.time_column else [DAY]
    digest, rows = digest_bytes(content), table.num_rows
    platform.store.put(f"snapshots/{dataset}/{digest}/data.parquet", content)
    new = data.NewSnapshot(digest, rows, "m" * 64, min(times), max(times) + timedelta(hours=1))
    with platform.database.begin() as connection:
        data.register_dataset(
            connection, name=dataset, owner="ada", steward="sam", sensitivity="internal"
        )
        batch = f"2013-{month:02d}"
        number = data.publish(connection, dataset, batch, "s" * 64, new)
        judged = data.NewValidation(
            batch=batch,
            source_key=f"landing/{dataset}/{batch}.parquet",
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
        data.record(connection, dataset, rules, judged, snapshot_id=number)
    return rows


def _content(platform: Installation, dataset: str, month: int) -> bytes | None:
    if dataset == "rides":
        return _rides(month)
    if dataset == "flights":
        return write_month(platform.settings.home / "upstream", month).read_bytes()
    return None


def _rides(month: int, rows: int = 25_000) -> bytes:
    rng = np.random.default_rng(month)
    km, hour, rain = rng.uniform(1, 20, rows), rng.integers(0, 24, rows), rng.exponential(1, rows)
    kind = rng.choice(["taxi", "bus", "tram"], rows)
    minutes = 5 + 2.2 * km + 6 * (hour % 12 > 7) + rain + rng.exponential(3 + km / 4, rows)
    first = DAY + timedelta(days=31 * (month - 1))
    table = pa.table(
        {
            "ride_id": [f"{month}-{n}" for n in range(rows)],
            "scheduled_at": pa.array([first + timedelta(minutes=n) for n in range(rows)]).cast(
                pa.timestamp("us", "UTC")
            ),
            "km": km,
            "hour": hour.astype(float),
            "rain": rain,
            "kind": kind,
            "district": rng.choice([f"d{n}" for n in range(12)], rows),
            "minutes": minutes + 4 * (kind == "bus"),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def _round(platform: Installation, model: str, number: int, *, profile: bool) -> Measured:
    """One version: trained, evaluated, audited; a bad verdict costs the same."""
    config, _ = load_model(platform.settings.include, model)
    with platform.database.begin() as connection:
        versions.register_model(
            connection, name=model, owner="ada", risk_tier=config.risk_tier, purpose="benchmark"
        )
        asked = training.file_request(
            connection, model=model, reason_code="manual", reason="b", requested_by="controller"
        )
    run = RunRef(f"{model}__train_model", f"r{number}", "plan")
    planning.plan(platform, model, run, by_hand=False)
    version = planning.planned_version(platform, model, run)
    mlflow: Any = NoTracking()
    seconds = [
        _seconds(lambda: trained.train(platform, model, run, mlflow)),
        _seconds(lambda: gates.evaluate(platform, model, run), profile=profile),
        _seconds(lambda: gates.audit_bias(platform, model, run)),
    ]
    with platform.database.begin() as connection:
        now = platform.clock.now()
        training.close_request(connection, asked.id, version_id=version.id, state="failed", at=now)
    return Measured(*seconds)


def _seconds(work: Callable[[], object], *, profile: bool = False) -> float:
    profiler = cProfile.Profile()
    began = time.process_time()
    with suppress(TenureError):
        profiler.runcall(work) if profile else work()
    spent = time.process_time() - began
    if profile:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(45)
    return spent


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("months", nargs="?", type=int, default=3)
    parser.add_argument("rounds", nargs="?", type=int, default=3)
    parser.add_argument("--only", metavar="MODEL")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    main(given.months, given.rounds, only=given.only, profile=given.profile)
