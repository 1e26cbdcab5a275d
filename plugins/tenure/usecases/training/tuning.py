"""Fits the estimator, and on rows that it did not see its calibration and its threshold.

The calibration rows are the newest before the holdout: no decision is tuned on what judges it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tenure.config import ModelConfig
from tenure.errors import GateInconclusive
from tenure.lifecycle.model_version import IntervalFacts, SearchFacts, SplitRows
from tenure.lifecycle.training.classes import listed
from tenure.lifecycle.training.evaluation.classes import class_scores
from tenure.lifecycle.training.evaluation.conformal import least_of, least_probability
from tenure.lifecycle.training.evaluation.costs import cheapest_threshold
from tenure.lifecycle.training.evaluation.policy import EvaluationPolicy
from tenure.lifecycle.training.evaluation.prediction_intervals import least_margin, trivial_interval
from tenure.lifecycle.training.split import RowSplit, split_rows
from tenure.lifecycle.training.weights import row_weights
from tenure.usecases.training import mitigation
from tenure.usecases.training.mitigation import Mitigated

if TYPE_CHECKING:
    from tenure.adapters.training_rows import TrainingRows

MIN_OF_A_CLASS = 10
"""Calibration rows of each class that a calibration or a threshold can be learned from."""


@dataclass(frozen=True)
class TunedModel:
    """What came of it.

    Args:
        estimator: Fitted, and calibrated where the YAML asks for it.
        threshold: Scores at or above it decide `positive`; None unless the model is binary.
        learned: The rows that the estimator learned from.
        apart: How the rows before the holdout were split; None where nothing is tuned.
        search: What chose the parameters; None where the YAML states them.
        conformal_least: Probability from which on a label is in a row's set; None without sets.
        mitigation: What was done about gaps between groups; None: nothing.
        interval: How the interval of a row is made; None without intervals.
    """

    estimator: Any
    threshold: float | None
    learned: "TrainingRows"
    apart: RowSplit | None = None
    search: SearchFacts | None = None
    conformal_least: float | None = None
    mitigation: Mitigated | None = None
    interval: IntervalFacts | None = None

    def counted(self, counts: SplitRows) -> SplitRows:
        """The rows of the split before the holdout, with those that this one took or left out."""
        if self.apart is None:
            return counts
        return replace(
            counts,
            train=len(self.apart.train),
            calibration=len(self.apart.holdout),
            gap=counts.gap + self.apart.gap,
            label_unknown=counts.label_unknown + self.apart.label_unknown,
            group_held_out=counts.group_held_out + self.apart.group_held_out,
        )


def fit(config: ModelConfig, unfitted: Any, rows: "TrainingRows") -> TunedModel:
    """Fit on the rows before the holdout, or on their older part where something is tuned.

    With a calibration *and* costs or sets, every second calibration row goes to either: a threshold
    that is chosen on the scores of the rows that calibrated them would be chosen too well.

    Args:
        config: The model.
        unfitted: From `sklearn_trainer.build`.
        rows: All before the holdout.

    Raises:
        GateInconclusive: Too few rows are left for one of the parts.
        ConfigInvalid: The estimator cannot learn from them.
    """
    from tenure.adapters.sklearn_calibration import calibrate
    from tenure.adapters.sklearn_trainer import score
    from tenure.adapters.training_rows import pick

    policy = config.evaluation
    if not config.needs_calibration_rows:
        made, mitigated = _learned(config, unfitted, rows)
        return TunedModel(made, config.threshold, rows, mitigation=mitigated)
    apart = _apart(config, rows)
    learned, newest = pick(rows, apart.train), pick(rows, apart.holdout)
    estimator, mitigated = _learned(config, unfitted, learned)
    if config.task == "regression":
        made, interval = _with_interval(config, estimator, learned, newest)
        return TunedModel(made, None, learned, apart, interval=interval)
    first, second = _halves(policy, newest)
    if config.task == "multiclass":
        made, least = _of_classes(config, estimator, first, second)
        return TunedModel(made, None, learned, apart, conformal_least=least)
    threshold, least = policy.threshold, None
    if policy.calibration is not None:
        _require_both_classes(first, "calibration")
        estimator = calibrate(estimator, first.features, first.labels, method=policy.calibration)
    if policy.costs is not None and mitigation.tunes_threshold(config):
        _require_both_classes(second, "costs")
        scores = score(estimator, second.features)
        threshold = cheapest_threshold(scores, second.labels, policy.costs)
    if policy.conformal is not None:
        scores = score(estimator, second.features)
        least = least_probability(scores, second.labels, policy.conformal.coverage)
    if mitigation.is_by_group(config):
        estimator, mitigated = mitigation.by_group(config, estimator, second, threshold)
    return TunedModel(
        estimator, threshold, learned, apart, conformal_least=least, mitigation=mitigated
    )


def _halves(
    policy: EvaluationPolicy, newest: "TrainingRows"
) -> "tuple[TrainingRows, TrainingRows]":
    """The rows that calibrate, and those that everything else is learned from."""
    from tenure.adapters.training_rows import pick

    if policy.calibration is None or not (policy.costs or policy.conformal):
        return newest, newest
    order = np.argsort(newest.order, kind="stable")
    return pick(newest, order[::2]), pick(newest, order[1::2])


def _of_classes(
    config: ModelConfig, estimator: Any, first: "TrainingRows", second: "TrainingRows"
) -> tuple[Any, float | None]:
    """The estimator, calibrated on the first rows, and the least probability by the second.

    Rows of classes that it does not know teach no calibration; no set of labels holds them.
    """
    from tenure.adapters.sklearn_calibration import calibrate
    from tenure.adapters.sklearn_trainer import score_classes
    from tenure.adapters.training_rows import pick

    policy, names = config.evaluation, [str(name) for name in estimator.classes_]
    if policy.calibration is not None:
        known = pick(first, np.flatnonzero(np.isin(first.labels, names)))
        if few := _rare_classes(known, names):
            raise GateInconclusive(
                f"{few}.",
                still_safe="No version was made; whatever serves now keeps serving.",
                next_step="Publish more batches, raise training.window_batches or "
                "evaluation.calibration_fraction, put rare classes together, or take "
                "evaluation.calibration from the model's YAML; then trigger the training again.",
            )
        estimator = calibrate(estimator, known.features, known.labels, method=policy.calibration)
    if policy.conformal is None:
        return estimator, None
    scored = class_scores(*score_classes(estimator, second.features), second.labels)
    return estimator, least_of(scored.true, policy.conformal.coverage)


def calibration_fault(config: ModelConfig, rows: "TrainingRows") -> str:
    """Why no calibration of several classes can be learned from the rows before the holdout.

    Empty where it can, or none is asked for. Raises GateInconclusive like `learned_rows`.
    """
    from tenure.adapters.training_rows import pick

    if config.task != "multiclass" or config.evaluation.calibration is None:
        return ""
    apart = _apart(config, rows)
    names = np.unique(rows.labels[apart.train]).tolist()
    first, _ = _halves(config.evaluation, pick(rows, apart.holdout))
    return _rare_classes(pick(first, np.flatnonzero(np.isin(first.labels, names))), names)


def _rare_classes(rows: "TrainingRows", names: Sequence[str]) -> str:
    counts = {name: int((rows.labels == name).sum()) for name in names}
    few = {name: number for name, number in counts.items() if number < MIN_OF_A_CLASS}
    if not few:
        return ""
    return (
        f"evaluation.calibration has {len(rows.labels):,} calibration rows, and of some classes "
        f"fewer than {MIN_OF_A_CLASS}: {listed(few)}"
    )


def _with_interval(
    config: ModelConfig, estimator: Any, learned: "TrainingRows", newest: "TrainingRows"
) -> tuple[Any, IntervalFacts]:
    """The estimator with its quantiles, and the margin that the calibration rows ask for."""
    from tenure.adapters.interval_models import (
        MAX_LINEAR_ROWS,
        is_linear,
        predict_ends,
        quantile_models,
        together,
    )
    from tenure.adapters.training_rows import evenly

    assert config.evaluation.conformal is not None  # else there are no calibration rows
    coverage = config.evaluation.conformal.coverage
    if quantiles := quantile_models(estimator, coverage):
        rows = evenly(learned, MAX_LINEAR_ROWS) if is_linear(estimator) else learned
        low, high = (_learned(config, one, rows)[0] for one in quantiles)
        estimator = together(estimator, (low, high))
    margin = least_margin(predict_ends(estimator, newest.features), newest.labels, coverage)
    if not math.isfinite(margin):
        raise _too_few(len(newest.labels), coverage)
    return estimator, IntervalFacts(coverage, margin, trivial_interval(newest.labels, coverage))


def _too_few(rows: int, coverage: float) -> GateInconclusive:
    return GateInconclusive(
        f"evaluation.conformal has {rows:,} calibration rows; an interval for {coverage:.0%} of "
        f"the outcomes needs {math.ceil(coverage / (1 - coverage) - 1e-9):,}.",
        still_safe="No version was made; whatever serves now keeps serving.",
        next_step="Publish more batches, raise training.window_batches or "
        "evaluation.calibration_fraction, or take evaluation.conformal from the model's YAML; then "
        "trigger the training again.",
    )


def _learned(
    config: ModelConfig, unfitted: Any, rows: "TrainingRows"
) -> tuple[Any, Mitigated | None]:
    """The estimator, fitted on the rows by their weights; and what was done about gaps."""
    from tenure.adapters.sklearn_trainer import fit as fit_estimator

    if mitigation.is_reduction(config):
        return mitigation.reduced(config, unfitted, rows)
    weights = row_weights(config.training.class_weight, rows.labels, rows.meanings, rows.weights)
    weights, mitigated = mitigation.weighed(config, rows, weights)
    made = fit_estimator(
        unfitted,
        rows.features,
        rows.labels,
        label=config.label.column,
        task=config.task,
        weights=weights,
    )
    return made, mitigated


def learned_rows(config: ModelConfig, rows: "TrainingRows") -> "TrainingRows":
    """Of the rows before the holdout, those that the estimator learns from. Raises like `fit`."""
    from tenure.adapters.training_rows import pick

    if not config.needs_calibration_rows:
        return rows
    return pick(rows, _apart(config, rows).train)


def _apart(config: ModelConfig, rows: "TrainingRows") -> RowSplit:
    """Rows that the estimator learns from, and calibration rows, by the rule of the holdout."""
    fraction = config.evaluation.calibration_fraction
    return split_rows(
        config.training.model_copy(update={"holdout_fraction": fraction}),
        horizon_hours=config.label.horizon_hours,
        labels=rows.labels,
        times=rows.times,
        groups=rows.groups,
    )


def _require_both_classes(rows: "TrainingRows", what: str) -> None:
    positives = int(rows.labels.sum())
    fewest = min(positives, len(rows.labels) - positives)
    if fewest < MIN_OF_A_CLASS:
        raise GateInconclusive(
            f"evaluation.{what} has {len(rows.labels):,} calibration rows, {positives:,} of them "
            f"positive; at least {MIN_OF_A_CLASS} of each class are needed.",
            still_safe="No version was made; whatever serves now keeps serving.",
            next_step="Publish more batches, raise training.window_batches or "
            f"evaluation.calibration_fraction, or take evaluation.{what} from the model's YAML; "
            "then trigger the training again.",
        )
