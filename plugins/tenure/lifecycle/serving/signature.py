"""What a model reads, and rows to warm it up with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tenure.lifecycle.model_version import Kind, VersionFacts
from tenure.lifecycle.serving.spelling import Spelling, spelling_of

MAX_TEXT = 256
"""Characters of a categorical value."""

Value = float | str | None
Score = Callable[[Sequence[Sequence[Value]]], Sequence[float]]
"""A loaded version: from rows (features in the signature's order) to one score each."""


@dataclass(frozen=True)
class Signature:
    """What a model reads: names, and what training saw of them.

    Args:
        numeric: Features that are numbers, in order.
        categorical: Features that are texts, in order.
        categories: Values that training saw, by categorical feature.
        ranges: (smallest, largest) that training saw, by numeric feature.
        kinds: What the categories were in the data before they were texts; without it, texts.
    """

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    categories: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    @classmethod
    def from_facts(cls, facts: VersionFacts) -> "Signature":
        """What training left."""
        return cls(
            numeric=facts.features.numeric,
            categorical=facts.features.categorical,
            categories={name: frozenset(seen) for name, seen in facts.categories.items()},
            ranges=facts.ranges,
            kinds=facts.kinds,
        )

    def spelling(self, name: str) -> Spelling | None:
        """How the categories of a feature are written; None for free texts."""
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
        values = [*sorted(self.categories.get(name, ())), None, "never seen"]
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
        )
