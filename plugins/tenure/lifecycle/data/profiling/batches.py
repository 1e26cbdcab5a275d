"""Which batches a file may have come in, and what a suite made from it says of each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tenure.lifecycle.data.profiling.wording import plural

BatchKind = Literal["month", "week", "day", "slice"]
PERIODS: Mapping[BatchKind, str] = {"month": "%Y-%m", "week": "%G-W%V", "day": "%Y-%m-%d"}
"""How a period of time is called, in `strftime`."""
MAX_SLICES = 12
ROWS_OF_A_SLICE = 60
MAX_JUDGEMENTS = 3_000
"""Expectations times batches; Great Expectations takes 10 to 15 ms for each."""
SHOWN_REFUSALS = 5


@dataclass(frozen=True)
class BatchCut:
    """How a file is cut into batches: by a column of times or periods, or into equal slices."""

    kind: BatchKind
    column: str | None = None

    def __str__(self) -> str:
        of = f" of {self.column}" if self.column else " of equal length"
        return f"{self.kind}s{of}"


@dataclass(frozen=True)
class OwnBatch:
    """What the suite says of one batch; `why` is empty when it passes."""

    batch: str
    rows: int
    why: str = ""


@dataclass(frozen=True)
class SuiteProof:
    """What a suite says of the batches that it was made from.

    Args:
        cut: How the file was cut.
        batches: How many batches there are; 0 when the file is too small to be cut.
        verdicts: Of those that were judged.
    """

    cut: BatchCut
    batches: int
    verdicts: tuple[OwnBatch, ...]

    @property
    def refused(self) -> tuple[OwnBatch, ...]:
        """Batches that would not pass."""
        return tuple(verdict for verdict in self.verdicts if verdict.why)

    def sentences(self) -> tuple[str, ...]:
        """How many would pass, and each that would not with the reason."""
        if not self.batches:
            return ("The file is too small to be judged batch by batch.",)
        judged = len(self.verdicts)
        more = f" that were judged, of {self.batches:,}" if judged < self.batches else ""
        passed = judged - len(self.refused)
        words = [f"{passed:,} of {judged:,} {self.cut}{more} would pass by these rules."]
        words += [f"{v.batch} would be refused: {v.why}" for v in self.refused[:SHOWN_REFUSALS]]
        hidden = len(self.refused) - SHOWN_REFUSALS
        return (
            (*words, f"and {plural(hidden, 'more batch', 'more batches')}.")
            if hidden > 0
            else (*words,)
        )


def number_of_slices(rows: int) -> int:
    """Into how many equal slices a file without times is cut; 0 when it is too small.

    >>> number_of_slices(59), number_of_slices(120), number_of_slices(100_000)
    (0, 2, 12)
    """
    number = min(MAX_SLICES, rows // ROWS_OF_A_SLICE)
    return number if number > 1 else 0


def spread_out(sizes: Mapping[str, int], most: int) -> tuple[str, ...]:
    """At most so many batches, in their order: the smallest, the largest, the ends, then evenly.

    >>> spread_out({"a": 5, "b": 1, "c": 9, "d": 5, "e": 5}, 4)
    ('a', 'b', 'c', 'e')
    """
    names = list(sizes)
    if len(names) <= most:
        return tuple(names)
    first = [min(names, key=sizes.__getitem__), max(names, key=sizes.__getitem__)]
    first += [names[-1], names[0]]
    evenly = [names[n * (len(names) - 1) // (most - 1)] for n in range(most)]
    chosen = list(dict.fromkeys(first + evenly))[:most]
    return tuple(sorted(chosen, key=names.index))


def tolerated(shares: Sequence[float], usual: float) -> float:
    """Rows that may be set aside: of all batches but the worst one of four or more, with a margin.

    >>> tolerated([0.0, 0.0, 0.0, 0.5], 0.05), tolerated([0.0, 0.1], 0.05)
    (0.05, 0.16)
    """
    worst = sorted(shares)[-2] if len(shares) > 3 else max(shares, default=0.0)
    return max(usual, min(1.0, round(1.5 * worst + 0.005, 2)))
