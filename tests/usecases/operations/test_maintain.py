from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from sqlalchemy import text
from witnesses import WitnessThread, configured

from tenure.adapters.sql import reports, versions
from tenure.errors import LedgerBroken, ServiceUnreachable
from tenure.installation import Installation
from tenure.lifecycle.audit.reconciliation import FailedTask
from tenure.lifecycle.audit.witness import LedgerPolicy, WitnessPolicy
from tenure.lifecycle.incidents.failure_card import FailureCard, describe
from tenure.usecases.audit.checkpoints import CheckpointCounts
from tenure.usecases.audit.ledger_tree import log_key
from tenure.usecases.incidents.failure_cards import save
from tenure.usecases.incidents.outbox import Delivery
from tenure.usecases.operations.maintain import RequestCounts, SweepCounts, WatchCounts, maintain
from tenure.usecases.operations.reconcile import (
    AliasCounts,
    CanaryCounts,
    ChainLength,
    PartFailure,
    reconcile,
)
from tenure.vocabulary import RunRef, VersionRef

pytestmark = pytest.mark.service

MODEL = "flight_late"
RUN = RunRef("maintain_platform", "r1", "maintain")
NOW = datetime.now(tz=UTC)


@dataclass
class Aliases:
    """The port to MLflow: one alias table."""

    now: dict[str, int] = field(default_factory=dict)
    known: set[int] = field(default_factory=lambda: {1, 2, 3})
    is_down: bool = False

    def get_aliases(self, model: str) -> dict[str, int]:
        if self.is_down:
            raise ServiceUnreachable("MLflow is down.", still_safe="all", next_step="wait")
        return dict(self.now)

    def set_alias(self, model: str, alias: str, version: int | None) -> bool:
        if version is None:
            self.now.pop(alias, None)
            return True
        if version not in self.known:
            return False
        self.now[alias] = version
        return True

    def tombstone(self, model: str, version: int, *, run_id: str | None, reason: str) -> list[str]:
        return []


@dataclass
class Tasks:
    """The port to Airflow."""

    failed: list[FailedTask] = field(default_factory=list)
    active: set[str] = field(default_factory=set)
    broken: dict[str, str] = field(default_factory=dict)

    def failed_tasks(self, since: datetime) -> list[FailedTask]:
        return [one for one in self.failed if one.ended_at is None or one.ended_at >= since]

    def has_active_run(self, dag_id: str) -> bool:
        return dag_id in self.active

    def import_errors(self) -> dict[str, str]:
        return self.broken

    def pools(self) -> dict[str, int]:
        return {"default_pool": 128}


@pytest.fixture
def aliases() -> Aliases:
    return Aliases()


def change(platform: Installation, *statements: str) -> None:
    """What only somebody with the database's own rights could do."""
    with platform.database.begin() as c:
        c.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            c.execute(text(statement))


def incidents(platform: Installation, state: str = "open") -> dict[str, str]:
    with platform.database.begin() as c:
        rows = c.execute(text("SELECT kind, summary FROM incident WHERE state = :s"), {"s": state})
        return {row.kind: row.summary for row in rows}


def make(platform: Installation, number: int, *states: str) -> VersionRef:
    """A version whose ledger says that it went through these states."""
    with platform.database.begin() as c:
        versions.register_model(c, name=MODEL, owner="ada", risk_tier="limited", purpose="t")
        ref = versions.create_draft(
            c, model_name=MODEL, trained_by="ada", training_key=f"{number:064}"
        )
    for state in states:
        with platform.database.begin() as c:
            c.execute(text("SET LOCAL session_replication_role = replica"))
            values = {"state": state, "id": ref.id}
            c.execute(
                text(
                    "UPDATE model_version SET state = :state, generation = generation + 1, "
                    "artifact_digest = 'a', signature = 's', evaluation_report = 'e', "
                    "bias_report = 'b' WHERE id = :id"
                ),
                values,
            )
        note(platform, ref, state)
    return ref


def note(platform: Installation, ref: VersionRef, state: str) -> None:
    """An event of the chain with a target state, as a move writes it."""
    with platform.database.begin() as c:
        fresh = versions.get_by_id(c, ref.id)
        platform.ledger._append(  # the moves themselves are tested elsewhere
            c,
            f"mv:{ref.id}",
            fresh.generation,
            None,
            fresh.state,
            actor="t",
            body={},
            op_key=f"{ref.id} {state}",
        )


