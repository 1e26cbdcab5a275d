"""Decisions and outcomes as Parquet files with fixed types."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_TIME = pa.timestamp("us", tz="UTC")
DECISION_FIELDS = {
    "decision_id": pa.string(),
    "request_id": pa.string(),
    "model": pa.string(),
    "version": pa.int32(),
    "version_id": pa.int64(),
    "arm_assigned": pa.string(),
    "arm_answered": pa.string(),
    "generation": pa.int32(),
    "share_bp": pa.int32(),
    "subject": pa.string(),
    "received_at": _TIME,
    "event_time": _TIME,
    "score": pa.float64(),
    "decision": pa.bool_(),
    "confidence": pa.float64(),
    "fallback_level": pa.string(),
    "reason": pa.string(),
    "latency_ms": pa.float64(),
}
OUTCOME_FIELDS = {
    "outcome_id": pa.string(),
    "decision_id": pa.string(),
    "request_id": pa.string(),
    "label": pa.bool_(),
    "observed_at": _TIME,
    "received_at": _TIME,
}


def decisions_to_parquet(
    columns: Mapping[str, Sequence[Any]], *, numeric: Sequence[str], categorical: Sequence[str]
) -> bytes:
    """A decision file; features stand as `f_<name>`, or row by row in `sealed` where personal.

    Times are µs since 1970 in the columns.
    """
    features = {f"f_{name}": pa.float64() for name in numeric}
    features |= {f"f_{name}": pa.string() for name in categorical}
    features |= {"sealed": pa.binary()} if "sealed" in columns else {}
    features |= {"variant": pa.string()} if "variant" in columns else {}
    return _parquet(columns, DECISION_FIELDS | features)


def scores_to_parquet(keys: pa.Table, columns: Mapping[str, Sequence[Any]]) -> bytes:
    """What was decided of each row of a snapshot, beside the columns that name the row.

    A key column that is called like one of ours becomes `key_<name>`.
    """
    ours = ("decision_id", "score", "decision", "confidence")
    names = [f"key_{name}" if name in ours else name for name in keys.column_names]
    table = keys.replace_schema_metadata(None).rename_columns(names)
    for name in ours:
        table = table.append_column(name, pa.array(columns[name], DECISION_FIELDS[name]))
    return _bytes(table)


def outcomes_to_parquet(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """An outcome file."""
    return _parquet(columns, OUTCOME_FIELDS)


def _parquet(columns: Mapping[str, Sequence[Any]], fields: Mapping[str, pa.DataType]) -> bytes:
    schema = pa.schema(list(fields.items()))
    table = pa.table(
        {name: pa.array(columns[name], type=kind) for name, kind in fields.items()}, schema=schema
    )
    return _bytes(table)


def _bytes(table: pa.Table) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target, compression="zstd")
    return target.getvalue()
