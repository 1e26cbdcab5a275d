"""Questions and answers on a real database, which refuses what Python would let through."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from version_rows import onnx

from tenure.adapters.signing import Signer
from tenure.adapters.sql import versions
from tenure.errors import NotPermitted, StateConflict
from tenure.lifecycle.promotion.approval import Choice
from tenure.lifecycle.training.registry import onnx_statement_bytes, statement_bytes
from tenure.usecases.incidents.alerts import deliver_alerts
from tenure.usecases.promotion import approval, traffic
from tenure.usecases.serving.gateway import PlanSource
from tenure.vocabulary import State, VersionRef, digest_bytes

pytestmark = pytest.mark.service


def test_one_approval_approves_a_limited_version(world: Callable[..., Any]) -> None:
    life = world()
    version = life.validated()
    assert life.answer(version, "grace") is State.APPROVED
    outcome = approval.conclude(life.platform, version, life.run("approve"))
    assert outcome.summary.startswith("flight_late@1 approved by grace (1 of 1), artifact ")
    assert approval.ask(life.platform, version) is None


def test_the_same_answer_again_changes_nothing(world: Callable[..., Any]) -> None:
    life = world()
    version = life.validated()
    asked = approval.ask(life.platform, version)
    given = (version.id, asked.artifact, asked.evidence)
    for _ in range(3):
        approval.answer(
            life.platform, given, user="grace", choice=Choice.APPROVE, run=life.run("review")
        )
    assert (life.count("approval"), life.events(version)[-1]) == (1, "approved")
    assert life.events(version).count("approved") == 1


@pytest.mark.parametrize(
    ("user", "message"),
    [
        pytest.param("mallory", "mallory is not an approver", id="no role"),
        pytest.param("ADA", "ADA trained flight_late@1", id="trainer in other case"),
    ],
)
def test_a_wrong_person_leaves_no_trace(world: Callable[..., Any], user: str, message: str) -> None:
    life = world()
    version = life.validated()
    before = life.count("ledger_event")
    with pytest.raises(NotPermitted, match=message):
        life.answer(version, user)
    assert (life.count("approval"), life.count("ledger_event")) == (0, before)
    assert life.now(version).state is State.VALIDATED
    assert life.answer(version, "grace") is State.APPROVED


def test_an_answer_about_other_bytes_does_not_count(world: Callable[..., Any]) -> None:
    life = world()
    version = life.validated()
    with pytest.raises(NotPermitted, match="is about artifact 000000000000"):
        approval.answer(
            life.platform,
            (version.id, "0" * 64, "1" * 64),
            user="grace",
            choice=Choice.APPROVE,
            run=life.run("review"),
        )


def test_high_risk_needs_two_people(world: Callable[..., Any]) -> None:
    life = world(high_risk=True)
    version = life.validated()
    assert life.answer(version, "grace") is State.VALIDATED
    with pytest.raises(NotPermitted, match=r"1 of 2 valid approvals \(grace\)"):
        approval.conclude(life.platform, version, life.run("approve"))
    asked = approval.ask(life.platform, version)
    assert asked is not None
    assert asked.approvers == ("heidi",)
    assert life.answer(version, "heidi") is State.APPROVED


def test_a_rejection_is_an_answer(world: Callable[..., Any]) -> None:
    life = world(high_risk=True)
    version = life.validated()
    life.answer(version, "grace")
    assert life.answer(version, "heidi", Choice.REJECT) is State.REJECTED
    outcome = approval.conclude(life.platform, version, life.run("approve"))
    assert outcome.standing.rejected_by == ("heidi",)
    assert approval.ask(life.platform, version) is None


def test_a_rejection_ends_what_was_said_of_its_service(world: Callable[..., Any]) -> None:
    life = world()
    version = life.validated()
    for number in (1, 2):
        PlanSource(life.platform, "gw").report_failure(
            "flight_late", number, "artifact_refused", "why"
        )
    life.answer(version, "grace", Choice.REJECT)
    with life.platform.database.begin() as connection:
        query = "SELECT subject FROM incident WHERE state = 'open'"
        assert [row.subject for row in connection.exec_driver_sql(query)] == ["flight_late@2"]


def test_when_nobody_is_left_to_ask(world: Callable[..., Any]) -> None:
    life = world(high_risk=True)
    version = life.validated(trained_by="grace")
    life.answer(version, "heidi")
    life.answer(version, "ada")
    assert life.now(version).state is State.APPROVED
    other = life.validated(trained_by="grace")
    approval.answer(
        life.platform,
        shown(life, other),
        user="heidi",
        choice=Choice.APPROVE,
        run=life.run("review"),
    )
    (life.platform.settings.configs / "platform.yaml").write_text("roles: {approver: [heidi]}\n")
    with pytest.raises(NotPermitted, match="needs 2 approvals and has 1; no approver is left"):
        approval.ask(life.platform, other)


def shown(life: Any, version: VersionRef) -> tuple[int, str, str]:
    asked = approval.ask(life.platform, version)
    return version.id, asked.artifact, asked.evidence


def test_a_late_answer_is_not_recorded(world: Callable[..., Any]) -> None:
    life = world()
    version = life.validated()
    given = shown(life, version)
    life.answer(version, "grace")
    traffic.promote_first(life.platform, version.id, actor="test")
    with pytest.raises(StateConflict, match="is champion already; the answer reject came too late"):
        approval.answer(
            life.platform,
            given,
            user="heidi",
            choice=Choice.REJECT,
            run=life.run("review"),
            note="too late",
        )
    assert life.count("approval") == 1


def test_an_expired_approval_lets_nobody_serve(world: Callable[..., Any]) -> None:
    life = world()
    version = life.validated()
    clock = life.platform.clock
    past = clock.now() - timedelta(days=31)
    life.platform.__dict__["clock"] = type("Past", (), {"now": staticmethod(lambda: past)})()
    given = shown(life, version)
    with pytest.raises(StateConflict, match="0 of 1 valid approvals"):
        approval.answer(
            life.platform, given, user="grace", choice=Choice.APPROVE, run=life.run("review")
        )


def test_a_run_keeps_to_the_version_that_it_began_with(world: Callable[..., Any]) -> None:
    life = world()
    assert approval.find_work(life.platform, "flight_late", life.run()) is None
    first = life.validated()
    assert approval.find_work(life.platform, "flight_late", life.run()) == first
    second = life.validated()
    assert approval.find_work(life.platform, "flight_late", life.run()) == first
    later = life.run(run_id="run-2")
    assert approval.find_work(life.platform, "flight_late", later) == second
    life.answer(second, "grace", Choice.REJECT)
    by_hand = life.run(run_id="run-3")
    with pytest.raises(StateConflict, match="flight_late@2 is rejected; only a version"):
        approval.find_work(life.platform, "flight_late", by_hand, wanted=2)
    assert approval.find_work(life.platform, "flight_late", by_hand, wanted=1) == first


def with_onnx(life: Any, version: VersionRef, data: bytes = b"trees") -> str:
    """As the database's owner, past its guards, with the signing key; returns the digest."""
    with life.platform.database.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        row = versions.row_by_id(connection, version.id)
        digest = digest_bytes(data)
        signer = Signer(life.platform.settings.signing_key)
        signature = signer.sign(onnx_statement_bytes(row, digest))
        stated = {**row.facts_json, "onnx": onnx(digest, signature)}
        whole = signer.sign(statement_bytes(replace(row, facts_json=stated)))
        versions.set_columns(connection, version.id, facts=stated, signature=whole)
    return digest


