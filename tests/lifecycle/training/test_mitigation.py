"""Weights and thresholds that make groups alike, checked against their definitions."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from tenure.lifecycle.training.bias import MitigationPolicy
from tenure.lifecycle.training.bias.mitigation import (
    MIN_ROWS,
    ReducedModel,
    best_single,
    group_thresholds,
    reweighing,
    shifts,
    violation,
)
from tenure.lifecycle.training.bias.training_data import grouped

RNG = np.random.default_rng(3)
GROUPS = RNG.choice(["a", "b", "c"], 900, p=[0.6, 0.3, 0.1]).astype(object)
VIEW = grouped({"race": GROUPS}, ("race",), {})
LABELS = RNG.random(900) < np.where(GROUPS == "a", 0.7, 0.4)
SCORES = np.clip(RNG.normal(np.where(GROUPS == "a", 0.6, 0.4) + 0.2 * LABELS, 0.15), 0.001, 0.999)
DECISION = {"why": "tests", "by": "ada", "until": "2030-01-01"}


def test_reweighing_makes_label_and_group_independent() -> None:
    weights = reweighing(VIEW, LABELS)
    rates = [
        np.average(LABELS[VIEW.codes == n], weights=weights[VIEW.codes == n]) for n in range(3)
    ]
    assert rates == pytest.approx([LABELS.mean()] * 3)
    assert weights.sum() == pytest.approx(len(LABELS))
    for n, label in product(range(3), (True, False)):  # Kamiran and Calders: expected over observed
        here = (VIEW.codes == n) & (label == LABELS)
        expected = (VIEW.codes == n).mean() * (label == LABELS).mean() / here.mean()
        assert weights[here] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("constraint", "counted"),
    [
        ("selection_rate", np.ones(900, dtype=bool)),
        ("true_positive_rate", LABELS),
        ("false_positive_rate", ~LABELS),
    ],
)
def test_thresholds_by_group_bring_each_group_to_the_rate_of_all(
    constraint: Any, counted: Any
) -> None:
    found = group_thresholds(VIEW, SCORES, LABELS, threshold=0.6, constraint=constraint)
    assert found.notes == ()
    whole = (SCORES[counted] >= 0.6).mean()
    for (name,), own in found.by_group.items():
        mine = counted & (name == GROUPS)
        assert (SCORES[mine] >= own).mean() == pytest.approx(whole, abs=1 / mine.sum())


@pytest.mark.parametrize(("rows", "own"), [(MIN_ROWS - 1, False), (MIN_ROWS, True)])
def test_a_group_with_too_few_rows_keeps_the_common_threshold(rows: int, own: bool) -> None:
    view = grouped({"race": np.array(["a"] * 100 + [None] * rows, dtype=object)}, ("race",), {})
    scores = np.linspace(0.01, 0.99, 100 + rows)
    found = group_thresholds(view, scores, scores > 2, threshold=0.5, constraint="selection_rate")
    assert ((None,) in found.by_group) is own
    assert found.notes == (
        ()
        if own
        else (
            f"race=(missing) keeps the common threshold: {rows} rows that selection_rate counts, "
            f"fewer than {MIN_ROWS}",
        )
    )


def test_a_shift_of_the_log_odds_decides_as_the_threshold_does() -> None:
    found = group_thresholds(VIEW, SCORES, LABELS, threshold=0.6, constraint="selection_rate")
    for group, move in shifts(found, 0.6).items():
        moved = 1 / (1 + np.exp(-(np.log(SCORES) - np.log1p(-SCORES) + move)))
        assert ((moved >= 0.6) == (found.by_group[group] <= SCORES)).all()


@pytest.mark.parametrize(
    ("models", "kept"),
    [
        ([(0.5, 0.1), (0.05, 0.3), (0.02, 0.2)], 2),
        ([(0.05, 0.2), (0.0501, 0.1)], 0),
        ([(0.5, 0.1), (0.4, 0.3)], 1),
        ([(0.01, 0.2), (0.01, 0.2)], 0),
    ],
)
def test_the_cheapest_model_within_the_bound_is_kept(
    models: list[tuple[float, float]], kept: int
) -> None:
    assert best_single([ReducedModel(n, *one) for n, one in enumerate(models)], 0.05).place == kept


def test_violation_is_the_farthest_rate_from_that_of_all() -> None:
    decided = SCORES >= 0.6
    rates = [decided[VIEW.codes == n].mean() for n in range(3)]
    largest = max(abs(rate - decided.mean()) for rate in rates)
    assert violation(VIEW, decided, LABELS, "selection_rate") == pytest.approx(largest)
    both = [violation(VIEW, decided, LABELS, f"{k}_positive_rate") for k in ("true", "false")]  # type: ignore[arg-type]
    assert violation(VIEW, decided, LABELS, "equalized_odds") == max(both)


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ({"method": "reweighing", "constraint": "selection_rate"}, "state a constraint, but none"),
        ({"method": "exponentiated_gradient"}, "state a constraint, but none"),
        ({"method": "group_thresholds", "constraint": "selection_rate"}, "disparate treatment"),
        (
            {"method": "group_thresholds", "constraint": "equalized_odds", "decision": DECISION},
            "one threshold a group cannot meet equalized_odds",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(stated: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        MitigationPolicy.model_validate(stated | {"attributes": ["race"]})
