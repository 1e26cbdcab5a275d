"""What answers of several classes cost by declared costs of each kind of error.

Source: Elkan, "The foundations of cost-sensitive learning", IJCAI 2001.
"""

from collections.abc import Mapping

import numpy as np

from tenure.lifecycle.training.evaluation.classes import ClassScores, answered_classes
from tenure.lifecycle.training.evaluation.costs import PER_DECISIONS, per_thousand
from tenure.lifecycle.training.evaluation.gate import Appraisal, MetricEstimate
from tenure.lifecycle.training.evaluation.metrics import Floats, mean_estimate
from tenure.lifecycle.training.evaluation.policy import ClassErrorCosts


def class_losses(scored: ClassScores, costs: ClassErrorCosts) -> Floats:
    """The cost of the answer to each row, shape (n,); of a class that is not known, `other`."""
    matrix = np.array(costs.matrix(scored.names, scored.names))
    found: Floats = matrix[scored.labels, scored.answers]
    return found


def expected_class_cost(scored: ClassScores, costs: ClassErrorCosts) -> MetricEstimate:
    """Mean cost of an answer, with the normal interval of a mean."""
    if not len(scored.labels):
        return MetricEstimate(None)
    return mean_estimate(class_losses(scored, costs))


def appraise_class_costs(
    scored: ClassScores, constants: Mapping[str, ClassScores], costs: ClassErrorCosts
) -> Appraisal:
    """The costs of the holdout, beside those of the most probable classes and of no model.

    Args:
        scored: The holdout with the version's answers.
        constants: The same rows as each trivial model answers them, by its name.
        costs: Of wrong answers.

    Returns:
        Facts alone; what is saved against another answer is paired by row.
    """
    if not len(scored.labels):
        return Appraisal()
    matrix = np.array(costs.matrix(scored.names, scored.names))
    chosen = class_losses(scored, costs)
    others = {"most_probable": answered_classes(scored.probabilities, None)}
    others |= {name.replace(" ", "_"): one.answers for name, one in constants.items()}
    losses = {name: matrix[scored.labels, answers] for name, answers in others.items()}
    facts: dict[str, object] = {
        "per_decisions": PER_DECISIONS,
        **costs.model_dump(),
        "chosen": per_thousand(chosen),
        **{name: per_thousand(loss) for name, loss in losses.items()},
        "saved_against": {name: per_thousand(loss - chosen) for name, loss in losses.items()},
        "answered_otherwise": int((scored.answers != others["most_probable"]).sum()),
    }
    return Appraisal(facts={"class_costs": facts})
