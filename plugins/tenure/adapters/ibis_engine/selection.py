"""Which decision rows a scan takes, and how all rows of a version add up."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import ibis

from tenure.ports import DecisionFilter, Span, Tally

if TYPE_CHECKING:
    from tenure.adapters.ibis_engine import IbisEngine

_SEGMENT = "segment"
"""In a compacted file: what each of its rows was shipped as."""
_NAME, JUDGED = "segment_name", "is_judged"
_EXTENT = ("rows", "first", "last")


def of_version(engine: "IbisEngine", decisions: DecisionFilter) -> Any:
    """The decision rows that the filter names, as an Ibis table."""
    table = marked(engine, decisions)
    return table.filter(is_due(table, decisions)).drop(JUDGED)


def tally(engine: "IbisEngine", decisions: DecisionFilter) -> Tally:
    """One aggregate over all rows of the version."""
    table = marked(engine, decisions, columns=("event_time",))
    due = is_due(table, decisions)
    judged = decisions.judged
    late = due & (table.event_time <= _moment(judged.until)) if judged else ibis.literal(False)
    found = table.aggregate(
        logged=table.count(),
        judged=table[JUDGED].sum(),
        **_extent(table, "due", due),
        **_extent(table, "late", late),
    )
    row = found.to_pyarrow().to_pylist()[0]
    spans = [Span(*(row[f"{kind}_{name}"] for name in _EXTENT)) for kind in ("due", "late")]
    return Tally(row["logged"], row["judged"] or 0, *spans)


def segments(engine: "IbisEngine", decisions: DecisionFilter) -> dict[str, int]:
    """The decisions counted by the segment that they were shipped as."""
    table = marked(engine, decisions, columns=("event_time",))
    table = table.filter(is_due(table, decisions))
    found = table.group_by(_NAME).aggregate(rows=table.count()).order_by(_NAME)
    return {row[_NAME]: row["rows"] for row in found.to_pyarrow().to_pylist()}


def marked(
    engine: "IbisEngine", decisions: DecisionFilter, *, columns: Sequence[str] | None = None
) -> Any:
    """Rows of the version with whether they were judged, and of which segment where it is known.

    With `columns`, only these: each column that a question does not need makes its SQL longer,
    and writing the SQL costs more than a scan of thousands of rows.
    """
    table = engine.read(decisions.paths, with_names=bool(decisions.segments))
    table = table.filter(table.version_id.isin([decisions.version_id, *sorted(decisions.also)]))
    if columns is not None:
        places = [name for name in ("filename", _SEGMENT) if name in table.columns]
        table = table.select(*columns, *places)
    if decisions.segments:
        table = _named(table, decisions)
    if decisions.judged is None:
        return table.mutate(**{JUDGED: ibis.literal(False)})
    known = engine.read(decisions.judged.lists).select(_NAME).distinct().mutate(is_known=True)
    table = table.left_join(known, _NAME).drop(f"{_NAME}_right")
    is_old = table.event_time <= _moment(decisions.judged.until)
    return table.mutate(**{JUDGED: table.is_known.notnull() & is_old}).drop("is_known")


def _named(table: Any, decisions: DecisionFilter) -> Any:
    parts = [(str(path), *name.rpartition("/")[::2]) for path, name in decisions.segments.items()]
    names = ibis.memtable(
        {
            "filename": [file for file, _, _ in parts],
            "hour": [f"{hour}/" for _, hour, _ in parts],
            "stem": [stem for _, _, stem in parts],
        }
    )
    table = table.join(names, "filename")
    stem = table[_SEGMENT].fill_null(table.stem) if _SEGMENT in table.columns else table.stem
    return table.mutate(**{_NAME: table.hour.concat(stem)}).drop("filename", "hour", "stem")


def is_due(table: Any, decisions: DecisionFilter) -> Any:
    """Whether the filter takes a row that was marked."""
    due = table[JUDGED] if decisions.again else ~table[JUDGED]
    if decisions.after is not None:
        due &= table.event_time > _moment(decisions.after)
    if decisions.until is not None:
        due &= table.event_time <= _moment(decisions.until)
    return due


def _extent(table: Any, kind: str, rows: Any) -> dict[str, Any]:
    return {
        f"{kind}_rows": table.count(where=rows),
        f"{kind}_first": table.event_time.min(where=rows),
        f"{kind}_last": table.event_time.max(where=rows),
    }


def _moment(at: datetime) -> Any:
    return ibis.literal(at, type="timestamp('UTC', 6)")
