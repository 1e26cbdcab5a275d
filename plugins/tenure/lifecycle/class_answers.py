"""Which of several classes is answered, online, in a batch, at a replay and in every report.

Source: Elkan, "The foundations of cost-sensitive learning", IJCAI 2001: the answer with the lowest
expected cost.
"""

from collections.abc import Sequence

ClassCosts = tuple[tuple[float, ...], ...]
"""Of an answer: by the class that came true, then by the class that was answered, both sorted."""


def answered_class(probabilities: Sequence[float], costs: ClassCosts | None) -> int:
    """The place of the most probable class; with costs, of the one that is cheapest to answer.

    Of equals it is the first. Costs are added up class by class, as `training_rows` and every
    report do it with numpy: the same probabilities give the same answer everywhere.

    Args:
        probabilities: Of each class.
        costs: Of these classes.

    >>> answered_class((0.6, 0.3, 0.1), None)
    0
    >>> answered_class((0.6, 0.3, 0.1), ((0, 1, 1), (1, 0, 1), (20, 1, 0)))
    1
    """
    if costs is None:
        return list(probabilities).index(max(probabilities))
    expected = [0.0] * len(probabilities)
    for probability, row in zip(probabilities, costs, strict=True):
        expected = [sum_ + probability * cost for sum_, cost in zip(expected, row, strict=True)]
    return expected.index(min(expected))