def test_aliases_are_set_and_lateness_is_no_incident(
    platform: Installation, aliases: Aliases
) -> None:
    make(platform, 1, "champion", "superseded")
    make(platform, 2, "champion")
    make(platform, 3, "canary")
    aliases.now = {"champion": 1}
    found = reconcile(platform, RUN, aliases)
    assert aliases.now == {"champion": 2, "challenger": 3}
    assert found.aliases == AliasCounts(models=1, repaired=2, by_hand=0)
    assert incidents(platform) == {}
    assert reconcile(platform, RUN, aliases).aliases == AliasCounts(1, 0, 0)


def test_an_alias_that_somebody_moved_is_put_back_and_told(
    platform: Installation, aliases: Aliases
) -> None:
    make(platform, 1, "champion")
    make(platform, 2, "validated")
    aliases.now = {"champion": 2}
    found = reconcile(platform, RUN, aliases)
    assert aliases.now == {"champion": 1}
    assert found.aliases == AliasCounts(models=1, repaired=1, by_hand=1)
    assert "pointed to version 2, which never had that place" in incidents(platform)["alias_moved"]


def test_a_part_that_fails_does_not_stop_the_others_and_its_incident_closes(
    platform: Installation, aliases: Aliases
) -> None:
    make(platform, 1, "champion")
    aliases.is_down = True
    found = reconcile(platform, RUN, aliases)
    assert found.aliases == PartFailure("MLflow is down.", "ServiceUnreachable")
    assert found.ledger == ChainLength(1, ANY)
    assert incidents(platform) == {"ServiceUnreachable": "MLflow is down."}
    aliases.is_down = False
    reconcile(platform, RUN, aliases)
    assert incidents(platform) == {}
    assert aliases.now == {"champion": 1}


@pytest.mark.parametrize(("seconds", "orphaned"), [(30, False), (59, False), (62, True)])
def test_a_canary_without_controller_is_reported_until_somebody_takes_over(
    platform: Installation, aliases: Aliases, seconds: int, orphaned: bool
) -> None:
    champion, canary = make(platform, 1, "champion"), make(platform, 2, "canary")
    plan = (
        "INSERT INTO traffic_plan (model, generation, fence, champion_id, canary_id, share_bp, "
        "salt, lease_seconds, lease_until, champion_until, canary_until, reason, actor) "
        f"VALUES ('{MODEL}', %d, 1, {champion.id}, {canary.id}, 500, 's', 20, %s, now(), now(), "
        "'r', 'a')"
    )
    change(platform, plan % (1, f"now() - interval '{seconds} seconds'"))
    found = reconcile(platform, RUN, aliases)
    assert found.canaries == CanaryCounts(without_controller=int(orphaned), stopped=0)
    if orphaned:
        told = incidents(platform)["canary_without_controller"]
        assert told.startswith("The canary flight_late@2 has no controller: its lease ended at")
        assert "it takes over at 5%" in told
    change(platform, plan % (2, "now() + interval '20 seconds'"))
    reconcile(platform, RUN, aliases)
    assert incidents(platform) == {}


def test_verified_events_cannot_be_rewritten_even_with_right_hashes(
    platform: Installation, aliases: Aliases
) -> None:
    make(platform, 1, "champion")
    assert reconcile(platform, RUN, aliases).ledger == ChainLength(1, ANY)
    change(platform, "DELETE FROM ledger_event", "DELETE FROM ledger_head")
    with platform.database.begin() as c:
        platform.ledger.note(c, subject="s", actor="eve", body={}, op_key="forged")
    with pytest.raises(LedgerBroken, match="broken at event 1: its anchor in the lifecycle"):
        maintain(platform, RUN, None, aliases)
    assert "LedgerBroken" in incidents(platform)


def test_a_verification_is_stored_only_when_the_chain_grew(
    platform: Installation, aliases: Aliases
) -> None:
    make(platform, 1, "champion")
    for _ in range(3):
        reconcile(platform, RUN, aliases)
    with platform.database.begin() as c:
        count = c.execute(text("SELECT count(*) FROM report WHERE stage = 'ledger'")).scalar_one()
    assert count == 1


def killed(**changes: Any) -> FailedTask:
    values = {
        "dag_id": f"{MODEL}__train_model",
        "run_id": "manual__1",
        "task_id": "train",
        "map_index": -1,
        "ended_at": NOW - timedelta(minutes=5),
        "tries": 3,
    }
    return FailedTask(**(values | changes))


