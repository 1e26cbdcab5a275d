"""Judges a table by a suite of Great Expectations: its rules and words, on Arrow, to the digit.

GX's own engine for pandas makes doubles of integers where one is null, and of every bound; see
docs/decisions/0011. Here a rule has GX's name and meaning, `tests` ask GX itself whether it agrees,
and the results have GX's form, so that it draws its Data Docs from them.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tenure.adapters.gx_validator.rules import RowResult, WholeResult, look
from tenure.lifecycle.data.expectations import (
    Expectation,
    Suite,
    allowed,
    limit,
    listed,
    observed_rows,
    observed_whole,
    spelled,
)
from tenure.lifecycle.data.quality import Finding
from tenure.verdicts import Severity

MAX_EXAMPLE = 40


def validate(
    table: pa.Table,
    suite: Suite,
    *,
    hidden: frozenset[str] = frozenset(),
    drawn: list[dict[str, Any]] | None = None,
) -> list[Finding]:
    """One finding for each expectation, in the order of the suite.

    An expectation that cannot be computed is a critical finding that does not hold, whatever its
    severity: a rule that says nothing must not pass. One that had no value to look at is
    inconclusive.

    Args:
        table: Typed by the contract; missing values are null.
        suite: Linted.
        hidden: Columns with personal data: no value of theirs is quoted.
        drawn: Takes what Data Docs need, as GX writes results, in their order; values are in it.
    """
    findings = []
    for expectation in suite.expectations:
        try:
            found = look(table, expectation.type, expectation.kwargs)
        except MemoryError:
            raise  # also an ArrowException, but it is not the rule that is broken
        except (pa.ArrowException, ArithmeticError, LookupError, TypeError, ValueError) as error:
            finding, result = _not_computed(expectation, error, hidden), {}
        else:
            finding, result = _finding(expectation, found, hidden), _as_gx(found, table.num_rows)
        findings.append(finding)
        if drawn is not None:
            drawn.append(_drawable(expectation, finding, result))
    return findings


def _not_computed(expectation: Expectation, error: Exception, hidden: frozenset[str]) -> Finding:
    cause = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    if hidden.intersection(expectation.columns):
        cause = "the cause may quote a value and is not shown"
    return Finding(
        rule=expectation.type,
        subject=expectation.subject,
        severity=Severity.CRITICAL,
        holds=False,
        observed=f"a rule that cannot be computed ({cause[:120]})",
        allowed=allowed(expectation),
        columns=expectation.columns,
    )


def _finding(
    expectation: Expectation, found: RowResult | WholeResult, hidden: frozenset[str]
) -> Finding:
    is_hidden = bool(hidden.intersection(expectation.columns))
    of = _of_rows if isinstance(found, RowResult) else _of_column
    holds, facts = of(expectation, found, is_hidden)  # type: ignore[arg-type]
    return Finding(
        rule=expectation.type,
        subject=expectation.subject,
        severity=expectation.severity,
        holds=bool(holds),
        is_inconclusive=holds is None,
        allowed=allowed(expectation),
        columns=expectation.columns,
        limit=limit(expectation, by_row=isinstance(found, RowResult)),
        **facts,
    )


def _of_rows(
    expectation: Expectation, found: RowResult, is_hidden: bool
) -> tuple[bool | None, dict[str, Any]]:
    """Whether enough rows are good (as GX divides), and what is said of them."""
    broken, total = len(found.broken), found.looked_at
    share = broken / total if total else 0.0
    examples = [] if is_hidden else [e for e in found.examples if e is not None]
    facts = {
        "observed": observed_rows(
            expectation,
            broken=broken,
            total=total,
            example=_plain(examples[0]) if examples else "",
        ),
        "rows": found.broken,
        "value": share,
        "counts": (broken, total),
    }
    return ((total - broken) / total >= expectation.mostly if total else None), facts


def _of_column(
    expectation: Expectation, found: WholeResult, is_hidden: bool
) -> tuple[bool | None, dict[str, Any]]:
    said = "that is not shown" if is_hidden else _whole_text(found)
    is_number = isinstance(found.value, int | float | Decimal)
    return found.holds, {
        "observed": observed_whole(expectation, said),
        "value": float(found.value) if is_number and not is_hidden else None,
    }


def _whole_text(found: WholeResult) -> str:
    if found.surplus:
        return f"with {', '.join(_plain(value) for value in found.surplus[:3])}"
    if found.absent:
        return f"without {', '.join(_plain(value) for value in found.absent[:3])}"
    if found.values:
        return listed([_plain(value) for value in found.values], found.different)
    if found.different:
        return f"of {found.different:,} values"
    return "none" if found.value is None else _plain(found.value)


def _plain(value: object) -> str:
    """A value for people: short, and without characters that could steer a terminal or a log."""
    if isinstance(value, tuple):
        return f"({', '.join(_plain(part) for part in value)})"[: 2 * MAX_EXAMPLE]
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return f"{value:,}"
    text = repr(value) if isinstance(value, str) else spelled(value)
    return text if len(text) <= MAX_EXAMPLE else f"{text[:MAX_EXAMPLE]}…"


def _drawable(expectation: Expectation, finding: Finding, result: dict[str, Any]) -> dict[str, Any]:
    """The result as GX writes it, without the values and positions of all failing rows."""
    failure = None if result else finding.observed
    return {
        "success": finding.holds,
        "expectation_config": {
            "type": expectation.type,
            "kwargs": dict(expectation.kwargs),
            "severity": str(expectation.severity),
        },
        "result": result,
        "exception_info": {"raised_exception": bool(failure), "exception_message": failure},
    }


def _as_gx(found: RowResult | WholeResult, rows: int) -> dict[str, Any]:
    if isinstance(found, WholeResult):
        return _whole_as_gx(found)
    broken, total = len(found.broken), found.looked_at
    return {
        "element_count": rows,
        "missing_count": rows - total,
        "missing_percent": 100 * (rows - total) / rows if rows else None,
        "unexpected_count": broken,
        "unexpected_percent": 100 * broken / total if total else None,
        "unexpected_percent_total": 100 * broken / rows if rows else None,
        "unexpected_percent_nonmissing": 100 * broken / total if total else None,
        "partial_unexpected_list": [_as_json(value) for value in found.examples],
    }


def _whole_as_gx(found: WholeResult) -> dict[str, Any]:
    listed_values = [_as_json(value) for value in found.values]
    value = listed_values or _as_json(found.value)
    return {
        "observed_value": value,
        "partial_unexpected_list": [_as_json(value) for value in found.surplus],
    }


def _as_json(value: object) -> Any:
    if isinstance(value, tuple):
        return [_as_json(part) for part in value]
    return spelled(value) if isinstance(value, datetime | Decimal) else value
