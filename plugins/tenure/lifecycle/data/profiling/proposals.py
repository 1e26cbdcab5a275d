"""Which expectations the profiles of batches would justify, each with its evidence."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tenure.lifecycle.data.profiling.profile import (
    FORMS,
    MAX_CATEGORIES,
    MIN_REPEATS,
    BatchProfile,
    Bound,
    ColumnProfile,
    Value,
)
from tenure.lifecycle.data.profiling.wording import (
    batches,
    columns_phrase,
    outward,
    plain,
    plural,
    shares,
    span,
)
from tenure.lifecycle.data.sources import FIRST_MOMENT, LAST_MOMENT, Column
from tenure.verdicts import Severity

ENOUGH_ROWS = 60
"""Without a null in so many rows, the true share is below 5% (rule of three)."""
MAX_PROPOSALS = 400
_TEXT_OF_SETS = 2_000
_FIRST, _LAST = FIRST_MOMENT, LAST_MOMENT
_DECADE = timedelta(days=3653)


@dataclass(frozen=True)
class Proposal:
    """An expectation in GX's words, and in plain words what it rests on."""

    type: str
    kwargs: Mapping[str, object]
    severity: Severity
    evidence: str

    @property
    def subject(self) -> str:
        """The column, or `the table`."""
        return str(self.kwargs.get("column", "the table"))

    def as_expectation(self) -> dict[str, object]:
        """The entry of a suite file."""
        return {
            "type": self.type,
            "kwargs": dict(self.kwargs),
            "severity": str(self.severity),
            "notes": self.evidence,
        }


def propose(
    profiles: Sequence[BatchProfile],
    columns: Mapping[str, Column],
    *,
    key: Sequence[str] = (),
    time_column: str | None = None,
) -> tuple[Proposal, ...]:
    """Expectations that every given batch passes, with a margin that shrinks as batches grow.

    Of personal columns nothing is proposed that would quote or compare their values.

    Args:
        profiles: Of sound batches, oldest first; those without rows are ignored.
        columns: Of the contract.
        key: Columns that name a row: their range is not expected to stay.
        time_column: Its range moves on with each batch.
    """
    filled = [profile for profile in profiles if profile.rows]
    if not filled:
        return ()
    found = [row_count([p.rows for p in filled])]
    for name, column in columns.items():
        seen = [c for p in filled if (c := p.column(name)) is not None and c.values]
        if seen:
            found += _of_column(seen, column, names_rows=name in key, moves=name == time_column)
    return tuple(found[:MAX_PROPOSALS])


def _of_column(
    seen: Sequence[ColumnProfile], column: Column, *, names_rows: bool, moves: bool
) -> Iterable[Proposal]:
    """The proposals of one column."""
    yield from _nulls(seen, column)
    if column.sensitivity == "personal":
        return
    if column.type == "timestamp":
        if not moves:
            yield _moments(seen)
    elif column.type in {"integer", "number"}:
        yield from _numbers(seen, is_identifier=names_rows or _counts_up(seen))
    elif column.type == "string" and _are_categories(seen):
        yield _category_set(seen)
    elif column.type == "string":
        yield from _texts(seen)


def row_count(rows: Sequence[int]) -> Proposal:
    """How many rows a batch may have, from those of batches that were right."""
    margin = 1 + 4 / len(rows)
    low, high = max(1, math.floor(min(rows) / margin)), math.ceil(max(rows) * margin)
    return Proposal(
        "expect_table_row_count_to_be_between",
        {"min_value": low, "max_value": high},
        Severity.CRITICAL,
        f"{span(min(rows), max(rows))} rows in {batches(len(rows))}.",
    )


def _nulls(seen: Sequence[ColumnProfile], column: Column) -> Iterable[Proposal]:
    """How many nulls are normal; a column that the contract never lets be null needs no rule."""
    if not column.nullable:
        return
    worst = max(c.null_share for c in seen)
    rows = min(c.rows for c in seen)
    noise = 3 * math.sqrt(worst * (1 - worst) / rows) if worst else 3 / rows
    limit = worst + max(0.5 * worst, noise, 0.01) / math.sqrt(len(seen)) + 0.01
    mostly = math.floor(1000 * (1 - limit)) / 1000
    if mostly < 0.05:
        return
    yield Proposal(
        "expect_column_values_to_not_be_null",
        {"column": column_name(seen), "mostly": mostly},
        Severity.CRITICAL,
        f"{shares([c.null_share for c in seen])} nulls in {columns_phrase(seen)}.",
    )


def _category_set(seen: Sequence[ColumnProfile]) -> Proposal:
    values = _categories(seen)
    return Proposal(
        "expect_column_values_to_be_in_set",
        {"column": column_name(seen), "value_set": values},
        Severity.WARNING,
        f"{plural(len(values), 'different value')} in {columns_phrase(seen)}.",
    )


