"""A regression from its YAML to a validated version, on a real PostgreSQL and store."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.adapters.skops_artifacts import load_verified
from tenure.config import load_all
from tenure.errors import ConfigInvalid, GateFailed
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
) -> Any:
    """Two batches with an amount of about 100 + 20 income, of which every tenth is not known."""
    configs = world.platform.settings.configs
    text = MODEL.format(estimator=estimator, mae=mae, gap=gap)
    configs.joinpath("models", "loan_ok.yaml").write_text(text)
    path = configs / "datasets" / "loans.yaml"
    path.write_text(path.read_text().replace("ok: {type: boolean}", "amount: {type: number}"))
    for month in (1, 2):
        rng = np.random.default_rng(month)
        income, sex = rng.normal(size=200), rng.choice(["f", "m"], 200)
        amount = 100 + 20 * income + rng.normal(0, 5, 200) + unfair * (sex == "m")
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
    bias = evidence.bias_report(world.platform, version)
    view = bias.facts["views"]["sex"]  # type: ignore[index]
    errors = holdout["score"].to_numpy() - holdout["label"].to_numpy()
    for group in view["groups"]:
        mask = holdout["g_sex"].to_numpy(zero_copy_only=False) == group["group"]
        means = group["means"]
        assert group["rows"] == mask.sum()
        assert means["mean_error"]["value"] == pytest.approx(errors[mask].mean())
        assert means["mean_absolute_error"]["value"] == pytest.approx(np.abs(errors[mask]).mean())


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
    path.write_text(MODEL.format(estimator="linear_regression", mae=9, gap=9))
    says = "loan_ok@1 is a binary model, and its YAML says task: regression"
    found = check_data(world.platform, load_all(world.platform.settings.include))
    assert any(says in problem.message for problem in found.problems)
    with pytest.raises(ConfigInvalid, match=says):
        world.plan("r2", user="ada")
    path.write_text(binary)
    assert world.plan("r2", user="ada") is not None
