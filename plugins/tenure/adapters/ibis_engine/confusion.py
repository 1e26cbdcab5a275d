"""Confusion cells of every combination of protected groups, in one scan of scored rows."""

from collections.abc import Sequence
from pathlib import Path

from tenure.adapters.ibis_engine import IbisEngine

Cell = tuple[int, int, int, int]


def confusion_cells(
    paths: Sequence[Path], attributes: Sequence[str]
) -> dict[tuple[str, ...], Cell]:
    """Rows as (tp, fp, fn, tn) for each combination of `g_<attribute>` values that occurs.

    Args:
        paths: Reference files: columns `g_<attribute>`, `decision` and `label`.
        attributes: Names without the prefix; a null value is the group "".
    """
    rows = IbisEngine().read(paths)
    rows = rows.filter(rows.decision.notnull(), rows.label.notnull())
    keys = {f"k{i}": rows[f"g_{name}"].fill_null("") for i, name in enumerate(attributes)}
    counted = rows.group_by(**keys).aggregate(
        tp=(rows.decision & rows.label).sum(),
        fp=(rows.decision & ~rows.label).sum(),
        fn=(~rows.decision & rows.label).sum(),
        tn=(~rows.decision & ~rows.label).sum(),
    )
    return {
        tuple(row[key] for key in keys): (
            int(row["tp"]),
            int(row["fp"]),
            int(row["fn"]),
            int(row["tn"]),
        )
        for row in counted.to_pyarrow().to_pylist()
    }
