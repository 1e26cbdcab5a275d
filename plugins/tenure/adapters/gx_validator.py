"""Runs an expectation suite over a table with Great Expectations, in memory, without its cloud."""

import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
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
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)

from tenure.lifecycle.data.expectations import (
    Expectation,
    Suite,
    allowed,
    limit,
    observed_rows,
    observed_whole,
)
from tenure.lifecycle.data.patterns import as_re2
from tenure.lifecycle.data.quality import Finding
from tenure.verdicts import Severity

_RESULT = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
_TIMES = ("min_value", "max_value")
_WHOLE = {"unexpected_list", "unexpected_index_list", "partial_unexpected_index_list"}
MAX_EXAMPLE = 40


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
    severity: a rule that says nothing must not pass.

    Args:
        table: Typed by the contract; missing values are null.
        suite: Linted.
        hidden: Columns with personal data: no value of theirs is quoted.
        drawn: Takes what Data Docs need of GX's results, in their order; values are in it.
    """
    ours = {f"{n:08d}-0000-4000-8000-000000000000": e for n, e in enumerate(suite.expectations)}
    configured = ExpectationSuite(
        name=suite.name,
        expectations=[
            {
                "id": ident,
                "type": expectation.type,
                "kwargs": _kwargs(expectation),
                "severity": str(expectation.severity),
            }
            for ident, expectation in ours.items()
        ],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas comments on how GX calls it
        results = _batch(table).validate(configured, result_format=_RESULT)
    found = {result.expectation_config.id: result for result in results.results}
    if drawn is not None:
        drawn += [_drawable(result) for result in results.results]
    return [
        _finding(expectation, found.get(ident), table.num_rows, hidden)
        for ident, expectation in ours.items()
    ]


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


def _batch(table: pa.Table) -> Any:
    """Rows are numbered from 0, so that GX's row indices are positions."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("tenure").add_dataframe_asset("batch")
    definition = asset.add_batch_definition_whole_dataframe("whole")
    return definition.get_batch({"dataframe": table.to_pandas()})


def _kwargs(expectation: Expectation) -> dict[str, object]:
    """ISO times become datetimes; the rest stays as the steward wrote it."""
    return {
        name: datetime.fromisoformat(value) if name in _TIMES and isinstance(value, str) else value
        for name, value in expectation.kwargs.items()
    }


def _finding(expectation: Expectation, result: Any, rows: int, hidden: frozenset[str]) -> Finding:
    failure = "no result" if result is None else next(_exceptions(result.exception_info), None)
    if failure is not None:
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
    seen: Mapping[str, Any] = result.result
    by_row = "element_count" in seen
    counts = _counts(expectation, seen) if by_row else None
    return Finding(
        rule=expectation.type,
        subject=expectation.subject,
        severity=expectation.severity,
        holds=bool(result.success),
        observed=_of_rows(expectation, seen, counts, hidden)
        if counts
        else _of_column(expectation, seen, hidden),
        allowed=allowed(expectation),
        rows=_rows(seen, rows) if by_row else (),
        columns=expectation.columns,
        value=_share(*counts) if counts else _measure(expectation, seen, hidden),
        limit=limit(expectation, by_row=by_row),
        counts=counts,
    )


def _counts(expectation: Expectation, seen: Mapping[str, Any]) -> tuple[int, int]:
    """Rows that break it, and rows that it looked at."""
    total = int(seen["element_count"]) - _missing(expectation, seen)
    return int(seen.get("unexpected_count") or 0), total


def _share(broken: int, total: int) -> float:
    return broken / total if total else 0.0


def _of_rows(
    expectation: Expectation,
    seen: Mapping[str, Any],
    counts: tuple[int, int],
    hidden: frozenset[str],
) -> str:
    examples = [v for v in seen.get("partial_unexpected_list", ()) if v is not None]
    is_hidden = bool(hidden.intersection(expectation.columns))
    return observed_rows(
        expectation,
        broken=counts[0],
        total=counts[1],
        example=_plain(examples[0]) if examples and not is_hidden else "",
    )


def _missing(expectation: Expectation, seen: Mapping[str, Any]) -> int:
    """Nulls do not count for rules about values; for the rule about nulls they do."""
    return 0 if expectation.type.endswith("be_null") else int(seen.get("missing_count") or 0)


def _of_column(expectation: Expectation, seen: Mapping[str, Any], hidden: frozenset[str]) -> str:
    unexpected = seen.get("partial_unexpected_list")
    value = seen.get("observed_value")
    if hidden.intersection(expectation.columns):
        return observed_whole(expectation, "that is not shown")
    if unexpected:
        return observed_whole(expectation, f"with {', '.join(_plain(v) for v in unexpected[:3])}")
    if isinstance(value, list):
        return observed_whole(expectation, f"of {len(value):,} values")
    return observed_whole(expectation, _plain(value))


def _measure(
    expectation: Expectation, seen: Mapping[str, Any], hidden: frozenset[str]
) -> float | None:
    """The number that a whole column or table has, when it is one and may be shown."""
    value = seen.get("observed_value")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hidden.intersection(expectation.columns) or not is_number:
        return None
    found = float(value or 0)
    return found if math.isfinite(found) else None


def _rows(seen: Mapping[str, Any], rows: int) -> Sequence[int]:
    found = sorted({int(index) for index in seen.get("unexpected_index_list") or ()})
    if found and not 0 <= found[0] <= found[-1] < rows:
        raise IndexError(f"row {found[-1]} of a table of {rows} rows")
    return found


def _exceptions(info: Mapping[str, Any]) -> Iterator[str]:
    """GX gives one exception, or one for each metric."""
    if info.get("raised_exception"):
        yield str(info.get("exception_message")).splitlines()[0]
    for part in info.values():
        if isinstance(part, dict) and part.get("raised_exception"):
            yield str(part.get("exception_message")).splitlines()[0]


def _plain(value: object) -> str:
    """A value for people: short, and without characters that could steer a terminal or a log."""
    if isinstance(value, tuple | list):
        return f"({', '.join(_plain(part) for part in value)})"[:MAX_EXAMPLE]
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    text = str(value) if isinstance(value, datetime) else repr(value)
    return text if len(text) <= MAX_EXAMPLE else f"{text[:MAX_EXAMPLE]}…"
