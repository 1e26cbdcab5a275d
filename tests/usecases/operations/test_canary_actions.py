"""A canary is rolled back on its page: a dry run that changes nothing, then the deed, once."""

from datetime import timedelta

import pytest
import version_rows

from tenure.adapters.sql import approvals, plans, versions
from tenure.errors import NotPermitted, ReasonMissing, StateConflict, TextRefused
from tenure.installation import Installation
from tenure.lifecycle.promotion.approval import ApprovalAnswer, Choice
from tenure.usecases.operations.canary_actions import plan, roll_back_canary
from tenure.vocabulary import State, VersionRef, digest_json

pytestmark = pytest.mark.service
MODEL = "flight_late"


def version(platform: Installation, number: int, last: State) -> VersionRef:
    """By the rules of the database, with one approval."""
    artifact, until = f"{number:064}", platform.clock.now() + timedelta(days=1)
    with platform.database.begin() as c:
        versions.register_model(c, name=MODEL, owner="ada", risk_tier="limited", purpose="tests")
        ref = versions.create_draft(c, model_name=MODEL, trained_by="ada", training_key=artifact)
        trained = {"artifact_digest": artifact, "signature": "s", "facts": version_rows.facts()}
        columns = {
            State.TRAINED: trained,
            State.VALIDATED: {"evaluation_report": "e", "bias_report": "b"},
        }
        for state in (State.TRAINED, State.VALIDATED, State.APPROVED, last):
            if state is State.APPROVED:
                given = ApprovalAnswer("grace", Choice.APPROVE, artifact, "e", until)
                approvals.record(c, approvals.ApprovalRow.of(ref, given, ""))
            platform.ledger.move(
                c,
                ref,
                state,
                actor="test",
                body={},
                op_key=digest_json([number, state]),
                columns=columns.get(state, {}),
            )
            ref = versions.get_by_id(c, ref.id)
    return ref


@pytest.fixture
def canary(platform: Installation) -> VersionRef:
    """Version 2, with 5% of the traffic of version 1."""
    champion = version(platform, 1, State.CHAMPION)
    canary = version(platform, 2, State.CANARY)
    now = platform.clock.now()
    with platform.database.begin() as c:
        plans.publish(
            c,
            platform.ledger,
            model=MODEL,
            seen=None,
            fence=1,
            champion_id=champion.id,
            canary_id=canary.id,
            share_bp=500,
            salt="salt",
            lease_seconds=60,
            champion_until=now + timedelta(hours=1),
            canary_until=now + timedelta(hours=1),
            now=now,
            reason="canary",
            actor="test",
        )
    return canary


def state_of(platform: Installation, version: VersionRef) -> State:
    with platform.database.begin() as c:
        return versions.get_by_id(c, version.id).state


def do(platform: Installation, seen: str, reason: str = "complaints") -> str:
    return roll_back_canary(platform, MODEL, 2, user="olga", reason=reason, seen=seen)


def test_it_is_done_once_as_it_was_seen(platform: Installation, canary: VersionRef) -> None:
    dry = plan(platform, MODEL, 2, user="olga", reason="complaints")
    assert dry.sentence.startswith("flight_late@2 (canary) loses all traffic; flight_late@1 serves")
    assert state_of(platform, canary) is State.CANARY
    with pytest.raises(StateConflict, match="It is not any more as you saw it"):
        do(platform, seen="another plan")
    assert state_of(platform, canary) is State.CANARY
    assert do(platform, dry.seen).endswith("Plan generation 2.")
    assert state_of(platform, canary) is State.ROLLED_BACK
    with platform.database.begin() as c:
        query = "SELECT actor, body->>'reason' FROM ledger_event WHERE dst = 'rolled_back'"
        assert [tuple(row) for row in c.exec_driver_sql(query)] == [("olga", "complaints")]
    with pytest.raises(StateConflict, match="is rolled back already"):
        do(platform, dry.seen)
    assert not plan(platform, MODEL, 2, user="olga", reason="complaints").changes


@pytest.mark.parametrize(
    ("user", "reason", "error"),
    [
        ("mallory", "complaints", NotPermitted),
        ("olga", "", ReasonMissing),
        ("olga", "x" * 501, TextRefused),
    ],
)
def test_who_may_not_or_says_no_reason_changes_nothing(
    platform: Installation, canary: VersionRef, user: str, reason: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        plan(platform, MODEL, 2, user=user, reason=reason)
    with pytest.raises(error):
        roll_back_canary(platform, MODEL, 2, user=user, reason=reason, seen="x")
    assert state_of(platform, canary) is State.CANARY


def test_a_canary_that_became_champion_is_left_alone(
    platform: Installation, canary: VersionRef
) -> None:
    """The button of a page that is a minute old takes no champion out of traffic."""
    with pytest.raises(StateConflict, match="flight_late@1 is champion by now, no canary"):
        plan(platform, MODEL, 1, user="olga", reason="complaints")
