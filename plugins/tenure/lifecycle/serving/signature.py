"""What a model reads, and rows to warm it up with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tenure.lifecycle.model_version import Kind, VersionFacts
from tenure.lifecycle.serving.spelling import Spelling, spelling_of

_EXAMPLE_DATES = ("1970-01-01T00:00:00Z", "2024-02-29T18:00:00Z", "9999-12-31T23:59:59Z")
MAX_TEXT = 256
"""Characters of a categorical value."""

Value = float | str | None
RowAnswer = float | Sequence[float]
"""What a version says of a row: its score; the probabilities of all classes; or of a regression
with intervals the prediction, then the lower and the upper end."""
Score = Callable[[Sequence[Sequence[Value]]], Sequence[RowAnswer]]
"""A loaded version: from rows (features in the signature's order) to one answer each."""


def score_of(answer: RowAnswer) -> float:
    """The score, or the prediction before its interval.

    >>> score_of(0.5), score_of([5.0, 3.0, 9.0])
    (0.5, 5.0)
    """
    return answer if isinstance(answer, float) else answer[0]


@dataclass(frozen=True)
class Signature:
    """What a model reads: names, and what training saw of them.

    Args:
        numeric: Features that are numbers, in order.
        categorical: Features that are texts, in order.
        dates: Those of them of which parts are read.
        categories: Values that training saw, by categorical feature.
        ranges: (smallest, largest) that training saw, by numeric feature.
        kinds: What the categories were in the data before they were texts; without it, texts.
    """

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    categories: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    dates: tuple[str, ...] = ()

    @classmethod
    def from_facts(cls, facts: VersionFacts) -> "Signature":
        """What training left."""
        return cls(
            numeric=facts.features.numeric,
            categorical=facts.features.categorical,
            categories={name: frozenset(seen) for name, seen in facts.categories.items()},
            ranges=facts.ranges,
            kinds=facts.kinds,
            dates=facts.features.dates,
        )

    def spelling(self, name: str) -> Spelling | None:
        """How the categories of a feature are written; None for free texts and for dates."""
        if name in self.dates:
            return None
        return spelling_of(self.kinds.get(name, "text"), self.categories.get(name, ()))

    @property
    def features(self) -> tuple[str, ...]:
        """Numeric first, then categorical: the order of the serving frame."""
        return self.numeric + self.categorical

    def examples(self, count: int = 32) -> list[tuple[Value, ...]]:
        """Rows to warm a model up with: spread over what training saw, with nulls and a stranger.

        They are the same rows every time.
        """
        return [
            (
                *(self._number(name, row + place) for place, name in enumerate(self.numeric)),
                *(self._text(name, row + place) for place, name in enumerate(self.categorical)),
            )
            for row in range(count)
        ]

    def _number(self, name: str, turn: int) -> float | None:
        low, high = self.ranges.get(name, (0.0, 1.0))
        return None if turn % 9 == 8 else low + (high - low) * (turn % 7) / 6

    def _text(self, name: str, turn: int) -> str | None:
        values: list[str | None] = [*sorted(self.categories.get(name, ())), None, "never seen"]
        if name in self.dates:
            values = [*_EXAMPLE_DATES, None]
        return values[turn % len(values)]

    def or_also(self, other: "Signature | None") -> "Signature":
        """What a request may hold while two versions are live; self says what it must hold."""
        if other is None:
            return self
        known = set(self.features)
        return Signature(
            self.numeric + tuple(f for f in other.numeric if f not in known),
            self.categorical + tuple(f for f in other.categorical if f not in known),
            {**other.categories, **self.categories},
            {**other.ranges, **self.ranges},
            {**other.kinds, **self.kinds},
            self.dates + tuple(f for f in other.dates if f not in known),
        )
