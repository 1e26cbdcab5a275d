"""What answers of several classes cost, by which the version answers and is judged."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tenure.lifecycle.training.evaluation import EvaluationPolicy
from tenure.lifecycle.training.evaluation.class_comparison import judge_class_uplift
from tenure.lifecycle.training.evaluation.class_costs import appraise_class_costs, class_losses
from tenure.lifecycle.training.evaluation.classes import answer_names, class_scores
from tenure.lifecycle.training.evaluation.measuring import measure_answers
from tenure.lifecycle.training.evaluation.policy import ClassErrorCosts

NAMES = ("fraud", "ok", "unclear")
COSTS = ClassErrorCosts.model_validate({"other": 1, "wrong": {"fraud": {"ok": 20}}})


def test_unnamed_errors_cost_the_same_and_right_answers_nothing() -> None:
    assert COSTS.names == ("fraud", "ok")
    assert COSTS.matrix(NAMES, NAMES) == ((0, 20, 1), (1, 0, 1), (1, 1, 0))
    assert COSTS.matrix(("new",), NAMES) == ((1, 1, 1),)
    numbers = ClassErrorCosts.model_validate({"other": 1, "wrong": {1: {True: 2.5, "x": 0}}})
    assert numbers.wrong == {"1": {"true": 2.5, "x": 0}}


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ({"other": 0}, "greater than 0"),
        ({"wrong": {}}, "other"),
        ({"other": 1, "wrong": {"a": {"a": 2}}}, "is right, and costs nothing"),
        ({"other": 1, "wrong": {"a": {"b": -1}}}, "must cost a number from 0"),
        ({"other": 1, "wrong": {"a": {"b": float("inf")}}}, "finite number"),
    ],
)
def test_what_is_no_cost(stated: Any, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ClassErrorCosts.model_validate(stated)


def rows(n: int = 2000) -> tuple[Any, Any]:
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 1.5, size=(n, 3)) + np.array([-2, 1, 0])
    labels = np.array(NAMES)[(logits + rng.gumbel(size=(n, 3))).argmax(axis=1)]
    raw = np.exp(logits)
    return raw / raw.sum(axis=1, keepdims=True), labels


def test_the_cheapest_answers_cost_less_than_the_most_probable_ones() -> None:
    probabilities, labels = rows()
    mine = class_scores(NAMES, probabilities, labels, answer_names(NAMES, probabilities, COSTS))
    always = class_scores(NAMES, np.tile([0.0, 1.0, 0.0], (len(labels), 1)), labels)
    facts: Any = appraise_class_costs(mine, {"declared rule": always}, COSTS).facts["class_costs"]
    by_hand = sum(
        (20 if (true, said) == ("fraud", "ok") else 1) if true != said else 0
        for true, said in zip(labels, np.array(NAMES)[mine.answers], strict=True)
    )
    assert facts["chosen"]["cost"] == pytest.approx(1000 * by_hand / len(labels))
    assert facts["saved_against"]["most_probable"]["interval"][0] > 0
    assert facts["declared_rule"]["cost"] == pytest.approx(
        1000 * class_losses(always, COSTS).mean()
    )
    assert facts["answered_otherwise"] > 100
    measured = measure_answers(probabilities, labels, threshold=None, costs=COSTS, classes=NAMES)
    assert measured["expected_cost"].value == pytest.approx(by_hand / len(labels))
    plain = measure_answers(probabilities, labels, threshold=None, costs=None, classes=NAMES)
    assert "expected_cost" not in plain
    assert plain["accuracy"].value > measured["accuracy"].value  # type: ignore[operator]


def test_uplift_is_in_cost_where_costs_are_declared() -> None:
    probabilities, labels = rows()
    policy = EvaluationPolicy.model_validate(
        {"gates": [{"metric": "accuracy", "minimum": 0.1}], "class_costs": COSTS.model_dump()}
    )
    mine = class_scores(NAMES, probabilities, labels, answer_names(NAMES, probabilities, COSTS))
    always = class_scores(NAMES, np.tile([0.0, 0.0, 1.0], (len(labels), 1)), labels)
    found = judge_class_uplift(policy, mine, {"cheapest class": always})
    assert found.checks[0].observed.startswith("expected_cost better by")
