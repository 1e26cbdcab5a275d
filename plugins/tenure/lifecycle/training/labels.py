"""What counts as a label: one rule for training rows, landed outcomes and posted ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from tenure.errors import ConfigInvalid
from tenure.lifecycle.serving.spelling import spell

SHOWN = 5
"""Values that a refusal lists before it says how many more there are."""
_WIDTH = 40
_MEANINGS = {"true": True, "1": True, "false": False, "0": False}
_OPPOSITES = {"true": "false", "false": "true", "1": "0", "0": "1"}


@dataclass(frozen=True)
class LabelRule:
    """Which values of the label column are true, and which are false.

    A label is boolean or exactly 0 or 1, also as a text. Where `positive` is declared, what equals
    it is true; what equals `negative` is false, and so is the only other value of a whole column
    where none is declared. `positive` 0, 1, true or false has its opposite for its negative.
    Values are compared as `spell` writes them. Booleans stay what they are, unless `positive` says
    which of 0, 1, true and false counts.

    Args:
        positive: As `spell` writes it; None: booleans, 0 and 1.
        negative: As `spell` writes it.
    """

    positive: str | None = None
    negative: str | None = None

    @cached_property
    def _opposite(self) -> str | None:
        """The negative where nobody declares it, in lower case."""
        return _OPPOSITES.get((self.positive or "").lower())

    @property
    def knows_the_negative(self) -> bool:
        """Whether each value can be judged by itself."""
        return self.positive is None or self.negative is not None or self._opposite is not None

    def meaning(self, value: object) -> bool | None:
        """Whether a value is true; None for one that is no label."""
        written = spell(value)
        if self.positive is None:
            return _MEANINGS.get(written.lower())
        if written in (self.positive, self.negative):
            return written == self.positive
        if self._opposite is not None:
            return False if self.negative is None and written.lower() == self._opposite else None
        return {"true": True, "false": False}.get(written.lower())

    def meanings(
        self, counts: Mapping[str, int], *, column: str, still_safe: str, of_a_part: bool = False
    ) -> dict[str, bool]:
        """What each value of a whole column means.

        Args:
            counts: Rows of each value, as `spell` writes it; nulls are left out.
            column: Its name.
            still_safe: What the refusal says about the rest.
            of_a_part: Whether there are more rows than these: then the positive need not occur.

        Raises:
            ConfigInvalid: A value is no label; it names column, value and rows.
        """
        found = {value: self.meaning(value) for value in counts}
        strange = {value: counts[value] for value, meaning in found.items() if meaning is None}
        occurs = of_a_part or any(found.values())
        if len(strange) == 1 and not self.knows_the_negative and occurs:
            strange = {}
        if strange:
            raise self._refusal(strange, sum(counts.values()), column, still_safe)
        return {value: bool(meaning) for value, meaning in found.items()}

    def sentence(self) -> str:
        """The rule in words."""
        if self.positive is None:
            return "a label is boolean, or exactly 0 or 1"
        negative = self.negative if self.negative is not None else self._opposite
        other = "" if negative is None else f" or {negative!r} (negative)"
        boolean = ", or boolean" if self._opposite is None else ""
        undeclared = "" if self.knows_the_negative else "; no label.negative is declared"
        return f"a label is {self.positive!r} (positive){other}{boolean}{undeclared}"

    def _refusal(
        self, strange: Mapping[str, int], rows: int, column: str, still_safe: str
    ) -> ConfigInvalid:
        most = sorted(strange.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(
            f"{value[:_WIDTH]!r} ({n:,} row{'s' * (n > 1)})" for value, n in most[:SHOWN]
        )
        more = f", and {len(most) - SHOWN:,} more values" if len(most) > SHOWN else ""
        return ConfigInvalid(
            f"{column} is no label in {sum(strange.values()):,} of {rows:,} rows: {shown}{more}; "
            f"{self.sentence()}.",
            still_safe=still_safe,
            next_step=f"Declare in the model's YAML which value is the positive one, as in label: "
            f"{{column: {column}, positive: 2, negative: 1}} (a word such as yes in quotes). Where "
            "a value means that nothing is known, leave the cell empty: such rows are left out "
            "and counted.",
        )
