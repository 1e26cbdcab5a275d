"""A published batch as it landed, put together again from its snapshot and its quarantined rows."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tenure.adapters.arrow_tables.cells import ARROW, from_arrow, from_text
from tenure.adapters.arrow_tables.peeking import REASONS, ROW, reasons_of
from tenure.adapters.arrow_tables.reading import Batch, against_contract
from tenure.lifecycle.data.quality import CELL_RULES, Finding, Reason
from tenure.lifecycle.data.sources import Contract, Source
from tenure.verdicts import Severity


def rebuild_batch(
    snapshot: Path,
    quarantine: Path | None,
    source: Source,
    contract: Contract,
    *,
    required: Collection[str] | None = None,
) -> Batch:
    """The batch, every row in its old place, compared with the contract of today.

    A batch is published only when its rows have the types of the contract, so the cells that were
    set aside as text can be read back. Columns outside the contract are lost; those that were
    personal hold pseudonyms, as their column in the contract must say: `string`.
    """
    kept = pq.read_table(snapshot)
    as_parquet = Source(format="parquet")
    if quarantine is None:
        return against_contract(kept, as_parquet, contract, required=required)
    aside = pq.read_table(quarantine)
    table = with_rows(kept, aside, source)
    batch = against_contract(table, as_parquet, contract, required=required)
    return replace(batch, findings=(*_broken_cells(aside), *batch.findings))


def _broken_cells(aside: pa.Table) -> Iterator[Finding]:
    """Cells that had no value of their type have none now either: their rows stay set aside."""
    rows: dict[Reason, list[int]] = {}
    for number, reasons in zip(*(aside.column(c).to_pylist() for c in ROW_FACTS), strict=True):
        for reason in reasons_of(reasons):
            rows.setdefault(reason, []).append(number - 1)
    for reason, found in rows.items():
        if reason.rule in CELL_RULES and reason.rule != "null":
            yield Finding(
                rule=reason.rule,
                subject=reason.subject,
                severity=Severity.WARNING,
                holds=False,
                observed=f"{len(found):,} rows that were set aside as they landed",
                allowed=reason.allowed,
                rows=found,
                columns=reason.columns,
            )


def with_rows(kept: pa.Table, aside: pa.Table, source: Source) -> pa.Table:
    """The kept rows and the ones set aside, each in its old place, by the types of the kept."""
    typed = pa.table(
        {field.name: _typed(aside.column(field.name), field.type, source) for field in kept.schema},
        schema=kept.schema,
    )
    total = kept.num_rows + aside.num_rows
    is_aside = np.zeros(total, dtype=bool)
    is_aside[aside.column("_row").to_numpy() - 1] = True
    order = np.empty(total, dtype=np.int64)
    order[~is_aside] = np.arange(kept.num_rows)
    order[is_aside] = kept.num_rows + np.arange(aside.num_rows)  # they are kept in their order
    return pa.concat_tables([kept, typed]).take(pa.array(order))


def _typed(column: pa.ChunkedArray, wanted: pa.DataType, source: Source) -> pa.ChunkedArray:
    convert = from_text if source.format == "csv" else from_arrow
    return convert(column, _KINDS[wanted], source).values


_KINDS = {arrow: kind for kind, arrow in ARROW.items()}
ROW_FACTS = (ROW, REASONS)
