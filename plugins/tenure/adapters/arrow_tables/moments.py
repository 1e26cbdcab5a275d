"""Text and local times into points in time, strictly: no day is moved, no clock is guessed."""

import re
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.lifecycle.data.sources import Source

MOMENT = pa.timestamp("us", "UTC")
_LOCAL = pa.timestamp("us")
_CLOCK = r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_ZONED_TEXT = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{_CLOCK})(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$"
_LOCAL_TEXT = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{_CLOCK})?$"
_DIGITS = {"Y": "[0-9]{4}", "m": "[0-9]{1,2}", "d": "[0-9]{1,2}"}
_NONE = pa.scalar(None, pa.string())


def moments(column: pa.ChunkedArray, source: Source) -> tuple[pa.ChunkedArray, list[int]]:
    """Times, and the rows whose text names none (a 31st of February) or a doubtful one."""
    zoned, others = only(column, _ZONED_TEXT)
    values, bad = _cast(zoned, MOMENT)
    if source.time_zone is None or not others:
        return values, sorted({*bad, *others})
    local = pc.if_else(pc.is_valid(zoned), _NONE, column)
    text, rest = only(local, _LOCAL_TEXT)
    for form in source.csv.times:
        text = pc.coalesce(text, _as_iso(local, form)) if rest else text
    unread = positions(pc.and_(pc.is_null(text), pc.is_valid(local)))
    plain, impossible = _cast(text, _LOCAL)
    placed, doubtful = in_zone(plain, source.time_zone)
    return pc.coalesce(values, placed), sorted({*bad, *unread, *impossible, *doubtful})


def in_zone(local: pa.ChunkedArray, zone: str) -> tuple[pa.ChunkedArray, list[int]]:
    """Points in time; rows that a change of clocks makes twice or never are null and named."""
    first, last = (
        pc.assume_timezone(local, zone, ambiguous=side, nonexistent=side).cast(MOMENT)
        for side in ("earliest", "latest")
    )
    doubtful = pc.fill_null(pc.not_equal(first, last), False)
    rows = positions(doubtful)
    return (pc.if_else(doubtful, pa.scalar(None, MOMENT), first) if rows else first), rows


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


def _as_iso(column: pa.ChunkedArray, form: str) -> pa.ChunkedArray:
    """Texts of this form as ISO 8601, others null."""
    parts = re.split(r"%(.)", form)
    letters = parts[1::2]
    pattern = "".join(
        f"({_DIGITS.get(part, '[0-9]{2}')})" if i % 2 else re.escape(part)
        for i, part in enumerate(parts)
    )
    group = {letter: rf"\{number}" for number, letter in enumerate(letters, 1)}
    clock = ":".join(group.get(letter, "00") for letter in "HMS")
    matching, _ = only(column, f"^{pattern}$")
    iso = f"{group['Y']}-{group['m']}-{group['d']} {clock}"
    text = pc.replace_substring_regex(matching, f"^{pattern}$", iso)
    for _ in range(2):  # month and day: one match may not begin where the other ends
        text = pc.replace_substring_regex(text, "-([0-9])([- ])", r"-0\1\2")
    return text


def _cast(text: pa.ChunkedArray, kind: pa.DataType) -> tuple[pa.ChunkedArray, list[int]]:
    try:
        return text.cast(kind), []
    except pa.ArrowInvalid:
        found = [_moment(value, is_local=kind.tz is None) for value in text.to_pylist()]
        was_null = pc.is_null(text).to_pylist()
        bad = [i for i, moment in enumerate(found) if moment is None and not was_null[i]]
        return pa.chunked_array([pa.array(found, kind)]), bad


def _moment(value: str | None, *, is_local: bool) -> datetime | None:
    try:
        if value is None:
            return None
        moment = datetime.fromisoformat(value)
        return moment if is_local else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
