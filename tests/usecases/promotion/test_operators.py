"""The three tasks of `promote_model` as Airflow calls them, on a real database and store."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from tenure.usecases.promotion import traffic
from tenure.vocabulary import State

pytestmark = [pytest.mark.airflow, pytest.mark.service]


def context(task: Any, run_id: str = "r1", **params: object) -> Any:
    ti = SimpleNamespace(
        id="ti-1",
        dag_id="flight_late__promote_model",
        run_id=run_id,
        task_id=task.task_id,
        map_index=-1,
        try_number=1,
        max_tries=0,
        log_url="",
        task=task,
    )
    run = SimpleNamespace(triggering_user_name=None)
    return {"ti": ti, "task_instance": ti, "dag_run": run, "params": params}


def response(user: str | None, option: str, reason: str = "") -> dict[str, Any]:
    return {
        "chosen_options": [option],
        "params_input": {"reason": reason} if reason else {},
        "responded_at": datetime(2013, 7, 1, tzinfo=UTC),
        "responded_by_user": {"id": user, "name": user} if user else None,
    }


@pytest.fixture
def life(world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The installation, found by the tasks; the window's text goes to `life.windows`."""
    from airflow.providers.standard.operators import hitl

    from tenure.operators import approval, base, canary

    life, windows = world(), []
    for module in (approval, base, canary):
        monkeypatch.setattr(module, "open_platform", lambda: life.platform)
    for module in (hitl, canary):
        monkeypatch.setattr(module, "upsert_hitl_detail", lambda **window: windows.append(window))
    life.windows = windows
    return life


def tasks() -> tuple[Any, Any, Any]:
    from tenure.operators.approval import ApproveOperator, ReviewOperator
    from tenure.operators.canary import CanaryOperator

    return (
        ReviewOperator(task_id="review", model="flight_late"),
        ApproveOperator(task_id="approve", model="flight_late"),
        CanaryOperator(task_id="canary", model="flight_late"),
    )


def asked(review: Any, run_id: str = "r1") -> list[Any]:
    from airflow.sdk.exceptions import TaskAwaitingInput

    with pytest.raises(TaskAwaitingInput) as waiting:
        review.execute(context(review, run_id))
    assert waiting.value.method_name == "execute_complete"
    return waiting.value.kwargs["asked"]  # type: ignore[index]


def test_without_a_version_everything_is_skipped(life: Any) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    review, _, _ = tasks()
    with pytest.raises(AirflowSkipException, match="No version of flight_late waits"):
        review.execute(context(review))


def test_a_wrong_person_is_red_and_the_window_is_asked_again(life: Any) -> None:
    from tenure.operators.base import TaskFailed

    version = life.validated()
    review, approve, canary = tasks()
    shown = asked(review)
    assert shown[0] == version.id
    for user in ("mallory", "ada"):
        with pytest.raises(TaskFailed, match="NotPermitted"):
            review.execute_complete(context(review), response(user, "Approve"), asked=shown)
    with pytest.raises(TaskFailed, match="names no person"):
        review.execute_complete(context(review), response(None, "Approve"), asked=shown)
    with pytest.raises(TaskFailed, match="0 of 1 valid approvals"):
        approve.execute(context(approve))
    shown = asked(review)
    review.execute_complete(context(review), response("grace", "Approve"), asked=shown)
    approve.execute(context(approve))
    assert canary.execute(context(canary))["summary"].endswith("is the first champion, plan 1")
    for task in (review, approve, canary):  # each finished task, cleared and run again
        task.execute(context(task))
    assert life.events(version)[-2:] == ["approved", "champion"]
    assert "May flight_late@1 serve?" in life.windows[0]["subject"]
    assert life.windows[0]["defaults"] is None


def test_a_rejection_is_green_and_skips_the_rest(life: Any) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    from tenure.operators.base import TaskMayRetry

    version = life.validated()
    review, approve, _ = tasks()
    shown = asked(review)
    assert life.windows[0]["params"]["reason"]["schema"]["type"] == ["null", "string"]
    with pytest.raises(TaskMayRetry, match="wrote no reason"):
        review.execute_complete(context(review), response("grace", "Reject"), asked=shown)
    shown = asked(review)  # the next try
    first, again = (window["body"] for window in life.windows)
    assert again == (
        "**Asked again.** grace rejected flight\\_late@1 and wrote no reason; its owner needs it. "
        f"This time write a text in *Reason*.\n\n{first}"
    )
    said = response("grace", "Reject", "Worse at night.")
    review.execute_complete(context(review), said, asked=shown)
    assert life.now(version).state is State.REJECTED
    review.execute(context(review))
    with pytest.raises(AirflowSkipException, match="rejected by grace"):
        approve.execute(context(approve))


def test_no_answer_in_time_is_red_and_says_whom_to_tell(life: Any) -> None:
    from tenure.operators.base import TaskFailed

    life.validated()
    review, _, _ = tasks()
    late = {"error": "timeout", "error_type": "timeout"}
    with pytest.raises(TaskFailed, match="nobody answered within 72 hours"):
        review.execute_complete(context(review), late, asked=asked(review))


def test_a_rolled_back_canary_is_red_each_time_it_is_cleared(life: Any) -> None:
    from tenure.operators.base import TaskFailed
    from tenure.usecases.promotion import canary as probations

    life.champion()
    version = life.approved()
    _, _, canary = tasks()
    probations.enter(life.platform, version, life.run(run_id="r1"))
    generation = life.plan().generation
    life.traffic(share_bp=500, canary=(90, 100), champion=(570, 1900), generation=generation)
    for _ in range(2):
        with pytest.raises(TaskFailed, match="Safe: champion serves 100%; nothing is urgent"):
            canary.execute(context(canary))
    assert life.events(version).count("rolled_back") == 1


