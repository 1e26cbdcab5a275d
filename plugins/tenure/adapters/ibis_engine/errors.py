"""Sums of the errors of a regression, by group, in one scan of scored rows or of live decisions.

Every row is rounded to a part of the largest error (2^-50 of it) and summed as whole numbers, so
the sums are equal in whatever order threads add: a replay of the same files gives the same bytes.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ibis

from tenure.adapters.ibis_engine import IbisEngine
from tenure.adapters.ibis_engine.drift import BY_MODEL, text
from tenure.adapters.ibis_engine.outcomes import ambiguous, labelled
from tenure.ports import ErrorCounts, ErrorSums

_STEPS = 2.0**50
_MILLIONTHS = 1e6
_LARGEST = 9e12
"""Beyond it an error counts as this large where changes are looked for."""
_ENDS = ("lower", "upper")
_POWERS = {"error": 1, "absolute": 1, "squared": 2, "fourth": 4}


def group_errors(
    paths: Sequence[Path], attributes: Sequence[str]
) -> dict[tuple[str | None, ...], ErrorSums]:
    """Sums for each combination of `g_<attribute>` values that occurs.

    Args:
        paths: Reference files: columns `g_<attribute>`, `score` and `label` (a number).
        attributes: Names without the prefix; a null value is the group None.
    """
    rows = IbisEngine().read(paths)
    keys = {f"key_{i}": rows[f"g_{name}"] for i, name in enumerate(attributes)}
    return summed(rows.select(**keys, error=rows.score - rows.label), list(keys))


def error_counts(
    decisions: Any, outcomes: Any | None, asked: Any, attributes: Sequence[str]
) -> ErrorCounts:
    """As `outcomes.outcome_counts`, of decisions whose outcomes are numbers."""
    needed = decisions.select(
        "decision_id",
        "request_id",
        "fallback_level",
        "score",
        *(name for name in ("caller", *_ENDS, *attributes) if name in decisions.columns),
    )
    joined = _with_ends(labelled(needed, outcomes, asked))
    keys = {f"key_{i}": text(joined, name) for i, name in enumerate(attributes)}
    rows = joined.select(
        **keys,
        answered=joined.fallback_level.isin(BY_MODEL),
        error=joined.score - joined.label.cast("float64"),
        is_inside=joined.label.cast("float64").between(joined.lower, joined.upper),
    )
    counted = rows.filter(rows.answered, rows.error.notnull())
    inside = counted.aggregate(rows=counted.is_inside.count(), inside=counted.is_inside.sum())
    (covered,) = inside.to_pyarrow().to_pylist()
    whole = _millionths(counted)
    sums = rows.aggregate(decisions=rows.count(), answered=rows.answered.sum())
    totals = sums.to_pyarrow().to_pylist()[0]
    groups = summed(counted.drop("answered", "is_inside"), list(keys))
    return ErrorCounts(
        decisions=int(totals["decisions"]),
        answered=int(totals["answered"] or 0),
        labelled=whole[0],
        groups=groups,
        cells=(*whole, 0),
        with_interval=int(covered["rows"]),
        covered=int(covered["inside"] or 0),
        ambiguous=ambiguous(needed, outcomes, asked),
    )


def _with_ends(rows: Any) -> Any:
    """Files of versions that give no intervals have no such columns."""
    absent = {name: ibis.null().cast("float64") for name in _ENDS if name not in rows.columns}
    return rows.mutate(**absent) if absent else rows


def _millionths(rows: Any) -> tuple[int, int, int]:
    """Rows, errors and absolute errors as exact whole numbers."""
    bounded = ibis.least(ibis.greatest(rows.error, -_LARGEST), _LARGEST)
    parts = rows.select(whole=(bounded * _MILLIONTHS).round().cast("int64"))
    found = parts.aggregate(
        rows=parts.count(), error=parts.whole.sum(), absolute=parts.whole.abs().sum()
    )
    (row,) = found.to_pyarrow().to_pylist()
    return int(row["rows"]), int(row["error"] or 0), int(row["absolute"] or 0)


def summed(rows: Any, keys: Sequence[str]) -> dict[tuple[Any, ...], ErrorSums]:
    """Sums by group of rows with the column `error`."""
    largest = rows.aggregate(largest=rows.error.abs().max()).to_pyarrow().to_pylist()[0]["largest"]
    if largest is None:
        return {}
    unit = float(largest) or 1.0
    part = rows.error / unit  # from -1 to 1
    powers = {
        "error": part,
        "absolute": part.abs(),
        "squared": part * part,
        "fourth": part * part * part * part,
    }
    fixed = rows.select(
        *keys, **{name: (value * _STEPS).round().cast("int64") for name, value in powers.items()}
    )
    grouped = fixed.group_by(*keys) if keys else fixed
    found = grouped.aggregate(
        rows=fixed.count(), **{name: fixed[name].sum().cast("float64") for name in powers}
    )
    return {
        tuple(row[key] for key in keys): _sums(row, unit)
        for row in sorted(
            found.to_pyarrow().to_pylist(), key=lambda r: [(r[key] is None, r[key]) for key in keys]
        )
    }


def _sums(row: Mapping[str, Any], unit: float) -> ErrorSums:
    totals = {
        name: row[name] / _STEPS * math.prod((unit,) * power) for name, power in _POWERS.items()
    }
    return ErrorSums(int(row["rows"]), **totals)
