"""Bin, category and null counts of the reference and of a window, in one scan of each."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import ibis
from ibis import selectors as s

from tenure.adapters.ibis_engine.selection import of_version
from tenure.ports import CodedDecision, DecisionFilter, FeatureCounts

if TYPE_CHECKING:
    from tenure.adapters.ibis_engine import IbisEngine

BY_MODEL = ("model", "champion")
"""Fallback levels at which a model gave the answer."""
A_DATE = "a date"
"""Stands for every date: those that come later are new, and no change of the data."""
_NULL = -1
_SIDES = ("reference", "current")


def with_features(
    engine: "IbisEngine", decisions: DecisionFilter, *, only_opened: bool = False
) -> Any:
    """The same rows with their features, opened in memory where they are sealed.

    Features that nobody can open any more are null, or with `only_opened` their rows left out.
    """
    if engine.opened is None:
        return of_version(engine, decisions)
    table = ibis.memtable(engine.opened(decisions))
    return table.filter(table.opened) if only_opened else table


def quantiles(
    table: Any, columns: Sequence[str], shares: Sequence[float]
) -> dict[str, list[float]]:
    """Exact quantiles of each column, NaN counted as null."""
    if not columns:
        return {}
    numbers = table.select(**{name: number(table, name) for name in columns})
    wanted = {name: numbers[name].quantile(list(shares)) for name in columns}
    found = numbers.aggregate(**wanted).to_pyarrow().to_pylist()[0]
    return {name: list(values or ()) for name, values in found.items()}


def sampled(
    table: Any, numeric: Sequence[str], categorical: Sequence[str], *, rows: int, seed: int
) -> dict[str, list[Any]]:
    """The rows whose hash with the seed is smallest."""
    identity = ibis.literal(f"{seed}|").concat(
        table.event_time.cast("string"), "|", table.score.cast("string")
    )
    columns = {name: number(table, name) for name in numeric}
    columns |= {name: text(table, name) for name in categorical}
    picked = table.select(_place=identity.hash(), **columns).order_by("_place", *columns)
    found: dict[str, list[Any]] = picked.limit(rows).drop("_place").to_pyarrow().to_pydict()
    return found


def feature_counts(
    reference: Any,
    current: Any,
    edges: Mapping[str, Sequence[float]],
    categorical: Sequence[str],
    dates: Sequence[str] = (),
) -> tuple[FeatureCounts, FeatureCounts]:
    """One expression: every value becomes (side, column, code) and the codes are counted."""
    found = side_counts(
        [
            (table, ibis.literal(side))
            for table, side in zip((reference, _scores_of_models(current)), _SIDES, strict=True)
        ],
        edges,
        categorical,
        dates,
    )
    first, second = (found(side) for side in _SIDES)
    return first, second


def counts_by_day(
    reference: Any,
    current: Any,
    edges: Mapping[str, Sequence[float]],
    categorical: Sequence[str],
    dates: Sequence[str] = (),
) -> tuple[FeatureCounts, dict[date, FeatureCounts]]:
    """As `feature_counts`, the current side by day of event time (UTC), in one scan."""
    scored = _scores_of_models(current)
    sides = [(reference, ibis.literal(_SIDES[0])), (scored, scored.event_time.strftime("%Y-%m-%d"))]
    found = side_counts(sides, edges, categorical, dates)
    days = sorted(found.sides - {_SIDES[0]})
    return found(_SIDES[0]), {date.fromisoformat(day): found(day) for day in days}


@dataclass(frozen=True)
class SideCounts:
    """Counted codes of several sides."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    edges: Mapping[str, Sequence[float]]
    texts: Sequence[str]

    @property
    def sides(self) -> frozenset[str]:
        """Sides with a row."""
        return frozenset(self.rows)

    def __call__(self, side: str) -> FeatureCounts:
        """Counts of one side."""
        return _assemble(self.rows.get(side, ()), self.edges, self.texts)


def side_counts(
    sides: Sequence[tuple[Any, Any]],
    edges: Mapping[str, Sequence[float]],
    categorical: Sequence[str],
    dates: Sequence[str],
) -> SideCounts:
    """Codes of each table by the side that its rows are of."""
    parts = []
    if edges:
        parts.append(_count_bins([_binned(table, side, edges) for table, side in sides], edges))
    if texts := (*categorical, *dates):
        parts.append(_count_values([_valued(t, side, categorical, dates) for t, side in sides]))
    rows = ibis.union(*parts) if len(parts) > 1 else parts[0]
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows.to_pyarrow().to_pylist():
        found[row["side"]].append(row)
    return SideCounts(found, edges, texts)


