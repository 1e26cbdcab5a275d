"""Draws a validation as a page of GX's Data Docs: a picture beside our report, never a verdict.

GX's templates print column names as they are, fill `$name` twice and escape values once or not at
all. So before GX sees a text, its signs that could act become private-use characters, and entities
when the page is done: that reads right however often GX escaped it. GX's own page loads styles and
scripts from the internet; ours holds a small style sheet and no script.
"""

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
_gx_log = logging.getLogger("great_expectations")
_gx_log.setLevel(logging.ERROR)
_gx_log.propagate = False  # some of its modules set their own level, and 200 lines hid our verdict

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from great_expectations.core import (
        ExpectationSuiteValidationResult,
        ExpectationValidationResult,
    )
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

_HERE = Path(__file__).parent
LONGEST = 120
"""Characters of a text that are drawn."""
LISTED = 20
"""Values of a list that are drawn."""
HIDDEN = "(not shown)"
_ACTIVE = "<>&\"'`$\\{}[]()*_#!|~"
_DEFUSED = str.maketrans({sign: chr(0xE000 + ord(sign)) for sign in _ACTIVE})
_ENTITIES = {0xE000 + ord(sign): f"&#{ord(sign)};" for sign in _ACTIVE}
_KEPT = {
    "observed_value",
    "element_count",
    "missing_count",
    "missing_percent",
    "unexpected_count",
    "unexpected_percent",
    "unexpected_percent_total",
    "unexpected_percent_nonmissing",
}
"""Numbers of a result; lists of positions and whole columns are left behind."""
_COLUMNS = ("column", "column_A", "column_B", "column_list")


def draw(
    suite: str,
    batch: str,
    results: Sequence[Mapping[str, Any]],
    *,
    hidden: frozenset[str] = frozenset(),
) -> bytes:
    """An HTML page without scripts.

    Args:
        suite: Name of the suite.
        batch: What was judged.
        results: As GX writes them (`to_json_dict()`), in any result format.
        hidden: Columns of which no value may be shown.

    Returns:
        UTF-8 HTML.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("great_expectations.render").setLevel(logging.CRITICAL)
        document = ValidationResultsPageRenderer().render(
            _validation(suite, batch, [_result(result, hidden) for result in results])
        )
        view = DefaultJinjaPageView(custom_views_directory=str(_HERE))
        page: str = view.render(document, template="tenure_page.j2")
    return page.translate(_ENTITIES).encode()


def defused(text: object) -> str:
    """Cut to `LONGEST` characters, and with no sign that HTML, a template or Markdown acts on."""
    plain = "".join(c if c.isprintable() else " " for c in str(text)[: LONGEST + 1])
    shown = plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}…"
    return shown.translate(_DEFUSED)


def _validation(suite: str, batch: str, results: Sequence[Any]) -> Any:
    good = sum(bool(result.success) for result in results)
    return ExpectationSuiteValidationResult(
        success=good == len(results),
        results=list(results),
        suite_name=defused(suite),
        suite_parameters={},
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": good,
            "unsuccessful_expectations": len(results) - good,
            "success_percent": 100 * good / len(results) if results else None,
        },
        meta={"batch_spec": {"data_asset_name": defused(batch)}},
    )


def _result(result: Mapping[str, Any], hidden: frozenset[str]) -> Any:
    config = result["expectation_config"]
    kwargs = {name: _plain(value) for name, value in config["kwargs"].items() if name != "batch_id"}
    columns = _subjects(config["kwargs"])
    failure = _failure(result.get("exception_info") or {})
    if failure and columns & hidden:
        failure = HIDDEN  # the cause may quote a value
    seen = {} if failure else _escaped_result(result.get("result") or {}, columns, hidden)
    return ExpectationValidationResult(
        success=bool(result["success"]),
        expectation_config=ExpectationConfiguration(
            type=config["type"], kwargs=kwargs, severity=config.get("severity") or "critical"
        ),
        result=seen,
        meta={},
        exception_info={
            "raised_exception": failure is not None,
            "exception_message": failure,
            "exception_traceback": failure,
        },
    )


def _subjects(kwargs: Mapping[str, Any]) -> set[str]:
    named = [kwargs.get(name) for name in _COLUMNS]
    return {str(c) for one in named if one for c in (one if isinstance(one, list) else [one])}


def _escaped_result(
    result: Mapping[str, Any], columns: set[str], hidden: frozenset[str]
) -> dict[str, Any]:
    """What GX draws of a result; without a share of unexpected values it cannot draw their list."""
    kept = {name: _plain(value) for name, value in result.items() if name in _KEPT}
    by_row = "unexpected_percent" in kept
    if not by_row:
        kept.pop("unexpected_count", None)
        values = result.get("observed_value") or result.get("partial_unexpected_list")
        if isinstance(values, list):
            kept["observed_value"] = ", ".join(str(value) for value in _plain(values))
    if columns & hidden:
        return kept | ({} if by_row else {"observed_value": HIDDEN})
    if by_row:
        listed = result.get("partial_unexpected_list") or []
        kept["partial_unexpected_list"] = [_cell(v) for v in listed[:LISTED] if not _missing(v)]
    return kept


def _plain(value: object) -> Any:
    """JSON without a text that anything could act on, and of bounded size."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Integral):  # GX draws no number of numpy's
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, list | tuple):
        more = len(value) - LISTED
        return [_plain(v) for v in value[:LISTED]] + ([f"and {more:,} more"] if more > 0 else [])
    return defused(value)


def _missing(value: object) -> bool:
    """Null or NaN: a row without a value has none to show."""
    return value is None or value != value  # noqa: PLR0124 -- only NaN differs from itself


def _cell(value: object) -> Any:
    """A value of the table; several columns as one text."""
    if isinstance(value, list | tuple):
        return defused(f"({', '.join(str(part) for part in value)})")
    return _plain(value)


def _failure(info: Mapping[str, Any]) -> str | None:
    """The first line of what went wrong; never a traceback with paths of this machine."""
    parts = [info, *(part for part in info.values() if isinstance(part, dict))]
    said = [str(p.get("exception_message")) for p in parts if p.get("raised_exception")]
    return defused((said[0].strip() or "no message").splitlines()[0]) if said else None
