"""Decision files whose features are sealed row by row, opened in memory."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tenure.lifecycle.serving import Value
from tenure.ports import DecisionFilter

SEALED = "sealed"
_BATCH_ROWS = 16 * 1024
_PREFIX = "f_"
_ABOUT = ("subject", "decision_id", "model", "arm_assigned")

Open = Callable[[Sequence[tuple[str, str, bytes]]], list[bytes | None]]
"""From (pseudonym, decision id, sealed features) each to JSON; None where nobody can open it."""


def any_sealed(paths: Sequence[Path]) -> bool:
    """Whether a file has sealed features."""
    return any(SEALED in pq.read_schema(path).names for path in paths)


@dataclass(frozen=True)
class SubjectRow:
    """A logged decision about one pseudonym, in one file.

    `sealed` is None where the features stand in clear.
    """

    subject: str
    decision_id: str
    model: str
    arm_assigned: str
    sealed: bytes | None
    path: Path


def about(paths: Iterable[Path], subjects: Collection[str]) -> Iterator[SubjectRow]:
    """The rows of these pseudonyms; a row that two files have comes twice."""
    wanted = [("subject", "in", sorted(subjects))]
    for path in paths:
        columns = [n for n in (*_ABOUT, SEALED) if n in pq.read_schema(path).names]
        for row in pq.read_table(path, columns=columns, filters=wanted).to_pylist():
            yield SubjectRow(**{SEALED: None, **row}, path=path)


def opened(decisions: DecisionFilter, open_all: Open) -> pa.Table:
    """The rows of a selection with their features as `f_` columns, and `opened`.

    `opened` is False for rows whose features nobody can open any more; they are null there. Only
    the rows of the selection are held in memory, about 8 bytes a number.
    """
    batches = [
        _opened(batch, open_all)
        for path in decisions.paths
        for batch in _selected(path, decisions)
        if len(batch)
    ]
    if not batches:
        return _empty(decisions)
    return pa.concat_tables(batches, promote_options="permissive")


def features(value: bytes) -> dict[str, Value]:
    """Features of one row that was opened, by name."""
    parts = json.loads(value)
    return {**parts["numeric"], **parts["categorical"]}


def _selected(path: Path, decisions: DecisionFilter) -> Iterator[pa.RecordBatch]:
    judged, name = decisions.judged, decisions.segments.get(path, "")
    known = _judged_segments(decisions)
    versions = pa.array([decisions.version_id, *decisions.also], pa.int64())
    with pq.ParquetFile(path) as source:
        for batch in source.iter_batches(_BATCH_ROWS):
            kept = pc.is_in(batch["version_id"].cast(pa.int64()), value_set=versions)
            if judged is not None:
                is_old = pc.less_equal(batch["event_time"], _moment(judged.until))
                is_known = pc.is_in(_segments(batch, name), value_set=known)
                was_judged = pc.and_(is_old, is_known)
                kept = (pc.and_ if decisions.again else pc.and_not)(kept, was_judged)
            if decisions.after is not None:
                kept = pc.and_(kept, pc.greater(batch["event_time"], _moment(decisions.after)))
            if decisions.until is not None:
                kept = pc.and_(kept, pc.less_equal(batch["event_time"], _moment(decisions.until)))
            yield batch.filter(kept)


def _judged_segments(decisions: DecisionFilter) -> pa.Array | None:
    if decisions.judged is None:
        return None
    lists = [pq.read_table(path)["segment_name"] for path in decisions.judged.lists]
    return pa.chunked_array([chunk for one in lists for chunk in one.chunks], pa.string())


def _segments(batch: pa.RecordBatch, name: str) -> pa.Array:
    """What each row was shipped as; a compacted file, called `name`, says it of each row."""
    if "segment" not in batch.schema.names:
        return pa.array([name] * len(batch), pa.string())
    return pc.binary_join_element_wise(name.rpartition("/")[0], batch["segment"], "/")


def _opened(batch: pa.RecordBatch, open_all: Open) -> pa.Table:
    table = pa.Table.from_batches([batch])
    if SEALED not in table.column_names:
        return table.append_column("opened", pa.array([True] * len(table)))
    sealed = table[SEALED].to_pylist()
    names = (table["subject"].to_pylist(), table["decision_id"].to_pylist())
    asked = [(*about, value or b"") for *about, value in zip(*names, sealed, strict=True)]
    values = [None if one is None else json.loads(one) for one in open_all(asked)]
    table = table.drop_columns([SEALED])
    for part, kind in (("numeric", pa.float64()), ("categorical", pa.string())):
        for name in dict.fromkeys(n for v in values if v for n in v[part]):
            column = [v[part].get(name) if v else None for v in values]
            table = _with(table, f"{_PREFIX}{name}", pa.array(column, kind))
    is_open = [s is None or v is not None for s, v in zip(sealed, values, strict=True)]
    return table.append_column("opened", pa.array(is_open, pa.bool_()))


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    """Add a column; where the file has it as well (from before it was sealed), fill its nulls."""
    if name not in table.column_names:
        return table.append_column(name, column)
    place = table.column_names.index(name)
    held = table[name].cast(column.type, safe=False).combine_chunks()
    return table.set_column(place, name, pc.coalesce(held, column))


def _empty(decisions: DecisionFilter) -> pa.Table:
    schema = pq.read_schema(decisions.paths[0])
    return schema.empty_table().append_column("opened", pa.array([], pa.bool_()))


def _moment(value: Any) -> pa.Scalar:
    return pa.scalar(value, pa.timestamp("us", tz="UTC"))
