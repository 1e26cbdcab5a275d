"""A multiclass model from its YAML to a validated version, on a real PostgreSQL and store."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import f1_score, recall_score

from tenure.adapters.skops_artifacts import load_verified
from tenure.config import load_all
from tenure.errors import ConfigInvalid, GateInconclusive, TenureError, TextRefused
from tenure.lifecycle.class_answers import answered_class
from tenure.lifecycle.decisions.replay import ReplayVerdict
from tenure.lifecycle.promotion.approval import Choice
from tenure.usecases.decisions import reviews
from tenure.usecases.decisions.batch_scoring import finish, plan, score_shard
from tenure.usecases.decisions.replay import replay
from tenure.usecases.evaluation import evidence
from tenure.usecases.evaluation.appraisal import evaluation_report
from tenure.usecases.evaluation.reproduce import reproduce
from tenure.usecases.promotion import approval, traffic
from tenure.usecases.training.data_check import check_data
from tenure.verdicts import Verdict
from tenure.vocabulary import RunRef, State

pytestmark = pytest.mark.service

MODEL = """
name: loan_ok
purpose: tests
owner: ada
dataset: loans
task: multiclass
label: {{column: grade, horizon_hours: 1}}
subject_column: branch
features: {{numeric: [income], categorical: [branch]}}
training: {{estimator: {estimator}, window_batches: 2, gap_hours: 1, seed: 7,
  class_weight: balanced{training}}}
evaluation:
  min_rows: 50{evaluation}
  gates: [{{metric: balanced_accuracy, minimum: {least}}}, {{metric: log_loss, maximum: 2}}]
bias: {{attributes: [sex], {bias}, max_difference: {gap}, min_group_rows: 20,
  bootstrap_draws: 100}}
