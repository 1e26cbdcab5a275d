"""Types of the shipped files are fixed, whatever the values."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tenure.adapters.decision_tables import (
    decisions_to_parquet,
    outcomes_to_parquet,
    scores_to_parquet,
)


def read(data: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(data))


def test_decisions() -> None:
    columns: dict[str, list[Any]] = {
        "decision_id": ["d"],
        "request_id": ["r"],
        "model": ["m"],
        "version": [1],
        "version_id": [2**40],
        "arm_assigned": ["champion"],
        "arm_answered": ["rule"],
        "generation": [3],
        "share_bp": [0],
        "subject": ["p"],
        "received_at": [1_372_669_200_000_001],
        "event_time": [-1],
        "score": [0.5],
        "decision": [True],
        "confidence": [0.5],
        "fallback_level": ["rule"],
        "reason": [""],
        "latency_ms": [1.5],
        "f_temp": [None],
        "f_carrier": [None],
    }
    table = read(decisions_to_parquet(columns, numeric=["temp"], categorical=["carrier"]))
    assert table.schema.field("f_temp").type == pa.float64()
    assert table.schema.field("f_carrier").type == pa.string()
    assert table.schema.field("event_time").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("version").type == pa.int32()
    assert table["received_at"].cast(pa.int64()).to_pylist() == [1_372_669_200_000_001]
    assert table["version_id"].to_pylist() == [2**40]


def test_outcomes() -> None:
    columns: dict[str, list[Any]] = {
        "outcome_id": ["o"],
        "decision_id": [None],
        "request_id": ["r"],
        "label": [False],
        "observed_at": [0],
        "received_at": [1],
    }
    table = read(outcomes_to_parquet(columns))
    assert table.schema.field("decision_id").type == pa.string()
    assert table.schema.field("label").type == pa.bool_()
    assert table.num_rows == 1


def test_a_key_that_is_called_like_a_score_keeps_its_values() -> None:
    keys = pa.table({"score": ["k1"], "branch": ["north"]})
    ours = {"decision_id": ["d1"], "score": [0.5], "decision": [True], "confidence": [0.5]}
    table = pq.read_table(io.BytesIO(scores_to_parquet(keys, ours, [""])))
    names = ["key_score", "branch", "decision_id", "score", "decision", "confidence", "refused"]
    assert table.column_names == names
    assert table.to_pylist()[0]["key_score"] == "k1"


def test_a_refused_row_stands_in_its_place_with_its_reason() -> None:
    keys = pa.table({"branch": ["a", "b", "c"]})
    ours = {"decision_id": ["d1", "d3"], "score": [0.5, 0.7], "decision": [True, False]}
    data = scores_to_parquet(keys, ours | {"confidence": [0.5, 0.3]}, ["", "x: null", ""])
    table = pq.read_table(io.BytesIO(data))
    assert table["decision_id"].to_pylist() == ["d1", None, "d3"]
    assert table["score"].to_pylist() == [0.5, None, 0.7]
    assert table["refused"].to_pylist() == [None, "x: null", None]
