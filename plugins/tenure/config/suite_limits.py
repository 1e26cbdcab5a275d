"""The numbers of a suite that a steward moves without writing JSON, and the text that follows."""

import copy
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tenure.config.json_lines import parse
from tenure.config.suite_arguments import CATALOG, Quantity
from tenure.config.suites import MAX_DEPTH
from tenure.lifecycle.data.expectations import Expectation, Suite

SHARE = "mostly"
_ENDS = {"min_value": "at least", "max_value": "at most"}
_WHOLE = (Quantity.COUNT, Quantity.LENGTH)
_DIGITS = 12
"""Of a share: `1 - 15/100` is written 0.85."""


@dataclass(frozen=True)
class SuiteLimit:
    """One number of an expectation.

    Args:
        argument: Its name in the suite: `mostly`, `min_value` or `max_value`.
        words: What it says, before the number.
        value: As people say it: of `mostly` the percent of rows that may break the rule.
        is_share: Whether it is that percent.
        is_whole: Whether only whole numbers make sense.
        is_observed: Whether the observed number of a batch is compared with it; the ends of a
            range of single values are not: there, rows are counted.
    """

    argument: str
    words: str
    value: float
    is_share: bool
    is_whole: bool
    is_observed: bool


@dataclass(frozen=True)
class LimitChange:
    """Another number for one expectation, named by its position in the suite, from 0."""

    rule: int
    argument: str
    value: float


class NoSuchLimit(Exception):
    """The suite has no such number, or it cannot take this value; the message says why."""


def limits_of(expectation: Expectation) -> tuple[SuiteLimit, ...]:
    """The numbers of an expectation; ends of a range that are times are none."""
    entry = CATALOG.get(expectation.type)
    if entry is None:
        return ()
    by_row = SHARE in entry.arguments
    found = []
    if by_row:
        share = round(100 * (1 - expectation.mostly), _DIGITS - 2)
        found.append(SuiteLimit(SHARE, "rows that may break it, at most", share, True, False, True))
    for argument, words in _ENDS.items():
        value = expectation.kwargs.get(argument)
        if isinstance(value, int | float) and entry.bounds is not None:
            is_whole = entry.bounds in _WHOLE
            found.append(SuiteLimit(argument, words, value, False, is_whole, not by_row))
    return tuple(found)


def with_limits(suite: Suite, changes: Sequence[LimitChange]) -> str:
    """The suite's text with other numbers; every other line stays as it is, where that can be.

    The text is not linted: what it says may still contradict itself.

    Raises:
        NoSuchLimit: A change names what the suite has not.
    """
    body = suite.body
    for change in changes:
        body = _with_limit(suite, body, change)
    return body


def _with_limit(suite: Suite, body: str, change: LimitChange) -> str:
    number = _written(suite, change)
    tree = parse(body, max_depth=MAX_DEPTH)
    wanted = copy.deepcopy(tree.value)
    assert isinstance(wanted, dict)
    wanted["expectations"][change.rule]["kwargs"][change.argument] = number
    line = tree.line("expectations", change.rule, "kwargs", change.argument) - 1
    lines = body.split("\n")
    named = rf'("{change.argument}"\s*:\s*)[-+0-9.eE]+'
    lines[line], replaced = re.subn(named, rf"\g<1>{json.dumps(number)}", lines[line])
    edited = "\n".join(lines)
    if replaced == 1 and json.loads(edited) == wanted:
        return edited
    return json.dumps(wanted, indent=2, ensure_ascii=False) + "\n"


def _written(suite: Suite, change: LimitChange) -> float:
    """The number as it stands in the file."""
    if not 0 <= change.rule < len(suite.expectations):
        raise NoSuchLimit(
            f"the suite has {len(suite.expectations)} rules, none of them is {change.rule}"
        )
    rule = suite.expectations[change.rule]
    limit = next((one for one in limits_of(rule) if one.argument == change.argument), None)
    if limit is None:
        raise NoSuchLimit(f"rule {change.rule} has no number {change.argument[:40]!r}")
    if not math.isfinite(change.value):
        raise NoSuchLimit("a limit is a finite number")
    if limit.is_share:
        return round(1 - change.value / 100, _DIGITS)
    is_whole = float(change.value).is_integer()
    if limit.is_whole and not is_whole:
        raise NoSuchLimit(f"{change.value:g} is no whole number, as this limit is")
    keeps = limit.is_whole or isinstance(limit.value, int)
    return int(change.value) if is_whole and keeps else change.value
