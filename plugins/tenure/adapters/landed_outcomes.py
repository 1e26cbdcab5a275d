"""Outcomes of a landed file, as the gateway would have logged them."""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tenure.lifecycle.serving.spelling import EXACT, spell
from tenure.lifecycle.training.classes import ClassRule
from tenure.lifecycle.training.labels import LabelRule
from tenure.lifecycle.training.numbers import NumberRule, OutcomeRule

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


def read(
    path: Path,
    *,
    digest: str,
    received_at: datetime,
    rule: OutcomeRule = LabelRule(),  # noqa: B008 - frozen
) -> LandedFile:
    """Rows sorted by when they were observed; their ids are the same each time they are read.

    So of two outcomes for one decision in one file the one observed last has the greater id and
    counts.

    Args:
        path: The snapshot.
        digest: Its SHA-256, which the ids come from.
        received_at: When it was published.
        rule: Which labels are true, or that they are classes or numbers.

    Raises:
        KeyError: A column is missing.
        ValueError: A column has another type, or ids that are not exact.
        ConfigInvalid: A value is no label.
    """
    table = pq.read_table(path)
    known = [name for name in _IDS if name in table.column_names]
    if not known:
        raise KeyError("decision_id or request_id")
    fitted = pa.table(
        {
            **{name: pa.array(_ids(table, name), pa.string()) for name in known},
            **{name: pa.array(_ids(table, name), pa.string()) for name in _whose(table)},
            "label": pa.array(_labels(table, rule), _stored_as(rule)),
            "observed_at": _moments(table, "observed_at"),
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


def _moments(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise KeyError(name)
    try:
        return table[name].cast(_MOMENT)
    except pa.ArrowException as error:
        raise ValueError(f"{name} is {table[name].type}, not {_MOMENT}") from error


def _stored_as(rule: OutcomeRule) -> pa.DataType:
    if isinstance(rule, ClassRule):
        return pa.string()
    return pa.float64() if isinstance(rule, NumberRule) else pa.bool_()


def _labels(table: pa.Table, rule: OutcomeRule) -> list[bool | str | float | None]:
    """What each label means; null for none. Raises ConfigInvalid like `LabelRule.meanings`."""
    written = _written(table, "label")
    counts = Counter(text for text in written if text is not None)
    meanings = rule.meanings(counts, column="label", still_safe="Nothing of the file was taken.")
    return [None if text is None else meanings[text] for text in written]


def _ids(table: pa.Table, name: str) -> list[str | None]:
    """Ids as texts. Raises ValueError for floats of which one may stand for several numbers."""
    if pa.types.is_floating(table[name].type):
        vague = pc.greater(pc.abs(table[name]), float(EXACT))
        if number := pc.sum(vague).as_py():
            raise ValueError(f"{name} has {number:,} floats beyond 2^53, which are no exact ids")
    return _written(table, name)


def _written(table: pa.Table, name: str) -> list[str | None]:
    """Values as `spell` writes them; null and NaN as None."""
    if name not in table.column_names:
        raise KeyError(name)
    try:
        return [None if _is_null(v) else spell(v) for v in table[name].to_pylist()]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is {table[name].type}, not one value a row") from error


def _is_null(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
