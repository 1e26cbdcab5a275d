"""Decisions of a version by day of event time (UTC): how many, and how wrong."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

import ibis

from tenure.adapters.ibis_engine import IbisEngine
from tenure.adapters.ibis_engine.drift import BY_MODEL, text
from tenure.adapters.ibis_engine.outcomes import labelled
from tenure.adapters.ibis_engine.selection import of_version
from tenure.ports import DecisionFilter, LossCounts

Loss = Literal["wrong", "squared", "class", "absolute"]
"""Decision against label, score against label squared, class against class, size of the error."""
_MILLIONTHS = 1e6
_LARGEST = 1e6
"""Units; a larger error counts as this large. Sums are whole numbers, and never overflow."""


def rows_by_day(engine: IbisEngine, decisions: DecisionFilter) -> dict[date, int]:
    """How many decisions each day has."""
    table = of_version(engine, decisions)
    found = table.group_by(day=_day(table)).aggregate(rows=table.count())
    return {
        date.fromisoformat(row["day"]): int(row["rows"]) for row in found.to_pyarrow().to_pylist()
    }


def losses_by_day(
    engine: IbisEngine,
    decisions: DecisionFilter,
    outcomes: Sequence[Path],
    loss: Loss,
    unit: float = 1.0,
) -> dict[date, LossCounts]:
    """Losses of the decisions of each day, each joined to its newest outcome.

    Args:
        engine: What scans.
        decisions: Which ones.
        outcomes: Files of the model's outcomes.
        loss: Of what kind.
        unit: That errors are counted in, of the size of a usual one: what is counted are millionths
            of it, so another size would lose digits, or meet the largest that is counted.
    """
    table = of_version(engine, decisions)
    needed = table.select(
        "decision_id",
        "request_id",
        "event_time",
        "fallback_level",
        "decision",
        "score",
        *(["caller"] if "caller" in table.columns else []),
        answer=text(table, "answer"),
    )
    joined = labelled(
        needed, engine.read(outcomes) if outcomes else None, engine.read(decisions.paths)
    )
    rows = joined.select(
        day=_day(joined),
        answered=joined.fallback_level.isin(BY_MODEL),
        loss=(_loss(joined, loss, unit) * _MILLIONTHS).round().cast("int64"),
    )
    rows = rows.filter(rows.answered)
    found = rows.group_by("day").aggregate(
        answered=rows.count(), labelled=rows.loss.count(), loss=rows.loss.sum()
    )
    return {
        date.fromisoformat(row["day"]): LossCounts(
            int(row["answered"]), int(row["labelled"]), int(row["loss"] or 0)
        )
        for row in found.to_pyarrow().to_pylist()
    }


def _day(table: Any) -> Any:
    return table.event_time.strftime("%Y-%m-%d")


def _loss(table: Any, loss: Loss, unit: float) -> Any:
    if loss == "class":
        return (table.answer != table.label.cast("string")).cast("float64")
    if loss == "wrong":
        return (table.decision != table.label.cast("boolean")).cast("float64")
    error = table.score - table.label.cast("float64")
    if loss == "squared":
        return error * error
    return ibis.least(error.abs() / unit, _LARGEST)
