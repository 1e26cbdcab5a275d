"""Looks at the rows that a version learned from: leaks, overfitting, what features are worth.

Import it inside functions: it loads SQLAlchemy.
"""

from tenure.adapters.sql import training
from tenure.config import ModelConfig, load_dataset
from tenure.installation import Installation
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.training.evaluation import Appraisal
from tenure.usecases.evaluation import importance
from tenure.usecases.training import fitting, tuning
from tenure.vocabulary import RunRef

MAX_LEARNED = 10_000
"""Rows that were learned from and are scored again, evenly over them, to be held against the
holdout."""


def appraise_rows(
    platform: Installation, config: ModelConfig, row: VersionRow, run: RunRef
) -> list[Appraisal]:
    """Read what the training read, split it as the training did, and look at both sides.

    Raises:
        ArtifactRefused: A snapshot or the artifact is not what was published or signed.
        ConfigInvalid: The dataset's columns are no longer those that were trained on.
    """
    from tenure.adapters.single_columns import scan
    from tenure.adapters.skops_artifacts import load_verified
    from tenure.lifecycle.training.evaluation.leaks import judge_leaks

    with platform.database.begin() as connection:
        snapshots = training.snapshots_of(connection, row.id)
    dataset, _ = load_dataset(platform.settings.include, config.dataset)
    rows = fitting.read(platform, config, dataset, snapshots, run=run)
    parts = fitting.split_rows(config, rows)
    key = platform.settings.signing_key.with_suffix(".pub")
    version = importance.FittedVersion(
        load_verified(platform.store, row, key),
        row.facts.threshold,
        parts.train,
        parts.holdout,
        row.facts.class_names,
    )
    overfit = _overfit(config, row, version)
    at = parts.at
    found = scan(
        rows.features,
        rows.labels,
        rows.times,
        before=at.train,
        holdout=at.holdout,
        dates=config.features.dates,
    )
    return [
        judge_leaks(config.evaluation, found),
        overfit,
        importance.appraise_features(_as_trained(config, row), version),
    ]


def _as_trained(config: ModelConfig, row: VersionRow) -> ModelConfig:
    """With the parameters that a search chose."""
    found = row.facts.search
    if found is None:
        return config
    policy = config.training.model_copy(update={"parameters": dict(found.chosen)})
    return config.model_copy(update={"training": policy})


def _overfit(config: ModelConfig, row: VersionRow, version: importance.FittedVersion) -> Appraisal:
    from tenure.adapters.sklearn_trainer import score
    from tenure.adapters.training_rows import evenly
    from tenure.lifecycle.training.evaluation.leaks import judge_overfit
    from tenure.lifecycle.training.evaluation.measuring import measure_answers

    policy, facts = config.evaluation, row.facts
    learned = evenly(tuning.learned_rows(config, version.before), MAX_LEARNED)
    scores = score(version.estimator, learned.features)
    threshold, costs = facts.threshold, policy.error_costs
    measured = measure_answers(
        scores, learned.labels, threshold=threshold, costs=costs, classes=facts.class_names
    )
    metric = policy.gates[0].metric
    return judge_overfit(policy, learned=measured[metric].value, held_out=facts.metrics.get(metric))
