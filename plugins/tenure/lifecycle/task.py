"""What a model predicts: a class or a number; and what that makes of answers and outcomes.

| | binary | regression |
|---|---|---|
| answer (`score`) | probability of the positive label | the predicted value, finite |
| `decision`, `confidence` | whether the score reaches the threshold; how probable that is | none |
| outcome (`label`) | true or false | a finite number, in the unit of the label |
| loss of an answer | whether the decision was wrong | the absolute error, in the same unit |
"""

import math
from typing import Literal

Task = Literal["binary", "regression"]


def is_answer(task: Task, score: float) -> bool:
    """Whether a version of the task may give this: a probability, or any finite number.

    >>> is_answer("binary", 1.5), is_answer("regression", -1.5), is_answer("regression", math.nan)
    (False, True, False)
    """
    return math.isfinite(score) and (task == "regression" or 0.0 <= score <= 1.0)
