"""From a retrain request to `validated`, and what happens when a gate says no."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest

from tenure.adapters.skops_artifacts import load_verified
from tenure.adapters.sql import reports, versions
from tenure.errors import (
    ArtifactRefused,
    ConfigInvalid,
    GateFailed,
    GateInconclusive,
    ObjectMissing,
    StateConflict,
)
from tenure.installation.provenance import environment
from tenure.lifecycle.model_version import FeatureNames, SplitRows
from tenure.lifecycle.training.registry import statement
from tenure.usecases.evaluation import evidence
from tenure.usecases.training import planning
from tenure.vocabulary import RunRef, State, digest_bytes


def test_a_request_becomes_a_validated_version(world: Any) -> None:
    digests = [world.publish(month) for month in (1, 2, 3)]
    request = world.request()
    world.life()

    (version,) = world.versions()
    row = world.row()
    assert version.state is State.VALIDATED
    assert all(statement(row).values())
    assert row.trained_by == "ada"
    assert row.facts.snapshots == tuple(digests[1:])
    assert row.facts.batches == ("2013-02", "2013-03")
    assert row.facts.request_id == request
    assert row.facts.reason == "performance fell"
    assert row.suite_digest == "s" * 64
    assert world.request_row(request).state == "done"
    assert world.request_row(request).model_version_id == version.id
    assert [dst for subject, dst in world.ledger() if subject == f"mv:{version.id}"] == [
        "trained",
        "validated",
    ]
    key = world.platform.settings.signing_key.with_suffix(".pub")
    assert load_verified(world.platform.store, row, key).predict_proba
    assert list(world.mlflow.versions) == [("loan_ok", 1)]


def test_facts_and_reference_are_as_agreed(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()
    world.train()
    facts = world.row().facts
    store = world.platform.store
    table = pq.read_table(store.fetch(facts.holdout_key, facts.holdout_digest))
    assert facts.holdout_key == "reference/loan_ok/1.parquet"
    assert facts.artifact_key == f"artifacts/{world.row().artifact_digest}.skops"
    assert facts.features == FeatureNames(("income",), ("branch",), ())
    assert facts.categories == {"branch": ("n", "s")}
    assert set(facts.ranges) == {"income"}
    assert facts.threshold == 0.5
    assert facts.seed == 7
    assert facts.rows == SplitRows(299, 0, 100, 0, gap=1, label_unknown=0, group_held_out=0)
    assert set(facts.intervals) == set(facts.metrics)
    assert table.num_rows == facts.rows.holdout
    assert table.column_names == [
        *["f_income", "f_branch", "g_sex"],
        *["event_time", "score", "decision", "label"],
    ]


def test_without_a_request_there_is_nothing_to_do(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    assert world.plan() is None
    assert world.versions() == []


def test_by_hand_a_request_is_filed_for_the_person(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    planned = world.plan(user="tess", reason="new feature")
    request = world.request_row(planned.request_id)
    assert (request.reason_code, request.reason) == ("manual", "new feature")
    assert (request.requested_by, request.state) == ("tess", "running")
    assert world.versions()[0].trained_by == "tess"


def test_by_hand_an_open_request_is_taken_not_doubled(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    request = world.request()
    assert world.plan(user="tess").request_id == request


def test_too_few_batches_leave_the_request_open(world: Any) -> None:
    world.publish(1)
    request = world.request()
    with pytest.raises(GateInconclusive, match="loans: 1 of the 2 batches") as caught:
        world.plan()
    assert world.request_row(request).state == "open"
    assert world.versions() == []
    stored = evidence.stored(world.platform, caught.value.evidence)
    assert stored is not None
    assert stored.summary == caught.value.what
    world.publish(2)
    assert world.plan().request_id == request  # the same task, cleared


def fails(world: Any, step: Any, error: type[Exception], says: str) -> Any:
    with pytest.raises(error, match=says) as caught:
        step()
    return caught.value


def rejected(world: Any, request: int, reason: str) -> None:
    (version,) = world.versions()
    assert version.state is State.REJECTED
    assert world.request_row(request).state == "failed"
    assert [dst for _, dst in world.ledger()][-1] == "rejected"
    assert world.last_reason() == reason
    assert world.mlflow.versions == {}


def test_a_model_below_the_gate_is_rejected_with_its_report(world: Any) -> None:
    world.configure(auc=0.99)
    for month in (1, 2):
        world.publish(month)
    request = world.request()
    world.plan()
    world.train()
    error = fails(world, world.evaluate, GateFailed, "loan_ok@1: 1 of 4 checks failed on 100 held")
    rejected(world, request, "evaluation failed")
    report = evidence.stored(world.platform, world.row().evaluation_report)
    assert report is not None
    assert report.digest == world.row().evaluation_report == error.evidence
    assert report.facts["artifact_digest"] == world.row().artifact_digest
    assert "takes no traffic" in error.still_safe
    assert report.facts["environment_differences"] == []


def test_other_libraries_than_in_training_are_named_in_the_evidence(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()
    world.train()
    here = environment()
    other = replace(here, packages={**here.packages, "scikit-learn": "99.0"})
    monkeypatch.setattr(evidence, "environment", lambda: other)
    world.evaluate()
    report = evidence.stored(world.platform, world.row().evaluation_report)
    assert report is not None
    trained = here.packages["scikit-learn"]
    assert report.facts["environment_differences"] == [f"scikit-learn {trained}, here 99.0"]


def test_too_few_holdout_rows_are_inconclusive_and_rejected(world: Any) -> None:
    world.configure(min_rows=101)
    for month in (1, 2):
        world.publish(month)
    request = world.request()
    world.plan()
    world.train()
    fails(world, world.evaluate, GateInconclusive, "rows 100 labelled rows, allowed at least 101")
    rejected(world, request, "evaluation inconclusive")


def test_a_model_that_treats_groups_apart_is_rejected(world: Any) -> None:
    for month in (1, 2):
        world.publish(month, unfair=True)
    request = world.request()
    world.plan()
    world.train()
    world.evaluate()
    fails(world, world.audit, GateFailed, "bias audit failed .* sex selection_rate difference")
    rejected(world, request, "bias failed")
    fails(world, world.register, StateConflict, "loan_ok@1 is rejected")


def test_an_excused_gate_reports_and_lets_pass(world: Any) -> None:
    until = (datetime.now(tz=UTC) + timedelta(days=2)).date()
    world.configure(excuse=f"mode: report_only\n  reason: law\n  expires: {until}")
    for month in (1, 2):
        world.publish(month, unfair=True)
    world.request()
    world.life()
    assert world.versions()[0].state is State.VALIDATED
    report = evidence.stored(world.platform, world.row().bias_report)
    assert report is not None
    assert (str(report.verdict), report.facts["excuse"]) == ("failed", "law")


def test_a_version_without_its_gates_cannot_be_registered(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()
    world.train()
    fails(world, world.register, StateConflict, "has no evaluation report that passed")
    world.evaluate()
    fails(world, world.register, StateConflict, "has no bias report that passed")
    assert world.mlflow.versions == {}


def test_an_artifact_that_was_changed_is_not_registered(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    for step in world.steps()[:-1]:
        step()
    world.platform.store.put(world.row().facts.artifact_key, b"other")
    with pytest.raises(ArtifactRefused):
        world.register()
    assert world.versions()[0].state is State.TRAINED
    assert world.mlflow.versions == {}


def test_a_snapshot_that_was_changed_is_not_trained_on(world: Any) -> None:
    digests = [world.publish(month) for month in (1, 2)]
    world.request()
    world.plan()
    world.platform.store.put(f"snapshots/loans/{digests[0]}/data.parquet", b"other")
    with pytest.raises(ArtifactRefused):
        world.train()
    assert world.versions()[0].state is State.DRAFT


def test_a_snapshot_that_is_gone_is_missed_by_its_name(world: Any) -> None:
    digests = [world.publish(month) for month in (1, 2)]
    world.request()
    world.plan()
    world.platform.store.delete(f"snapshots/loans/{digests[0]}/data.parquet")
    fails(world, world.train, ObjectMissing, f"has no snapshots/loans/{digests[0]}/data.parquet")
    world.publish(1)
    assert world.train()["version"] == 1


def test_a_holdout_that_is_gone_is_missed_by_its_name(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()
    world.train()
    key = world.row().facts.holdout_key
    world.platform.store.delete(key)
    for judge in (world.evaluate, world.audit):
        fails(world, judge, ObjectMissing, f"has no {key}")
    assert world.versions()[0].state is State.TRAINED


def test_the_config_of_the_plan_is_the_one_that_judges(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()
    world.configure(auc=0.99)  # edited while the run is under way
    world.train()
    world.evaluate()
    assert world.versions()[0].state is State.TRAINED


def test_a_later_run_takes_over_what_an_ended_run_left(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    request = world.request()
    world.plan("r1")
    world.train("r1")  # and then the machine is gone for good
    world.publish(3)
    world.life("r2")
    first, second = world.versions()
    assert (first.state, second.state) == (State.REJECTED, State.VALIDATED)
    assert world.request_row(request).state == "done"
    assert world.train("r1")["version"] == 1  # a late clear of the old run changes nothing
    fails(world, lambda: world.evaluate("r1"), StateConflict, "loan_ok@1 is rejected")
    fails(world, lambda: world.register("r1"), StateConflict, "loan_ok@1 is rejected")
    assert [v.state for v in world.versions()] == [State.REJECTED, State.VALIDATED]


def test_a_later_run_with_nothing_new_resumes_the_same_version(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan("r1")
    world.train("r1")
    world.life("r2")
    assert [(v.version, v.state) for v in world.versions()] == [(1, State.VALIDATED)]
    assert len(world.mlflow.runs) == 1


def test_an_audit_by_hand_moves_nothing(world: Any) -> None:
    for month in (1, 2):
        world.publish(month, unfair=True)
    world.request()
    world.plan()
    world.train()
    by_hand = RunRef("mine", "r", "audit", user="vera")
    with pytest.raises(GateFailed):
        evidence.audit_by_hand(world.platform, "loan_ok", None, by_hand)
    report, digest = evidence.bias_audit(world.platform, "loan_ok", 1, by_hand)
    assert str(report.verdict) == "failed"
    assert world.versions()[0].state is State.TRAINED
    world.evaluate()
    with pytest.raises(GateFailed) as caught:
        world.audit()
    assert caught.value.evidence == digest  # the same data and policy, the same evidence
    with pytest.raises(StateConflict, match="There is no loan_ok@9; known: loan_ok@1"):
        evidence.bias_audit(world.platform, "loan_ok", 9, by_hand)


def test_a_run_without_a_plan_says_so(world: Any) -> None:
    fails(world, world.train, StateConflict, "Run r1 of loan_ok__train_model has planned no")
    assert not planning.has_plan(world.platform, "loan_ok", world.run())


def test_the_artifact_is_stored_under_its_digest_and_in_mlflow(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()
    world.train()
    row = world.row()
    stored = world.platform.store.get(row.facts.artifact_key)
    assert digest_bytes(stored) == row.artifact_digest
    assert world.mlflow.files[row.mlflow_run_id, "model/model.skops"] == stored


def test_rejecting_it_later_keeps_finished_tasks_green(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.life()
    platform = world.platform
    with platform.database.begin() as connection:
        (version,) = versions.all_of(connection, "loan_ok")
        platform.ledger.move(
            connection, version, State.REJECTED, actor="grace", body={}, op_key="by a person"
        )
    world.life()
    assert world.versions()[0].state is State.REJECTED


def test_every_task_has_a_verdict_for_its_tab(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.life()
    told = {}
    with world.platform.database.begin() as connection:
        for row in reports.of_run(connection, "loan_ok__train_model", "r1"):
            assert row.task_id not in told
            told[row.task_id] = (row.verdict, row.summary.split(";")[0].split(":")[0])
    assert told == {
        "plan": ("passed", "loan_ok@1 answers retrain request 1 of controller (performance fell)"),
        "train": (
            "passed",
            "loan_ok@1 trained on 299 rows of 2013-01, 2013-02, 100 newer rows held out",
        ),
        "evaluate": ("passed", "all 4 checks passed on 100 held-out rows"),
        "audit_bias": ("passed", "bias audit passed on 100 rows"),
        "register": ("passed", "loan_ok@1 passed its gates and waits for approval"),
    }


def test_a_yaml_that_breaks_later_leaves_a_finished_plan_alone(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    planned = world.plan()
    world.configure(estimator="[broken")
    assert world.plan() == planned
    world.train()
    with pytest.raises(ConfigInvalid):
        world.plan("r2")


def unlearnable(world: Any, **columns: list[Any]) -> ConfigInvalid:
    """What a training on two batches with these columns says."""
    for month in (1, 2):
        world.publish(month, **columns)
    world.request()
    world.plan()
    refusal: ConfigInvalid = fails(world, world.train, ConfigInvalid, " ")
    assert world.versions()[0].state is State.DRAFT
    return refusal


@pytest.mark.parametrize("estimator", ["hist_gradient_boosting", "logistic_regression"])
@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"ok": [True] * 200}, "ok has one class only: it is true in all of the 299 rows"),
        ({"income": [None] * 200}, "income has no value in any of the 299 rows that are trained"),
        ({"branch": [None] * 200}, "branch has no value in any of the 299 rows that are trained"),
        ({"income": [float("inf")] + [1.0] * 199}, "income is an infinite number in 1 of 200 rows"),
    ],
)
def test_data_that_nothing_can_be_learned_from(
    world: Any, estimator: str, columns: dict[str, list[Any]], says: str
) -> None:
    world.configure(estimator=estimator)
    assert says in unlearnable(world, **columns).what


def relabel(world: Any, label: str) -> None:
    path = world.platform.settings.configs / "models" / "loan_ok.yaml"
    before = path.read_text()
    assert before.count("label: {column: ok,") == 1
    without = before.replace("categorical: [branch]", "categorical: []")
    path.write_text(without.replace("label: {column: ok,", f"label: {{{label},"))


def test_a_label_that_is_none_stops_the_training(world: Any) -> None:
    relabel(world, "column: branch, positive: 2, negative: 1")
    assert unlearnable(world, branch=["1", "2", "9", "1"] * 50).what == (
        "branch is no label in 100 of 400 rows: '9' (100 rows); a label is '2' (positive) or '1' "
        "(negative), or boolean."
    )


def test_the_declared_label_is_learned_and_said(world: Any) -> None:
    relabel(world, "column: branch, positive: 2")
    for month in (1, 2):
        world.publish(month, branch=["1", "2", "2", "1"] * 50)
    world.request()
    world.plan()
    world.train()
    assert world.row().facts.trivial_answer == pytest.approx(0.5, abs=0.01)
    with world.platform.database.begin() as connection:
        newest = reports.of_run(connection, "loan_ok__train_model", "r1")[0]
    assert newest.report.facts["labels"] == {
        "1": {"means": False, "rows": 200},
        "2": {"means": True, "rows": 200},
    }


@pytest.mark.parametrize(
    "how", ["split: stratified", "split: random", "split: grouped, group_column: branch"]
)
def test_data_without_time_lives_the_whole_life(world: Any, how: str) -> None:
    configs = world.platform.settings.configs
    dataset, model = configs / "datasets" / "loans.yaml", configs / "models" / "loan_ok.yaml"
    dataset.write_text(dataset.read_text().replace("time_column: at\n", ""))
    model.write_text(model.read_text().replace("gap_hours: 1", how))
    for month in (1, 2):
        world.publish(month, branch=[f"b{n % 50}" for n in range(200)])
    world.request()
    world.life()
    facts = world.row().facts
    assert world.versions()[0].state is State.VALIDATED
    assert facts.time_column is None
    assert facts.rows.train + facts.rows.holdout == 400
    table = pq.read_table(world.platform.store.fetch(facts.holdout_key, facts.holdout_digest))
    assert table["event_time"].null_count == facts.rows.holdout


def base_score(world: Any, how: str, run_id: str) -> float:
    """The mean score of the holdout of a version that was trained like this."""
    model = world.platform.settings.configs / "models" / "loan_ok.yaml"
    world.configure()
    model.write_text(model.read_text().replace("seed: 7", f"seed: 7{how}"))
    world.plan(run_id, user="ada")
    facts = world.row(world.train(run_id)["version"]).facts
    path = world.platform.store.fetch(facts.holdout_key, facts.holdout_digest)
    return float(pq.read_table(path)["score"].to_numpy().mean())


def test_weights_reach_the_model(world: Any) -> None:
    """Rows of income count nine times where the label is true: it says yes more often."""
    for month in (1, 2):
        world.publish(month, sex=["f", "m"] * 100)
    plain = base_score(world, "", "r1")
    assert base_score(world, ", class_weight: {true: 9}", "r2") > plain + 0.1
    assert base_score(world, ", class_weight: {false: 9}", "r3") < plain - 0.1
    with pytest.raises(ConfigInvalid, match="income is no weight, which is a number from 0 in"):
        base_score(world, ", sample_weight: income", "r4")
