"""What a model predicts: yes or no, one of several classes, or a number.

| | binary | multiclass | regression |
|---|---|---|---|
| answer | probability of the positive label | a class, and the probability of each | a number |
| beside it | | | `lower` and `upper` end of an interval, where the version gives one |
| `score` | this probability | the probability of the answered class | this number |
| `decision` | whether the score reaches the threshold | none | none |
| `confidence` | how probable the decision is | the score | none |
| outcome (`label`) | true or false | a class, as `spell` writes it | a number |
| loss of an answer | whether it was wrong | whether it is another class | absolute error |
"""

import math
from collections.abc import Sequence
from typing import Literal

Task = Literal["binary", "multiclass", "regression"]
SUM_TOLERANCE = 1e-6
"""How far the probabilities of all classes may add up to another number than 1."""


def is_interval(answer: Sequence[float]) -> bool:
    """Whether it is a prediction within its interval: three finite numbers.

    >>> is_interval([5.0, 3.0, 9.0]), is_interval([5.0, 6.0, 9.0]), is_interval([5.0])
    (True, False, False)
    """
    if len(answer) != 3 or not all(map(math.isfinite, answer)):
        return False
    point, lower, upper = answer
    return lower <= point <= upper


def is_answer(task: Task, score: float) -> bool:
    """Whether a version of the task may give this: a probability, or any finite number.

    >>> is_answer("binary", 1.5), is_answer("regression", -1.5), is_answer("regression", math.nan)
    (False, True, False)
    """
    return math.isfinite(score) and (task == "regression" or 0.0 <= score <= 1.0)


def is_distribution(probabilities: Sequence[float]) -> bool:
    """Whether these are probabilities of all classes: each from 0 to 1, together 1.

    >>> is_distribution((0.5, 0.25, 0.25)), is_distribution((0.5, 0.25, 0.2))
    (True, False)
    """
    one_by_one = all(is_answer("multiclass", one) for one in probabilities)
    return one_by_one and abs(sum(probabilities) - 1.0) <= SUM_TOLERANCE