serving: {{fallback_class: mid, review_below_confidence: 0.5}}
canary: {{metrics: [{{event: error, margin: 1.5}}, {{event: wrong_label, margin: 1.2}}]}}
monitoring: {{metric: macro_f1}}
"""


def prepared(
    world: Any,
    *,
    estimator: str = "hist_gradient_boosting",
    least: float = 0.6,
    gap: float = 0.5,
    bias: str = "metric: accuracy",
    grade: Any = None,
    late: str = "high",
    training: str = "",
    evaluation: str = "",
) -> Any:
    """Two batches whose grade follows the income; every tenth is not known.

    Args:
        grade: Makes a grade from an income.
        late: The grade of the last three rows, which are held out.
        training: More of `training` in the YAML.
        evaluation: More of `evaluation`.
    """
    configs = world.platform.settings.configs
    text = MODEL.format(
        estimator=estimator,
        least=least,
        gap=gap,
        bias=bias,
        training=training,
        evaluation=evaluation and f"\n  {evaluation}",
    )
    configs.joinpath("models", "loan_ok.yaml").write_text(text)
    path = configs / "datasets" / "loans.yaml"
    path.write_text(path.read_text().replace("ok: {type: boolean}", "grade: {type: string}"))
    for month in (1, 2):
        rng = np.random.default_rng(month)
        income, sex = rng.normal(size=300), rng.choice(["f", "m"], 300)
        noisy = income + rng.normal(0, 0.5, 300)
        grades = [None if i % 10 == 0 else (grade or _grade)(v) for i, v in enumerate(noisy)]
        grades[-3:] = [late] * 3 if month == 2 else grades[-3:]
        world.publish(month, 300, content=_file(month, income, sex, grades))
    world.request()
    return world


def _grade(income: float) -> str:
    return "low" if income < -0.5 else "mid" if income < 0.5 else "high"


def _file(month: int, income: Any, sex: Any, grade: Any) -> bytes:
    first = datetime(2013, month, 1, tzinfo=UTC)
    at = pa.array([first + timedelta(hours=i) for i in range(len(income))])
    table = pa.table(
        {
            "at": at.cast(pa.timestamp("us", "UTC")),
            "income": income,
            "branch": np.random.default_rng(month).choice(["n", "s"], len(income)),
            "sex": sex,
            "grade": pa.array(grade, pa.string()),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("estimator", ["hist_gradient_boosting", "logistic_regression"])
def test_it_becomes_a_validated_version(world: Any, estimator: str) -> None:
    prepared(world, estimator=estimator, late="superb")
    found = check_data(world.platform, load_all(world.platform.settings.include))
    assert (found.problems, found.checked) == ((), ("loan_ok",))
    world.life()
    (version,) = world.versions()
    assert version.state is State.VALIDATED
    facts = world.row().facts
    assert (facts.task, facts.threshold) == ("multiclass", None)
    assert facts.class_names == ("high", "low", "mid")
    assert facts.rows.unlabelled == 60
    assert set(facts.metrics) == {
        "accuracy", "wrong_label_rate", "balanced_accuracy", "macro_f1", "log_loss", "brier", "ece"
    }  # fmt: skip
    key = world.platform.settings.signing_key.with_suffix(".pub")
    estimator_again = load_verified(world.platform.store, world.row(), key)
    assert tuple(estimator_again.classes_) == facts.class_names
    holdout = pq.read_table(world.platform.store.fetch(facts.holdout_key, facts.holdout_digest))
    assert holdout["decision"].null_count == holdout.num_rows
    answers, labels = (holdout[name].to_pylist() for name in ("answer", "label"))
    known = list(facts.class_names)
    recall = recall_score(labels, answers, labels=known, average="macro")
    assert facts.metrics["balanced_accuracy"] == pytest.approx(recall)
    f1 = f1_score(labels, answers, labels=known, average="macro")
    assert facts.metrics["macro_f1"] == pytest.approx(f1)

    report = evaluation_report(world.platform, version, world.run("r1", "evaluate"))
    (unseen,) = (check for check in report.checks if check.rule == "unseen classes")
    assert unseen.value == labels.count("superb")
    assert "superb (3 rows)" in unseen.observed
    trivial, mine = report.facts["baseline"], report.facts["metrics"]
    assert trivial["balanced_accuracy"] < mine["balanced_accuracy"]  # type: ignore[index]
    by_class = {one["class"]: one for one in report.facts["classes"]}  # type: ignore[union-attr,index]
    assert by_class["superb"]["recall"] == 0.0
    assert sum(one["rows"] for one in by_class.values()) == holdout.num_rows

    assert report.facts["importance"]["features"][0]["feature"] == "income"  # type: ignore[index]
    assert report.facts["leaks"]["alone"]["income"] > 0.85  # type: ignore[index]
    assert report.facts["slices"]["loss"] == "wrong_label_rate"  # type: ignore[index]

    bias = evidence.bias_report(world.platform, version, world.run("r1", "audit"))
    for group in bias.facts["groups"]:  # type: ignore[attr-defined]
        rows = [
            (answer, label)
            for answer, label, sex in zip(
                answers, labels, holdout["g_sex"].to_pylist(), strict=True
            )
            if [sex] == group["value"]
        ]
        assert group["n"] == len(rows)
        assert group["accuracy"] == pytest.approx(np.mean([a == b for a, b in rows]))


@pytest.mark.parametrize(
    ("how", "step", "says"),
    [
        ({"least": 0.999}, "evaluate", "kpi:balanced_accuracy"),
        ({"bias": "metric: selection_rate", "gap": 0.0001}, "audit", "each class against the rest"),
    ],
)
def test_gates_refuse_by_their_numbers(
    world: Any, how: dict[str, Any], step: str, says: str
) -> None:
    prepared(world, **how)
    world.plan()
    world.train()
    if step == "audit":
        world.evaluate()
    with pytest.raises(TenureError) as caught:
        getattr(world, step)()
    assert says in caught.value.what


def test_a_class_with_few_calibration_rows_is_named(world: Any) -> None:
    prepared(
        world,
        grade=lambda v: "top" if v > 1.7 else _grade(v),
        evaluation="calibration: isotonic",
    )
    found = check_data(world.platform, load_all(world.platform.settings.include))
    assert any("fewer than 10: top (" in problem.message for problem in found.problems)
    world.plan()
    with pytest.raises(GateInconclusive, match=r"fewer than 10: top \(\d rows?\)"):
        world.train()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"grade": lambda v: "low" if v < 0 else "mid"}, "grade has two classes only (low ("),
        (
            {"grade": lambda v: "odd" if v > 2.3 else _grade(v)},
            "grade has classes with fewer than 10 rows to learn from: odd (",
        ),
        (
            {"grade": lambda v: _grade(v).replace("mid", "medium")},
            "serving.fallback_class names 'mid', which is no class of the ",
        ),
    ],
)
def test_check_and_training_refuse_in_the_same_words(
    world: Any, how: dict[str, Any], says: str
) -> None:
    prepared(world, late="low", **how)
    found = check_data(world.platform, load_all(world.platform.settings.include))
    assert any(says in problem.message for problem in found.problems)
    world.plan()
    with pytest.raises(ConfigInvalid) as caught:
        world.train()
    assert says in caught.value.what


def test_a_champion_scores_batches_by_its_costs_and_both_replay(world: Any) -> None:
    prepared(world, evaluation="class_costs: {other: 1, wrong: {high: {mid: 9}}}")
    world.life()
    facts = world.row().facts
    assert facts.class_costs == ((0, 1, 9), (1, 0, 1), (1, 1, 0))
    held = pq.read_table(world.platform.store.fetch(facts.holdout_key, facts.holdout_digest))
    said = [answered_class(p, facts.class_costs) for p in held["probabilities"].to_pylist()]
    assert held["answer"].to_pylist() == [facts.class_names[place] for place in said]
    first = evidence.stored(world.platform, world.row().evaluation_report)
    assert first is not None
    costs: Any = first.facts["class_costs"]
    assert costs["chosen"]["cost"] < costs["most_probable"]["cost"]
    assert facts.metrics["expected_cost"] == pytest.approx(costs["chosen"]["cost"] / 1000)
    assert first.facts["slices"]["loss"] == "expected_cost"  # type: ignore[index]
    assert "cheapest class" in first.facts["uplift"]  # type: ignore[operator]
    (version,) = world.versions()
    asked = approval.ask(world.platform, version)
    assert asked is not None
    approval.answer(
        world.platform,
        (version.id, asked.artifact, asked.evidence),
        user="grace",
        choice=Choice.APPROVE,
        run=world.run(task="review"),
    )
    traffic.promote_first(world.platform, version.id, actor="test")
    scoring = RunRef("loan_ok__batch_score", "b1", "score", user="olga")
    plan(world.platform, "loan_ok", scoring, snapshot="2013-02", shard_rows=1000)
    answer = score_shard(world.platform, "loan_ok", scoring, 0)
    done = finish(world.platform, "loan_ok", scoring)
    table = pq.read_table(io.BytesIO(world.platform.store.get(answer.scores)))
    assert (done.rows, set(table["answer"].to_pylist())) == (300, {"high", "low", "mid"})
    assert min(table["score"].to_pylist()) < 1 / 3  # some are answered high to be safe
    assert table["decision"].null_count == 300
    unsure = [one for one in table["score"].to_pylist() if one < 0.5]
    waiting = reviews.listed(world.platform, limit=300)
    assert len(waiting) == len(unsure) > 0
    one = waiting[0]
    assert (one.decision, one.predicted in facts.class_names) == (None, True)
    assert one.confidence == one.score
    assert reviews.known_classes(world.platform, one) == facts.class_names
    world.platform.__dict__["config"] = type(world.platform.config)(roles={"operator": ("olga",)})
    reviews.claim(world.platform, one.decision_id, user="olga")
    for said in (True, "superb"):
        with pytest.raises(TextRefused, match="answers classes"):
            reviews.answer(world.platform, one.decision_id, user="olga", decision=said)
    done = reviews.answer(world.platform, one.decision_id, user="olga", decision="low")
    assert (done.state, done.answer, done.answer_class) == ("answered", None, "low")
    ids = table["decision_id"].to_pylist()[:3]
    found = replay(world.platform, ids)
    assert [one.found for one in found] == [ReplayVerdict.IDENTICAL] * 3, found

    world.request()
    world.plan("r2")
    world.train("r2")
    report = evaluation_report(world.platform, world.versions()[-1], world.run("r2", "evaluate"))
    champion = report.facts["champion"]
    assert (champion["name"], champion["rows"] > 0) == ("loan_ok@1", True)  # type: ignore[index]
    assert champion["differences"][-1]["metric"] == "expected_cost"  # type: ignore[index]


@pytest.mark.exhaustive
def test_a_version_that_is_searched_calibrated_and_gives_sets_is_made_again(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(
        world,
        grade=lambda v: "top" if v > 1.0 else _grade(v),
        estimator="logistic_regression",
        training=", parameters: {C: 0.00001}, search: {parameters: {C: [1.0]}, folds: 2}",
        evaluation="calibration: sigmoid\n  calibration_fraction: 0.4\n  "
        "conformal: {tolerance: 0.1}",
    )
    world.plan()
    world.train()
    facts = world.row().facts
    assert dict(facts.search.chosen) == {"C": 1.0}
    assert facts.rows.calibration > facts.rows.train / 2
    assert 0 < facts.conformal_least < 0.9
    (version,) = world.versions()
    report = evaluation_report(world.platform, version, world.run("r1", "evaluate"))
    (check,) = (one for one in report.checks if one.rule == "coverage")
    sets: Any = report.facts["conformal"]
    assert check.counts == (round(sets["covered"] * sets["rows"]), facts.rows.holdout)
    assert sets["least_probability"] == facts.conformal_least
    assert report.facts["reliability"]["method"] == "sigmoid"  # type: ignore[index]
    key = world.platform.settings.signing_key.with_suffix(".pub")
    assert load_verified(world.platform.store, world.row(), key).classes_.tolist() == [
        "high", "low", "mid", "top",
    ]  # fmt: skip
    settings = world.platform.settings
    monkeypatch.setenv("TENURE_HOME", str(settings.home))
    monkeypatch.setenv("TENURE_INCLUDE", str(settings.include))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_STORE_URL", settings.store_url)
    found, _ = reproduce(world.platform, "loan_ok", 1, world.run("r2", "reproduce"))
    assert found.verdict is Verdict.PASSED, found.summary
    assert found.facts["again"] == found.facts["stored"]
