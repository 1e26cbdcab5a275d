"""What the lifecycle database refuses, whoever asks: each refusal is tried for real."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, text, update

from tenure.adapters.sql import plans, tables, versions
from tenure.errors import StateConflict
from tenure.installation import Installation
from tenure.vocabulary import State, VersionRef

ARTIFACT = "a" * 64
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRAINED = {"artifact_digest": ARTIFACT, "signature": "signed"}
VALIDATED = {"evaluation_report": "e" * 64, "bias_report": "b" * 64}


class Life:
    """Moves versions of one model, as the stages would."""

    def __init__(self, platform: Installation, risk_tier: str = "limited") -> None:
        self.platform = platform
        with platform.database.begin() as connection:
            versions.register_model(
                connection, name="m", owner="ada", risk_tier=risk_tier, purpose="a test"
            )

    def draft(self, key: str = "first") -> VersionRef:
        with self.platform.database.begin() as connection:
            return versions.create_draft(
                connection, model_name="m", trained_by="ada", training_key=key
            )

    def now(self, version: VersionRef) -> VersionRef:
        with self.platform.database.begin() as connection:
            return versions.get_by_id(connection, version.id)

    def move(self, version: VersionRef, dst: State, **columns: Any) -> None:
        with self.platform.database.begin() as connection:
            self.move_in(connection, version, dst, **columns)

    def move_in(
        self, connection: Connection, version: VersionRef, dst: State, **columns: Any
    ) -> None:
        current = versions.get_by_id(connection, version.id)
        key = f"{version.id} {dst} {current.generation}"
        self.platform.ledger.move(
            connection, current, dst, actor="test", body={}, op_key=key, columns=columns
        )

    def validated(self, key: str = "first") -> VersionRef:
        version = self.draft(key)
        self.move(version, State.TRAINED, **TRAINED)
        self.move(version, State.VALIDATED, **VALIDATED)
        return version

    def approve(self, version: VersionRef, approver: str = "grace", **changes: Any) -> None:
        row = {
            "model_version_id": version.id,
            "action": "serve",
            "approver": approver,
            "trained_by": "ada",
            "answer": "approve",
            "artifact_digest": ARTIFACT,
            "evidence_digest": "e" * 64,
            "expires_at": datetime.now(tz=UTC) + timedelta(days=1),
        }
        with self.platform.database.begin() as connection:
            connection.execute(insert(tables.approval).values(**{**row, **changes}))

    def champion(self) -> VersionRef:
        version = self.validated()
        self.approve(version)
        self.move(version, State.APPROVED)
        with self.platform.database.begin() as connection:
            self.move_in(connection, version, State.CHAMPION)
            self.publish(connection, version)
        return version

    def publish(
        self,
        connection: Connection,
        champion: VersionRef,
        seen: plans.PlanRow | None = None,
        fence: int = 1,
        canary: VersionRef | None = None,
        *,
        until: datetime = NOW,
    ) -> plans.PlanRow:
        return plans.publish(
            connection,
            self.platform.ledger,
            model="m",
            seen=seen,
            fence=fence,
            champion_id=champion.id,
            canary_id=canary.id if canary else None,
            share_bp=500 if canary else 0,
            salt="s",
            lease_seconds=20 if canary else None,
            champion_until=until,
            canary_until=until if canary else None,
            now=NOW,
            reason="test",
            actor="test",
        )


@pytest.fixture
def life(platform: Installation) -> Life:
    return Life(platform)


def refused(life: Life, why: str, act: Callable[[Connection], object]) -> None:
    with pytest.raises(StateConflict, match=why), life.platform.database.begin() as connection:
        act(connection)


def test_an_illegal_move_is_refused(life: Life) -> None:
    version = life.draft()
    life.move(version, State.TRAINED, **TRAINED)
    refused(
        life,
        "m@1 may not go from trained to champion",
        lambda c: life.move_in(c, version, State.CHAMPION),
    )


def test_a_state_set_by_hand_without_an_event_is_refused_at_commit(life: Life) -> None:
    version = life.draft()
    statement = (
        update(tables.model_version)
        .where(tables.model_version.c.id == version.id)
        .values(state="trained", generation=1, **TRAINED)
    )
    refused(life, "generation 1 and 0 ledger events", lambda c: c.execute(statement))


def test_the_artifact_cannot_change_after_training(life: Life) -> None:
    version = life.validated()
    refused(
        life,
        "identity and artifact of m@1 cannot change",
        lambda c: versions.set_columns(c, version.id, artifact_digest="f" * 64),
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("facts", {"threshold": 0.0}),
        ("evaluation_report", "f" * 64),
        ("bias_report", "f" * 64),
        ("data_digest", "f" * 64),
    ],
)
def test_what_approvers_were_shown_cannot_change_after_validation(
    life: Life, column: str, value: Any
) -> None:
    version = life.champion()
    refused(
        life,
        "what was signed or approved of m@1 cannot change",
        lambda c: versions.set_columns(c, version.id, **{column: value}),
    )


def test_no_new_move_can_be_made_legal(life: Life) -> None:
    """Or `validated` to `champion` would need no approval."""
    statement = insert(tables.legal_move).values(src="validated", dst="champion")
    refused(life, "moves are added by a migration", lambda c: c.execute(statement))


@pytest.mark.parametrize(
    ("case", "changes"),
    [
        ("nobody approved", None),
        ("expired", {"expires_at": datetime.now(tz=UTC) - timedelta(seconds=1)}),
        ("another artifact", {"artifact_digest": "f" * 64}),
        ("rejected", {"answer": "reject"}),
        ("another action", {"action": "decommission"}),
    ],
)
def test_approved_needs_a_valid_approval(
    life: Life, case: str, changes: dict[str, Any] | None
) -> None:
    version = life.validated()
    if changes is not None:
        life.approve(version, **changes)
    refused(life, "0 of 1 valid approvals", lambda c: life.move_in(c, version, State.APPROVED))


def test_the_trainer_cannot_approve_whatever_the_case_of_the_name(life: Life) -> None:
    version = life.validated()
    with pytest.raises(StateConflict, match="second_person"):
        life.approve(version, approver="ADA")


def test_high_risk_needs_two_approvers(platform: Installation) -> None:
    life = Life(platform, risk_tier="high")
    version = life.validated()
    life.approve(version)
    refused(life, "1 of 2 valid approvals", lambda c: life.move_in(c, version, State.APPROVED))
    life.approve(version, approver="hopper")
    life.move(version, State.APPROVED)
    assert life.now(version).state is State.APPROVED


def test_a_second_champion_is_refused(life: Life) -> None:
    life.champion()
    other = life.validated("second")
    life.approve(other)
    life.approve(other, approver="hopper")
    life.move(other, State.APPROVED)
    refused(life, "uq_one_champion", lambda c: life.move_in(c, other, State.CHAMPION))


def test_the_newest_plan_must_name_live_versions(life: Life) -> None:
    champion = life.champion()
    refused(
        life,
        "names a version that is not live",
        lambda c: life.move_in(c, champion, State.ROLLED_BACK),
    )


def test_a_stale_plan_and_a_lower_fence_are_refused(life: Life) -> None:
    champion = life.champion()
    with life.platform.database.begin() as connection:
        seen = plans.newest(connection, "m")
        life.publish(connection, champion, seen, fence=3)
    refused(life, "moved on to generation 2", lambda c: life.publish(c, champion, seen, 3))
    with life.platform.database.begin() as connection:
        newest = plans.newest(connection, "m")
    refused(life, "holds fence 2", lambda c: life.publish(c, champion, newest, 2))


def test_a_canary_without_a_lease_is_refused(life: Life) -> None:
    champion = life.champion()
    statement = insert(tables.traffic_plan).values(
        model="m",
        generation=2,
        fence=1,
        champion_id=champion.id,
        share_bp=500,
        salt="s",
        champion_until=NOW,
        reason="r",
        actor="a",
    )
    refused(life, "canary_has_lease", lambda c: c.execute(statement))


@pytest.mark.parametrize(
    ("risk_tier", "days", "allowed"),
    [
        pytest.param("limited", [3], 3, id="one approval"),
        pytest.param("limited", [3, 5], 5, id="the longer of two, where one is enough"),
        pytest.param("high", [3, 5], 3, id="the shorter of two, where both are needed"),
        pytest.param("high", [3, 5, 4], 4, id="the second longest of three"),
    ],
)
def test_no_plan_outlasts_the_approvals(
    platform: Installation, risk_tier: str, days: list[int], allowed: int
) -> None:
    life, now = Life(platform, risk_tier=risk_tier), datetime.now(tz=UTC)
    version = life.validated()
    for number, length in enumerate(days):
        ends = {"expires_at": now + timedelta(days=length)}
        life.approve(version, approver=f"person{number}", **ends)
    life.move(version, State.APPROVED)
    until = now + timedelta(days=allowed)
    with life.platform.database.begin() as connection:
        life.move_in(connection, version, State.CHAMPION)
        life.publish(connection, version, until=until)
        seen = plans.newest(connection, "m")
    late = until + timedelta(microseconds=1)
    refused(
        life,
        "plan 2 of m authorizes a version beyond its approvals",
        lambda c: life.publish(c, version, seen, until=late),
    )


@pytest.mark.parametrize(
    ("changes", "is_renewal"),
    [
        pytest.param({}, True, id="the same, later"),
        pytest.param({"approver": "GRACE"}, True, id="the same person, other case"),
        pytest.param({"approver": "hopper", "answer": "reject"}, True, id="somebody else"),
        pytest.param({"answer": "reject"}, False, id="another answer"),
        pytest.param({"artifact_digest": "f" * 64}, False, id="other bytes"),
        pytest.param({"evidence_digest": "f" * 64}, False, id="other evidence"),
        pytest.param({"expires_at": NOW}, False, id="an earlier end"),
    ],
)
def test_a_second_answer_of_one_person_is_a_renewal_or_refused(
    life: Life, changes: dict[str, Any], is_renewal: bool
) -> None:
    version = life.validated()
    life.approve(version)
    later = {"expires_at": datetime.now(tz=UTC) + timedelta(days=2), **changes}
    if is_renewal:
        life.approve(version, **later)
        return
    with pytest.raises(StateConflict, match="answered for version 1 already"):
        life.approve(version, **later)


@pytest.mark.parametrize(
    "table", [tables.ledger_event, tables.approval, tables.traffic_plan], ids=lambda t: t.name
)
def test_evidence_cannot_be_changed_or_deleted(life: Life, table: Any) -> None:
    life.champion()
    refused(life, f"{table.name} is append-only", lambda c: c.execute(delete(table)))
    refused(
        life,
        f"{table.name} is append-only",
        lambda c: c.execute(text(f"TRUNCATE {table.name} CASCADE")),
    )


def test_a_ledger_event_that_does_not_follow_the_head_is_refused(life: Life) -> None:
    life.champion()
    event = {
        "seq": 99,
        "op_key": "forged",
        "subject": "x",
        "generation": 1,
        "actor": "eve",
        "at": NOW,
        "prev_hash": "0" * 64,
        "hash": "1" * 64,
    }
    refused(
        life,
        "ledger event 99 does not follow",
        lambda c: c.execute(insert(tables.ledger_event).values(**event)),
    )


def test_retiring_needs_a_second_person(life: Life) -> None:
    version = life.validated()
    life.move(version, State.REJECTED)
    refused(
        life,
        "no decommission confirmed by a second person",
        lambda c: life.move_in(c, version, State.RETIRING),
    )


def test_the_same_command_twice_moves_once(life: Life) -> None:
    version = life.draft()
    ledger = life.platform.ledger
    done = []
    for _ in range(2):
        with life.platform.database.begin() as connection:
            moved = ledger.move(
                connection,
                version,
                State.TRAINED,
                actor="test",
                body={},
                op_key="train once",
                columns=TRAINED,
            )
            done.append(moved)
    assert done == [True, False]
    assert life.now(version).generation == 1


def test_a_stale_command_loses_the_swap(life: Life) -> None:
    version = life.draft()
    life.move(version, State.TRAINED, **TRAINED)
    refused(
        life,
        "m@1 is no longer draft",
        lambda c: life.platform.ledger.move(
            c, version, State.REJECTED, actor="late", body={}, op_key="stale"
        ),
    )


def test_the_same_training_key_is_the_same_version(life: Life) -> None:
    assert life.draft("one").id == life.draft("one").id
    assert life.draft("two").version == 2
