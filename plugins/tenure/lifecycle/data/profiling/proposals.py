"""Which expectations the profiles of batches would justify, each with its evidence."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tenure.lifecycle.data.profiling.batches import BatchCut
from tenure.lifecycle.data.profiling.profile import (
    FORMS,
    MAX_CATEGORIES,
    MIN_REPEATS,
    BatchProfile,
    Bound,
    ColumnProfile,
    Value,
    are_few,
    are_settled,
)
from tenure.lifecycle.data.profiling.variation import drift, growth, reach, reach_of_whole
from tenure.lifecycle.data.profiling.wording import (
    batches,
    columns_phrase,
    outward,
    plain,
    plural,
    shares,
    span,
    whole_outward,
)
from tenure.lifecycle.data.sources import FIRST_MOMENT, LAST_MOMENT, Column
from tenure.verdicts import Severity

ENOUGH_ROWS = 60
"""Without a null in so many rows, the true share is below 5% (rule of three)."""
MAX_PROPOSALS = 800
_TEXT_OF_SETS = 2_000
_FIRST, _LAST = FIRST_MOMENT, LAST_MOMENT
_MOST_VARIED, _MOST_GROWN = 3.0, 5.0
"""Rows of batches: factors beyond which what was seen is no margin any more."""
_NEW_VALUES = 0.02
"""Share of a batch's rows with values that are new: a set of values would refuse them."""
_USUAL = 0.3
"""Share of a batch's texts that must be usual ones for a rule to say so."""
_LONGEST_FORM = 900
"""Characters that a regular expression of a suite may write out (`patterns.MAX_SIZE`)."""
_CODES = (
    "id|ids|key|uuid|code|codes|number|no|nr|num|reference|ref|zip|zipcode|plz|postcode|"
    "postal|sku|ean|gtin|isbn|icd|icd9|icd10|drg|naics|fips|tract|status|type|class|category|kind|"
    "flag|group|cluster|version|port|year|month|jahr|monat|flight|train|route|line|station|store|"
    "shop|branch|article|item|product|customer|client|patient|user|account|employee|device|sensor|"
    "machine|order|invoice|ticket|vehicle|driver|agent|host|player|team|school|county|state|"
    "country|region|district|diagnosis|procedure|drug|ward"
)
"""Last words of the names of columns whose numbers are names."""
_QUANTITIES = (
    "amount|price|cost|costs|salary|income|revenue|sales|total|sum|balance|value|weight|volume|"
    "area|distance|length|height|width|count|pay|wage|rent|fee|tax|betrag|preis|gehalt|umsatz"
)
_DIGITS = (
    "zip|(zip|post|postal)[^a-z]?code|postal|plz|phone|telephone|telefon|fax|mobile|"
    "(phone|fax|mobile)[^a-z]?(number|no|nr)|ssn|fips|ean|gtin|isbn|upc"
)
"""Last words of the names of columns in which a zero in front counts."""
_CODE_DIGITS = 4
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

    How a column varies is seen on its batches: however small one is, it keeps every bound; a column
    that moves from batch to batch has room to move on. Of personal columns nothing is proposed that
    would quote or compare their values.

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
        seen = [c for p in filled if (c := p.column(name)) is not None]
        if any(c.values for c in seen):
            found += _of_column(seen, column, names_rows=name in key, moves=name == time_column)
    return tuple(found)


def most_telling(proposals: Sequence[Proposal], most: int = MAX_PROPOSALS) -> tuple[Proposal, ...]:
    """At most so many, in their order: of every column the first one before any second one."""
    ranks: Counter[str] = Counter()
    ranked = []
    for position, proposal in enumerate(proposals):
        ranked.append((ranks[proposal.subject], position))
        ranks[proposal.subject] += 1
    kept = sorted(position for _, position in sorted(ranked)[:most])
    return tuple(proposals[position] for position in kept)


