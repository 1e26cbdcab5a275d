"""One batch in numbers, column by column; an engine counts, here is what the counts mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tenure.lifecycle.data.sources import ColumnType

MAX_CATEGORIES = 50
"""More different values than these are no categories."""
MAX_TOP = MAX_CATEGORIES
MIN_REPEATS = 5
"""Times that a category is seen on average, at least."""

FORMS: Mapping[str, str] = {
    "digits": "[0-9]",
    "capital letters": "[A-Z]",
    "capital letters and digits": "[A-Z0-9]",
    "hexadecimal digits": "[0-9a-fA-F-]",
    "letters, digits, dots and dashes": "[A-Za-z0-9._-]",
}
"""Character classes of which an identifier may be made, the narrowest first."""

Value = str | bool | int | float | datetime
Bound = float | datetime


@dataclass(frozen=True)
class ColumnProfile:
    """One column of one batch.

    Args:
        type: As the contract names it.
        rows: Rows of the batch, nulls included.
        nulls: How many hold no value.
        distinct: Different values, exactly; nulls do not count.
        low, high: Smallest and largest value of a number or a timestamp.
        mean, stdev: Of a number; the deviation is that of the population.
        quantiles: Share to value, for numbers: 0.05, 0.25, 0.5, 0.75, 0.95.
        top: The most frequent values with how often they come, at most `MAX_TOP`; all of them
            when `distinct` is not larger. Empty for timestamps and for numbers that differ more.
        lengths: Shortest and longest text, in characters.
        form: A name of `FORMS` that every value has, or None.
    """

    name: str
    type: ColumnType
    rows: int
    nulls: int
    distinct: int
    low: Bound | None = None
    high: Bound | None = None
    mean: float | None = None
    stdev: float | None = None
    quantiles: Mapping[float, float] = field(default_factory=dict)
    top: tuple[tuple[Value, int], ...] = ()
    lengths: tuple[int, int] | None = None
    form: str | None = None

    @property
    def values(self) -> int:
        """Cells that hold a value."""
        return self.rows - self.nulls

    @property
    def null_share(self) -> float:
        """0…1; 0 for a batch without rows."""
        return self.nulls / self.rows if self.rows else 0.0

    @property
    def is_unique(self) -> bool:
        """Whether no value comes twice, and there are some."""
        return 1 < self.distinct == self.values


def are_few(seen: Sequence[ColumnProfile], most: int = MAX_CATEGORIES) -> bool:
    """Whether a column's values are few in each batch and come often enough in all together."""
    if any(c.distinct > MAX_TOP for c in seen):
        return False
    different = max(
        len({value for c in seen for value, _ in c.top}), *(c.distinct for c in seen), 0
    )
    return 0 < different <= most and sum(c.values for c in seen) >= MIN_REPEATS * different


def are_settled(seen: Sequence[ColumnProfile], most: float) -> bool:
    """Whether no batch of the later half had more than this share of values that were new then.

    For values that are few (`are_few`); batches oldest first.
    """
    known: set[Value] = set()
    for n, one in enumerate(seen):
        new = sum(count for value, count in one.top if value not in known)
        if 2 * n >= len(seen) > 1 and new > most * one.values:
            return False
        known |= {value for value, _ in one.top}
    return True


@dataclass(frozen=True)
class BatchProfile:
    """All columns of one batch, in the order of the contract."""

    batch: str
    rows: int
    columns: tuple[ColumnProfile, ...]

    def column(self, name: str) -> ColumnProfile | None:
        """The profile of a column, None when the batch did not have it."""
        return next((c for c in self.columns if c.name == name), None)
