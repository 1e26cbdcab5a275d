"""The evaluation of a trained version on its holdout: KPIs, costs, calibration, comparisons.

Import it inside functions: it loads SQLAlchemy.
"""

from pathlib import Path
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

    from tenure.lifecycle.training.evaluation.metrics import Floats


def evaluation_report(platform: Installation, version: VersionRef, run: RunRef) -> Report:
    """The verdict on the holdout, by the threshold that the version decides with.

    The rows are read again, so that a trainer's word is not taken for what was learned from.
    """
    import numpy as np

    from tenure.adapters.training_rows import read_scores
    from tenure.lifecycle.training.evaluation.measuring import measure_answers

    row = row_of(platform, version)
    config, facts = pinned_config(platform, row), trained_facts(row)
    policy = config.evaluation
    holdout = platform.store.fetch(facts.holdout_key, facts.holdout_digest)
    scores, labels = read_scores(holdout)
    trivial = np.full(len(labels), facts.trivial_answer)
    threshold, costs = facts.threshold, policy.costs
    report = evaluation.judge(
        policy,
        measure_answers(scores, labels, threshold=threshold, costs=costs),
        subject=version.name,
        rows=len(labels),
        threshold=threshold,
        baseline=measure_answers(trivial, labels, threshold=threshold, costs=costs),
        today=platform.clock.now().date(),
        findings=[
            *_of_holdout(config, facts, scores, labels),
            _sliced(config, facts, holdout),
            compare_with_champion(platform, config, row, holdout),
            *appraise_rows(platform, config, row, run),
        ],
    )
    return bound(report, row)


def _of_holdout(
    config: ModelConfig, facts: VersionFacts, scores: "Floats", labels: "NDArray[Any]"
) -> list[Appraisal]:
    """What scores and labels of the holdout say besides the KPIs."""
    from tenure.lifecycle.training.evaluation.calibration import reliability
    from tenure.lifecycle.training.evaluation.comparison import judge_uplift
    from tenure.lifecycle.training.evaluation.conformal import judge_sets
    from tenure.lifecycle.training.evaluation.costs import appraise_costs
    from tenure.lifecycle.training.evaluation.error_comparison import judge_error_uplift
    from tenure.lifecycle.training.evaluation.paired import Scored

    policy, rule_score = config.evaluation, config.serving.fallback_score
    if facts.threshold is None:
        median = facts.trivial_answer
        return [judge_error_uplift(policy, labels, scores, median=median, rule_score=rule_score)]
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


def _sliced(config: ModelConfig, facts: VersionFacts, holdout: Path) -> Appraisal:
    """For whom it is worse: by cost where costs are declared, else by wrong decisions."""
    from tenure.adapters.training_rows import read_reference
    from tenure.lifecycle.training.evaluation.costs import losses
    from tenure.lifecycle.training.evaluation.slices import appraise_slices, cut_numbers, cut_texts

    if facts.threshold is None:
        why = "for whom a regression is worse is only looked at by its bias audit yet"
        return Appraisal(facts={"slices_not_judged": why})
    names, costs = facts.features, config.evaluation.costs
    rows = read_reference(holdout, names.numeric, names.categorical)
    columns = {name: cut_numbers(rows.features[name].to_numpy()) for name in names.numeric}
    columns |= {name: cut_texts(rows.features[name].to_numpy()) for name in names.categorical}
    columns |= {name: cut_texts(values) for name, values in rows.protected.items()}
    decided = rows.scores >= facts.threshold
    wrong = (decided != rows.labels).astype(float)
    return appraise_slices(
        columns,
        rows.labels,
        decided,
        wrong if costs is None else losses(decided, rows.labels, costs),
        loss_name="wrong_label_rate" if costs is None else "expected_cost",
        min_rows=config.bias.min_group_rows,
    )
