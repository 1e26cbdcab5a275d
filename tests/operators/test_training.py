"""Tasks of `train_model` as Airflow calls them, on a real database and store."""

from types import SimpleNamespace
from typing import Any

import pytest

from tenure.errors import GateFailed
from tenure.usecases.evaluation import evidence, gates
from tenure.usecases.training import planning, training
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.airflow
RUN = RunRef("m__train_model", "r1", "t", user="tess")


def context(run_type: Any, **other: Any) -> Any:
    return {"dag_run": SimpleNamespace(run_type=run_type), "params": {"reason": "drift"}, **other}


@pytest.mark.parametrize(
    ("run_type", "by_hand"),
    [
        ("manual", True),
        (SimpleNamespace(value="manual"), True),
        ("asset_triggered", False),
        (SimpleNamespace(value="scheduled"), False),
    ],
)
def test_plan_tells_who_started_it_and_why(
    run_type: Any, by_hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tenure.operators.training import PlanTrainingOperator

    asked: dict[str, Any] = {}

    def plan(platform: Any, model: str, run: RunRef, **how: Any) -> planning.TrainingPlan:
        asked.update(how, model=model, run=run)
        return planning.TrainingPlan(version_id=4, version=2, request_id=9)

    monkeypatch.setattr(planning, "plan", plan)
    task = PlanTrainingOperator(task_id="plan", model="m")
    answer = task.work(None, RUN, context(run_type))  # type: ignore[arg-type]
    assert answer == {"version_id": 4, "version": 2, "request_id": 9}
    assert asked == {"model": "m", "run": RUN, "by_hand": by_hand, "reason": "drift"}


def test_nothing_to_train_is_a_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    from tenure.operators.training import PlanTrainingOperator

    monkeypatch.setattr(planning, "plan", lambda *_, **__: None)
    task = PlanTrainingOperator(task_id="plan", model="m")
    with pytest.raises(AirflowSkipException, match="m has no retrain request"):
        task.work(None, RUN, context("asset_triggered"))  # type: ignore[arg-type]


def test_register_tells_its_outlets(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk import Asset

    from tenure.operators.training import RegisterOperator

    asset, answer = Asset(name="validated/m", uri="tenure://validated/m"), {"version": 2}
    events = {asset: SimpleNamespace(extra={})}
    monkeypatch.setattr(gates, "register", lambda *_: answer)
    task = RegisterOperator(task_id="register", model="m", outlets=[asset])
    found = task.work(None, RUN, context("manual", outlet_events=events))  # type: ignore[arg-type]
    assert found == events[asset].extra == answer


@pytest.mark.parametrize(
    ("case", "version", "planned", "expected"),
    [
        ("a run of train_model decides", None, True, "decides"),
        ("a named version is only reported", 3, True, "reports 3"),
        ("any other run only reports", None, False, "reports None"),
    ],
)
def test_who_decides_in_a_bias_audit(
    case: str,
    version: int | None,
    planned: bool,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tenure.operators.bias import BiasAuditOperator

    monkeypatch.setattr(planning, "has_plan", lambda *_: planned)
    monkeypatch.setattr(gates, "audit_bias", lambda *_: "decides")
    monkeypatch.setattr(evidence, "audit_by_hand", lambda _p, _m, number, _r: f"reports {number}")
    task = BiasAuditOperator(task_id="audit", model="m", version=version)
    assert task.work(None, RUN, context("manual")) == expected, case  # type: ignore[arg-type]


def test_train_and_evaluate_call_one_use_case(monkeypatch: pytest.MonkeyPatch) -> None:
    from tenure.operators.training import EvaluateOperator, TrainOperator

    monkeypatch.setattr(training, "train", lambda _p, model, run: ("train", model, run))
    monkeypatch.setattr(gates, "evaluate", lambda _p, model, run: ("evaluate", model, run))
    train = TrainOperator(task_id="train", model="m")
    evaluate = EvaluateOperator(task_id="evaluate", model="m")
    assert train.work(None, RUN, context("manual")) == ("train", "m", RUN)  # type: ignore[arg-type]
    assert evaluate.work(None, RUN, context("manual")) == ("evaluate", "m", RUN)  # type: ignore[arg-type]


@pytest.mark.parametrize(("enforced", "fails"), [(True, True), (False, False)])
def test_only_an_enforced_gate_fails_an_audit_by_hand(
    enforced: bool, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = Report("bias", "m@1", Verdict.FAILED, "gap", enforced=enforced)
    monkeypatch.setattr(evidence, "bias_audit", lambda *_: (report, report.digest))
    monkeypatch.setattr(evidence, "still_safe", lambda *_: "m@0 serves.")
    if fails:
        with pytest.raises(GateFailed, match="m@1: gap"):
            evidence.audit_by_hand(None, "m", 1, RUN)  # type: ignore[arg-type]
    else:
        assert evidence.audit_by_hand(None, "m", 1, RUN)["verdict"] == "failed"  # type: ignore[arg-type]