def test_a_held_canary_waits_for_an_operator(life: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.exceptions import TaskAwaitingInput

    from tenure.operators import canary as module
    from tenure.operators.base import TaskFailed

    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    life.champion()
    version = life.approved()
    _, _, canary = tasks()
    with pytest.raises(TaskAwaitingInput) as waiting:
        canary.execute(context(canary))
    assert waiting.value.method_name == "answered"
    assert life.windows[-1]["options"] == ["Keep observing", "Roll back"]
    kwargs = waiting.value.kwargs or {}
    with pytest.raises(TaskFailed, match="grace is not an operator"):
        canary.answered(context(canary), event=response("grace", "Keep observing"), **kwargs)
    with pytest.raises(TaskAwaitingInput):
        canary.answered(context(canary), event=response("olga", "Keep observing"), **kwargs)
    assert life.count("canary_analysis") == 7
    with pytest.raises(TaskFailed, match="Safe: champion serves 100%"):
        canary.answered(context(canary), event=response("olga", "Roll back"), **kwargs)
    assert life.now(version).state is State.ROLLED_BACK


def test_an_operator_reads_that_waiting_does_not_mend_a_wrong_split(life: Any) -> None:
    from airflow.sdk.exceptions import TaskAwaitingInput

    life.champion()
    life.approved()
    _, _, canary = tasks()
    life.traffic(share_bp=500, canary=(0, 200), champion=(0, 800), generation=2)
    with pytest.raises(TaskAwaitingInput):
        canary.execute(context(canary))
    body = life.windows[-1]["body"]
    assert "the traffic is not split as planned: 200 of 1000 subjects" in body
    assert "judges the same counts again and holds again" in body


def test_long_pauses_are_left_to_the_triggerer(life: Any) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    path = life.platform.settings.configs / "models" / "flight_late.yaml"
    text = path.read_text().replace("analysis_seconds: 1", "analysis_seconds: 60")
    path.write_text(text.replace("lease_seconds: 20", "lease_seconds: 180"))
    life.champion()
    life.approved()
    _, _, canary = tasks()
    with pytest.raises(TaskDeferred) as first:
        canary.execute(context(canary))
    with pytest.raises(TaskDeferred) as second:
        canary.resume(context(canary), **(first.value.kwargs or {}))
    assert first.value.kwargs == second.value.kwargs
    assert life.count("canary_analysis") == 2


@pytest.mark.parametrize(
    ("manager", "expected"),
    [
        ("airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager", True),
        ("airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager", False),
    ],
)
def test_people_are_assigned_where_names_are_ids(
    manager: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tenure.operators.people import assignable

    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", manager)
    assert assignable(["grace"]) == ([{"id": "grace", "name": "grace"}] if expected else None)


@pytest.mark.parametrize(("tier", "expected"), [("limited", [1]), ("high", [1, 2])])
def test_a_seat_a_person(tier: str, expected: list[int]) -> None:
    from tenure.operators.approval import seats

    assert seats(tier) == expected


@pytest.mark.parametrize("option", ["Approve", "Reject"])
def test_review_renews_a_champion_that_the_form_names(life: Any, option: str) -> None:
    """Its own approver may, without a training; who does not renew ends nothing."""
    version = life.champion()
    before = life.plan()
    with life.platform.database.begin() as c:
        c.exec_driver_sql("ALTER TABLE approval DISABLE TRIGGER append_only")
        c.exec_driver_sql("UPDATE approval SET expires_at = now() + interval '2 days'")
        c.exec_driver_sql("ALTER TABLE approval ENABLE TRIGGER append_only")
    from airflow.sdk.exceptions import TaskAwaitingInput

    review, approve, canary = tasks()
    named = context(review, version=version.version)
    with pytest.raises(TaskAwaitingInput) as waiting:
        review.execute(named)
    assert life.windows[0]["subject"].startswith("May flight_late@1 serve on?")
    shown = waiting.value.kwargs["asked"]  # type: ignore[index]
    done = review.execute_complete(named, response("grace", option, "The board."), asked=shown)
    assert done == {"version": 1, "renewed": option == "Approve"}
    assert life.plan().generation == before.generation + (option == "Approve")
    assert life.now(version).state is State.CHAMPION
    approve.execute(context(approve, version=version.version))
    canary.execute(context(canary, version=version.version))
    assert life.plan().generation == before.generation + (option == "Approve")


def test_the_window_asks_for_a_reason_where_a_gate_was_lowered(life: Any) -> None:
    """Airflow sends the field as JSON, and its form wants it filled before it takes any answer."""
    champion = life.validated(config=life.remembered())
    life.answer(champion, "grace")
    traffic.promote_first(life.platform, champion.id, actor="test")
    lowered = life.remembered("max_difference: 0.25", "max_difference: 0.3")
    version = life.validated(config=lowered)
    review, _, _ = tasks()
    shown = asked(review)
    field = json.loads(json.dumps(life.windows[0]["params"]))["reason"]
    assert (field["value"], field["schema"]["type"]) == (None, "string")
    assert field["schema"]["minLength"] == 1
    said = response("grace", "Approve", "Agreed with the board.")
    review.execute_complete(context(review), said, asked=shown)
    assert life.now(version).state is State.APPROVED
