"""Outcomes of a landed file, as the gateway would have logged them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_IDS = ("decision_id", "request_id")
_MOMENT = pa.timestamp("us", tz="UTC")
_CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True)
class LandedFile:
    """What a landed file holds.

    Args:
        columns: Columns of an outcome file; `observed_at` and `received_at` as µs since 1970,
            and `caller` in clear, where the file says whose request ids they are.
        refused: Rows without id, label or moment, or of the future.
        complete_until: The latest `observed_at`; None without rows.
    """

    columns: dict[str, list[Any]]
    refused: int
    complete_until: datetime | None


def read(path: Path, *, digest: str, received_at: datetime) -> LandedFile:
    """Rows sorted by when they were observed; their ids are the same each time they are read.

    So of two outcomes for one decision in one file the one observed last has the greater id and
    counts.

    Args:
        path: The snapshot.
        digest: Its SHA-256, which the ids come from.
        received_at: When it was published.

    Raises:
        KeyError: A column is missing.
        ValueError: A column has another type.
    """
    table = pq.read_table(path)
    known = [name for name in _IDS if name in table.column_names]
    if not known:
        raise KeyError("decision_id or request_id")
    fitted = pa.table(
        {
            **{name: _cast(table, name, pa.string()) for name in known},
            **{name: _cast(table, name, pa.string()) for name in _whose(table)},
            "label": _cast(table, "label", pa.bool_()),
            "observed_at": _cast(table, "observed_at", _MOMENT),
        }
    )
    kept = fitted.filter(_usable(fitted, known, received_at)).sort_by(
        [(name, "ascending") for name in ("observed_at", *known, *_whose(table))]
    )
    latest = pc.max(kept["observed_at"]).as_py()
    return LandedFile(_columns(kept, digest, received_at), len(fitted) - len(kept), latest)


def _usable(table: pa.Table, known: list[str], received_at: datetime) -> Any:
    named = [pc.is_valid(table[name]) for name in known]
    one = pc.xor(*named) if len(named) == 2 else named[0]
    until = pa.scalar(received_at + _CLOCKS_DIFFER, _MOMENT)
    in_time = pc.fill_null(pc.less_equal(table["observed_at"], until), False)
    return pc.and_(pc.and_(one, pc.is_valid(table["label"])), in_time)


def _columns(table: pa.Table, digest: str, received_at: datetime) -> dict[str, list[Any]]:
    rows = len(table)
    received = pa.scalar(received_at, _MOMENT).cast(pa.int64()).as_py()
    absent: list[None] = [None] * rows
    return {
        "outcome_id": [f"{digest[:32]}-{row:09d}" for row in range(rows)],
        **{n: table[n].to_pylist() if n in table.column_names else absent for n in _IDS},
        **{name: table[name].to_pylist() for name in _whose(table)},
        "label": table["label"].to_pylist(),
        "observed_at": table["observed_at"].cast(pa.int64()).to_pylist(),
        "received_at": [received] * rows,
    }


def _whose(table: pa.Table) -> list[str]:
    return [name for name in ("caller",) if name in table.column_names]


def _cast(table: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise KeyError(name)
    try:
        return _flags(table[name]) if kind == pa.bool_() else table[name].cast(kind)
    except pa.ArrowException as error:
        raise ValueError(f"{name} is {table[name].type}, not {kind}") from error


def _flags(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Booleans as they are; 0 and 1 as booleans, and no other number."""
    if pa.types.is_boolean(column.type):
        return column
    numbers = column.cast(pa.int64())
    if not pc.all(pc.is_in(pc.drop_null(numbers), pa.array([0, 1]))).as_py() and len(numbers):
        raise pa.ArrowInvalid("a number that is neither 0 nor 1")
    return numbers.cast(pa.bool_())
