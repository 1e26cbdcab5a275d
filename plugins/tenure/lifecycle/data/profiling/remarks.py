"""What a person should know of the columns of a file before a model learns from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tenure.lifecycle.data.profiling.profile import BatchProfile, ColumnProfile
from tenure.lifecycle.data.profiling.wording import plural

ENOUGH_VALUES = 20
MANY = 0.5
"""Share of a text column's values that differ, from which on it names rather than sorts."""
LISTED = 20
"""Columns that one sentence names before it counts the others."""

Likeness = Literal["equal", "one to one", "nearly equal", "decides"]


@dataclass(frozen=True)
class LikePair:
    """Two columns of which one tells the other.

    Args:
        kind: `equal`: the same values in all rows; `one to one`: each value of the one goes with
            one of the other; `nearly equal`: numbers that are almost a line; `decides`: the first
            tells which of two values the second has.
        first, second: Their names.
        how: What was seen, for people; may be empty.
    """

    kind: Likeness
    first: str
    second: str
    how: str = ""

    def __str__(self) -> str:
        words = {
            "equal": f"{self.first} and {self.second} hold the same in every row: one will do",
            "one to one": f"{self.first} and {self.second} tell the same by other words",
            "nearly equal": f"{self.first} and {self.second} are nearly the same",
            "decides": f"{self.first} tells {self.second}: should {self.second} be what a model "
            f"learns, {self.first} gives it away",
        }
        return words[self.kind] + (f" ({self.how})" if self.how else "")


def remarks(profile: BatchProfile, key: Sequence[str]) -> tuple[str, ...]:
    """Columns without a value, with one, and with as many as there are rows, one sentence each."""
    empty = [c.name for c in profile.columns if not c.values]
    constant = [c.name for c in profile.columns if c.distinct == 1 and c.rows > 1]
    many = [c.name for c in profile.columns if _has_many(c) and c.name not in key]
    said = (
        (empty, "no value at all; its type is a guess and no model can use it"),
        (constant, "one value in all rows that have any: no model can learn from it"),
        (many, "so many different texts that a model learns rows by heart rather than a rule"),
    )
    return tuple(f"{_listed(names)}: {words}" for names, words in said if names)


def _has_many(column: ColumnProfile) -> bool:
    """Texts that hardly ever come twice."""
    is_enough = column.values >= ENOUGH_VALUES
    return column.type == "string" and is_enough and column.distinct > MANY * column.values


def likenesses(pairs: Sequence[LikePair], most: int = LISTED) -> tuple[str, ...]:
    """The pairs as sentences; those beyond the limit are counted."""
    shown = [str(pair) for pair in pairs[:most]]
    if len(pairs) > most:
        hidden = plural(len(pairs) - most, "more pair")
        shown.append(f"and {hidden} of columns of which one tells the other")
    return tuple(shown)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:LISTED])
    return f"{shown} and {len(names) - LISTED:,} more" if len(names) > LISTED else shown
