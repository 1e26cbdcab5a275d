"""What of a column's cells could mean something else than its type says; no cell is quoted."""

import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

MOST, HALF = 0.99, 0.5
_SIGNS = r"[^0-9\p{L}\p{N}.,'+-]{0,3}"
_CURRENCY = r"EUR|USD|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|Rs\.?|kr\.?"
_UNIT = rf"({_CURRENCY}|kg|g|t|mm|cm|m|km|l|ms|s|min|h|kWh|C|F|K|k|M|bn|Mio\.?|Mrd\.?)?"
_AMOUNT = (
    r"([0-9]+|[0-9]{1,3}([.,' _\x{a0}\x{2009}\x{202f}\x{2019}][0-9]{2,3})*"
    r"[.,' _\x{a0}\x{2009}\x{202f}\x{2019}][0-9]{3})([.,][0-9]+)?"
)
_LOOKS_NUMERIC = rf"^{_SIGNS}[+-]?({_CURRENCY})?{_SIGNS}[+-]?{_SIGNS}{_AMOUNT}-?{_SIGNS}{_UNIT}$"
_EXPONENT = r"^[+-]?[0-9]+[eE][+-]?[0-9]+$"
_EXPONENT_OR_NOT = r"^[+-]?[0-9]+([eE][+-]?[0-9]+)?$"
_DAY, _MONTHS = r"(0?[1-9]|[12][0-9]|3[01])", "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
DATED = (
    rf"^({_DAY}[./-]{_DAY}[./-]([0-9]{{2}}|[0-9]{{4}})|[0-9]{{4}}[./-][01]?[0-9][./-][0-3]?[0-9])"
    rf"([Tt ,].*)?$|(?i)^([a-z]{{3,9}},? )?([0-9]{{1,2}}[ -])?({_MONTHS})[a-z]*\.?[ -][0-9]"
)
"""A date in digits, or with the English name of its month; also one that is not read."""
_DATE_NAME = re.compile(
    r"date|time|day|datum|zeit|stamp|created|updated|(^|[^a-z])(ts|at|dt|on)\Z", re.IGNORECASE
)
_NUMBERED = (
    ("days as YYYYMMDD", r"^(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])$", False),
    (
        "times as YYYYMMDDhhmmss",
        r"^(19|20)[0-9]{2}(0[1-9]|1[0-2])([0-2][0-9]|3[01])[0-2][0-9]([0-5][0-9]){2}$",
        False,
    ),
    ("days as Excel counts them", r"^[2-7][0-9]{4}(\.[0-9]+)?$", True),
    ("seconds since 1970", r"^1[0-9]{9}(\.[0-9]+)?$", True),
    ("milliseconds since 1970", r"^1[0-9]{12}$", True),
    ("microseconds since 1970", r"^1[0-9]{15}$", True),
    ("nanoseconds since 1970", r"^1[0-9]{18}$", True),
)
"""How numbers tell times, and whether the column's name must say so as well."""
_NULLS = (
    "\\N", "NULL", "null", "Null", "(null)", "<NA>", "#N/A", "#NA", "#N/A N/A", "NaN", "nan", "NaT",
    "None",
)  # fmt: skip
"""Words that hardly mean themselves."""


def share(values: pa.Array, pattern: str) -> float:
    """Share of the values that match."""
    if not len(values):
        return 0.0
    return float(pc.mean(pc.match_substring_regex(values, pattern).cast(pa.int8())).as_py())


def has(values: pa.Array, pattern: str) -> bool:
    """Whether any value matches."""
    return bool(pc.any(pc.match_substring_regex(values, pattern)).as_py())


def are_exponent_codes(values: pa.Array, decimal: str) -> bool:
    """Whole numbers of which some are written as 1E5: as numbers, 1E3 and 1000 would be one."""
    return has(values, _EXPONENT) and not has(values, "," if decimal == "," else r"\.")


def of_text(name: str, values: pa.Array, column: pa.ChunkedArray, decimal: str) -> Iterator[str]:
    """What is doubtful of a column that is read as text.

    Args:
        name: Of the column.
        values: Its different values, without words for null.
        column: All its cells, by rows.
        decimal: The decimal sign of the file.
    """
    mark = "," if decimal == "," else r"\."
    number = rf"^[+-]?([0-9]+({mark}[0-9]*)?|{mark}[0-9]+)([eE][+-]?[0-9]+)?$"
    if are_exponent_codes(values, decimal) and share(values, _EXPONENT_OR_NOT) >= MOST:
        yield (
            f"{name}: some values look like 1E5 and others like 100000; it is read as text, so "
            "that they stay different"
        )
    elif share(values, DATED) >= HALF:
        yield (
            f"{name} looks like dates or times in a form that is not known, or in several; it is "
            "read as text"
        )
    elif share(values, _LOOKS_NUMERIC) >= MOST and has(values, r"[^0-9]"):
        yield (
            f"{name} looks like numbers with another decimal sign, with signs between thousands or "
            "with a unit; it is read as text"
        )
    elif (numbers := share(values, number)) >= MOST:
        yield f"{name}: some numbers are beyond what a number can be; it is read as text"
    elif numbers >= HALF:
        others = values.filter(pc.invert(pc.match_substring_regex(values, number)))
        row = pc.index(column, others[0]).as_py() + 1
        yield (
            f"{name}: {100 * numbers:.0f}% of its different values are numbers and the others are "
            f"not (the first one in row {row:,}); it is read as text"
        )
    yield from _of_nulls(name, column)


def _of_nulls(name: str, column: pa.ChunkedArray) -> Iterator[str]:
    found = column.filter(pc.is_in(column, value_set=pa.array(_NULLS)))
    if len(found):
        words = ", ".join(sorted(found.unique().to_pylist()))
        yield f"{name}: {len(found):,} cells hold a word for null ({words}) and stay text"


def of_number(name: str, values: pa.Array, decimal: str) -> Iterator[str]:
    """What is doubtful of a column of numbers: a sign before three digits may part thousands."""
    mark = "," if decimal == "," else r"\."
    marked = values.filter(pc.match_substring_regex(values, mark))
    if len(marked) and share(marked, rf"^[+-]?[1-9][0-9]{{0,2}}{mark}[0-9]{{3}}$") >= MOST:
        yield f"{name}: {decimal!r} is read as decimal sign, but it may part thousands"


def of_moments(name: str, values: pa.Array) -> Iterator[str]:
    """Numbers, or digits, that seem to tell times."""
    is_named = _DATE_NAME.search(name) is not None
    for what, pattern, must_be_named in _NUMBERED:
        if (is_named or not must_be_named) and share(values, pattern) >= MOST:
            yield (
                f"{name} seems to hold {what}, but is read as digits; only what is written as a "
                "time (ISO 8601) is one"
            )


def of_digits(name: str, number: int) -> Iterator[str]:
    """Values that a 64-bit floating-point number cannot hold."""
    if number:
        yield (
            f"{name}: {number:,} different values lose digits as 64-bit floating-point numbers; as "
            "type string they would keep them"
        )
