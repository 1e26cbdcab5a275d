"""The evaluation of a trained version on its holdout: KPIs, costs, calibration, comparisons.

Import it inside functions: it loads SQLAlchemy.
"""

from typing import TYPE_CHECKING, Any

from tenure.config import ModelConfig
from tenure.installation import Installation
from tenure.lifecycle.model_version import VersionFacts
from tenure.lifecycle.training import evaluation
from tenure.lifecycle.training.evaluation import Appraisal
from tenure.usecases.evaluation.champion_comparison import compare_with_champion
from tenure.usecases.evaluation.evidence import bound, row_of, trained_facts
from tenure.usecases.evaluation.learned_rows import appraise_rows
from tenure.usecases.training.planning import pinned_config
from tenure.verdicts import Report
from tenure.vocabulary import RunRef, VersionRef

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tenure.adapters.training_rows import ReferenceRows
    from tenure.lifecycle.training.evaluation.metrics import Floats


def evaluation_report(platform: Installation, version: VersionRef, run: RunRef) -> Report:
    """The verdict on the holdout, by the threshold that the version decides with.

    The rows are read again, so that a trainer's word is not taken for what was learned from.
    """
    import numpy as np

    from tenure.adapters.training_rows import read_reference
    from tenure.lifecycle.training.evaluation.measuring import measure_answers

    row = row_of(platform, version)
    config, facts = pinned_config(platform, row), trained_facts(row)
    policy = config.evaluation
    holdout = platform.store.fetch(facts.holdout_key, facts.holdout_digest)
    rows = read_reference(holdout, facts.features.numeric, facts.features.categorical)
    scores, labels = rows.scores, rows.labels
    trivial = np.full(len(labels), facts.trivial_answer)
    threshold, costs, classes = facts.threshold, policy.error_costs, facts.class_names
    if classes:
        trivial = _shares(facts, len(labels))
    report = evaluation.judge(
        policy,
        measure_answers(scores, labels, threshold=threshold, costs=costs, classes=classes),
        subject=version.name,
        rows=len(labels),
        threshold=threshold,
        baseline=measure_answers(
            trivial, labels, threshold=threshold, costs=costs, classes=classes
        ),
        today=platform.clock.now().date(),
        findings=[
            *_of_holdout(config, facts, rows),
            _sliced(config, facts, rows),
            compare_with_champion(platform, config, row, holdout),
            *appraise_rows(platform, config, row, run),
        ],
    )
    return bound(report, row)


def _shares(facts: VersionFacts, rows: int) -> "Floats":
    """What the trivial model says of each row: the share of each class that was learned from."""
    import numpy as np

    counts = np.array([facts.classes[name] for name in facts.class_names], dtype=float)
    return np.tile(counts / counts.sum(), (rows, 1))


def _of_classes(
    config: ModelConfig, facts: VersionFacts, scores: "Floats", labels: "NDArray[Any]"
) -> list[Appraisal]:
    """What a holdout of several classes says besides the KPIs."""
    import numpy as np

    from tenure.lifecycle.training.evaluation.calibration import reliability
    from tenure.lifecycle.training.evaluation.class_comparison import judge_class_uplift
    from tenure.lifecycle.training.evaluation.class_costs import appraise_class_costs
    from tenure.lifecycle.training.evaluation.class_sets import judge_class_sets
    from tenure.lifecycle.training.evaluation.classes import (
        answer_names,
        appraise_classes,
        class_scores,
        spread,
    )

    names, rule = facts.class_names, str(config.serving.fallback_class)
    every = tuple(sorted({*names, rule}))
    always = np.tile(np.array([name == rule for name in every], dtype=float), (len(labels), 1))
    policy, least = config.evaluation, facts.conformal_least
    costs = policy.class_costs
    mine, constant = (
        class_scores(every, spread(one, names, every), labels, answer_names(names, one, costs))
        for one in (scores, _shares(facts, len(labels)))
    )
    by_rule = class_scores(every, always, labels)
    everybody = "most frequent class" if costs is None else "cheapest class"
    constants = {everybody: constant, "declared rule": by_rule}
    found = [
        judge_class_uplift(policy, mine, constants),
        appraise_classes(mine, facts.classes),
        reliability(mine.confidence, mine.is_right, policy.calibration),
    ]
    if costs is not None:
        found.append(appraise_class_costs(mine, constants, costs))
    if policy.conformal is not None and least is not None:
        known = class_scores(names, scores, labels)
        found.append(
            judge_class_sets(policy.conformal, known, least=least, min_rows=policy.min_rows)
        )
    return found