OTHER = "grace approved it with another report or another ONNX file"


def test_an_onnx_file_that_came_after_the_approval_voids_it(world: Callable[..., Any]) -> None:
    life = world()
    version = life.approved()
    with_onnx(life, version)
    said = rf"flight_late@1 has 0 of 1 valid approvals \(nobody\)\. {OTHER}\.$"
    with pytest.raises(NotPermitted) as refused:
        approval.conclude(life.platform, version, life.run("approve"))
    assert re.search(said, refused.value.what)
    with pytest.raises(NotPermitted) as refused:
        traffic.promote_first(life.platform, version.id, actor="test")
    assert refused.value.what == f"flight_late@1 has 0 of 1 approvals of what it is now. {OTHER}."
    assert life.now(version).state is State.APPROVED
    assert life.count("traffic_plan") == 0
    # Who did not answer yet is asked about what is true now.
    assert life.answer(version, "heidi") is State.APPROVED
    traffic.promote_first(life.platform, version.id, actor="test")
    assert life.now(version).state is State.CHAMPION


@pytest.mark.parametrize("step", ["start", "take over", "promote"])
def test_no_step_of_a_canary_takes_a_changed_onnx_file(
    world: Callable[..., Any], step: str
) -> None:
    life = world()
    life.champion()
    version = life.validated()
    with_onnx(life, version)
    life.answer(version, "grace")
    policy = approval.load_model(life.platform.settings.include, "flight_late")[0].canary
    if step == "start":
        plan = life.plan()
    else:
        plan = traffic.start_canary(life.platform, version.id, policy, actor="test")
    with_onnx(life, version, b"other trees")
    with pytest.raises(NotPermitted, match=OTHER):  # noqa: PT012
        if step == "promote":
            with traffic.turn(life.platform, version.id, actor="test") as mine:
                traffic.promote(mine, plan, evidence="e" * 64)
        else:
            traffic.start_canary(life.platform, version.id, policy, actor="test")
    assert life.plan() == plan
    with_onnx(life, version)  # as it was approved
    if step != "promote":
        plan = traffic.start_canary(life.platform, version.id, policy, actor="test")
    with traffic.turn(life.platform, version.id, actor="test") as mine:
        traffic.promote(mine, plan, evidence="e" * 64)
    assert life.now(version).state is State.CHAMPION


