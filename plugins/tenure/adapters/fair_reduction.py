"""Fairlearn's reduction to a sequence of weighted fits, of which the single models are kept."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.errors import ConfigInvalid
from tenure.lifecycle.training.bias.policy import Constraint
from tenure.lifecycle.training.evaluation.policy import DecisionCosts

_CONSTRAINTS = {
    "selection_rate": "DemographicParity",
    "true_positive_rate": "TruePositiveRateParity",
    "false_positive_rate": "FalsePositiveRateParity",
    "equalized_odds": "EqualizedOdds",
}
"""Moments of Fairlearn, by what they make alike."""


def reduced_models(
    unfitted: Any,
    frame: Any,
    labels: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    constraint: Constraint,
    max_violation: float,
    costs: DecisionCosts | None,
) -> list[Any]:
    """The estimators that the exponentiated gradient fitted, each deciding at 0.5.

    Those that answer every row alike are left out.

    Args:
        unfitted: From `sklearn_trainer.build`; its last step takes weights of rows.
        frame: The features, shape (n, features).
        labels: Shape (n,).
        groups: Numbers, shape (n,).
        constraint: What is made alike.
        max_violation: How far a group's rate may lie from that of all.
        costs: Of the two kinds of error; None: both cost the same.

    Raises:
        ConfigInvalid: The estimator takes no weights, or a group has no row that the constraint
            counts.

    Source: Agarwal, Beygelzimer, Dudik, Langford, Wallach, A Reductions Approach to Fair
        Classification, ICML 2018.
    """
    from fairlearn import reductions

    stated = costs or DecisionCosts(false_positive=1.0, false_negative=1.0)
    largest = max(stated.false_positive, stated.false_negative)
    steps = getattr(unfitted, "steps", None)
    reduction = reductions.ExponentiatedGradient(
        unfitted,
        getattr(reductions, _CONSTRAINTS[constraint])(difference_bound=max_violation),
        objective=reductions.ErrorRate(
            costs={"fp": stated.false_positive / largest, "fn": stated.false_negative / largest}
        ),
        eps=max_violation,
        sample_weight_name=f"{steps[-1][0]}__sample_weight" if steps else "sample_weight",
    )
    try:
        reduction.fit(frame, labels.astype(np.int64), sensitive_features=groups)
    except (TypeError, ValueError) as error:
        cause = str(error).splitlines()[0].rstrip(".")
        raise ConfigInvalid(
            f"bias.mitigation: exponentiated_gradient cannot learn from these rows: {cause}.",
            still_safe="No version was made; whatever serves now keeps serving.",
            next_step="Take another method, another constraint, or an estimator that takes weights "
            "of rows.",
        ) from error
    return [
        one
        for one in reduction.predictors_
        if type(one).__name__ != "DummyClassifier" and hasattr(one, "predict_proba")
    ]
