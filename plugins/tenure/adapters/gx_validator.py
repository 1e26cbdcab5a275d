"""Runs an expectation suite over a table with Great Expectations, in memory, without its cloud.

GX judges; what it is given is exact, and what it cannot hold exactly it is not asked: see
docs/decisions/0011.
"""

import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

# ruff: noqa: E402 (what follows must be said before the library is imported)
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
_gx_log = logging.getLogger("great_expectations")
_gx_log.setLevel(logging.ERROR)
_gx_log.propagate = False  # some of its modules set their own level, and 200 lines hid our verdict

import great_expectations as gx
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from great_expectations.core.expectation_suite import ExpectationSuite
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)

from tenure.lifecycle.data.expectations import (
    ROW_COUNT,
    Expectation,
    Suite,
    allowed,
    columns_of,
    limit,
    listed,
    observed_rows,
    observed_whole,
    rounded_bound,
    spelled,
)
from tenure.lifecycle.data.patterns import as_re2
from tenure.lifecycle.data.quality import Finding
from tenure.verdicts import Severity

_RESULT = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
_BOUNDS = ("min_value", "max_value")
_WHOLE = {"unexpected_list", "unexpected_index_list", "partial_unexpected_index_list"}
_EXACT_IN_DOUBLES = 2**53
_LONGEST_WHOLE = 10**24
MAX_EXAMPLE = 40
_COLUMNS_AT_ONCE = 20
"""Of a frame that GX is given; it needs 0.1 s for each frame, and for each rule a copy of one."""


class _MatchesRegex(ColumnMapMetricProvider):
    """Takes the place of GX's metric: RE2 instead of Python's engine, which may take for ever."""

    condition_metric_name = "column_values.match_regex"
    condition_value_keys = ("regex",)

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, regex: str, **_: object) -> pd.Series:
        return _matching(column, regex)


class _MatchesNoRegex(ColumnMapMetricProvider):
    """The same for values that must not match."""

    condition_metric_name = "column_values.not_match_regex"
    condition_value_keys = ("regex",)

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, regex: str, **_: object) -> pd.Series:
        return ~_matching(column, regex)


def _matching(column: pd.Series, regex: str) -> pd.Series:
    """Whether each text (GX leaves nulls out) holds a match."""
    found = pc.match_substring_regex(pa.array(column, pa.string()), as_re2(regex))
    return pd.Series(found.to_numpy(zero_copy_only=False), index=column.index, dtype=bool)


def validate(
    table: pa.Table,
    suite: Suite,
    *,
    hidden: frozenset[str] = frozenset(),
    drawn: list[dict[str, Any]] | None = None,
) -> list[Finding]:
    """One finding for each expectation, in the order of the suite.

    An expectation that GX cannot compute is a critical finding that does not hold, whatever its
    severity: a rule that says nothing must not pass. One about rows that had no value to look at is
    inconclusive; a measure of no value does not hold.

    Args:
        table: Typed by the contract; missing values are null.
        suite: Linted.
        hidden: Columns with personal data: no value of theirs is quoted.
        drawn: Takes what Data Docs need of GX's results, in their order; values are in it.
    """
    ours = {f"{n:08d}-0000-4000-8000-000000000000": e for n, e in enumerate(suite.expectations)}
    asked, failures = _configured(ours, table)
    results = [*_results(table, suite.name, asked)]
    found = {result.expectation_config.id: result for result in results}
    if drawn is not None:
        drawn += [_drawable(result) for result in results]
    findings = []
    for ident, expectation in ours.items():
        result = found.get(ident)
        failure = failures.get(ident) or _failure(result)
        if failure:
            findings.append(_not_computed(expectation, failure, hidden))
        else:
            findings.append(_finding(expectation, result, table, hidden))
    return findings


def _results(table: pa.Table, suite: str, asked: Sequence[dict[str, Any]]) -> Iterator[Any]:
    """GX's results, of a few columns at a time: it copies all columns of a frame for each rule."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas comments on how GX calls it
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        source = context.data_sources.add_pandas("tenure")
        for number, (columns, group) in enumerate(_narrow(table, asked)):
            asset = source.add_dataframe_asset(f"batch_{number}")
            definition = asset.add_batch_definition_whole_dataframe("whole")
            batch = definition.get_batch({"dataframe": _frame(table.select(columns))})
            yield from batch.validate(ExpectationSuite(suite, group), result_format=_RESULT).results


def _narrow(
    table: pa.Table, asked: Sequence[dict[str, Any]]
) -> Iterator[tuple[list[str], list[dict[str, Any]]]]:
    """The rules in groups, each with the columns that it looks at; a table's rule needs any one."""
    known = {*table.column_names}
    columns: dict[str, None] = {}
    group: list[dict[str, Any]] = []
    for one in asked:
        named = columns_of(one["kwargs"]) or table.column_names[:1]
        own = [column for column in named if column in known]
        if group and len({*columns, *own}) > _COLUMNS_AT_ONCE:
            yield [*columns], group
            columns, group = {}, []
        columns |= dict.fromkeys(own)
        group.append(one)
    if group:
        yield [*columns], group


