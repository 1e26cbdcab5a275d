"""A regression from its YAML to a validated version, on a real PostgreSQL and store."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tenure.adapters.skops_artifacts import load_verified
from tenure.cli import app
from tenure.config import load_all
from tenure.errors import ConfigInvalid, GateFailed, GateInconclusive
from tenure.usecases.evaluation import evidence
from tenure.usecases.evaluation.appraisal import evaluation_report
from tenure.usecases.training.data_check import check_data
from tenure.vocabulary import State

pytestmark = pytest.mark.service

MODEL = """
name: loan_ok
purpose: tests
owner: ada
dataset: loans
task: regression
label: {{column: amount, horizon_hours: 1}}
subject_column: branch
features: {{numeric: [income], categorical: [branch]}}
training: {{estimator: {estimator}, window_batches: 2, gap_hours: 1, seed: 7}}
evaluation:
  min_rows: 50
  {conformal}
  gates: [{{metric: mae, maximum: {mae}}}, {{metric: r2, minimum: 0.5}}]
bias: {{attributes: [sex], metric: mean_error, max_difference: {gap}, min_group_rows: 20}}
serving: {{fallback_score: 100}}
canary: {{metrics: [{{event: error, margin: 1.5}}, {{event: absolute_error, margin: 1.2}}]}}
monitoring: {{metric: mae}}
"""


def prepared(
    world: Any,
    *,
    estimator: str = "hist_gradient_boosting",
    mae: float = 10.0,
    gap: float = 4.0,
    unfair: float = 0.0,
    label: Any = None,
    conformal: str = "",
    noise: float = 5.0,
) -> Any:
    """Two batches with an amount of about 100 + 20 income, of which every tenth is not known."""
    configs = world.platform.settings.configs
    text = MODEL.format(estimator=estimator, mae=mae, gap=gap, conformal=conformal)
    configs.joinpath("models", "loan_ok.yaml").write_text(text)
    path = configs / "datasets" / "loans.yaml"
    path.write_text(path.read_text().replace("ok: {type: boolean}", "amount: {type: number}"))
    for month in (1, 2):
        rng = np.random.default_rng(month)
        income, sex = rng.normal(size=200), rng.choice(["f", "m"], 200)
        amount = 100 + 20 * income + rng.normal(0, noise, 200) + unfair * (sex == "m")
        values = [None if i % 10 == 0 else float(v) for i, v in enumerate(amount)]
        world.publish(month, content=_file(month, income, sex, label or values))
    world.request()
    return world


def _file(month: int, income: Any, sex: Any, amount: Any) -> bytes:
    first = datetime(2013, month, 1, tzinfo=UTC)
    at = pa.array([first + timedelta(hours=i) for i in range(len(income))])
    table = pa.table(
        {
            "at": at.cast(pa.timestamp("us", "UTC")),
            "income": income,
            "branch": np.random.default_rng(month).choice(["n", "s"], len(income)),
            "sex": sex,
            "amount": pa.array(amount),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("estimator", ["hist_gradient_boosting", "linear_regression"])
def test_it_becomes_a_validated_version(world: Any, estimator: str) -> None:
    prepared(world, estimator=estimator)
    found = check_data(world.platform, load_all(world.platform.settings.include))
    assert (found.problems, found.checked) == ((), ("loan_ok",))
    world.life()
    (version,) = world.versions()
    assert version.state is State.VALIDATED
    facts = world.row().facts
    assert (facts.task, facts.threshold) == ("regression", None)
    assert facts.trivial_answer == pytest.approx(100, abs=5)
    assert facts.rows.unlabelled == 40
    assert set(facts.metrics) == {"mae", "rmse", "mean_error", "median_absolute_error", "r2"}
    key = world.platform.settings.signing_key.with_suffix(".pub")
    assert not hasattr(load_verified(world.platform.store, world.row(), key), "predict_proba")
    holdout = pq.read_table(world.platform.store.fetch(facts.holdout_key, facts.holdout_digest))
    assert holdout["decision"].null_count == holdout.num_rows
    assert holdout.schema.field("label").type == pa.float64()

    report = evaluation_report(world.platform, version, world.run("r1", "evaluate"))
    assert report.facts["threshold"] is None
    trivial, mine = report.facts["baseline"], report.facts["metrics"]
    assert trivial["mae"] > 2 * mine["mae"]  # type: ignore[index]
    bias = evidence.bias_report(world.platform, version, world.run("r1", "audit"))
    stated: Any = bias.facts["groups"]
    errors = holdout["score"].to_numpy() - holdout["label"].to_numpy()
    assert len(stated) == 2
    for group in stated:
        mask = holdout["g_sex"].to_numpy(zero_copy_only=False) == group["value"][0]
        assert group["n"] == mask.sum()
        assert group["mean_error"] == pytest.approx(errors[mask].mean())
        assert group["mean_absolute_error"] == pytest.approx(np.abs(errors[mask]).mean())


def test_its_audit_is_shown_by_the_command(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(world)
    world.plan()
    world.train()
    settings = world.platform.settings
    monkeypatch.setenv("TENURE_HOME", str(settings.home))
    monkeypatch.setenv("TENURE_INCLUDE", str(settings.include))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_STORE_URL", settings.store_url)
    told = json.loads(CliRunner().invoke(app, ["bias-audit", "loan_ok@1", "--json"]).stdout)
    assert [one["value"] for one in told["groups"]] == [["f"], ["m"]]
    assert told["overall"]["mean_absolute_error"] == pytest.approx(world.row().facts.metrics["mae"])
    assert "sex=f" in CliRunner().invoke(app, ["bias-audit", "loan_ok@1"]).stdout


@pytest.mark.parametrize("estimator", ["hist_gradient_boosting", "random_forest"])
def test_it_answers_with_intervals(world: Any, estimator: str) -> None:
    prepared(world, estimator=estimator, conformal="conformal: {tolerance: 0.1}", mae=15, gap=30)
    world.life()
    facts = world.row().facts
    assert facts.rows.calibration > 0
    assert facts.interval.coverage == 0.9
    holdout = pq.read_table(world.platform.store.fetch(facts.holdout_key, facts.holdout_digest))
    score, lower, upper, label = (
        holdout[name].to_numpy() for name in ("score", "lower", "upper", "label")
    )
    assert (lower <= score).all()
    assert (score <= upper).all()
    report = evaluation_report(world.platform, world.versions()[0], world.run("r1", "evaluate"))
    stated: Any = report.facts["conformal"]
    assert stated["covered"] == ((lower <= label) & (label <= upper)).mean()
    assert stated["mean_width"] == pytest.approx((upper - lower).mean())
    assert stated["width_ratio"] < 0.6
    assert [group["value"] for group in stated["groups"]] == ["f", "m"]
    assert any(check.rule == "coverage" for check in report.checks)
    bins: Any = report.facts["residuals"]
    assert sum(one["rows"] for one in bins) == len(label)


def test_leaks_slices_and_the_worth_of_features_are_looked_at(world: Any) -> None:
    prepared(world)
    world.life()
    report = evaluation_report(world.platform, world.versions()[0], world.run("r1", "evaluate"))
    leaks, slices, worth = (report.facts[name] for name in ("leaks", "slices", "importance"))
    assert leaks["measure"] == "r2"  # type: ignore[index]
    assert 0.8 < leaks["alone"]["income"] < 0.95  # type: ignore[index]
    assert slices["loss"] == "absolute_error"  # type: ignore[index]
    assert {"mean_outcome", "mean_prediction", "loss"} < set(slices["by_column"]["sex"][0])  # type: ignore[index]
    best: Any = worth["features"][0]  # type: ignore[index]
    assert (best["feature"], best["metric"]) == ("income", "mae")
    assert best["interval"][0] > 5


def test_a_number_that_a_feature_knows_is_refused(world: Any) -> None:
    prepared(world, noise=0.01)
    found = check_data(world.platform, load_all(world.platform.settings.include))
    assert "leak:target: income gives the label away" in found.problems[0].message
    world.plan()
    world.train()
    with pytest.raises(GateFailed, match="leak:target income gives the label away"):
        world.evaluate()


def test_parameters_are_searched_for_by_mean_absolute_error(world: Any) -> None:
    search = "search: {parameters: {alpha: [0.1, 1000000.0]}, candidates: 2, folds: 2}"
    prepared(world, estimator=f"linear_regression, {search}, parameters: {{alpha: 1000000.0}}")
    found = check_data(world.platform, load_all(world.platform.settings.include))
    assert found.problems == ()
    world.plan()
    world.train()
    facts = world.row().facts.search
    assert facts.chosen == {"alpha": 0.1}
    assert [trial.parameters["alpha"] for trial in facts.trials] == [1000000.0, 0.1]
    assert facts.trials[0].loss > 10 > facts.trials[1].loss


def test_too_few_rows_for_an_interval_are_said(world: Any) -> None:
    prepared(world, conformal="conformal: {coverage: 0.99}\n  calibration_fraction: 0.1")
    world.plan()
    with pytest.raises(GateInconclusive) as caught:
        world.train()
    assert "an interval for 99% of the outcomes needs 99." in caught.value.what


@pytest.mark.parametrize(
    ("how", "step", "says"),
    [
        ({"mae": 1.0}, "evaluate", "mae "),
        ({"unfair": 30.0, "mae": 50.0}, "audit", "sex mean_error difference"),
    ],
)
def test_a_gate_rejects(world: Any, how: dict[str, Any], step: str, says: str) -> None:
    prepared(world, **how)
    world.plan()
    world.train()
    if step == "audit":
        world.evaluate()
    with pytest.raises(GateFailed) as caught:
        getattr(world, step)()
    assert says in caught.value.what
    assert world.versions()[0].state is State.REJECTED


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ([5.0] * 200, "amount has one value only: it is 5 in all"),
        ([True, False] * 100, "amount is boolean, and the label of a regression is a number"),
        ([*([1.0, 2.0] * 99), 3.0, float("inf")], "amount is an infinite number in 1 of 200 rows"),
        (["1", "x"] * 100, "amount is string and cannot be read as a number"),
    ],
)
def test_what_is_no_label_stops_the_training(world: Any, label: list[Any], says: str) -> None:
    prepared(world, label=label)
    found = check_data(world.platform, load_all(world.platform.settings.include))
    assert says in found.problems[0].message
    world.plan()
    with pytest.raises(ConfigInvalid) as caught:
        world.train()
    assert says in caught.value.what


def test_a_model_keeps_its_task(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()
    world.train()
    path = world.platform.settings.configs / "models" / "loan_ok.yaml"
    binary = path.read_text()
    text = MODEL.format(estimator="linear_regression", mae=9, gap=9, conformal="")
    path.write_text(text)
    says = "loan_ok@1 is a binary model, and its YAML says task: regression"
    found = check_data(world.platform, load_all(world.platform.settings.include))
    assert any(says in problem.message for problem in found.problems)
    with pytest.raises(ConfigInvalid, match=says):
        world.plan("r2", user="ada")
    path.write_text(binary)
    assert world.plan("r2", user="ada") is not None
