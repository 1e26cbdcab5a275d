"""What the decommission operators make of answers and of steps that wait."""

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from bad_texts import BAD_NAMES, BAD_REASONS

from tenure.errors import TextRefused
from tenure.installation import Installation
from tenure.operators import decommission
from tenure.operators.base import TaskFailed
from tenure.operators.decommission import (
    ConfirmDecommissionOperator,
    DecommissionOperator,
    RequestDecommissionOperator,
)
from tenure.operators.people import who
from tenure.vocabulary import RunRef

pytestmark = [pytest.mark.airflow, pytest.mark.service]

MODEL = "flight_late"
RUN = RunRef(f"{MODEL}__decommission_model", "manual__1", "plan", user="olga")


class Ti:
    dag_id, run_id, task_id, map_index = RUN.dag_id, RUN.run_id, "confirm", -1
    try_number, max_tries, log_url = 1, 2, ""
    task = None


@pytest.fixture
def context() -> dict[str, Any]:
    form = {"version": 1, "reason": "old", "successor": ""}
    return {"params": form, "ti": Ti(), "task_instance": Ti()}


@pytest.fixture
def confirm(
    platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ConfirmDecommissionOperator]:
    monkeypatch.setattr(decommission, "open_platform", lambda: platform)
    monkeypatch.setattr("tenure.operators.base.open_platform", lambda: platform)
    return lambda: ConfirmDecommissionOperator(task_id="confirm", model=MODEL)


def answered(person: str | None, option: str) -> dict[str, Any]:
    from datetime import UTC, datetime

    return {
        "chosen_options": [option],
        "params_input": {},
        "responded_at": datetime.now(tz=UTC),
        "responded_by_user": {"id": person, "name": person} if person else None,
        "timedout": False,
    }


def request(platform: Installation, context: Any) -> object:
    operator = RequestDecommissionOperator(task_id="plan", model=MODEL)
    return operator.work(platform, RUN, context)


def step(platform: Installation, context: Any, name: Any) -> object:
    operator = DecommissionOperator(task_id=name, step=name, model=MODEL)
    return operator.work(platform, RUN, context)


def test_the_form_becomes_a_request_and_the_answer_a_confirmation(
    platform: Installation, rejected: object, context: Any, confirm: Callable[[], Any]
) -> None:
    assert "olga asks" in str(request(platform, context))
    with pytest.raises(AirflowSkipException, match="waits for a second person"):
        step(platform, context, "notify")
    done = confirm().execute_complete(context, answered("grace", "Confirm"))
    assert done["note"] == "grace confirmed the retirement of flight_late@1."
    assert "Notices" in str(step(platform, context, "notify"))
    assert confirm().execute(context) == {"version": 1, "note": "answered before"}


def test_a_refusal_is_an_answer_and_skips_what_follows(
    platform: Installation, rejected: object, context: Any, confirm: Callable[[], Any]
) -> None:
    request(platform, context)
    confirm().execute_complete(context, answered("grace", "Refuse"))
    for name in ("notify", "archive", "delete", "record"):
        with pytest.raises(AirflowSkipException, match="was refused"):
            step(platform, context, name)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (answered("olga", "Confirm"), "NotPermitted"),
        (answered("sam", "Confirm"), "NotPermitted"),
        (answered(None, "Confirm"), "NotPermitted"),
        ({"error": "no answer", "error_type": "timeout"}, "GateInconclusive"),
        (answered(None, "Confirm") | {"timedout": True}, "GateInconclusive"),
    ],
)
def test_an_answer_that_does_not_count_is_red(
    *,
    platform: Installation,
    rejected: object,
    context: Any,
    confirm: Callable[[], Any],
    event: dict[str, Any],
    kind: str,
) -> None:
    request(platform, context)
    with pytest.raises(TaskFailed, match=kind):
        confirm().execute_complete(context, event)
    with pytest.raises(AirflowSkipException, match="waits for a second person"):
        step(platform, context, "notify")


@pytest.fixture
def rejected(platform: Installation) -> object:
    """A version that may retire."""
    from tenure.adapters.sql import versions
    from tenure.vocabulary import State

    columns: dict[str, Any] = {"artifact_digest": "a" * 64, "signature": "s"}
    with platform.database.begin() as c:
        versions.register_model(c, name=MODEL, owner="ada", risk_tier="limited", purpose="t")
        ref = versions.create_draft(c, model_name=MODEL, trained_by="ada", training_key="1" * 64)
        versions.set_columns(c, ref.id, evaluation_report="e" * 64, bias_report="b" * 64)
    for state, values in ((State.TRAINED, columns), (State.REJECTED, {})):
        with platform.database.begin() as c:
            ref = versions.get_by_id(c, ref.id)
            platform.ledger.move(
                c, ref, state, actor="t", body={}, op_key=str(state), columns=values
            )
    return ref


@pytest.mark.parametrize("kind", sorted({*BAD_REASONS} - {"blank"}))
def test_a_reason_that_cannot_be_kept_is_refused_by_its_name(
    platform: Installation, context: Any, kind: str
) -> None:
    text, said = BAD_REASONS[kind]
    context["params"]["reason"] = text
    with pytest.raises(TextRefused, match="reason has") as refused:
        request(platform, context)
    assert said in refused.value.what


@pytest.mark.parametrize("kind", BAD_NAMES)
def test_an_answer_by_no_name_counts_for_nobody(kind: str) -> None:
    text, said = BAD_NAMES[kind]
    with pytest.raises(TextRefused, match="name of who answered") as refused:
        who(answered(text, "Confirm"))
    assert said in refused.value.what
