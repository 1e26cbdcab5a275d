"""What decisions cost by a declared cost of each kind of error, and the threshold that costs least.

Source: Elkan, "The foundations of cost-sensitive learning", IJCAI 2001.
"""

import numpy as np

from tenure.lifecycle.training.evaluation.gate import Appraisal, MetricEstimate
from tenure.lifecycle.training.evaluation.metrics import Bools, Floats, mean_estimate, measure
from tenure.lifecycle.training.evaluation.policy import DecisionCosts, GateMetric

PER_DECISIONS = 1000
"""Costs are stated for so many decisions."""
_HALF = 0.5
_CURVE = np.linspace(0.0, 1.0, 101)


def losses(decided: Bools, labels: Bools, costs: DecisionCosts) -> Floats:
    """The cost of each decision, shape (n,).

    Args:
        decided: Whether the decision is yes, shape (n,) or ().
        labels: What came true, shape (n,).
        costs: Of the two kinds of error.
    """
    wrong_yes, wrong_no = decided & ~labels, ~np.asarray(decided) & labels
    return costs.false_positive * wrong_yes + costs.false_negative * wrong_no


def expected_cost(
    scores: Floats, labels: Bools, costs: DecisionCosts, *, threshold: float
) -> MetricEstimate:
    """Mean cost of a decision, with the normal interval of a mean."""
    if not len(labels):
        return MetricEstimate(None)
    return mean_estimate(losses(scores >= threshold, labels, costs))


def cheapest_threshold(scores: Floats, labels: Bools, costs: DecisionCosts) -> float:
    """The threshold with the lowest cost on these rows, 0…1.

    It lies in the middle between two scores; of several that cost the same, it is the one nearest
    to the best for scores that are probabilities, fp / (fp + fn).

    >>> labels = np.array([False, False, True, True])
    >>> ten = DecisionCosts(false_positive=1, false_negative=10)
    >>> round(cheapest_threshold(np.array([0.1, 0.3, 0.2, 0.9]), labels, ten), 9)
    0.15
    """
    order = np.argsort(scores, kind="stable")
    ranked, positive = scores[order], labels[order]
    # With the k lowest scores decided no: their positives are missed, the other negatives alarmed.
    missed = np.concatenate([[0], np.cumsum(positive)])
    alarmed = (~labels).sum() - np.concatenate([[0], np.cumsum(~positive)])
    cost = costs.false_negative * missed + costs.false_positive * alarmed
    between = np.concatenate([[0.0], (ranked[:-1] + ranked[1:]) / 2, [1.0]])
    parts = np.concatenate([[True], ranked[:-1] < ranked[1:], [ranked[-1] < 1.0]])
    best = costs.false_positive / (costs.false_positive + costs.false_negative)
    away = np.abs(between - best)
    ranked_by = np.lexsort((away, np.where(parts, cost, np.inf)))
    return float(between[ranked_by[0]])


def appraise_costs(
    scores: Floats,
    labels: Bools,
    costs: DecisionCosts,
    *,
    threshold: float,
    rule_score: float | None,
) -> Appraisal:
    """The costs of the holdout at the version's threshold, at others, and of doing without a model.

    Args:
        scores: Probabilities of the positive label, shape (n,).
        labels: What came true, shape (n,).
        costs: Of the two kinds of error.
        threshold: The version's, chosen on other rows.
        rule_score: What the declared rule answers everybody; None where there is no rule.
    """
    if not len(labels):
        return Appraisal()
    chosen = losses(scores >= threshold, labels, costs)
    others = {
        "at_half": scores >= _HALF,
        "always_no": np.zeros(len(labels), dtype=np.bool_),
        "always_yes": np.ones(len(labels), dtype=np.bool_),
    }
    if rule_score is not None:
        others["rule"] = np.full(len(labels), rule_score >= threshold)
    found: dict[str, object] = {"chosen": per_thousand(chosen)}
    saved: dict[str, object] = {}
    for name, decided in others.items():
        cost = losses(decided, labels, costs)
        found[name], saved[name] = per_thousand(cost), per_thousand(cost - chosen)
    curve = [
        [round(float(t), 2), PER_DECISIONS * float(losses(scores >= t, labels, costs).mean())]
        for t in _CURVE
    ]
    stated: dict[str, object] = {"per_decisions": PER_DECISIONS, **costs.model_dump()}
    return Appraisal(facts={"costs": stated | found | {"saved_against": saved, "curve": curve}})


def per_thousand(cost: Floats) -> dict[str, object]:
    """Of so many decisions, with the interval of the mean."""
    found = mean_estimate(cost, lowest=None)
    assert found.value is not None
    interval = None
    if found.low is not None and found.high is not None:
        interval = [PER_DECISIONS * found.low, PER_DECISIONS * found.high]
    return {"cost": PER_DECISIONS * found.value, "interval": interval}


def measure_kpis(
    scores: Floats, labels: Bools, *, threshold: float, costs: DecisionCosts | None
) -> dict[GateMetric, MetricEstimate]:
    """As `measure`, with the mean cost of a decision where costs are declared."""
    measured = measure(scores, labels, threshold=threshold)
    found: dict[GateMetric, MetricEstimate] = dict(measured.items())
    if costs is not None:
        found["expected_cost"] = expected_cost(scores, labels, costs, threshold=threshold)
    return found