def _configured(
    ours: Mapping[str, Expectation], table: pa.Table
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """What GX is asked, and why it is not asked the rest: one bad argument must not stop all."""
    asked, failures = [], {}
    for ident, expectation in ours.items():
        try:
            asked.append(
                {
                    "id": ident,
                    "type": expectation.type,
                    "kwargs": _kwargs(expectation, table),
                    "severity": str(expectation.severity),
                }
            )
            ExpectationConfiguration(**asked[-1]).to_domain_obj()
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            asked = [one for one in asked if one["id"] != ident]
            failures[ident] = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return asked, failures


def _kwargs(expectation: Expectation, table: pa.Table) -> dict[str, object]:
    """ISO times become datetimes; the rest stays as the steward wrote it.

    Raises:
        ValueError: GX would round a bound.
    """
    of_times = any(pa.types.is_timestamp(table[c].type) for c in expectation.columns)
    made: dict[str, object] = {}
    for name, value in expectation.kwargs.items():
        if name in _BOUNDS:
            made[name] = _bound(value)
        elif of_times and isinstance(value, list) and name == "value_set":
            made[name] = [pd.Timestamp(datetime.fromisoformat(str(one))) for one in value]
        else:
            made[name] = value
    return made


def _bound(value: object) -> object:
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    if (near := rounded_bound(value)) is not None:
        raise ValueError(f"a bound would be rounded to {near}")
    return value


def _drawable(result: Any) -> dict[str, Any]:
    """A result without the values and positions of all failing rows."""
    config = result.expectation_config
    return {
        "success": bool(result.success),
        "expectation_config": {
            "type": config.type,
            "kwargs": dict(config.kwargs),
            "severity": str(getattr(config.severity, "value", config.severity)),
        },
        "result": {k: v for k, v in result.result.items() if k not in _WHOLE},
        "exception_info": result.exception_info,
    }


def _frame(table: pa.Table) -> pd.DataFrame:
    """The table for pandas, which makes doubles of integers beside a null, and compares in doubles.

    Rows are numbered from 0, so that GX's row indices are positions.
    Such columns are given as Python's own integers and booleans, which nothing rounds.
    """
    frame = table.to_pandas()
    for name in table.column_names:
        if _is_rounded(table[name]):
            cells = [math.nan if cell is None else cell for cell in table[name].to_pylist()]
            frame[name] = pd.Series(cells, dtype=object, index=frame.index)
    return frame


def _is_rounded(column: pa.ChunkedArray) -> bool:
    if pa.types.is_boolean(column.type):
        return bool(column.null_count)
    if not pa.types.is_integer(column.type):
        return False
    ends = pc.min_max(column).as_py()
    is_big = any(abs(end or 0) > _EXACT_IN_DOUBLES for end in ends.values())
    return bool(column.null_count) or is_big


def _not_computed(expectation: Expectation, failure: str, hidden: frozenset[str]) -> Finding:
    if hidden.intersection(expectation.columns):
        failure = "the cause may quote a value and is not shown"
    return Finding(
        rule=expectation.type,
        subject=expectation.subject,
        severity=Severity.CRITICAL,
        holds=False,
        observed=f"a rule that cannot be computed ({failure[:120]})",
        allowed=allowed(expectation),
        columns=expectation.columns,
    )


def _finding(
    expectation: Expectation, result: Any, table: pa.Table, hidden: frozenset[str]
) -> Finding:
    seen: Mapping[str, Any] = result.result
    by_row = "element_count" in seen
    counts = _counts(expectation, seen) if by_row else None
    is_empty = not counts[1] if counts else _has_no_value(expectation, table)
    is_hidden = bool(hidden.intersection(expectation.columns))
    return Finding(
        rule=expectation.type,
        subject=expectation.subject,
        severity=expectation.severity,
        holds=bool(result.success) and not is_empty,
        is_inconclusive=by_row and is_empty,
        observed=_of_rows(expectation, seen, counts, is_hidden)
        if counts
        else _of_column(expectation, seen, table, is_hidden),
        allowed=allowed(expectation),
        rows=_rows(seen, table.num_rows) if by_row else (),
        columns=expectation.columns,
        value=_share(*counts)
        if counts
        else None
        if is_empty or is_hidden
        else _number(seen.get("observed_value")),
        limit=limit(expectation, by_row=by_row),
        counts=counts,
    )


def _has_no_value(expectation: Expectation, table: pa.Table) -> bool:
    """Whether a measure had nothing to look at; rows are counted in any case, nulls as well."""
    if expectation.type == ROW_COUNT:
        return False
    if "non_null" in expectation.type:
        return bool(table.num_rows == 0)
    return all(table[c].null_count == table.num_rows for c in expectation.columns)


def _counts(expectation: Expectation, seen: Mapping[str, Any]) -> tuple[int, int]:
    """Rows that break it, and rows that it looked at."""
    total = int(seen["element_count"]) - _missing(expectation, seen)
    return int(seen.get("unexpected_count") or 0), total


def _share(broken: int, total: int) -> float:
    return broken / total if total else 0.0


def _of_rows(
    expectation: Expectation, seen: Mapping[str, Any], counts: tuple[int, int], is_hidden: bool
) -> str:
    examples = [v for v in seen.get("partial_unexpected_list", ()) if v is not None]
    return observed_rows(
        expectation,
        broken=counts[0],
        total=counts[1],
        example=_plain(examples[0]) if examples and not is_hidden else "",
    )


def _missing(expectation: Expectation, seen: Mapping[str, Any]) -> int:
    """Nulls do not count for rules about values; for the rule about nulls they do."""
    return 0 if expectation.type.endswith("be_null") else int(seen.get("missing_count") or 0)


def _of_column(
    expectation: Expectation, seen: Mapping[str, Any], table: pa.Table, is_hidden: bool
) -> str:
    if is_hidden:
        return observed_whole(expectation, "that is not shown")
    if "_distinct_values_" in expectation.type:
        return observed_whole(expectation, _distinct(seen, table[expectation.columns[0]]))
    value = seen.get("observed_value")
    return observed_whole(expectation, "none" if value is None else _plain(value))


def _distinct(seen: Mapping[str, Any], column: pa.ChunkedArray) -> str:
    """What is there and should not be, else what is not there and should be, else what is there."""
    for word, name in (("with", "partial_unexpected_list"), ("without", "partial_missing_list")):
        if found := seen.get(name):
            return f"{word} {', '.join(_plain(value) for value in sorted(found)[:3])}"
    there = sorted(value for value in pc.unique(column).to_pylist() if value is not None)
    return listed([_plain(value) for value in there], len(there)) or "none"


def _number(value: object) -> float | None:
    """The number that a whole column or table has, when it is one; an integer stays exact."""
    value = value.item() if hasattr(value, "item") else value  # numpy's scalars
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


def _rows(seen: Mapping[str, Any], rows: int) -> Sequence[int]:
    found = sorted({int(index) for index in seen.get("unexpected_index_list") or ()})
    if found and not 0 <= found[0] <= found[-1] < rows:
        raise IndexError(f"row {found[-1]} of a table of {rows} rows")
    return found


def _failure(result: Any) -> str | None:
    return "no result" if result is None else next(_exceptions(result.exception_info), None)


def _exceptions(info: Mapping[str, Any]) -> Iterator[str]:
    """GX gives one exception, or one for each metric."""
    if info.get("raised_exception"):
        yield str(info.get("exception_message")).splitlines()[0]
    for part in info.values():
        if isinstance(part, dict) and part.get("raised_exception"):
            yield str(part.get("exception_message")).splitlines()[0]


def _plain(value: object) -> str:
    """A value for people: short, and without characters that could steer a terminal or a log."""
    value = value.item() if hasattr(value, "item") else value  # numpy's scalars
    if isinstance(value, tuple | list):
        return f"({', '.join(_plain(part) for part in value)})"[: 2 * MAX_EXAMPLE]
    if isinstance(value, bool) or value is None or value is pd.NaT:
        return spelled(None if value is pd.NaT else value)
    if isinstance(value, float) and not value.is_integer():
        return "null" if math.isnan(value) else f"{value:,.6g}"
    if isinstance(value, int | float):
        return f"{int(value):,}" if abs(value) < _LONGEST_WHOLE else f"{value:,.6g}"
    if isinstance(value, datetime):
        return spelled(value if value.tzinfo else value.replace(tzinfo=UTC))
    text = repr(value)
    return text if len(text) <= MAX_EXAMPLE else f"{text[:MAX_EXAMPLE]}…"
