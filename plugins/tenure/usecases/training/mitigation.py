"""Does what `bias.mitigation` asks for, while a model is fitted or after it.

What is served is one estimator that answers the same row alike, in a file that skops can save.
"""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tenure.config import ModelConfig
from tenure.errors import GateInconclusive
from tenure.lifecycle.model_version import MitigationFacts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tenure.adapters.training_rows import TrainingRows
    from tenure.lifecycle.training.bias.training_data import GroupedRows

_DECIDES_AT = 0.5
"""Where the models of a reduction decide: costs are part of what it minimizes."""


@dataclass(frozen=True)
class Mitigated:
    """What was done.

    Args:
        values: As in `MitigationFacts`.
        notes: What could not be done.
        unmitigated: What the same training makes without it; None until it is made.
        threshold: Of that one, 0…1.
    """

    values: dict[str, float]
    notes: tuple[str, ...] = ()
    unmitigated: Any = None
    threshold: float = math.nan

    def beside(self, unmitigated: Any, threshold: float | None) -> "Mitigated":
        """With what there would be without it."""
        assert threshold is not None  # a regression is not mitigated
        return replace(self, unmitigated=unmitigated, threshold=threshold)

    def scores(self, rows: "TrainingRows") -> "NDArray[np.float64]":
        """Of the rows, without the mitigation."""
        from tenure.adapters.sklearn_trainer import score

        return score(self.unmitigated, rows.features)

    def facts(self, config: ModelConfig) -> MitigationFacts:
        """For the version's row."""
        policy = config.mitigation
        assert policy is not None
        return MitigationFacts(
            method=policy.method,
            attributes=policy.attributes,
            constraint=policy.constraint,
            values=self.values,
            notes=self.notes,
            unmitigated_threshold=self.threshold,
        )


def without(config: ModelConfig) -> ModelConfig:
    """The same model, with nothing done about gaps."""
    bias = config.bias.model_copy(update={"mitigation": None})
    return config.model_copy(update={"bias": bias})


def is_reduction(config: ModelConfig) -> bool:
    """Whether the fit itself is Fairlearn's."""
    return _method(config) == "exponentiated_gradient"


def is_by_group(config: ModelConfig) -> bool:
    """Whether groups get thresholds of their own."""
    return _method(config) == "group_thresholds"


def tunes_threshold(config: ModelConfig) -> bool:
    """Whether declared costs choose the threshold after the fit."""
    return not is_reduction(config)


def _method(config: ModelConfig) -> str | None:
    return None if config.mitigation is None else config.mitigation.method


def weighed(
    config: ModelConfig, rows: "TrainingRows", weights: "NDArray[np.float64] | None"
) -> "tuple[NDArray[np.float64] | None, Mitigated | None]":
    """The weights of the rows, times those of Kamiran and Calders where the YAML asks for them."""
    from tenure.lifecycle.training.bias.mitigation import reweighing, weights_by_cell

    if _method(config) != "reweighing":
        return weights, None
    view = _view(config, rows)
    own = reweighing(view, rows.labels)
    mitigated = Mitigated(weights_by_cell(view, rows.labels, own))
    return (own if weights is None else own * weights), mitigated


def reduced(config: ModelConfig, unfitted: Any, rows: "TrainingRows") -> tuple[Any, Mitigated]:
    """The best single model of the exponentiated gradient, on the rows that it learned from.

    Raises:
        ConfigInvalid: The estimator takes no weights.
        GateInconclusive: Every model of it answers all rows alike.
    """
    from tenure.adapters.fair_reduction import reduced_models
    from tenure.adapters.sklearn_trainer import forget_threads, score
    from tenure.lifecycle.training.bias.mitigation import ReducedModel, best_single, violation
    from tenure.lifecycle.training.evaluation.costs import losses
    from tenure.lifecycle.training.evaluation.policy import DecisionCosts

    policy = config.mitigation
    assert policy is not None and policy.constraint is not None  # noqa: PT018  # it is a reduction
    view, costs = _view(config, rows), config.evaluation.costs
    models = reduced_models(
        unfitted,
        rows.features,
        rows.labels,
        view.codes,
        constraint=policy.constraint,
        max_violation=policy.max_violation,
        costs=costs,
    )
    found = []
    for place, one in enumerate(models):
        decided = score(one, rows.features) >= _DECIDES_AT
        if decided.any() and not decided.all():
            stated = costs or DecisionCosts(false_positive=1.0, false_negative=1.0)
            loss = float(losses(decided, rows.labels, stated).mean())
            apart = violation(view, decided, rows.labels, policy.constraint)
            found.append(ReducedModel(place, apart, loss))
    if not found:
        raise GateInconclusive(
            f"bias.mitigation: all {len(models)} models that exponentiated_gradient made answer "
            "every row alike.",
            still_safe="No version was made; whatever serves now keeps serving.",
            next_step="Raise bias.mitigation.max_violation, or take another method.",
        )
    best = best_single(found, policy.max_violation)
    forget_threads(models[best.place])
    values = {"violation": best.violation, "loss": best.loss, "candidates": float(len(found))}
    notes: tuple[str, ...] = ()
    if best.violation > policy.max_violation:
        notes = (
            f"no single model keeps max_violation {policy.max_violation:g}; the nearest has "
            f"{best.violation:.4f} on the rows that it learned from",
        )
    return models[best.place], Mitigated(values, notes)


def by_group(
    config: ModelConfig, estimator: Any, rows: "TrainingRows", threshold: float | None
) -> tuple[Any, Mitigated]:
    """The fitted estimator, decided at one threshold a group, from rows that it did not see."""
    from tenure.adapters.group_thresholds import GroupThresholdClassifier
    from tenure.adapters.sklearn_trainer import score
    from tenure.lifecycle.training.bias.cells import group_name
    from tenure.lifecycle.training.bias.mitigation import group_thresholds, shifts

    policy = config.mitigation
    assert policy is not None and policy.constraint is not None  # noqa: PT018  # it is by group
    assert threshold is not None  # no regression has groups of decisions
    found = group_thresholds(
        _view(config, rows),
        score(estimator, rows.features),
        rows.labels,
        threshold=threshold,
        constraint=policy.constraint,
    )
    moves = shifts(found, threshold)
    made = GroupThresholdClassifier(
        estimator, list(policy.attributes), [list(g) for g in moves], list(moves.values())
    )
    values = {group_name(group): own for group, own in found.by_group.items()}
    return made, Mitigated(values, found.notes).beside(estimator, threshold)


def _view(config: ModelConfig, rows: "TrainingRows") -> "GroupedRows":
    from tenure.lifecycle.training.bias.training_data import grouped

    policy = config.mitigation
    assert policy is not None  # it is asked for only where there is one
    edges = getattr(config.bias, "edges", {})
    return grouped(rows.protected, policy.attributes, edges)