def written(platform: Installation) -> list[FailureCard]:
    """The cards of the run, newest first."""
    with platform.database.begin() as c:
        rows = reports.of_run(c, f"{MODEL}__train_model", "manual__1")
    return [FailureCard.from_facts(row.report.facts) for row in rows]


def test_a_killed_task_gets_the_card_that_it_could_not_write(
    platform: Installation, aliases: Aliases
) -> None:
    make(platform, 1, "champion")
    found = maintain(platform, RUN, Tasks([killed(), killed(dag_id="etl")]), aliases)
    assert found.watchdog == WatchCounts(failed=2, killed=1)
    (card,) = written(platform)
    assert (card.kind, card.owner) == ("Killed", "ada")
    assert "ended at" in card.what
    assert card.log_url.endswith(f"/dags/{MODEL}__train_model/runs/manual__1/tasks/train")
    assert incidents(platform)["Killed"] == card.what
    again = maintain(platform, RUN, Tasks([killed()]), aliases)
    assert again.watchdog == WatchCounts(failed=1, killed=0)


def test_a_task_that_is_killed_after_a_try_that_said_why_gets_a_card(
    platform: Installation, aliases: Aliases
) -> None:
    make(platform, 1, "champion")
    first = describe(ServiceUnreachable("MLflow is down.", still_safe="all", next_step="wait"))
    save(platform, first, RunRef(f"{MODEL}__train_model", "manual__1", "train"))
    for tries, number in ((1, 0), (2, 1), (2, 0)):
        found = maintain(platform, RUN, Tasks([killed(tries=tries)]), aliases)
        assert found.watchdog == WatchCounts(failed=1, killed=number)
    assert [card.kind for card in written(platform)] == ["Killed", "ServiceUnreachable"]


def test_a_request_that_no_run_works_on_is_closed(platform: Installation, aliases: Aliases) -> None:
    ref = make(platform, 1, "champion")
    request = (
        "INSERT INTO retrain_request (model, reason_code, reason, requested_by, state, "
        f"model_version_id, created_at) VALUES ('{MODEL}', 'c', 'r', 'u', 'running', {ref.id}, "
        "now() - interval '16 minutes')"
    )
    change(platform, request)
    working = Tasks(active={f"{MODEL}__train_model"})
    assert maintain(platform, RUN, working, aliases).requests == RequestCounts(1, closed=0)
    assert maintain(platform, RUN, Tasks(), aliases).requests == RequestCounts(1, closed=1)
    with platform.database.begin() as c:
        row = c.execute(text("SELECT state, closed_at FROM retrain_request")).one()
    assert row.state == "failed"
    assert row.closed_at is not None


def test_without_a_login_nobody_watches(platform: Installation, aliases: Aliases) -> None:
    assert maintain(platform, RUN, None, aliases).watchdog is None


def test_a_notice_that_failed_is_delivered_later(
    platform: Installation, aliases: Aliases, receiver: Any
) -> None:
    receiver.answers.append(500)
    with platform.database.begin() as c:
        platform.ledger.enqueue(c, topic="t", body={"webhook": receiver.url}, op_key="k")
    assert reconcile(platform, RUN, aliases).outbox == Delivery(delivered=0, failed=1)
    assert reconcile(platform, RUN, aliases).outbox == Delivery(delivered=1, failed=0)
    assert receiver.ids == ["k", "k"]


def test_gateways_that_are_long_silent_are_forgotten(
    platform: Installation, aliases: Aliases
) -> None:
    with platform.database.begin() as c:
        for name, age in (("replaced", "169 h"), ("cut-off", "167 h"), ("serves", "1 s")):
            c.exec_driver_sql(
                "INSERT INTO gateway_ack VALUES "
                f"('{name}', 'm', 1, now() - interval '90 d', now() - interval '{age}')"
            )
    for gone in (1, 0):
        assert maintain(platform, RUN, None, aliases).sweep == SweepCounts(0, 0, gateways=gone)
    with platform.database.begin() as c:
        left = c.exec_driver_sql("SELECT gateway_id FROM gateway_ack ORDER BY 1").scalars().all()
    assert left == ["cut-off", "serves"]


