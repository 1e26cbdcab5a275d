"""The newest published rows of a dataset, as a new model is drafted from them.

Import it inside functions: it loads SQLAlchemy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from tenure.adapters.sql import training
from tenure.config import DatasetConfig
from tenure.config.new_files import not_written
from tenure.installation import Installation
from tenure.installation.identity import as_command
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
        span: First and last moment.
        days: Between the two.
        absent: Columns of the contract that not every batch has.
    """

    table: "pa.Table"
    rows: int
    batches: tuple[str, ...]
    span: tuple[str, str]
    days: float
    absent: tuple[str, ...]


def newest_rows(platform: Installation, dataset: DatasetConfig, time: str) -> SeenRows:
    """The newest batches. Raises GateInconclusive when nothing is published."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with platform.database.begin() as connection:
        published = training.published(connection, dataset.name)
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
    bounds = pc.min_max(table.column(time)).as_py() if time in columns else {}
    first, last = bounds.get("min"), bounds.get("max")
    if first is None or last is None:
        raise not_written(
            f"the time column {time} of {dataset.name} has no value in {len(chosen)} batches "
            f"({names}), or not all of them have it.",
            "Publish batches that say when what a row tells happened.",
        )
    return SeenRows(
        table=table,
        rows=sum(one.rows for one in chosen),
        batches=tuple(one.batch for one in chosen),
        span=(f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}"),
        days=(last - first) / timedelta(days=1),
        absent=tuple(c for c in dataset.contract.columns if c not in columns),
    )


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
