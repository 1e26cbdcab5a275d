"""Scores of one version by features: the same rows need not be scored twice."""

from collections import OrderedDict
from collections.abc import Sequence

from tenure.lifecycle.serving import RowAnswer, Value

Row = Sequence[Value]


class ScoreCache:
    """Belongs to a loaded version, so another version never answers from it.

    Only the event loop uses it.
    """

    def __init__(self) -> None:
        self._scores: OrderedDict[Row, RowAnswer] = OrderedDict()

    def find(self, rows: Sequence[Row]) -> list[RowAnswer] | None:
        """The scores of the rows when every one of them is known."""
        if not self._scores:
            return None
        found = [self._scores.get(row) for row in rows]
        scores = [score for score in found if score is not None]
        if len(scores) < len(rows):
            return None
        for row in rows:
            self._scores.move_to_end(row)
        return scores

    def keep(self, rows: Sequence[Row], scores: Sequence[RowAnswer], *, most: int) -> None:
        """Remember scores; what was asked for least recently goes when there are too many."""
        self._scores.update(zip(rows, scores, strict=True))
        while len(self._scores) > most:
            self._scores.popitem(last=False)
