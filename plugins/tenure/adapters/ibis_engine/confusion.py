"""Confusion cells of every combination of protected groups, in one scan of scored rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tenure.adapters.ibis_engine import IbisEngine

_UNIT = 1e12
"""Errors are added up in whole parts of it: equal whatever order the threads add in."""


@dataclass(frozen=True)
class ConfusionCell:
    """The rows of one combination of groups.

    Args:
        counts: As (tp, fp, fn, tn).
        errors: Sums of score minus label and of its square.
    """

    counts: tuple[int, int, int, int]
    errors: tuple[float, float]


def confusion_cells(
    paths: Sequence[Path], attributes: Sequence[str], *, prefix: str = ""
) -> dict[tuple[str | None, ...], ConfusionCell]:
    """The rows of each combination of `g_<attribute>` values that occurs.

    Args:
        paths: Reference files: columns `g_<attribute>`, `decision`, `label` and `score`.
        attributes: Names without the prefix; a null value is the group None.
        prefix: Of the columns `decision` and `score`: `unmitigated_`.
    """
    rows = IbisEngine().read(paths)
    decision, scored = rows[f"{prefix}decision"], rows[f"{prefix}score"]
    rows = rows.mutate(decision=decision, score=scored)
    rows = rows.filter(rows.decision.notnull(), rows.label.notnull())
    keys = {f"k{i}": rows[f"g_{name}"] for i, name in enumerate(attributes)}
    error = rows.score.cast("float64") - rows.label.cast("float64")
    counted = rows.group_by(**keys).aggregate(
        tp=(rows.decision & rows.label).sum(),
        fp=(rows.decision & ~rows.label).sum(),
        fn=(~rows.decision & rows.label).sum(),
        tn=(~rows.decision & ~rows.label).sum(),
        error=(error * _UNIT).round().cast("int64").cast("decimal(38, 0)").sum(),
        square=(error * error * _UNIT).round().cast("int64").cast("decimal(38, 0)").sum(),
    )
    return {
        tuple(row[key] for key in keys): ConfusionCell(
            counts=(int(row["tp"]), int(row["fp"]), int(row["fn"]), int(row["tn"])),
            errors=(float(row["error"]) / _UNIT, float(row["square"]) / _UNIT),
        )
        for row in counted.to_pyarrow().to_pylist()
    }
