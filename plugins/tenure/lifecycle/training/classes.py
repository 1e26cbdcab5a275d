"""What counts as a class of several: one rule for training rows, landed outcomes and posted ones.

A class is one value as `spell` writes it, so `3`, `3.0` and a text `3` are one class. Which classes
a version knows comes from the rows that it learned from; another value of an outcome is a class
that the version does not know: it counts as a wrong answer, and how many there are is said.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tenure.errors import ConfigInvalid
from tenure.lifecycle.serving.spelling import spell

FEWEST_CLASSES = 3
MOST_CLASSES = 100
FEWEST_ROWS = 10
"""Of each class, among the rows that are learned from."""
LONGEST = 128
"""Characters of a class."""
_SHOWN = 5
_WIDTH = 40


@dataclass(frozen=True)
class ClassRule:
    """Which values are classes: any that is written in 1 to 128 printable characters."""

    def meaning(self, value: object) -> str | None:
        """The class; None for what is none."""
        try:
            written = spell(value)
        except TypeError:
            return None
        return written if 0 < len(written) <= LONGEST and written.isprintable() else None

    def meanings(
        self, counts: Mapping[str, int], *, column: str, still_safe: str, of_a_part: bool = False
    ) -> dict[str, str]:
        """The class of each written value of a whole column.

        Args:
            counts: Rows of each value; nulls are left out.
            column: Its name.
            still_safe: What the refusal says about the rest.
            of_a_part: Makes no difference to classes.

        Raises:
            ConfigInvalid: A value is no class; it names column, value and rows.
        """
        found = {value: self.meaning(value) for value in counts}
        strange = {value: counts[value] for value, name in found.items() if name is None}
        if strange:
            raise self._refusal(strange, sum(counts.values()), column, still_safe)
        return {value: name for value, name in found.items() if name is not None}

    def sentence(self) -> str:
        """The rule in words."""
        return f"a class is a value of 1 to {LONGEST} printable characters"

    def _refusal(
        self, strange: Mapping[str, int], rows: int, column: str, still_safe: str
    ) -> ConfigInvalid:
        most = sorted(strange.items(), key=lambda item: (-item[1], item[0]))
        shown = listed({repr(value[:_WIDTH]): n for value, n in most})
        return ConfigInvalid(
            f"{column} is no class in {sum(strange.values()):,} of {rows:,} rows: {shown}; "
            f"{self.sentence()}.",
            still_safe=still_safe,
            next_step="Have the source repaired. Where a value means that nothing is known, leave "
            "the cell empty: such rows are left out and counted.",
        )


def class_faults(rows: Mapping[str, int], *, label: str) -> Iterator[tuple[str, str]]:
    """Why a model of these classes cannot be learned, each with what to do about it.

    Args:
        rows: Of each class, among the rows that are learned from.
        label: Their column.
    """
    if len(rows) == FEWEST_CLASSES - 1:
        yield (
            f"{label} has two classes only ({listed(rows)}), and task: multiclass is of three or "
            "more",
            "Write task: binary, with label.positive for the class that is looked for",
        )
    if len(rows) > MOST_CLASSES:
        yield (
            f"{label} has {len(rows):,} classes; at most {MOST_CLASSES} can be learned",
            "Put rare classes together where the data comes from, or predict a number: "
            "task: regression",
        )
    few = {name: n for name, n in rows.items() if n < FEWEST_ROWS}
    if few and len(rows) <= MOST_CLASSES:
        yield (
            f"{label} has classes with fewer than {FEWEST_ROWS} rows to learn from: {listed(few)}",
            "Put them together where the data comes from, leave their cells empty (such rows are "
            "left out and counted), or take more batches (training.window_batches)",
        )


def listed(rows: Mapping[str, int]) -> str:
    """Values with their rows, for people: five, then how many more.

    >>> listed({"red": 1, "blue": 1200})
    'red (1 row), blue (1,200 rows)'
    """
    shown = ", ".join(f"{v} ({n:,} row{'s' * (n != 1)})" for v, n in list(rows.items())[:_SHOWN])
    return shown + (f", and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else "")