def _numbers(seen: Sequence[ColumnProfile], *, is_identifier: bool) -> Iterable[Proposal]:
    low, high = min(_number(c.low) for c in seen), max(_number(c.high) for c in seen)
    evidence = f"{span(low, high)} in {columns_phrase(seen)}."
    name = column_name(seen)
    if is_identifier:
        if low >= 0:
            kwargs = {"column": name, "min_value": 0}
            kind = "expect_column_values_to_be_between"
            yield Proposal(kind, kwargs, Severity.WARNING, f"{evidence} They name rows.")
        return
    margin = (high - low) * 0.5 / math.sqrt(len(seen)) or abs(high) or 1.0
    bounds = (low - margin, high + margin)
    if low >= 0:
        bounds = (max(0.0, bounds[0]), bounds[1])
    yield Proposal(
        "expect_column_values_to_be_between",
        {"column": name, **outward(*bounds, whole=_is_whole(seen))},
        Severity.WARNING,
        evidence,
    )
    yield from _middle(seen)


def _middle(seen: Sequence[ColumnProfile]) -> Iterable[Proposal]:
    """The median: it notices a change of unit where single values still look possible."""
    spread = max(c.quantiles.get(0.75, 0.0) - c.quantiles.get(0.25, 0.0) for c in seen)
    medians = [c.quantiles[0.5] for c in seen if 0.5 in c.quantiles]
    if spread <= 0 or not medians or min(c.values for c in seen) < ENOUGH_ROWS // 2:
        return
    margin = 1.5 * spread / len(seen) ** 0.25
    least = min(medians) - margin
    if min(_number(c.low) for c in seen) >= 0:
        least = max(0.0, least)
    yield Proposal(
        "expect_column_median_to_be_between",
        {
            "column": column_name(seen),
            **outward(least, max(medians) + margin, whole=False),
        },
        Severity.CRITICAL,
        f"Median {span(min(medians), max(medians))}, middle half {plain(spread)} wide, in "
        f"{columns_phrase(seen)}.",
    )


def _moments(seen: Sequence[ColumnProfile]) -> Proposal:
    low, high = min(_moment(c.low) for c in seen), max(_moment(c.high) for c in seen)
    margin = max(high - low, _DECADE)
    first = low - margin if low - _FIRST > margin else _FIRST
    last = high + margin if _LAST - high > margin else _LAST
    return Proposal(
        "expect_column_values_to_be_between",
        {
            "column": column_name(seen),
            "min_value": first.astimezone(UTC).date().isoformat() + "T00:00:00+00:00",
            "max_value": last.isoformat()
            if last == _LAST
            else last.astimezone(UTC).date().isoformat() + "T00:00:00+00:00",
        },
        Severity.WARNING,
        f"{low.date().isoformat()}…{high.date().isoformat()} in {columns_phrase(seen)}.",
    )


def _texts(seen: Sequence[ColumnProfile]) -> Iterable[Proposal]:
    shortest = min(c.lengths[0] for c in seen if c.lengths)
    longest = max(c.lengths[1] for c in seen if c.lengths)
    forms = list(FORMS)
    form = max((forms.index(c.form) if c.form else len(forms) for c in seen), default=len(forms))
    if form < len(forms):
        width = f"{{{shortest}}}" if shortest == longest else f"{{{shortest},{longest}}}"
        yield Proposal(
            "expect_column_values_to_match_regex",
            {"column": column_name(seen), "regex": f"^{FORMS[forms[form]]}{width}\\Z"},
            Severity.WARNING,
            f"Only {forms[form]}, {span(shortest, longest)} long, in {columns_phrase(seen)}.",
        )
        return
    yield Proposal(
        "expect_column_value_lengths_to_be_between",
        {
            "column": column_name(seen),
            "min_value": 1 if shortest else 0,
            "max_value": longest + max(10, longest // 2),
        },
        Severity.WARNING,
        f"{span(shortest, longest)} characters in {columns_phrase(seen)}.",
    )


def column_name(seen: Sequence[ColumnProfile]) -> str:
    """The column that profiles of several batches are about."""
    return seen[0].name


def _categories(seen: Sequence[ColumnProfile]) -> list[Value]:
    return sorted({value for c in seen for value, _ in c.top}, key=lambda v: (str(type(v)), v))


def _are_categories(seen: Sequence[ColumnProfile]) -> bool:
    """Few values in every batch and in all together, and such as a suite may hold."""
    values = [str(value) for value in _categories(seen)]
    fine = sum(map(len, values)) <= _TEXT_OF_SETS and not any("$" in text for text in values)
    return fine and len(values) <= 2 * MAX_CATEGORIES and all(c.is_categorical for c in seen)


def _counts_up(seen: Sequence[ColumnProfile]) -> bool:
    """Whole numbers that never repeat are names of rows rather than measures."""
    return _is_whole(seen) and all(c.is_unique and c.values >= MIN_REPEATS for c in seen)


def _is_whole(seen: Sequence[ColumnProfile]) -> bool:
    return all(c.type == "integer" for c in seen)


def _number(value: Bound | None) -> float:
    assert isinstance(value, int | float), value
    return value


def _moment(value: Bound | None) -> datetime:
    assert isinstance(value, datetime), value
    return value
