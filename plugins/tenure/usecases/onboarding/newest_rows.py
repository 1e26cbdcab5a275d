"""The newest published rows of a dataset, as a new model is drafted from them.

Import it inside functions: it loads SQLAlchemy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tenure.adapters.sql import training
from tenure.config import DatasetConfig
from tenure.config.new_files import not_written
from tenure.errors import GateInconclusive
from tenure.installation import Installation
from tenure.installation.identity import as_command
from tenure.layout import landing_prefix
from tenure.lifecycle.training import PublishedSnapshot, choose_snapshots
from tenure.usecases.data.snapshots import open_snapshot

if TYPE_CHECKING:
    import pyarrow as pa

ENOUGH_ROWS = 20_000
"""Newest batches are taken until they hold so many rows."""
MAX_BATCHES = 12
MAX_ROWS = 200_000
"""Rows that are looked at, evenly over those of the batches."""


@dataclass(frozen=True)
class SeenRows:
    """What the draft rests on.

    Args:
        table: Rows of the newest batches, at most `MAX_ROWS`.
        rows: How many the batches have.
        batches: Their names, oldest first.
        span: First and last moment; None of data without time.
        days: Between the two; 0 of data without time.
        absent: Columns of the contract that not every batch has.
    """

    table: "pa.Table"
    rows: int
    batches: tuple[str, ...]
    span: tuple[str, str] | None
    days: float
    absent: tuple[str, ...]


def newest_rows(platform: Installation, dataset: DatasetConfig, time: str | None) -> SeenRows:
    """The newest batches. Raises GateInconclusive when nothing is published."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with platform.database.begin() as connection:
        published = training.published(connection, dataset.name)
    if not published:
        raise _nothing_published(platform, dataset.name)
    chosen = _newest(published, dataset.name)
    run = as_command("new model")
    files = [
        open_snapshot(platform, dataset.name, one.digest, purpose="suggest", run=run)
        for one in chosen
    ]
    there = [set(pq.read_schema(file).names) for file in files]
    columns = [c for c in dataset.contract.columns if all(c in one for one in there)]
    parts = [_some(pq.read_table(file, columns=columns), len(files)) for file in files]
    names = ", ".join(one.batch for one in chosen)
    try:
        table = pa.concat_tables(parts, promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise not_written(
            f"the newest batches of {dataset.name} ({names}) hold one column in different types: "
            f"{str(error).splitlines()[0]}.",
            "Publish the older ones again in the new type.",
        ) from None
    first, last = _span(table, time, dataset.name, f"{len(chosen)} batches ({names})")
    is_timed = first is not None and last is not None
    return SeenRows(
        table=table,
        rows=sum(one.rows for one in chosen),
        batches=tuple(one.batch for one in chosen),
        span=(f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}") if is_timed else None,
        days=(last - first) / timedelta(days=1) if is_timed else 0.0,
        absent=tuple(c for c in dataset.contract.columns if c not in columns),
    )


def _nothing_published(platform: Installation, dataset: str) -> GateInconclusive:
    place = platform.settings.place(landing_prefix(dataset))
    return GateInconclusive(
        f"Nothing of {dataset} is published yet, and a model is drafted from published rows.",
        still_safe="Nothing was written.",
        next_step=f"Put a file into {place} and take it in: `tenure ingest {dataset}`. What was "
        f"judged already, and why it was refused, is in `tenure data list {dataset}`.",
    )


def _span(table: "pa.Table", time: str | None, dataset: str, where: str) -> tuple[Any, Any]:
    """First and last moment; None where no column says it. Raises ConfigInvalid."""
    import pyarrow.compute as pc

    if time is None:
        return None, None
    bounds = pc.min_max(table.column(time)).as_py() if time in table.column_names else {}
    if bounds.get("min") is None:
        raise not_written(
            f"the time column {time} of {dataset} has no value in {where}, or not all of them have "
            "it.",
            "Publish batches that say when what a row tells happened.",
        )
    if missing := table.column(time).null_count:
        raise not_written(
            f"the time column {time} of {dataset} has no value in {missing:,} of "
            f"{table.num_rows:,} rows of {where}, and each row that is trained on needs its time.",
            "Name a column that always has one, or leave --time out.",
        )
    return bounds["min"], bounds["max"]


def _newest(published: Sequence[PublishedSnapshot], dataset: str) -> list[PublishedSnapshot]:
    """So many of the newest batches that they hold enough rows, oldest first."""
    chosen = [*choose_snapshots(published, dataset=dataset, window_batches=1)]
    in_force = {one.batch: one.id for one in published}
    for count in range(2, 1 + min(MAX_BATCHES, len({*in_force.values()}))):
        if sum(one.rows for one in chosen) >= ENOUGH_ROWS:
            break
        chosen = [*choose_snapshots(published, dataset=dataset, window_batches=count)]
    return chosen


def _some(table: "pa.Table", files: int) -> "pa.Table":
    """Rows of one batch, evenly, so that all together are few enough."""
    step = math.ceil(table.num_rows * files / MAX_ROWS)
    return table.take([*range(0, table.num_rows, step)]) if step > 1 else table