def coded(
    table: Any, ids: Sequence[str], edges: Mapping[str, Sequence[float]], categorical: Sequence[str]
) -> list[CodedDecision]:
    """The decisions of these ids, each with the codes by which `feature_counts` counts it."""
    wanted = ibis.memtable({"decision_id": list(ids)})
    rows = _scores_of_models(table).semi_join(wanted, "decision_id")
    columns = {name: _bin(number(rows, name), e).cast("string") for name, e in edges.items()}
    columns |= {name: text(rows, name) for name in categorical}
    found = rows.select("decision_id", **columns).order_by("decision_id").to_pyarrow().to_pylist()
    return [
        CodedDecision(
            row.pop("decision_id"),
            {
                name: None if name in edges and code == str(_NULL) else code
                for name, code in row.items()
            },
        )
        for row in found
    ]


def number(table: Any, name: str) -> Any:
    """The column as float64 with NaN as null; null throughout when there is no such column."""
    if name not in table.columns:
        return ibis.null().cast("float64")
    value = table[name].cast("float64")
    return ibis.ifelse(value.isnan(), ibis.null().cast("float64"), value)


def text(table: Any, name: str) -> Any:
    """The column as string; null throughout when there is no such column."""
    return table[name].cast("string") if name in table.columns else ibis.null().cast("string")


def _scores_of_models(table: Any) -> Any:
    """The score, or class, of a rule is not the model's: null where no model answered."""
    if not {"score", "fallback_level"} <= set(table.columns):
        return table
    by_model = table.fallback_level.isin(BY_MODEL)
    said = [name for name in ("score", "answer") if name in table.columns]
    return table.mutate(**{n: ibis.ifelse(by_model, table[n], ibis.null()) for n in said})


def _binned(table: Any, side: Any, edges: Mapping[str, Sequence[float]]) -> Any:
    codes = {name: _bin(number(table, name), e) for name, e in edges.items()}
    return table.select(side=side, **codes)


def _valued(table: Any, side: Any, categorical: Sequence[str], dates: Sequence[str]) -> Any:
    columns = {name: text(table, name) for name in categorical}
    for name in dates:
        written = text(table, name)
        columns[name] = ibis.ifelse(written.isnull(), written, A_DATE)
    return table.select(side=side, **columns)


def _bin(value: Any, edges: Sequence[float]) -> Any:
    """0 below, 1… inside, len(edges) above, -1 null; an inner bin holds its upper edge."""
    branches = [(value.isnull(), _NULL), (value < float(edges[0]), 0)]
    branches += [(value <= float(edge), i) for i, edge in enumerate(edges[1:], start=1)]
    return ibis.cases(*branches, else_=len(edges)).cast("int32")


def _count_bins(sides: Sequence[Any], edges: Mapping[str, Sequence[float]]) -> Any:
    """Bins as whole numbers, a range of them for each column: half the cost of names."""
    stride = max(len(e) for e in edges.values()) + 2
    rows = ibis.union(*sides)
    codes = ibis.array([rows[name] + i * stride for i, name in enumerate(edges)])
    long = rows.select("side", code=codes.unnest())
    grouped = long.group_by("side", "code").aggregate(rows=long.count())
    place = (grouped.code - _NULL) // stride
    return grouped.select(
        "side",
        column=ibis.cases(*((place == i, name) for i, name in enumerate(edges))),
        code=(grouped.code - place * stride).cast("string"),
        rows="rows",
    )


def _count_values(sides: Sequence[Any]) -> Any:
    long = ibis.union(*sides).pivot_longer(~s.cols("side"), names_to="column", values_to="code")
    return long.group_by("side", "column", "code").aggregate(rows=long.count())


def _assemble(
    found: Sequence[Mapping[str, Any]],
    edges: Mapping[str, Sequence[float]],
    categorical: Sequence[str],
) -> FeatureCounts:
    counts: dict[str, dict[str | None, int]] = defaultdict(dict)
    for row in found:
        counts[row["column"]][row["code"]] = int(row["rows"])
    some = next(iter([*edges, *categorical]))
    return FeatureCounts(
        rows=sum(counts[some].values()),
        bins={
            name: tuple(counts[name].get(str(i), 0) for i in range(len(e) + 1))
            for name, e in edges.items()
        },
        categories={
            name: {
                value: n for value, n in sorted(counts[name].items(), key=str) if value is not None
            }
            for name in categorical
        },
        nulls={name: counts[name].get(str(_NULL), 0) for name in edges}
        | {name: counts[name].get(None, 0) for name in categorical},
    )
