"""Each method from its YAML to an artifact: deterministic, saved, beside doing nothing."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import skops.io

from tenure.adapters.sklearn_trainer import score
from tenure.adapters.skops_artifacts import TRUSTED
from tenure.adapters.training_rows import read_reference
from tenure.config import ModelConfig, load_all, parse_model
from tenure.config.references import broken
from tenure.errors import ConfigInvalid
from tenure.usecases.evaluation.evidence import audit_scored
from tenure.usecases.evaluation.mitigation_effect import UNMITIGATED, with_trade_off
from tenure.usecases.training.fitting import FittedModel, columns_of, fit_files

DECISION = "decision: {why: a test of it, by: ada, until: 2099-01-01}"
METHODS = {
    "reweighing": "{method: reweighing, attributes: [sex]}",
    "exponentiated_gradient": "{method: exponentiated_gradient, attributes: [sex], "
    "constraint: selection_rate}",
    "group_thresholds": "{method: group_thresholds, attributes: [sex], constraint: selection_rate, "
    f"{DECISION}}}",
}
MODEL = """
name: loan_ok
purpose: tests
owner: ada
dataset: loans
label: {column: ok, horizon_hours: 1}
subject_column: branch
features: {numeric: [income], categorical: [sex]}
training: {estimator: logistic_regression, gap_hours: 1, seed: 7}
evaluation:
  costs: {false_positive: 2, false_negative: 1}
  gates: [{metric: roc_auc, minimum: 0.55}]
bias:
  attributes: [sex]
  max_difference: 0.2
  min_group_rows: 20
  bootstrap_draws: 100
  mitigation: METHOD
canary: {metrics: [{event: error, margin: 1.5}]}
"""


def config(method: str, *changes: tuple[str, str]) -> ModelConfig:
    text = MODEL.replace("METHOD", METHODS[method])
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_model(text)


def rows(path: Path) -> Path:
    """Men earn more labels, and both sex and income know it."""
    rng = np.random.default_rng(1)
    sex = rng.choice(["f", "m"], 1200)
    income = rng.normal(size=1200) + 0.6 * (sex == "m")
    at = pa.array([datetime(2013, 1, 1, tzinfo=UTC) + timedelta(hours=i) for i in range(1200)])
    ok = income + 0.5 * (sex == "m") + rng.normal(size=1200) > 0.4
    columns = {"at": at.cast(pa.timestamp("us", "UTC")), "income": income, "sex": sex, "ok": ok}
    pq.write_table(pa.table(columns), path)
    return path


def fitted(model: ModelConfig, path: Path) -> FittedModel:
    wanted = columns_of(model, time="at", names={})
    return fit_files(model, wanted, [rows(path)], name="loan_ok@1", choice=None)


def gap(holdout: Any, column: str) -> float:
    """Of the selection rates."""
    decided = holdout[column].to_numpy(zero_copy_only=False)
    sex = holdout["g_sex"].to_numpy(zero_copy_only=False)
    return abs(float(decided[sex == "m"].mean() - decided[sex == "f"].mean()))


@pytest.mark.parametrize("method", METHODS)
def test_the_gap_is_smaller_and_both_models_stand_in_the_report(
    tmp_path: Path, method: str
) -> None:
    model = config(method)
    made = fitted(model, tmp_path / "rows.parquet")
    facts: Any = made.facts
    assert (facts.mitigation.method, facts.mitigation.attributes) == (method, ("sex",))
    path = tmp_path / "holdout.parquet"
    path.write_bytes(made.reference)
    holdout = pq.read_table(path)
    before, after = gap(holdout, "unmitigated_decision"), gap(holdout, "decision")
    assert after < before - 0.05

    bias: Any = model.bias
    asked: Any = {"subject": "loan_ok@1", "today": date(2026, 1, 1)}
    audits = [audit_scored(model, bias, path, prefix=p, **asked) for p in ("", UNMITIGATED)]
    report = with_trade_off(model, facts, path, audits[0], audits[1])
    assert report.verdict is audits[0].verdict
    found: Any = report.facts["mitigation"]
    for side, of_side in (("before", before), ("after", after)):
        [judged] = found[side]["comparisons"]
        assert judged["difference"] == pytest.approx(of_side)
    costs = {one["metric"]: one for one in found["costs"]}
    label = holdout["label"].to_numpy(zero_copy_only=False)
    for side, column in (("before", "unmitigated_decision"), ("after", "decision")):
        decided = holdout[column].to_numpy(zero_copy_only=False)
        assert costs["accuracy"][side] == pytest.approx((decided == label).mean())
        money = (2 * (decided & ~label) + (~decided & label)).mean()
        assert costs["expected_cost"][side] == pytest.approx(money)
    assert len(costs["expected_cost"]["interval"]) == 2
    said = f"{method} of sex: sex selection_rate difference {before:.4f} before and {after:.4f}"
    assert said in report.summary
    [shown] = [check for check in report.checks if check.name.startswith("unmitigated ")]
    assert shown.value == pytest.approx(before)


@pytest.mark.parametrize(
    ("method", "estimator"),
    [(method, "logistic_regression") for method in METHODS]
    + [pytest.param("exponentiated_gradient", "additive_boosting", marks=pytest.mark.exhaustive)],
)
def test_what_is_served_is_one_file_that_answers_alike(
    tmp_path: Path, method: str, estimator: str
) -> None:
    parameters = ", parameters: {max_iter: 5}" if "boosting" in estimator else ""
    model = config(method, ("logistic_regression", f"{estimator}{parameters}"))
    one, other = (fitted(model, tmp_path / "rows.parquet") for _ in range(2))
    assert (one.artifact, one.reference) == (other.artifact, other.reference)
    served = skops.io.loads(one.artifact, trusted=list(TRUSTED))
    path = tmp_path / "holdout.parquet"
    path.write_bytes(one.reference)
    held_out = read_reference(path, model.features.numeric, model.features.categorical)
    for _ in range(2):
        assert (score(served, held_out.features) == held_out.scores).all()


@pytest.mark.parametrize(
    ("method", "old", "new", "says"),
    [
        ("group_thresholds", "categorical: [sex]", "categorical: []", "needs sex in every request"),
        ("exponentiated_gradient", "seed: 7", "class_weight: balanced", "weighs rows itself"),
        (
            "exponentiated_gradient",
            "costs: {false_positive: 2, false_negative: 1}",
            "threshold: 0.4",
            "decides at 0.5",
        ),
        ("exponentiated_gradient", "  gates", "  calibration: sigmoid\n  gates", "decide at 0.5"),
        ("reweighing", "attributes: [sex]}", "attributes: [race]}", "race, which is not in"),
        (
            "group_thresholds",
            "  mitigation",
            "  edges: {sex: [1]}\n  mitigation",
            "group_thresholds takes no bands",
        ),
        ("group_thresholds", "  gates", "  conformal: {}\n  gates", "sets of labels were learned"),
    ],
)
def test_what_does_not_fit_is_refused(method: str, old: str, new: str, says: str) -> None:
    with pytest.raises(ConfigInvalid, match=says):
        config(method, (old, new))


@pytest.mark.service
def test_thresholds_by_group_end_with_their_decision(world: Any) -> None:
    include = world.platform.settings.include
    path = include / "configs" / "models" / "loan_ok.yaml"
    path.write_text(MODEL.replace("METHOD", METHODS["group_thresholds"]))
    for day, ended in ((date(2099, 1, 1), False), (date(2099, 1, 2), True)):
        said = " ".join(problem.message for problem in broken(include, load_all(include), day))
        assert ("the decision of ada on group_thresholds ended on 2099-01-01" in said) is ended
