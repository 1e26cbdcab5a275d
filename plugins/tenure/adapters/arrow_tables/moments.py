"""Text and local times into points in time, strictly: no day is moved, no clock is guessed."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.lifecycle.data.sources import FIRST_MOMENT, LAST_MOMENT, Source
from tenure.vocabulary import moment

MOMENT = pa.timestamp("us", "UTC")
NO_TIME = "text that is no timestamp"
DOUBTFUL = "a doubtful local time"
"""Words for a time that a change of the clocks makes twice, or never."""
BEYOND = "a time outside 0001-01-01T00:00:00Z…9999-12-31T23:59:59Z"
_LOCAL = pa.timestamp("us")
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_ZONED_TEXT = rf"^{_DAY}{_CLOCK}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$"
_LOCAL_TEXT = rf"^{_DAY}({_CLOCK})?$"
_REWRITTEN = (
    (r"(:[0-9]{2}\.[0-9]{6})[0-9]+", r"\1"),
    (r"([0-9]) ?UTC$", r"\1Z"),
    (r"(:[0-9]{2}|\.[0-9]+) ([+-][0-9:]+|Z)$", r"\1\2"),
    (r"(:[0-9]{2}(\.[0-9]+)?[+-][0-9]{2})$", r"\1:00"),
)
"""How databases write a time, as Arrow reads it; `vocabulary.moment` says the same of one text."""
_TINY = r":[0-9]{2}[.,][0-9]{6}[0-9]*[1-9]"
"""A clock that tells more than microseconds."""
_DIGITS = {"Y": "[0-9]{4}", "m": "[0-9]{1,2}", "d": "[0-9]{1,2}"}
_NONE = pa.scalar(None, pa.string())
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
"""In a unit of time; years beyond the bounds do not fit into 64 bits of nanoseconds."""


@dataclass(frozen=True)
class Moments:
    """The times of a column.

    Args:
        values: Microseconds; null where there is no time.
        bad: Why to the rows (from 0) that have none for that reason.
        cut: Rows that told more than microseconds.
    """

    values: pa.ChunkedArray
    bad: dict[str, list[int]] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)


def times_of_texts(column: pa.ChunkedArray, source: Source) -> Moments:
    """Times with their offset, or local ones and days where the source names the zone."""
    values = _cast(only(column, _ZONED_TEXT)[0], MOMENT, moment)
    rest = _left(column, values)
    doubtful: dict[str, list[int]] = {}
    if rest.null_count < len(rest):
        plain = rest
        for pattern, by in _REWRITTEN:
            plain = pc.replace_substring_regex(plain, pattern, by)
        values = pc.coalesce(values, _cast(only(plain, _ZONED_TEXT)[0], MOMENT, moment))
        local = _local_times(_left(plain, values), source)
        doubtful = local.bad
        values = pc.coalesce(values, local.values)
        values = pc.coalesce(values, _each(_left(rest, values), MOMENT, moment))
    inside = _within_years(values)
    cut = positions(pc.fill_null(pc.match_substring_regex(rest, _TINY), False))
    return Moments(inside.values, _reasons(column, inside, doubtful), cut)


def times_of_arrow(column: pa.ChunkedArray, zone: str | None) -> Moments:
    """Times and dates of any unit; `zone` must be there for those that do not know theirs."""
    if pa.types.is_date(column.type):
        return _placed(column.cast(pa.timestamp("ms")), days_in_zone, zone)
    if column.type.tz is None:
        return _placed(column, in_zone, zone)
    return _micros(column, MOMENT)


def in_zone(local: pa.ChunkedArray, zone: str) -> Moments:
    """Points in time; those that a change of clocks makes twice or never are null and named."""
    first, last = (
        pc.assume_timezone(local, zone, ambiguous=side, nonexistent=side).cast(MOMENT)
        for side in ("earliest", "latest")
    )
    return _but_for(first, pc.not_equal(first, last), DOUBTFUL)


def days_in_zone(local: pa.ChunkedArray, zone: str) -> Moments:
    """The first moment of each day, also where midnight is not there or comes twice.

    A day that the zone left out (it moved across the date line) is null and named.
    """
    begin = pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="latest")
    day = pc.floor_temporal(pc.local_timestamp(begin), unit="day")
    return _but_for(begin.cast(MOMENT), pc.not_equal(day, local), DOUBTFUL)


def only(column: pa.ChunkedArray, pattern: str) -> tuple[pa.ChunkedArray, list[int]]:
    """The texts that match, others null; and the rows of the others."""
    good = pc.match_substring_regex(column, pattern)
    others = positions(pc.fill_null(pc.invert(good), False))
    return (pc.if_else(pc.fill_null(good, False), column, _NONE) if others else column), others


def positions(mask: pa.ChunkedArray) -> list[int]:
    """Rows (from 0) where the mask is true; it holds no null.

    Through numpy: `pc.indices_nonzero` of pyarrow 25 crashes on a column without rows.
    """
    rows: list[int] = np.flatnonzero(mask.to_numpy()).tolist()
    return rows


def _left(texts: pa.ChunkedArray, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The texts that have no value yet."""
    return pc.if_else(pc.is_valid(values), _NONE, texts)


def _but_for(values: pa.ChunkedArray, mask: pa.ChunkedArray, why: str) -> Moments:
    """The values without those of the mask, whose rows are named."""
    bad = pc.fill_null(mask, False)
    rows = positions(bad)
    if not rows:
        return Moments(values)
    return Moments(pc.if_else(bad, pa.scalar(None, values.type), values), {why: rows})


