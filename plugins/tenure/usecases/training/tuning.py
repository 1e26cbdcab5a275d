"""Fits the estimator, and on rows that it did not see its calibration and its threshold.

The calibration rows are the newest before the holdout: no decision is tuned on what judges it.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tenure.config import ModelConfig
from tenure.errors import GateInconclusive
from tenure.lifecycle.model_version import SearchFacts, SplitRows
from tenure.lifecycle.training.evaluation.conformal import least_probability
from tenure.lifecycle.training.evaluation.costs import cheapest_threshold
from tenure.lifecycle.training.split import RowSplit, split_rows
from tenure.lifecycle.training.weights import row_weights

if TYPE_CHECKING:
    from tenure.adapters.training_rows import TrainingRows

MIN_OF_A_CLASS = 10
"""Calibration rows of each class that a calibration or a threshold can be learned from."""


@dataclass(frozen=True)
class TunedModel:
    """What came of it.

    Args:
        estimator: Fitted, and calibrated where the YAML asks for it.
        threshold: Scores at or above it decide `positive`; None of a regression.
        learned: The rows that the estimator learned from.
        apart: How the rows before the holdout were split; None where nothing is tuned.
        search: What chose the parameters; None where the YAML states them.
        conformal_least: Probability from which on a label is in a row's set; None without sets.
    """

    estimator: Any
    threshold: float | None
    learned: "TrainingRows"
    apart: RowSplit | None = None
    search: SearchFacts | None = None
    conformal_least: float | None = None

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
    if not policy.needs_calibration_rows:
        made = _learned(config, unfitted, rows)
        return TunedModel(made, config.threshold, rows)
    apart = _apart(config, rows)
    learned, newest = pick(rows, apart.train), pick(rows, apart.holdout)
    estimator = _learned(config, unfitted, learned)
    first, second = newest, newest
    if policy.calibration is not None and (policy.costs or policy.conformal):
        order = np.argsort(newest.order, kind="stable")
        first, second = pick(newest, order[::2]), pick(newest, order[1::2])
    threshold, least = policy.threshold, None
    if policy.calibration is not None:
        _require_both_classes(first, "calibration")
        estimator = calibrate(estimator, first.features, first.labels, method=policy.calibration)
    if policy.costs is not None:
        _require_both_classes(second, "costs")
        scores = score(estimator, second.features)
        threshold = cheapest_threshold(scores, second.labels, policy.costs)
    if policy.conformal is not None:
        scores = score(estimator, second.features)
        least = least_probability(scores, second.labels, policy.conformal.coverage)
    return TunedModel(estimator, threshold, learned, apart, conformal_least=least)


def _learned(config: ModelConfig, unfitted: Any, rows: "TrainingRows") -> Any:
    """The estimator, fitted on the rows by their weights."""
    from tenure.adapters.sklearn_trainer import fit as fit_estimator

    return fit_estimator(
        unfitted,
        rows.features,
        rows.labels,
        label=config.label.column,
        task=config.task,
        weights=row_weights(config.training.class_weight, rows.labels, rows.meanings, rows.weights),
    )


def learned_rows(config: ModelConfig, rows: "TrainingRows") -> "TrainingRows":
    """Of the rows before the holdout, those that the estimator learns from. Raises like `fit`."""
    from tenure.adapters.training_rows import pick

    if not config.evaluation.needs_calibration_rows:
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