def test_the_window_names_the_onnx_file(world: Callable[..., Any]) -> None:
    life = world()
    version = life.validated()
    before = approval.ask(life.platform, version)
    digest = with_onnx(life, version)
    asked = approval.ask(life.platform, version)
    assert before is not None
    assert asked is not None
    assert "ONNX" not in before.body
    assert f"| ONNX file | `{digest}` |" in asked.body
    assert asked.evidence != before.evidence


def test_the_window_shows_the_evidence_and_no_markup_of_it(world: Callable[..., Any]) -> None:
    life = world()
    version = life.validated()
    asked = approval.ask(life.platform, version)
    assert asked is not None
    assert asked.subject == "May flight_late@1 serve? (0 of 1 approved)"
    assert asked.approvers == ("grace", "heidi")
    assert str(version.artifact_digest) in asked.body
    assert asked.evidence in asked.body
    assert r"0.71 \| \[x\]\(y\)" in asked.body
    assert "**Bias audit: passed**" in asked.body


REFUSED = [
    pytest.param(
        "INSERT INTO approval (model_version_id, action, approver, trained_by, answer,"
        " artifact_digest, evidence_digest, expires_at)"
        " VALUES ({id}, 'serve', 'ADA', 'ada', 'approve', 'x', 'x', now())",
        "second_person",
        id="the trainer's own approval",
    ),
    pytest.param(
        "UPDATE model_version SET state = 'approved', generation = generation + 1 WHERE id = {id}",
        "has 0 of 1 valid approvals",
        id="approved without an approval",
    ),
    pytest.param(
        "UPDATE model_version SET state = 'champion', generation = generation + 1 WHERE id = {id}",
        "may not go from validated to champion",
        id="champion without the steps between",
    ),
    pytest.param(
        "UPDATE model_version SET artifact_digest = 'x' WHERE id = {id}",
        "cannot change",
        id="other bytes under the same version",
    ),
    pytest.param(
        "INSERT INTO traffic_plan (model, generation, fence, champion_id, share_bp, salt, reason,"
        " actor, champion_until) VALUES ('flight_late', 1, 1, {id}, 0, 's', 'r', 'a', now())",
        "names a version that is not live",
        id="a plan for a version that is no champion",
    ),
]


@pytest.mark.parametrize(("statement", "message"), REFUSED)
def test_the_database_refuses_by_itself(
    world: Callable[..., Any], statement: str, message: str
) -> None:
    life = world()
    version = life.validated()
    with (
        pytest.raises(StateConflict, match=message),
        life.platform.database.begin() as connection,
    ):
        connection.exec_driver_sql(statement.format(id=version.id))


@pytest.mark.parametrize(
    "statement", ["UPDATE approval SET answer = 'reject'", "DELETE FROM approval"]
)
def test_answers_cannot_be_rewritten(world: Callable[..., Any], statement: str) -> None:
    life = world()
    life.approved()
    with (
        pytest.raises(StateConflict, match="approval is append-only"),
        life.platform.database.begin() as connection,
    ):
        connection.exec_driver_sql(statement)


def test_an_approval_of_other_bytes_does_not_open_the_canary(world: Callable[..., Any]) -> None:
    """The guard counts approvals of exactly this artifact, whoever moves the version."""
    life = world()
    version = life.validated()
    with life.platform.database.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO approval (model_version_id, action, approver, trained_by, answer,"
            " artifact_digest, evidence_digest, expires_at) VALUES"
            f" ({version.id}, 'serve', 'grace', 'ada', 'approve', 'other', 'x',"
            " now() + interval '1 day')"
        )
    with (
        pytest.raises(StateConflict, match="has 0 of 1 valid approvals"),
        life.platform.database.begin() as connection,
    ):
        life.platform.ledger.move(
            connection,
            versions.get_by_id(connection, version.id),
            State.APPROVED,
            actor="grace",
            body={},
            op_key="f" * 64,
        )