def _of_column(
    all_seen: Sequence[ColumnProfile], column: Column, *, names_rows: bool, moves: bool
) -> Iterable[Proposal]:
    """The proposals of one column."""
    yield from _nulls(all_seen, column)
    seen = [c for c in all_seen if c.values]
    if column.sensitivity == "personal":
        return
    if column.type == "timestamp":
        if not moves:
            yield from _moments(seen)
    elif column.type in {"integer", "number"}:
        yield from _numbers(seen, is_identifier=names_rows or _counts_up(seen))
        if not names_rows and len(seen) == len(all_seen) and _is_measure(seen):
            yield from _middle(seen)
    elif column.type == "string" and _are_categories(seen):
        yield _category_set(seen)
    elif column.type == "string":
        yield from _texts(seen)
        yield from _usual(seen)


def row_count(rows: Sequence[int]) -> Proposal:
    """How many rows a batch may have, from those of batches that were right."""
    margin = max(1 + 4 / len(rows), min(_MOST_VARIED, max(rows) / min(rows)))
    grown, shrunk = (min(_MOST_GROWN, max(1.0, g)) for g in (growth(rows), 1 / growth(rows)))
    low = max(1, math.floor(min(rows) / max(margin, shrunk)))
    high = math.ceil(max(rows) * max(margin, grown))
    return Proposal(
        "expect_table_row_count_to_be_between",
        {"min_value": low, "max_value": high},
        Severity.CRITICAL,
        f"{span(min(rows), max(rows))} rows in {batches(len(rows))}.",
    )


def rows_of(sizes: Sequence[int], rows: int, cut: BatchCut, spoken: str) -> Proposal:
    """The rows of one batch; the file itself, which holds them all, passes too.

    A file that was not cut into what one file will hold is itself the only one that is known.

    Args:
        sizes: Of the batches that the file was cut into.
        rows: Of the file.
        cut: How it was cut.
        spoken: What one file holds, as the person said: `month` … or `file`.
    """
    one = row_count(sizes)
    most = one.kwargs["max_value"]
    assert isinstance(most, int)
    whole = row_count([rows]).kwargs["max_value"] if cut.kind != spoken else rows
    assert isinstance(whole, int)
    is_of = f" ({cut});" if spoken == "file" else f". One batch is a {spoken};"
    evidence = f"{one.evidence[:-1]}{is_of} the file this began with had {rows:,} rows."
    return Proposal(one.type, {**one.kwargs, "max_value": max(most, whole)}, one.severity, evidence)


