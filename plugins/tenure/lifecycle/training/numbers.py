"""What counts as an outcome of a regression: one rule for training rows, landed and posted ones."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from tenure.errors import ConfigInvalid
from tenure.lifecycle.serving.spelling import EXACT
from tenure.lifecycle.training.classes import ClassRule
from tenure.lifecycle.training.labels import LabelRule

_SHOWN = 5
_WIDTH = 40
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)
_LONGEST = 400
"""Characters of a number: a double written in full has 309 before its point."""


@dataclass(frozen=True)
class NumberRule:
    """Which values are outcomes of a regression: finite numbers that a float64 keeps.

    A number may be written as a text, as a CSV has it. True and false are no numbers.
    """

    def meaning(self, value: object) -> float | None:
        """The number; None for what is none, is not finite, or is a whole one beyond 2^53."""
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
            return None
        if isinstance(value, str):
            return self._written(value)
        if isinstance(value, int) and abs(value) > EXACT:
            return None
        number = float(value)
        return number if math.isfinite(number) else None

    def _written(self, text: str) -> float | None:
        if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
            return None
        if text.lstrip("+-").isdigit() and abs(int(text)) > EXACT:
            return None
        number = float(text)
        return number if math.isfinite(number) else None

    def meanings(
        self, counts: Mapping[str, int], *, column: str, still_safe: str, of_a_part: bool = False
    ) -> dict[str, float]:
        """The number of each written value of a whole column.

        Args:
            counts: Rows of each value; nulls are left out.
            column: Its name.
            still_safe: What the refusal says about the rest.
            of_a_part: Makes no difference to numbers.

        Raises:
            ConfigInvalid: A value is no number; it names column, value and rows.
        """
        found = {value: self.meaning(value) for value in counts}
        strange = {value: counts[value] for value, number in found.items() if number is None}
        if strange:
            raise self._refusal(strange, sum(counts.values()), column, still_safe)
        return {value: number for value, number in found.items() if number is not None}

    def sentence(self) -> str:
        """The rule in words."""
        return "the model is a regression, so an outcome is a finite number (whole ones to 2^53)"

    def _refusal(
        self, strange: Mapping[str, int], rows: int, column: str, still_safe: str
    ) -> ConfigInvalid:
        most = sorted(strange.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(
            f"{value[:_WIDTH]!r} ({n:,} row{'s' * (n > 1)})" for value, n in most[:_SHOWN]
        )
        more = f", and {len(most) - _SHOWN:,} more values" if len(most) > _SHOWN else ""
        return ConfigInvalid(
            f"{column} is no number in {sum(strange.values()):,} of {rows:,} rows: {shown}{more}; "
            f"{self.sentence()}.",
            still_safe=still_safe,
            next_step="Have the source repaired. Where a value means that nothing is known, leave "
            "the cell empty: such rows are left out and counted.",
        )


OutcomeRule = LabelRule | ClassRule | NumberRule
"""What counts as an outcome, by the task of a model."""