def _local_times(texts: pa.ChunkedArray, source: Source) -> Moments:
    """Times and days as texts that name no offset."""
    if source.time_zone is None:
        return Moments(pa.chunked_array([pa.nulls(len(texts), MOMENT)]))
    iso, rest = only(texts, _LOCAL_TEXT)
    for form in source.csv.times:
        iso = pc.coalesce(iso, _as_iso(texts, form)) if rest else iso
    is_day = pc.equal(pc.utf8_length(iso), 10)
    days, clocks = (pc.if_else(is_day, *pair) for pair in ((iso, _NONE), (_NONE, iso)))
    begun = days_in_zone(_cast(days, _LOCAL, datetime.fromisoformat), source.time_zone)
    timed = in_zone(_cast(clocks, _LOCAL, datetime.fromisoformat), source.time_zone)
    doubtful = sorted(row for part in (begun, timed) for row in part.bad.get(DOUBTFUL, ()))
    bad = {DOUBTFUL: doubtful} if doubtful else {}
    return Moments(pc.coalesce(begun.values, timed.values), bad)


def _reasons(
    column: pa.ChunkedArray, inside: Moments, doubtful: dict[str, list[int]]
) -> dict[str, list[int]]:
    """Why each text has no value."""
    named = {row for rows in doubtful.values() for row in rows}
    lost = positions(pc.and_(pc.is_valid(column), pc.is_null(inside.values)))
    beyond = {*inside.bad.get(BEYOND, ())}
    beyond |= {row for row in lost if row not in named and _is_beyond(column[row].as_py())}
    named |= beyond
    rest = [row for row in lost if row not in named]
    bad = doubtful | {BEYOND: sorted(beyond), NO_TIME: rest}
    return {why: rows for why, rows in bad.items() if rows}


def _is_beyond(text: str) -> bool:
    try:
        moment(text)
    except OverflowError:
        return True
    except ValueError:
        pass
    return False


def _placed(
    column: pa.ChunkedArray, place: Callable[[pa.ChunkedArray, str], Moments], zone: str | None
) -> Moments:
    """Local times in their zone; both may lie outside the years that there are."""
    local = _micros(column, _LOCAL)
    found = place(local.values, str(zone))
    inside = _within_years(found.values)
    beyond = sorted([*local.bad.get(BEYOND, ()), *inside.bad.get(BEYOND, ())])
    return Moments(inside.values, found.bad | ({BEYOND: beyond} if beyond else {}), local.cut)


def _micros(column: pa.ChunkedArray, wanted: pa.DataType) -> Moments:
    """The same times in microseconds; what is outside the bounds would run over, so it goes."""
    inside = _within_years(column)
    if column.type.unit != "ns":
        return Moments(inside.values.cast(wanted), inside.bad)
    ticks = inside.values.cast(pa.int64())
    near = pc.divide(ticks, 1_000)  # towards 1970; a floor of the first times would run over
    back = pc.multiply(near, 1_000)
    whole = pc.subtract(near, pc.less(ticks, back).cast(pa.int64()))
    cut = positions(pc.fill_null(pc.not_equal(ticks, back), False))
    return Moments(whole.cast(wanted), inside.bad, cut)


def _within_years(values: pa.ChunkedArray) -> Moments:
    """Times outside the years 1…9999 are null and named."""
    if values.type.unit == "ns":
        return Moments(values)
    unit = _MICROSECONDS[values.type.unit]
    first, last = ((end - _EPOCH) // _MICROSECOND // unit for end in (FIRST_MOMENT, LAST_MOMENT))
    ticks = values.cast(pa.int64())
    return _but_for(values, pc.or_(pc.less(ticks, first), pc.greater(ticks, last)), BEYOND)


def _as_iso(column: pa.ChunkedArray, form: str) -> pa.ChunkedArray:
    """Texts of this form as ISO 8601, others null; without a clock when the form has none."""
    parts = re.split(r"%(.)", form)
    letters = parts[1::2]
    pattern = "".join(
        f"({_DIGITS.get(part, '[0-9]{2}')})" if i % 2 else re.escape(part)
        for i, part in enumerate(parts)
    )
    group = {letter: rf"\{number}" for number, letter in enumerate(letters, 1)}
    clock = " " + ":".join(group.get(letter, "00") for letter in "HMS")
    matching, _ = only(column, f"^{pattern}$")
    iso = f"{group['Y']}-{group['m']}-{group['d']}{clock if {*'HMS'} & {*letters} else ''}"
    text = pc.replace_substring_regex(matching, f"^{pattern}$", iso)
    for _ in range(2):  # month and day: one match may not begin where the other ends
        text = pc.replace_substring_regex(text, "-([0-9])(-| |$)", r"-0\1\2")
    return text


def _cast(
    text: pa.ChunkedArray, kind: pa.DataType, parse: Callable[[str], datetime]
) -> pa.ChunkedArray:
    """Texts as times; null where one cannot be parsed."""
    try:
        return text.cast(kind)
    except pa.ArrowInvalid:
        return _each(text, kind, parse)


def _each(
    texts: pa.ChunkedArray, kind: pa.DataType, parse: Callable[[str], datetime]
) -> pa.ChunkedArray:
    if texts.null_count == len(texts):
        return pa.chunked_array([pa.nulls(len(texts), kind)])
    found = [None if text is None else _parsed(text, parse) for text in texts.to_pylist()]
    return pa.chunked_array([pa.array(found, kind)])


def _parsed(text: str, parse: Callable[[str], datetime]) -> datetime | None:
    try:
        return parse(text)
    except (ValueError, OverflowError):
        return None