def test_an_approver_reads_first_until_when_a_gate_is_excused(world: Callable[..., Any]) -> None:
    life = world()
    asked = approval.ask(life.platform, life.now(life.excused(days=5)))
    assert asked is not None
    ends = datetime.now(tz=UTC).date() + timedelta(days=6)
    link = "/tenure/model/flight_late/version/1/approval)"
    assert link in asked.body.splitlines()[0]
    assert asked.body.partition("\n\n")[2].startswith(
        "**Read this first**\n\n- It did not pass its bias gate and is excused until "
        f"{ends} 00:00 UTC: from then on it may not serve, however long an approval holds.\n"
    ), asked.body
    passed = approval.ask(life.platform, life.now(life.validated()))
    assert passed is not None
    assert "may not serve" not in passed.body


def test_an_approver_reads_first_what_was_rejected_before_and_which_gate_was_lowered(
    world: Callable[..., Any],
) -> None:
    """The same bytes under a new number, and a bound that was moved until it passed."""
    life = world()
    usual = life.remembered()
    champion = life.validated(config=usual)
    life.answer(champion, "grace")
    traffic.promote_first(life.platform, champion.id, actor="test")
    rejected = life.validated(config=life.remembered("max_difference: 0.25", "max_difference: 0.2"))
    life.answer(rejected, "heidi", Choice.REJECT, note="It fails the late shift.")
    again = life.validated(config=usual, same_bytes_as=2)
    asked = approval.ask(life.platform, life.now(again))
    assert asked is not None
    first, _, rest = asked.body.partition("\n\n**Read this")[2].partition("\n\n**")
    today = f"{datetime.now(tz=UTC):%Y-%m-%d}"
    assert first == (
        " first**\n\n"
        f"- flight\\_late@2 has the same bytes and was rejected by heidi on {today}: It fails the "
        "late shift.\n"
        "- Since flight\\_late@2 \\(the last one rejected\\) the gate was lowered: bias: "
        "max\\_difference 0.2, now 0.25."
    ), asked.body
    assert rest
    other = approval.ask(life.platform, life.now(life.validated(config=usual)))
    assert other is not None
    assert "has the same bytes" not in other.body


LOWERED = ("max_difference: 0.25", "max_difference: 0.3")


@pytest.mark.parametrize(
    ("choice", "lowered", "note", "says"),
    [
        (Choice.REJECT, False, "", "rejected flight_late@2 and wrote no reason"),
        (Choice.REJECT, False, "Drift in June.", None),
        (Choice.APPROVE, False, "", None),
        (Choice.APPROVE, True, "", r"1 of its gates may ask less than before: .*0\.25, now 0\.3"),
        (Choice.APPROVE, True, "Agreed with the board.", None),
    ],
)
def test_a_rejection_and_a_lowered_gate_need_a_reason(
    world: Callable[..., Any], choice: Choice, lowered: bool, note: str, says: str | None
) -> None:
    life = world()
    champion = life.validated(config=life.remembered())
    life.answer(champion, "grace")
    traffic.promote_first(life.platform, champion.id, actor="test")
    version = life.validated(config=life.remembered(*LOWERED) if lowered else life.remembered())
    asked = approval.ask(life.platform, version)
    assert asked is not None
    assert asked.needs_reason is lowered
    if says is None:
        assert life.answer(version, "heidi", choice, note) is not State.VALIDATED
        return
    with pytest.raises(NotPermitted, match=says) as refused:
        life.answer(version, "heidi", choice, note)
    assert "Reason" in refused.value.next_step
    assert life.now(version).state is State.VALIDATED
    assert life.count("approval") == 1


def test_approvers_are_told_once_that_they_are_asked(world: Callable[..., Any]) -> None:
    """Through the outbox, to the receiver of alerts; no incident is made of a question."""
    life = world(high_risk=True)
    version = life.validated()
    asked = approval.ask(life.platform, version)
    assert asked is not None
    seats = [life.run("review", run_id) for run_id in ("r1", "r1", "r2")]
    new = [approval.announce(life.platform, asked, one, hours=72) for one in seats]
    assert new == [True, False, True]
    taken: list[Mapping[str, object]] = []
    receiver = SimpleNamespace(send=lambda body, message_id: taken.append(body))
    for _ in range(2):
        deliver_alerts(life.platform, receiver)
    assert [one["event"] for one in taken] == ["asked", "asked"]
    assert taken[0]["title"] == "May flight_late@1 serve? (0 of 2 approved)"
    text = str(taken[0]["text"])
    assert text.startswith("grace, heidi: Read the approval page, then answer in Airflow until ")
    assert text.endswith("/tenure/model/flight_late/version/1/approval")
    assert life.count("incident") == 0
