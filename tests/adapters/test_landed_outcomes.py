"""Outcomes of a landed file: the same ids every time, the last observed counts."""

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.adapters.decision_tables import outcomes_to_parquet
from tenure.adapters.landed_outcomes import LandedFile, read
from tenure.errors import ConfigInvalid
from tenure.lifecycle.training.classes import ClassRule
from tenure.lifecycle.training.labels import LabelRule

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
DIGEST = "ab" * 32
PLAIN = LabelRule()


@pytest.fixture
def landed(tmp_path: Path) -> Any:
    def make(rule: Any = PLAIN, **columns: Any) -> LandedFile:
        values = {"request_id": ["r1"], "label": [True], "observed_at": [NOON]} | columns
        path = tmp_path / "data.parquet"
        pq.write_table(pa.table({k: v for k, v in values.items() if v is not None}), path)
        return read(path, digest=DIGEST, received_at=NOON, rule=rule)

    return make


def test_rows_in_the_order_they_were_observed(landed: Any) -> None:
    moments = [NOON, NOON - timedelta(hours=2), NOON - timedelta(hours=1)]
    found = landed(request_id=["a", "b", "a"], label=[True, True, False], observed_at=moments)
    assert found.columns["request_id"] == ["b", "a", "a"]
    assert found.columns["label"] == [True, False, True]
    assert found.columns["outcome_id"] == [f"{DIGEST[:32]}-{n:09d}" for n in range(3)]
    assert found.columns["decision_id"] == [None] * 3
    assert found.complete_until == NOON
    assert found.refused == 0


@pytest.mark.parametrize(
    ("columns", "refused"),
    [
        ({"label": pa.array([None], pa.bool_())}, 1),
        ({"request_id": pa.array([None], pa.string())}, 1),
        ({"observed_at": pa.array([None], pa.timestamp("us", "UTC"))}, 1),
        ({"observed_at": [NOON + timedelta(minutes=5)]}, 0),
        ({"observed_at": [NOON + timedelta(minutes=5, microseconds=1)]}, 1),
        ({"decision_id": ["d1"]}, 1),
        ({"decision_id": ["d1"], "request_id": None}, 0),
        ({"decision_id": ["d1"], "request_id": pa.array([None], pa.string())}, 0),
    ],
)
def test_what_counts(landed: Any, columns: dict[str, Any], refused: int) -> None:
    found = landed(**columns)
    assert found.refused == refused
    assert len(found.columns["label"]) == 1 - refused
    assert (found.complete_until is None) == bool(refused)


@pytest.mark.parametrize(
    "label", [[1], [1.0], [True], ["1"], ["true"], ["True"], [Decimal("1.00")]]
)
def test_labels_as_in_training(landed: Any, label: list[Any]) -> None:
    assert landed(label=label).columns["label"] == [True]


@pytest.mark.parametrize(
    ("rule", "label", "expected"),
    [
        (LabelRule("2"), [2, 1], [True, False]),
        (LabelRule("2"), [True, False], [True, False]),
        (LabelRule("yes", "no"), ["no", "no"], [False, False]),
        (LabelRule("0"), [0, 1], [True, False]),
    ],
)
def test_declared_labels(landed: Any, rule: LabelRule, label: Any, expected: list[bool]) -> None:
    found = landed(
        rule=rule, request_id=["a", "b"], label=label, observed_at=[NOON - timedelta(hours=1), NOON]
    )
    assert found.columns["label"] == expected


@pytest.mark.parametrize(
    ("rule", "label", "says"),
    [
        (LabelRule(), [2], r"label is no label in 1 of 1 rows: '2' \(1 row\)"),
        (LabelRule(), [0.5], r"'0.5' \(1 row\)"),
        (LabelRule(), ["yes"], r"'yes' \(1 row\)"),
        (LabelRule("2"), [1], r"'1' \(1 row\); .*no label.negative is declared"),
        (LabelRule("2", "1"), [9], r"'9' \(1 row\)"),
    ],
)
def test_what_is_no_label(landed: Any, rule: LabelRule, label: list[Any], says: str) -> None:
    with pytest.raises(ConfigInvalid, match=says):
        landed(label=label, rule=rule)


@pytest.mark.parametrize(
    ("ids", "written"),
    [
        ([17], "17"),
        ([17.0], "17"),
        ([Decimal(10**30 + 1)], str(10**30 + 1)),
        ([2**62 + 1], str(2**62 + 1)),
        ([2.0**53], str(2**53)),
    ],
)
def test_ids_are_exact(landed: Any, ids: list[Any], written: str) -> None:
    assert landed(request_id=ids).columns["request_id"] == [written]


def test_ids_that_are_not_exact_are_refused(landed: Any) -> None:
    with pytest.raises(ValueError, match=r"request_id has 1 floats beyond 2\^53"):
        landed(request_id=[2.0**53 + 2])


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"request_id": None}, KeyError, "decision_id or request_id"),
        ({"label": None}, KeyError, "label"),
        ({"observed_at": None}, KeyError, "observed_at"),
        ({"label": [["x"]]}, ValueError, "label is list"),
        ({"observed_at": ["yesterday"]}, ValueError, "observed_at is string"),
    ],
)
def test_another_shape(
    landed: Any, columns: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        landed(**columns)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["late", "early", None], ["late", "early"]),
        ([3, None, 12], ["3", "12"]),
        ([3.0, 4.0, None], ["3", "4"]),
        ([True, False, None], ["true", "false"]),
    ],
)
def test_classes_are_spelled_as_in_training(landed: Any, labels: Any, classes: list[str]) -> None:
    ids, moments = ["a", "b", "c"], [NOON] * 3
    found = landed(ClassRule(), request_id=ids, label=labels, observed_at=moments)
    assert found.columns["label"] == classes
    assert found.refused == 1
    written = pq.read_table(io.BytesIO(outcomes_to_parquet(found.columns)))
    assert written["label"].to_pylist() == classes


def test_what_is_no_class_is_refused_by_its_rows(landed: Any) -> None:
    with pytest.raises(ConfigInvalid, match=r"label is no class in 1 of 1 rows: '' \(1 row\)"):
        landed(ClassRule(), label=[""])
