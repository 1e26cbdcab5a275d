"""Rows by answered class and class that came true, of each group, in one scan."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tenure.adapters.ibis_engine import IbisEngine
from tenure.adapters.ibis_engine.drift import BY_MODEL, text
from tenure.adapters.ibis_engine.outcomes import ambiguous, labelled
from tenure.ports import ClassCounts

Groups = dict[tuple[str | None, ...], dict[tuple[str, str], int]]


def group_classes(paths: Sequence[Path], attributes: Sequence[str]) -> Groups:
    """Rows of each combination of `g_<attribute>` values, by (answered class, true class).

    Args:
        paths: Reference files: columns `g_<attribute>`, `answer` and `label` (texts).
        attributes: Names without the prefix; a null value is the group None.
    """
    rows = IbisEngine().read(paths)
    keys = {f"key_{i}": rows[f"g_{name}"] for i, name in enumerate(attributes)}
    counted = rows.group_by(**keys, answer=rows.answer, label=rows.label).aggregate(
        rows=rows.count()
    )
    return _grouped(counted.to_pyarrow().to_pylist(), list(keys))


def class_counts(
    decisions: Any, outcomes: Any | None, asked: Any, attributes: Sequence[str]
) -> ClassCounts:
    """As `outcomes.outcome_counts`, of decisions whose outcomes are classes."""
    needed = decisions.select(
        "decision_id",
        "request_id",
        "fallback_level",
        *(name for name in ("caller", *attributes) if name in decisions.columns),
        answer=text(decisions, "answer"),
    )
    joined = labelled(needed, outcomes, asked)
    keys = {f"key_{i}": text(joined, name) for i, name in enumerate(attributes)}
    rows = joined.select(
        **keys,
        answered=joined.fallback_level.isin(BY_MODEL),
        answer=joined.answer,
        label=joined.label.cast("string"),
    )
    counted = rows.group_by(*rows.columns).aggregate(rows=rows.count())
    found = counted.to_pyarrow().to_pylist()
    usable = [row for row in found if row["answered"] and None not in (row["answer"], row["label"])]
    return ClassCounts(
        decisions=sum(row["rows"] for row in found),
        answered=sum(row["rows"] for row in found if row["answered"]),
        labelled=sum(row["rows"] for row in usable),
        groups=_grouped(usable, list(keys)),
        ambiguous=ambiguous(needed, outcomes, asked),
    )


def _grouped(found: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> Groups:
    """In an order of its own: the engine's threads have none."""
    groups: Groups = {}
    for row in found:
        group = tuple(row[key] for key in keys)
        groups.setdefault(group, {})[row["answer"], row["label"]] = int(row["rows"])
    in_order = sorted(groups.items(), key=lambda one: [(v is None, v or "") for v in one[0]])
    return {group: dict(sorted(rows.items())) for group, rows in in_order}
