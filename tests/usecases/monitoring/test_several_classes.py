"""A multiclass model is watched by its classes: performance, groups, its answers, late outcomes."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.adapters.decision_tables import decisions_to_parquet, outcomes_to_parquet
from tenure.adapters.sql import streams
from tenure.usecases.monitoring.monitor import look, monitor
from tenure.usecases.serving.log_files import RecordedFiles
from tenure.vocabulary import digest_bytes

pytestmark = pytest.mark.service

MODEL = """
name: late
purpose: tests
owner: ada
dataset: trips
task: multiclass
label: {column: kind, horizon_hours: 24}
subject_column: id
features: {numeric: [temp], categorical: [carrier]}
training: {window_batches: 3}
evaluation: {gates: [{metric: macro_f1, minimum: 0.5}]}
bias: {attributes: [carrier], metric: accuracy, max_difference: 0.1, bootstrap_draws: 100}
serving: {fallback_class: a}
canary: {metrics: [{event: error, margin: 1.5}]}
monitoring: {min_decisions: 300, metric: macro_f1, max_decay: 0.1, bins: 10}
retraining: {cooldown_hours: 1}
"""
CLASSES = ("a", "b", "c")
JUNE = datetime(2013, 6, 1, tzinfo=UTC)
START = datetime(1970, 1, 1, tzinfo=UTC)


def micros(at: datetime) -> int:
    return (at - START) // timedelta(microseconds=1)


def holdout(count: int = 3000) -> bytes:
    rng = np.random.default_rng(1)
    carriers = ["AA" if i % 3 else "UA" for i in range(count)]
    times = [micros(JUNE - timedelta(days=60)) + i for i in range(count)]
    answers = rng.choice(CLASSES, count)
    table = pa.table(
        {
            "f_temp": rng.normal(50, 10, count),
            "f_carrier": carriers,
            "g_carrier": carriers,
            "event_time": pa.array(times, pa.timestamp("us", tz="UTC")),
            "score": rng.uniform(0.4, 0.9, count),
            "decision": pa.nulls(count, pa.bool_()),
            "answer": answers,
            "label": answers,
        }
    )
    target = io.BytesIO()
    pq.write_table(table, target)
    return target.getvalue()


@pytest.fixture
def multiclass(life: Any) -> Any:
    path = life.platform.settings.include / "configs" / "models" / "late.yaml"
    path.write_text(MODEL)
    dataset = life.platform.settings.include / "configs" / "datasets" / "trips.yaml"
    dataset.write_text(dataset.read_text().replace("late: {type: b", "kind: {type: string} #"))
    data = holdout()
    key = f"reference/late/{digest_bytes(data)[:8]}.parquet"
    life.platform.store.put(key, data)
    life.stated = {
        "task": "multiclass",
        "threshold": None,
        "classes": dict.fromkeys(CLASSES, 100),
        "holdout_key": key,
        "holdout_digest": digest_bytes(data),
        "metrics": {"macro_f1": 0.8, "accuracy": 0.8},
    }
    return life


def ship(
    life: Any,
    version: Any,
    count: int,
    *,
    right: float = 0.8,
    worse: float = 0.0,
    shares: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3),
    truth: str | None = None,
) -> datetime:
    """Decisions a minute apart with outcomes.

    Args:
        right: Share of the answers that come true.
        worse: How much lower it is for carrier UA.
        shares: Of the answered classes.
        truth: What comes true of the first five; None: like the others.
    """
    life.shipped += 1
    rng = np.random.default_rng(life.shipped)
    ids = [f"{life.shipped}-{i}" for i in range(count)]
    now, today = micros(datetime.now(tz=UTC)), datetime.now(tz=UTC)
    carriers = ["AA" if i % 3 else "UA" for i in range(count)]
    answers = rng.choice(CLASSES, count, p=shares).tolist()
    hit = rng.random(count) < right - worse * (np.array(carriers) == "UA")
    labels = [
        one if good else CLASSES[(CLASSES.index(one) + 1) % 3]
        for one, good in zip(answers, hit, strict=True)
    ]
    labels[:5] = labels[:5] if truth is None else [truth] * 5
    columns: dict[str, list[Any]] = {
        "decision_id": ids,
        "request_id": ids,
        "model": ["late"] * count,
        "version": [version.version] * count,
        "version_id": [version.id] * count,
        "arm_assigned": ["champion"] * count,
        "arm_answered": ["champion"] * count,
        "generation": [1] * count,
        "share_bp": [0] * count,
        "subject": ids,
        "received_at": [now] * count,
        "event_time": [micros(JUNE + timedelta(minutes=i)) for i in range(count)],
        "score": rng.uniform(0.4, 0.9, count).tolist(),
        "decision": [None] * count,
        "confidence": [0.5] * count,
        "fallback_level": ["model"] * count,
        "reason": [""] * count,
        "latency_ms": [1.0] * count,
        "answer": answers,
        "f_temp": list(rng.normal(50, 10, count)),
        "f_carrier": carriers,
    }
    folder = f"model=late/date={today:%Y-%m-%d}/hour={today:%H}"
    data = decisions_to_parquet(columns, numeric=["temp"], categorical=["carrier"])
    RecordedFiles(life.platform, "g").put(f"decisions/{folder}/g-{life.shipped}.parquet", data)
    tell(life, ids, labels, name="o")
    return JUNE + timedelta(minutes=count - 1)


def tell(life: Any, ids: list[str], labels: list[str], *, name: str) -> None:
    now, today = micros(datetime.now(tz=UTC)), datetime.now(tz=UTC)
    outcomes = {
        "outcome_id": [f"{name}-{one}" for one in ids],
        "decision_id": [None] * len(ids),
        "request_id": ids,
        "label": labels,
        "observed_at": [now] * len(ids),
        "received_at": [now] * len(ids),
    }
    folder = f"model=late/date={today:%Y-%m-%d}/hour={today:%H}"
    RecordedFiles(life.platform, "g").put(
        f"outcomes/{folder}/{name}-{life.shipped}.parquet", outcomes_to_parquet(outcomes)
    )


def judged(life: Any, last: datetime, run: str = "run-1") -> dict[str, Any]:
    life.watermark(last + timedelta(hours=25))
    monitor(life.platform, "late", life.run(run))
    return {row["kind"]: row for row in life.rows("monitoring_result")}


def test_a_sound_window_passes_and_a_class_that_is_new_is_said(multiclass: Any) -> None:
    last = ship(multiclass, multiclass.champion(), 900, truth="d")
    found = judged(multiclass, last)
    assert {kind: row["verdict"] for kind, row in found.items()} == {
        "drift": "passed",
        "quality": "passed",
        "performance": "passed",
        "fairness": "passed",
    }
    said = found["performance"]["facts"]["summary"]
    assert "5 rows are of classes that training did not see: d (5 rows)" in said
    assert "each counts as a wrong answer" in said


@pytest.mark.parametrize(
    ("what", "kind"), [({"right": 0.5}, "performance"), ({"worse": 0.5}, "fairness")]
)
def test_what_became_worse_is_found(multiclass: Any, what: dict[str, float], kind: str) -> None:
    last = ship(multiclass, multiclass.champion(), 900, **what)  # type: ignore[arg-type]
    assert judged(multiclass, last)[kind]["verdict"] == "failed"


def test_the_answered_class_may_drift(multiclass: Any) -> None:
    ship(multiclass, multiclass.champion(), 600, shares=(0.9, 0.05, 0.05))
    (drift, quality) = look(multiclass.platform, "late")
    assert drift.verdict == "failed"
    assert any("answer" in check.observed + check.subject for check in drift.checks)
    assert quality.verdict == "passed"


@pytest.mark.exhaustive
def test_outcomes_that_change_later_are_judged_again(multiclass: Any) -> None:
    last = ship(multiclass, multiclass.champion(), 600)
    judged(multiclass, last)
    assert "late_outcomes" not in judged(multiclass, last, "run-2")  # the same counts, exactly
    tell(multiclass, [f"1-{i}" for i in range(400)], ["d"] * 400, name="p")
    late = judged(multiclass, last, "run-3")["late_outcomes"]
    assert late["verdict"] == "failed"
    assert "600 had an outcome (the answer was wrong in 4" in late["facts"]["summary"]


def test_its_streams_have_the_answer_and_the_share_of_wrong_ones(multiclass: Any) -> None:
    holdout = {"macro_f1": 0.8, "accuracy": 0.8, "wrong_label_rate": 0.2}
    multiclass.stated["metrics"] = holdout
    last = ship(multiclass, multiclass.champion(), 1_600)  # a minute apart: one day is over
    judged(multiclass, last)
    found = {row["stream"]: row for row in multiclass.rows("stream_window")}
    assert set(found) == {
        *("all features", "answer", "feature carrier", "feature temp", "performance", "score")
    }
    wrong = multiclass.rows("monitoring_result")
    (cells,) = [row["facts"]["cells"] for row in wrong if row["kind"] == "performance"]
    assert found["performance"]["effect"] == pytest.approx(cells[1] / sum(cells[:2]), abs=0.03)
    with multiclass.platform.database.begin() as connection:
        assert streams.streams_served(connection) == len(found)