def test_maintenance_says_that_it_lives_and_whether_mlflow_answered(
    platform: Installation, aliases: Aliases
) -> None:
    from tenure.adapters.sql import health

    make(platform, 1, "champion")
    aliases.is_down = True
    for names in (["maintain_platform"], ["maintain_platform", "mlflow"]):
        maintain(platform, RUN, None, aliases)
        with platform.database.begin() as connection:
            beats = health.heartbeats(connection)
        assert sorted(beats) == ["ledger_verification", *names]
        periods = {name: one.period_seconds for name, one in beats.items()}
        assert periods == dict.fromkeys(names, 300.0) | {"ledger_verification": 86_400.0}
        aliases.is_down = False


def test_the_whole_ledger_is_verified_once_a_day(platform: Installation, aliases: Aliases) -> None:
    make(platform, 1, "champion")

    def is_verified() -> bool:
        done = maintain(platform, RUN, None, aliases).checkpoint
        assert isinstance(done, CheckpointCounts)
        return done.is_verified

    assert [is_verified(), is_verified()] == [True, False]
    yesterday = "UPDATE heartbeat SET seen_at = now() - interval '24 hours'"
    change(platform, f"{yesterday} WHERE name = 'ledger_verification'")
    assert is_verified()
    change(
        platform,
        f"{yesterday} WHERE name = 'ledger_verification'",
        "UPDATE model_version SET state = 'superseded' WHERE version = 1",
    )
    with pytest.raises(LedgerBroken, match="The ledger does not hold: I6, 1 rows: model flight_l"):
        maintain(platform, RUN, None, aliases)
    assert "LedgerBroken" in incidents(platform)


def test_a_silent_witness_is_an_incident_until_it_answers(
    platform: Installation, aliases: Aliases, tmp_path: Path
) -> None:
    with platform.database.begin() as c:
        platform.ledger.note(c, subject="s", actor="ada", body={}, op_key="k")
    witness = WitnessThread(tmp_path / "witness", log_key(platform))
    try:
        away = LedgerPolicy(
            witness=WitnessPolicy(url="http://127.0.0.1:9", key=witness.witness.key.text)
        )
        done = maintain(configured(platform, away), RUN, None, aliases).checkpoint
        assert isinstance(done, PartFailure)
        assert incidents(platform) == {
            "NotWitnessed": "The witness http://127.0.0.1:9 gave no answer: ConnectError."
        }
        done = maintain(configured(platform, witness.policy), RUN, None, aliases).checkpoint
        assert done == CheckpointCounts(2, is_cosigned=True, is_new=True, is_verified=True)
        assert incidents(platform) == {}
    finally:
        witness.stop()


@pytest.mark.parametrize("error", [KeyError("a bug"), ValueError("a\x00b"), TypeError("no")])
def test_a_bug_of_one_part_keeps_no_other_from_its_work(
    platform: Installation, aliases: Aliases, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from tenure.usecases.operations import reconcile as module

    def explode(*_: Any) -> None:
        raise error

    make(platform, 1, "champion")
    monkeypatch.setattr(module, "deliver", explode)
    found = reconcile(platform, RUN, aliases)
    assert isinstance(found.outbox, PartFailure)
    assert found.outbox.kind == type(error).__name__
    assert aliases.now == {"champion": 1}
    assert found.ledger == ChainLength(1, ANY)
    assert [*incidents(platform)] == [type(error).__name__]
    monkeypatch.undo()
    reconcile(platform, RUN, aliases)
    assert incidents(platform) == {}


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_killed_task_that_cannot_be_told_holds_up_no_other(
    platform: Installation, aliases: Aliases, monkeypatch: pytest.MonkeyPatch, bad: int
) -> None:
    from tenure.usecases.operations import maintain as module

    write = module.save
    names = [f"{MODEL}__{stage}" for stage in ("train_model", "monitor_model", "promote_model")]
    make(platform, 1, "champion")

    def explode(platform: Installation, card: Any, run: RunRef) -> None:
        if run.dag_id == names[bad]:
            raise ValueError("half of a pair \ud800\x00")
        write(platform, card, run)

    monkeypatch.setattr(module, "save", explode)
    dead = [killed(dag_id=name) for name in names]
    found = maintain(platform, RUN, Tasks(failed=dead), aliases)
    assert found.watchdog == WatchCounts(failed=3, killed=2)
    with platform.database.begin() as c:
        keys = c.execute(text("SELECT dedupe_key FROM incident")).scalars().all()
    assert f"watchdog:{names[bad]}.train" in keys
    assert len([key for key in keys if key.startswith("Killed:")]) == 2
