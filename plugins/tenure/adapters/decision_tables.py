"""Decisions and outcomes as Parquet files with fixed types."""

import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_TIME = pa.timestamp("us", tz="UTC")
DECISION_FIELDS: dict[str, pa.DataType] = {
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
INTERVAL = ("lower", "upper")
"""Ends of a regression's interval, only in files of versions that give one."""
SCORE_COLUMNS = (
    "decision_id",
    "answer",
    "score",
    "decision",
    "confidence",
    *INTERVAL,
    "refused",
)
_KINDS = DECISION_FIELDS | {"answer": pa.string()} | dict.fromkeys(INTERVAL, pa.float64())
OUTCOME_FIELDS: dict[str, pa.DataType] = {
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
    texts = ("answer", "variant", "caller")
    features |= {name: pa.string() for name in texts if name in columns}
    features |= {name: pa.float64() for name in INTERVAL if name in columns}
    return _parquet(columns, DECISION_FIELDS | features)


def scores_to_parquet(
    keys: pa.Table, columns: Mapping[str, Sequence[Any]], refused: Sequence[str]
) -> bytes:
    """What was decided of each row of a snapshot, beside the columns that name the row.

    A key column that is called like one of ours becomes `key_<name>`.

    Args:
        keys: One row each of the snapshot.
        columns: One value each of the rows that were decided; null in the others.
        refused: Why each row was not decided; empty where it was, and null in the file.
    """
    names = [f"key_{name}" if name in SCORE_COLUMNS else name for name in keys.column_names]
    table = keys.replace_schema_metadata(None).rename_columns(names)
    numbers = itertools.count()
    place = pa.array([None if why else next(numbers) for why in refused], pa.int64())
    for name in (one for one in SCORE_COLUMNS[:-1] if one in columns):
        values = pa.array(columns[name], _KINDS[name])
        table = table.append_column(name, values.take(place))
    return _bytes(table.append_column("refused", pa.array([w or None for w in refused], "string")))


def outcomes_to_parquet(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """An outcome file; `caller` says whose request ids they are, where that is known.

    Labels are booleans, texts where there are several classes, or float64 of a regression.
    """
    whose = {"caller": pa.string()} if "caller" in columns else {}
    label = {"label": pa.float64()}
    if all(isinstance(one, bool) for one in columns["label"]):
        label = {}
    elif all(isinstance(one, str) for one in columns["label"]):
        label = {"label": pa.string()}
    return _parquet(columns, OUTCOME_FIELDS | whose | label)


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