def _of_holdout(config: ModelConfig, facts: VersionFacts, rows: "ReferenceRows") -> list[Appraisal]:
    """What scores and labels of the holdout say besides the KPIs."""
    from tenure.lifecycle.training.evaluation.calibration import reliability
    from tenure.lifecycle.training.evaluation.comparison import judge_uplift
    from tenure.lifecycle.training.evaluation.conformal import judge_sets
    from tenure.lifecycle.training.evaluation.costs import appraise_costs
    from tenure.lifecycle.training.evaluation.error_comparison import judge_error_uplift
    from tenure.lifecycle.training.evaluation.paired import Scored

    policy, rule_score = config.evaluation, config.serving.fallback_score
    scores, labels = rows.scores, rows.labels
    if facts.classes:
        return _of_classes(config, facts, scores, labels)
    if facts.threshold is None:
        median = facts.trivial_answer
        return [
            judge_error_uplift(policy, labels, scores, median=median, rule_score=rule_score),
            *_of_numbers(config, facts, rows),
        ]
    found = [
        judge_uplift(
            config.evaluation,
            labels,
            Scored(scores, facts.threshold),
            base_rate=facts.trivial_answer,
            rule_score=rule_score,
        ),
        reliability(scores, labels, config.evaluation.calibration),
    ]
    if config.evaluation.costs is not None:
        found.append(
            appraise_costs(
                scores,
                labels,
                config.evaluation.costs,
                threshold=facts.threshold,
                rule_score=rule_score,
            )
        )
    if policy.conformal is not None and facts.conformal_least is not None:
        least = facts.conformal_least
        found.append(
            judge_sets(policy.conformal, scores, labels, least=least, min_rows=policy.min_rows)
        )
    return found


def _decided(
    config: ModelConfig, facts: VersionFacts, rows: "ReferenceRows"
) -> "tuple[dict[str, NDArray[Any]], Floats, str]":
    """What is stated of each slice, the loss of each row, and what that is."""
    import numpy as np

    from tenure.lifecycle.training.evaluation.class_costs import class_losses
    from tenure.lifecycle.training.evaluation.classes import answer_names, class_scores

    if facts.threshold is not None:
        decided = rows.scores >= facts.threshold
        means = {"base_rate": rows.labels, "selection_rate": decided}
        return means, (decided != rows.labels).astype(float), "wrong_label_rate"
    if facts.classes:
        names, costs = facts.class_names, config.evaluation.class_costs
        answers = answer_names(names, rows.scores, costs)
        scored = class_scores(names, rows.scores, rows.labels, answers)
        if costs is not None:
            return {}, class_losses(scored, costs), "expected_cost"
        return {}, (~scored.is_right).astype(float), "wrong_label_rate"
    means = {"mean_outcome": rows.labels, "mean_prediction": rows.scores}
    return means, np.abs(rows.scores - rows.labels), "absolute_error"


def _of_numbers(config: ModelConfig, facts: VersionFacts, rows: "ReferenceRows") -> list[Appraisal]:
    """Errors by what was predicted, and whether intervals hold what they promise."""
    from tenure.lifecycle.training.evaluation.prediction_intervals import Interval, judge_intervals
    from tenure.lifecycle.training.evaluation.residuals import appraise_residuals

    policy, stated = config.evaluation, facts.interval
    found = None if rows.interval is None else Interval(*rows.interval)
    residuals = appraise_residuals(rows.labels, rows.scores, found)
    if policy.conformal is None or stated is None or found is None:
        return [residuals]
    judged = judge_intervals(
        policy.conformal,
        rows.labels,
        found,
        margin=stated.margin,
        trivial=stated.trivial,
        protected=rows.protected,
        min_rows=policy.min_rows,
    )
    return [judged, residuals]


def _sliced(config: ModelConfig, facts: VersionFacts, rows: "ReferenceRows") -> Appraisal:
    """For whom it is worse: by cost where costs are declared, else by wrong decisions or errors."""
    from tenure.lifecycle.serving.date_parts import years
    from tenure.lifecycle.training.evaluation.costs import losses
    from tenure.lifecycle.training.evaluation.slices import appraise_slices, cut_numbers, cut_texts

    names, costs = facts.features, config.evaluation.costs
    columns = {name: cut_numbers(rows.features[name].to_numpy()) for name in names.numeric}
    columns |= {name: cut_texts(rows.features[name].to_numpy()) for name in names.sorting}
    columns |= {name: cut_texts(years(rows.features[name].to_numpy())) for name in names.dates}
    columns |= {name: cut_texts(values) for name, values in rows.protected.items()}
    means, loss, name = _decided(config, facts, rows)
    if costs is not None and "selection_rate" in means:
        loss, name = losses(means["selection_rate"], rows.labels, costs), "expected_cost"
    return appraise_slices(
        columns, means, loss, loss_name=name, min_rows=config.bias.min_group_rows
    )