def _nulls(seen: Sequence[ColumnProfile], column: Column) -> Iterable[Proposal]:
    """How many nulls are normal; a column that the contract never lets be null needs no rule."""
    if not column.nullable:
        return
    shown = [c.null_share for c in seen]
    worst, rows = max(shown), min(c.rows for c in seen)
    noise = 3 * math.sqrt(worst * (1 - worst) / rows) if worst else 3 / rows
    limit = worst + max(0.5 * worst, noise, 0.01) / math.sqrt(len(seen)) + 0.01
    limit = max(limit, worst + drift(shown) + 0.01)
    mostly = math.floor(1000 * (1 - limit)) / 1000
    if mostly < 0.05:
        return
    yield Proposal(
        "expect_column_values_to_not_be_null",
        {"column": column_name(seen), "mostly": mostly},
        Severity.CRITICAL,
        f"{shares(shown)} nulls in {columns_phrase(seen)}.",
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
    low, high = _lowest(seen), _highest(seen)
    evidence = f"{span(low, high)} in {columns_phrase(seen)}."
    name, kind = column_name(seen), "expect_column_values_to_be_between"
    if is_identifier or (_are_codes(seen) and not are_few(seen)):
        if low >= 0:
            words = "They name rows." if is_identifier else "They are codes."
            kwargs = {"column": name, "min_value": 0}
            yield Proposal(kind, kwargs, Severity.WARNING, f"{evidence} {words}")
        return
    yield Proposal(
        kind,
        {"column": name, **_range(seen, low, high)},
        Severity.WARNING,
        evidence,
    )


def _range(seen: Sequence[ColumnProfile], low: float, high: float) -> dict[str, object]:
    """Bounds of values; what was never negative stays so, and a flag stays 0 or 1."""
    if _is_whole(seen) and low >= 0 and high <= 1:
        return {"min_value": 0, "max_value": 1}
    margin = (high - low) * 0.5 / len(seen) ** 0.25 or abs(high) or 1.0
    lows, highs = [_number(c.low) for c in seen], [_number(c.high) for c in seen]
    if _is_whole(seen):
        ends = reach_of_whole([int(n) for n in lows], [int(n) for n in highs], margin)
        return whole_outward(max(0, ends[0]) if low >= 0 else ends[0], ends[1])
    least, most = reach(lows, highs, margin)
    return outward(max(0.0, least) if low >= 0 else least, most)


def _is_measure(seen: Sequence[ColumnProfile]) -> bool:
    """Whether a median says something: not of flags, ratings or codes."""
    return not _counts_up(seen) and not _are_codes(seen) and not are_few(seen)


def _middle(seen: Sequence[ColumnProfile]) -> Iterable[Proposal]:
    """The median: it notices a change of unit where single values still look possible.

    Small batches have their say: the median of n values strays by about 0.93 times the width of
    the middle half over √n, and four times that is allowed. Source: the asymptotic variance of a
    median, 1 / (4 n f²), for a normal density f.
    """
    enough = [c for c in seen if c.values >= ENOUGH_ROWS // 2 and c.quantiles]
    spread = max((c.quantiles[0.75] - c.quantiles[0.25] for c in enough), default=0.0)
    if spread <= 0:
        return
    medians = [c.quantiles[0.5] for c in seen]
    fewest = min(c.values for c in seen)
    margin = spread * max(1.5 / len(seen) ** 0.25, 4 * 0.93 / math.sqrt(fewest))
    least, most = reach(medians, medians, margin)
    lowest, highest = _lowest(seen), _highest(seen)
    if least <= lowest and most >= highest:
        return
    if lowest >= 0:
        least = max(0.0, least)
    yield Proposal(
        "expect_column_median_to_be_between",
        {"column": column_name(seen), **outward(least, most)},
        Severity.CRITICAL,
        f"Median {span(min(medians), max(medians))}, middle half {plain(spread)} wide, in "
        f"{columns_phrase(seen)}.",
    )


def _moments(seen: Sequence[ColumnProfile]) -> Iterable[Proposal]:
    """Dates that are facts; an end that lies near the end of all time is left open."""
    low, high = min(_moment(c.low) for c in seen), max(_moment(c.high) for c in seen)
    margin = max(min(high - low, 10 * _DECADE), _DECADE)
    bounds = {}
    if low - _FIRST > margin:
        bounds["min_value"] = _day(low - margin)
    if _LAST - high > margin:
        bounds["max_value"] = _day(high + margin)
    if bounds:
        yield Proposal(
            "expect_column_values_to_be_between",
            {"column": column_name(seen), **bounds},
            Severity.WARNING,
            f"{low.date().isoformat()}…{high.date().isoformat()} in {columns_phrase(seen)}.",
        )


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat() + "T00:00:00+00:00"


def _texts(seen: Sequence[ColumnProfile]) -> Iterable[Proposal]:
    shortest = min(c.lengths[0] for c in seen if c.lengths)
    longest = max(c.lengths[1] for c in seen if c.lengths)
    form = _form(seen)
    if form is not None:
        slack = 0 if shortest == longest else 1 + (longest - shortest) // 2
        least, most = max(min(shortest, 1), shortest - slack), longest + slack
        width = f"{{{least}}}" if least == most else f"{{{least},{most}}}"
        regex = f"^{FORMS[form]}{width}\\Z"
        if most <= _LONGEST_FORM:
            yield Proposal(
                "expect_column_values_to_match_regex",
                {"column": column_name(seen), "regex": regex},
                Severity.WARNING,
                f"Only {form}, {span(shortest, longest)} long, in {columns_phrase(seen)}.",
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


def _usual(seen: Sequence[ColumnProfile]) -> Iterable[Proposal]:
    """Texts most of which come again, though new ones may: a batch of nothing but new ones is odd.

    Half as many usual ones as were ever seen are enough, since new ones keep coming; until then no
    row is set aside.
    """
    counted = Counter[Value]()
    for one in seen:
        counted.update(dict(one.top))
    usual = [str(v) for v, _ in counted.most_common(MAX_CATEGORIES) if "$" not in str(v)]
    while sum(map(len, usual)) > _TEXT_OF_SETS:
        usual.pop()
    found = [sum(n for value, n in c.top if value in usual) / c.values for c in seen]
    least, fewest = min(found), min(c.values for c in seen)
    noise = 3 * math.sqrt(least * (1 - least) / fewest)
    lowest = min(least / 2, least - noise)
    if lowest >= _USUAL:
        yield Proposal(
            "expect_column_values_to_be_in_set",
            {
                "column": column_name(seen),
                "value_set": sorted(usual),
                "mostly": math.floor(100 * lowest) / 100,
            },
            Severity.WARNING,
            f"The usual texts are {shares(found)} of those in {columns_phrase(seen)}.",
        )


def _form(seen: Sequence[ColumnProfile]) -> str | None:
    """The form of all texts, unless only one batch of several made it as wide as it is."""
    forms = list(FORMS)
    found = [forms.index(c.form) if c.form else len(forms) for c in seen]
    widest = max(found)
    is_odd = len(found) > 2 and found.count(widest) == 1
    return None if widest == len(forms) or is_odd else forms[widest]


def column_name(seen: Sequence[ColumnProfile]) -> str:
    """The column that profiles of several batches are about."""
    return seen[0].name


def _categories(seen: Sequence[ColumnProfile]) -> list[Value]:
    return sorted({value for c in seen for value, _ in c.top}, key=lambda v: (str(type(v)), v))


def _are_categories(seen: Sequence[ColumnProfile]) -> bool:
    """Few values, such as a suite may hold, that did not become more from batch to batch."""
    values = [str(value) for value in _categories(seen)]
    fine = sum(map(len, values)) <= _TEXT_OF_SETS and not any("$" in text for text in values)
    if not fine or not are_few(seen, 2 * MAX_CATEGORIES):
        return False
    return are_settled(seen, _NEW_VALUES)


def _counts_up(seen: Sequence[ColumnProfile]) -> bool:
    """Whole numbers that never repeat are names of rows rather than measures."""
    return _is_whole(seen) and all(c.is_unique and c.values >= MIN_REPEATS for c in seen)


def _is_whole(seen: Sequence[ColumnProfile]) -> bool:
    return all(c.type == "integer" for c in seen)


def _are_codes(seen: Sequence[ColumnProfile]) -> bool:
    """Whole numbers that are called like codes, or all have as many digits as codes do."""
    if not _is_whole(seen):
        return False
    low, high = str(_lowest(seen)), str(_highest(seen))
    alike = low.isdigit() and len(low) == len(high) >= _CODE_DIGITS
    name = column_name(seen)
    return is_called(name, _CODES) or (alike and not is_called(name, _QUANTITIES))


def may_begin_with_zero(name: str) -> bool:
    """Whether digits under this name are no quantity, though none may begin with 0 in one file.

    >>> [may_begin_with_zero(name) for name in ("Postal Code", "zip_code", "phones", "zipf")]
    [True, True, False, False]
    """
    return is_called(name, _DIGITS)


def is_called(name: str, words: str) -> bool:
    """Whether the last word of a name is among these.

    >>> [is_called(name, "code|id") for name in ("branch_code", "customerId", "coder")]
    [True, True, False]
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.search(rf"(?:^|[^a-zA-Z])(?:{words})[^a-zA-Z]*\Z", parted, re.IGNORECASE) is not None


def _lowest(seen: Sequence[ColumnProfile]) -> float:
    return min(_number(c.low) for c in seen)


def _highest(seen: Sequence[ColumnProfile]) -> float:
    return max(_number(c.high) for c in seen)


def _number(value: Bound | None) -> float:
    assert isinstance(value, int | float), value
    return value


def _moment(value: Bound | None) -> datetime:
    assert isinstance(value, datetime), value
    return value
