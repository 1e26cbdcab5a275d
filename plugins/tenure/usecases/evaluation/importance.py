"""What each feature is worth to a version: shuffled in the holdout, and left out of a retraining.

Import it inside functions: it loads SQLAlchemy.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tenure.config import ModelConfig
from tenure.errors import TenureError
from tenure.lifecycle.training.evaluation import Appraisal

if TYPE_CHECKING:
    from tenure.adapters.training_rows import TrainingRows
    from tenure.lifecycle.training.evaluation.paired import PairedDifference, Scored

MAX_ROWS = 2_000
"""Rows of the holdout that are shuffled and scored again, evenly over it."""
MOST_SCORED = 100_000
"""Rows that are scored at once, of as many features as that makes."""


@dataclass(frozen=True)
class FittedVersion:
    """A version as it was trained.

    Args:
        estimator: Fitted.
        threshold: Scores at or above it decide `positive`; None of a regression.
        before: All rows before the holdout.
        holdout: The rows that judge.
        classes: Those of its scores where it tells several apart.
    """

    estimator: Any
    threshold: float | None
    before: "TrainingRows"
    holdout: "TrainingRows"
    classes: tuple[str, ...] = ()


def appraise_features(
    config: ModelConfig, fitted: FittedVersion, clock: Callable[[], float] = time.monotonic
) -> Appraisal:
    """Global importance, and where the YAML gives it time, drop-one ablation; facts alone.

    Args:
        config: The model; its first KPI is what features are worth something to, of a regression
            the mean absolute error.
        fitted: The version.
        clock: Seconds that only grow; `evaluation.ablation_seconds` are counted by it.
    """
    shuffled = _shuffled(config, fitted)
    ranked = sorted(shuffled, key=lambda name: (-_worth(shuffled[name]), name))
    rows = min(len(fitted.holdout.labels), MAX_ROWS)
    stated = [{"feature": name} | _facts(shuffled[name]) for name in ranked]
    facts: dict[str, object] = {"importance": {"rows": rows, "features": stated}}
    seconds = config.evaluation.ablation_seconds
    if seconds is not None:
        facts["ablation"] = _ablation(config, fitted, ranked[::-1], seconds, clock)
    return Appraisal(facts=facts)


def _shuffled(config: ModelConfig, fitted: FittedVersion) -> "dict[str, PairedDifference | None]":
    """How much better the version is than with the values of one feature dealt out at random."""
    import numpy as np

    from tenure.adapters.sklearn_trainer import score
    from tenure.adapters.training_rows import evenly

    rows = evenly(fitted.holdout, MAX_ROWS)
    as_it_is = _scored(fitted.threshold, score(fitted.estimator, rows.features))
    dealt = np.random.default_rng(config.training.seed).permutation(len(rows.labels))
    names = config.features.all
    found = {}
    together = max(1, MOST_SCORED // max(1, len(rows.labels)))
    for first in range(0, len(names), together):
        some = names[first : first + together]
        scores = score(fitted.estimator, _without(rows.features, some, dealt))
        for name, part in zip(some, np.split(scores, len(some)), strict=True):
            without = _scored(fitted.threshold, part)
            found[name] = _difference(config, fitted.classes, rows.labels, as_it_is, without)
    return found


def _without(frame: Any, names: Sequence[str], dealt: Any) -> Any:
    """The rows once for each feature, one after the other, with its values dealt out.

    A model takes many rows at once in a fraction of the time.
    """
    import pandas as pd

    parts = []
    for name in names:
        other = frame.copy(deep=False)
        other[name] = other[name].to_numpy()[dealt]
        parts.append(other)
    return pd.concat(parts, ignore_index=True)


def _ablation(
    config: ModelConfig,
    fitted: FittedVersion,
    features: list[str],
    seconds: float,
    clock: Callable[[], float],
) -> dict[str, object]:
    """Train without each feature, the least important first, until the time is over."""
    from tenure.adapters.sklearn_trainer import score

    start, holdout = clock(), fitted.holdout
    whole = _scored(fitted.threshold, score(fitted.estimator, holdout.features))
    done: list[dict[str, object]] = []
    for place, name in enumerate(features):
        if place and clock() - start > seconds:
            break
        try:
            without = _trained_without(config, fitted, name)
        except TenureError as error:
            done.append({"feature": name, "why_not": error.what})
            continue
        found = _difference(config, fitted.classes, holdout.labels, whole, without)
        low = None if found is None else found.better.low
        done.append({"feature": name} | _facts(found) | {"removable": low is not None and low <= 0})
    return {"seconds": seconds, "features": done, "not_done": features[len(done) :]}


def _trained_without(config: ModelConfig, fitted: FittedVersion, name: str) -> "Scored":
    """The holdout as a version scores it that never had the feature."""
    from dataclasses import replace

    from tenure.adapters.sklearn_trainer import build, score
    from tenure.usecases.training import tuning

    policy, features = config.training, config.features
    unfitted = build(
        policy.estimator,
        policy.parameters,
        numeric=[one for one in features.numeric if one != name],
        categorical=[one for one in features.categorical if one != name],
        dates=[one for one in features.dates if one != name],
        seed=policy.seed,
        task=config.task,
    )
    before = replace(fitted.before, features=fitted.before.features.drop(columns=name))
    tuned = tuning.fit(config, unfitted, before)
    held_out = fitted.holdout.features.drop(columns=name)
    return _scored(tuned.threshold, score(tuned.estimator, held_out))


def _difference(
    config: ModelConfig, classes: tuple[str, ...], labels: Any, one: "Scored", other: "Scored"
) -> "PairedDifference | None":
    from tenure.lifecycle.training.evaluation.class_comparison import paired_classes
    from tenure.lifecycle.training.evaluation.classes import answer_names, class_scores
    from tenure.lifecycle.training.evaluation.error_comparison import paired_errors
    from tenure.lifecycle.training.evaluation.paired import paired_difference

    if config.task == "regression":
        return paired_errors(labels, one.scores, other.scores)
    policy = config.evaluation
    if classes:
        costs = policy.class_costs
        said = [(s.scores, answer_names(classes, s.scores, costs)) for s in (one, other)]
        mine, theirs = (class_scores(classes, scores, labels, answers) for scores, answers in said)
        return paired_classes(policy.gates[0].metric, mine, theirs, costs)
    return paired_difference(policy.gates[0].metric, labels, one, other, policy.costs)


def _scored(threshold: float | None, scores: Any) -> "Scored":
    from tenure.lifecycle.training.evaluation.paired import Scored

    return Scored(scores, math.nan if threshold is None else threshold)


def _worth(found: "PairedDifference | None") -> float:
    return 0.0 if found is None or found.better.value is None else found.better.value


def _facts(found: "PairedDifference | None") -> dict[str, object]:
    """`better_by`: how much better the version is with the feature than without it."""
    return {"why_not": "not defined on these rows"} if found is None else found.facts()
