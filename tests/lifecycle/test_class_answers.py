"""One answer for the same probabilities, whoever asks: gateway, batch, replay and reports."""

from typing import Any

import numpy as np
import pytest

from tenure.lifecycle.class_answers import answered_class
from tenure.lifecycle.training.evaluation.classes import answered_classes

ONE = ((0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0))
DEAR = ((0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (20.0, 1.0, 0.0))


@pytest.mark.parametrize(
    ("probabilities", "costs", "place"),
    [
        ((0.6, 0.3, 0.1), None, 0),
        ((0.6, 0.3, 0.1), ONE, 0),
        ((0.6, 0.3, 0.1), DEAR, 1),
        ((0.4, 0.4, 0.2), None, 0),
        ((0.4, 0.4, 0.2), ONE, 0),
        ((0.0, 0.0, 1.0), DEAR, 2),
    ],
)
def test_the_answer(probabilities: Any, costs: Any, place: int) -> None:
    assert answered_class(probabilities, costs) == place


@pytest.mark.parametrize("classes", [3, 7, 40])
def test_numpy_and_python_give_the_same_answer(classes: int) -> None:
    """Coarse probabilities and costs, so that many sums are equal but for their rounding."""
    rng = np.random.default_rng(classes)
    counts = rng.multinomial(10, np.ones(classes) / classes, size=500)
    rows = counts / counts.sum(axis=1, keepdims=True)
    stated = np.round(rng.random((classes, classes)), 1) * (1 - np.eye(classes))
    costs = tuple(tuple(row) for row in stated.tolist())
    for given in (None, costs):
        expected = [answered_class(row, given) for row in rows.tolist()]
        assert answered_classes(rows, given).tolist() == expected
