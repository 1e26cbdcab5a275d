"""Tables into Parquet whose bytes depend on nothing but the content and the pinned library."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tenure.lifecycle.data.quality import Reason
from tenure.lifecycle.data.sources import FIRST_MOMENT, LAST_MOMENT

ROW_GROUP = 131_072
_FIRST_DAY, _LAST_DAY = FIRST_MOMENT + timedelta(days=1), LAST_MOMENT - timedelta(days=1)


def write_snapshot(table: pa.Table, quarantined: Mapping[int, object], path: Path) -> int:
    """Write the rows that are not quarantined, in their order; returns how many.

    No pandas or Arrow metadata, zstd, fixed row groups: equal content gives equal bytes.
    """
    kept = table
    if quarantined:
        rows = pa.array(
            [row for row in range(table.num_rows) if row not in quarantined], pa.int64()
        )
        kept = table.take(rows)
    write_table(kept, path)
    return int(kept.num_rows)


REASON_TYPE = pa.struct(
    [
        pa.field("rule", pa.string()),
        pa.field("subject", pa.string()),
        pa.field("columns", pa.list_(pa.string())),
        pa.field("allowed", pa.string()),
    ]
)


def write_quarantine(
    original: pa.Table, reasons: Mapping[int, Sequence[Reason]], path: Path
) -> None:
    """Write the quarantined rows as they came, with `_row` (from 1) and `_reasons`.

    A reason is a record of `rule`, `subject`, `columns` and `allowed`.
    """
    rows = sorted(reasons)
    found = original.take(pa.array(rows, pa.int64()))
    found = found.rename_columns(_distinct(found.column_names))
    found = found.append_column("_row", pa.array([row + 1 for row in rows], pa.int64()))
    why = [[asdict(reason) for reason in reasons[row]] for row in rows]
    write_table(found.append_column("_reasons", pa.array(why, pa.list_(REASON_TYPE))), path)


def time_range(table: pa.Table, column: str | None) -> tuple[datetime | None, datetime | None]:
    """Earliest and latest time of a column, None when it holds no time or there is no column.

    Within what a database can show in any zone: they order batches, and are no values.
    """
    if column is None:
        return None, None
    bounds = pc.min_max(table.column(column)).as_py()
    if bounds["min"] is None:
        return None, None
    earliest, latest = (min(max(bounds[end], _FIRST_DAY), _LAST_DAY) for end in ("min", "max"))
    return earliest, latest


def write_table(table: pa.Table, path: Path) -> None:
    """Without metadata, in fixed row groups: equal content gives equal bytes."""
    pq.write_table(
        table.replace_schema_metadata(None).combine_chunks(),
        path,
        row_group_size=ROW_GROUP,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=3,
        use_dictionary=True,
        write_statistics=True,
        store_schema=False,
    )


def _distinct(names: Sequence[str]) -> list[str]:
    """Names that are there twice, or that we need ourselves, get a number."""
    seen: Counter[str] = Counter({"_row": 1, "_reasons": 1})
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}__{seen[name]}")
    return found
