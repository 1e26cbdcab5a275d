"""Rows that people release: back from quarantine into the snapshot, each in its old place."""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tenure.adapters.arrow_tables.peeking import REASONS, ROW, every_reason
from tenure.adapters.arrow_tables.rebuilding import with_rows
from tenure.adapters.arrow_tables.writing import (
    REASON_TYPE,
    time_range,
    write_snapshot,
    write_table,
)
from tenure.lifecycle.data.quality import Reason
from tenure.lifecycle.data.sources import Source


@dataclass(frozen=True)
class ReleasedRows:
    """What a release wrote.

    Args:
        rows: Of the new snapshot.
        released: Rows among them that were in quarantine.
        left: Reasons of each row that stays there.
        time_min: Of the new snapshot, as `time_range`.
        time_max: The same.
    """

    rows: int
    released: int
    left: list[tuple[Reason, ...]]
    time_min: datetime | None
    time_max: datetime | None


def release_rows(
    snapshot: Path,
    quarantine: Path,
    cause: Reason,
    *,
    source: Source,
    time_column: str | None,
    to_snapshot: Path,
    to_quarantine: Path,
) -> ReleasedRows:
    """Write the snapshot with the rows that only this cause set aside, and the quarantine without.

    A row that has other reasons too stays there for these. Values get the types of the snapshot.

    Raises:
        KeyError: The quarantined rows lack a column of the snapshot.
    """
    kept, aside = pq.read_table(snapshot), pq.read_table(quarantine)
    left = [tuple(r for r in reasons if r != cause) for reasons in every_reason(quarantine)]
    numbers = aside.column(ROW).to_pylist()
    whole = with_rows(kept, aside, source)
    stays = {number - 1: why for number, why in zip(numbers, left, strict=True) if why}
    rows = write_snapshot(whole, stays, to_snapshot)
    mask = pa.array([bool(why) for why in left], pa.bool_())
    reasons = pa.array([[asdict(r) for r in why] for why in left], pa.list_(REASON_TYPE))
    place = aside.column_names.index(REASONS)
    write_table(aside.set_column(place, REASONS, reasons).filter(mask), to_quarantine)
    return ReleasedRows(
        rows,
        rows - kept.num_rows,
        [why for why in left if why],
        *time_range(_published(whole, stays), time_column),
    )


def _published(whole: pa.Table, stays: dict[int, tuple[Reason, ...]]) -> pa.Table:
    out = pc.is_in(pa.array(range(whole.num_rows)), value_set=pa.array(sorted(stays), pa.int64()))
    return whole.filter(pc.invert(out))
