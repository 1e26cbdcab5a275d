import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from version_rows import facts

from tenure.adapters.sql import decommissions, versions
from tenure.errors import ArchiveIncomplete, NotPermitted, StateConflict
from tenure.installation import Installation
from tenure.layout import artifact_key, reference_key
from tenure.lifecycle.retirement.decommission import DecommissionStep, StepAction
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.retirement.decommissioning import (
    Decommissioning,
    StepResult,
    decommissioning,
    verify,
)
from tenure.usecases.serving.gateway import PlanSource
from tenure.vocabulary import RunRef, State, VersionRef

MODEL = "flight_late"
STEPS = (StepAction.NOTIFY, StepAction.ARCHIVE, StepAction.DELETE, StepAction.RECORD)
Make = Callable[..., VersionRef]

pytestmark = pytest.mark.service


def state_of(platform: Installation, number: int = 1) -> State:
    with platform.database.begin() as c:
        ref = versions.get(c, MODEL, number)
    assert ref is not None
    return ref.state


def force(platform: Installation, ref: VersionRef, state: State) -> None:
    """What somebody with the code but without the right would try."""
    with platform.database.begin() as c:
        fresh = versions.get_by_id(c, ref.id)
        platform.ledger.move(c, fresh, state, actor="eve", body={}, op_key=f"force {state}")


def agree(retire: Decommissioning, run: RunRef, number: int = 1) -> None:
    retire.request(number, reason="old", successor="flight_late@2", run=run)
    retire.confirm(number, agrees=True, person="grace")


def walk(retire: Decommissioning, run: RunRef, number: int = 1) -> list[StepResult]:
    return [retire.do(action, number, run) for action in STEPS]


def test_a_whole_retirement_keeps_evidence_and_deletes_what_it_said(
    platform: Installation, retire: Decommissioning, make_version: Make, run: RunRef, mirror: object
) -> None:
    ref = make_version()
    artifact = artifact_key(ref.artifact_digest or "")
    data = platform.store.get(artifact)
    agree(retire, run)
    outcomes = walk(retire, run)
    assert not any(one.waiting for one in outcomes)
    assert state_of(platform) is State.DELETED
    assert not platform.store.exists(artifact)
    assert not platform.store.exists(reference_key(MODEL, 1))
    assert mirror.gone == ["flight_late@1"]  # type: ignore[attr-defined]
    archive = "archive/flight_late/1/"
    assert platform.store.get(f"{archive}artifact.skops") == data
    record = json.loads(platform.store.get(f"{archive}record.json", outcomes[-1].digest))
    assert record["summary"] == (
        "flight_late@1 decommissioned: asked by olga, confirmed by grace; "
        "8 items archived, 2 originals deleted."
    )
    assert record["facts"]["consumers"] == ["passenger_app"]
    assert verify_ledger(platform, invariants=True).ok


@pytest.mark.parametrize("trained", [False, True], ids=["a draft", "failed its first gate"])
def test_what_was_rejected_before_its_evidence_was_complete_retires(
    platform: Installation, retire: Decommissioning, run: RunRef, trained: bool
) -> None:
    """What there is of it is archived: its row, its events, its one report."""
    report = platform.store.put("scratch", b"{}")
    platform.store.put(f"reports/{report[:2]}/{report}.json", b"{}")
    key = artifact_key(platform.store.put("scratch", b"model"))
    platform.store.put(key, b"model")
    with platform.database.begin() as c:
        versions.register_model(c, name=MODEL, owner="ada", risk_tier="limited", purpose="tests")
        ref = versions.create_draft(c, model_name=MODEL, trained_by="ada", training_key="k")
        versions.set_columns(c, ref.id, facts=facts())
    moves: list[tuple[State, dict[str, object]]] = [(State.REJECTED, {})]
    if trained:
        digest = platform.store.put("scratch", b"model")
        has_artifact = {"artifact_digest": digest, "signature": "signed"}
        moves = [(State.TRAINED, has_artifact), (State.REJECTED, {"evaluation_report": report})]
    for state, columns in moves:
        with platform.database.begin() as c:
            fresh, name = versions.get_by_id(c, ref.id), f"to {state}"
            platform.ledger.move(c, fresh, state, actor="t", body={}, op_key=name, columns=columns)
    agree(retire, run)
    outcomes = walk(retire, run)
    assert not any(one.waiting for one in outcomes)
    assert state_of(platform) is State.DELETED
    assert platform.store.exists(key) is not trained
    assert "archived, " in outcomes[-1].note
    assert verify(platform, MODEL, 1).items == (4 if trained else 2)
    assert verify_ledger(platform, invariants=True).ok


def test_what_a_trial_said_of_it_ends_when_it_retires(
    platform: Installation, retire: Decommissioning, make_version: Make, run: RunRef
) -> None:
    make_version()
    for kind in ("artifact_refused", "variant_refused", "model_crashed"):
        PlanSource(platform, "gw").report_failure(MODEL, 1, kind, "why")
    agree(retire, run)
    retire.do(StepAction.NOTIFY, 1, run)

    def still_open() -> int:
        with platform.database.begin() as c:
            about = f"state = 'open' AND subject = '{MODEL}@1'"
            query = text(f"SELECT count(*) FROM incident WHERE {about}")
            return int(c.execute(query).scalar_one())

    assert still_open() == 3
    retire.do(StepAction.ARCHIVE, 1, run)
    assert still_open() == 0


def test_every_step_may_run_twice(
    platform: Installation, retire: Decommissioning, make_version: Make, run: RunRef
) -> None:
    make_version()
    agree(retire, run)
    agree(retire, run)
    walk(retire, run)
    length = verify_ledger(platform).events
    again = walk(retire, run)
    assert [one.note.split(" of ")[1] for one in again] == ["flight_late@1 was done already."] * 4
    assert verify_ledger(platform).events == length


def test_a_live_version_cannot_be_retired(
    platform: Installation, retire: Decommissioning, make_version: Make, run: RunRef
) -> None:
    make_version()
    with platform.database.begin() as c:
        c.execute(text("SET LOCAL session_replication_role = replica"))
        c.execute(text("UPDATE model_version SET state = 'champion'"))
    with pytest.raises(StateConflict) as caught:
        retire.request(1, reason="old", successor="", run=run)
    assert caught.value.what == (
        "flight_late@1 cannot be retired: it is champion; only superseded, rolled_back, rejected "
        "versions retire."
    )
    with pytest.raises(StateConflict, match="there is no such version"):
        retire.request(9, reason="old", successor="", run=run)


@pytest.mark.parametrize("user", [None, "vera", "sam"])
def test_who_may_not_ask(
    retire: Decommissioning, make_version: Make, run: RunRef, user: str | None
) -> None:
    make_version()
    with pytest.raises(NotPermitted, match="may not ask for a retirement"):
        retire.request(1, reason="old", successor="", run=replace(run, user=user))


@pytest.mark.parametrize("user", ["ada", "olga", "dora"])
def test_owner_operator_and_decommissioner_may_ask(
    retire: Decommissioning, make_version: Make, run: RunRef, user: str
) -> None:
    make_version()
    assert user in retire.request(1, reason="old", successor="", run=replace(run, user=user)).note


@pytest.mark.parametrize(
    ("asks", "answers", "why"),
    [
        ("dora", "dora", "dora asked for the retirement, so somebody else must confirm it"),
        ("dora", "DORA", "DORA asked for the retirement, so somebody else must confirm it"),
        ("dora", "olga", "olga does not have the role decommissioner"),
        ("dora", None, "nobody who is known answered"),
    ],
)
def test_who_may_not_confirm(
    *,
    retire: Decommissioning,
    make_version: Make,
    run: RunRef,
    asks: str,
    answers: str | None,
    why: str,
) -> None:
    make_version()
    retire.request(1, reason="old", successor="", run=replace(run, user=asks))
    with pytest.raises(NotPermitted) as caught:
        retire.confirm(1, agrees=True, person=answers)
    assert caught.value.what == f"The retirement of flight_late@1 was not confirmed: {why}."
    assert retire.do(StepAction.NOTIFY, 1, run).waiting


def test_the_requester_is_not_among_those_who_are_asked(
    retire: Decommissioning, make_version: Make, run: RunRef
) -> None:
    make_version()
    retire.request(1, reason="old", successor="", run=replace(run, user="grace"))
    asked = retire.ask(1)
    assert asked is not None
    assert asked[1] == ["dora"]


def test_the_database_refuses_one_person_twice(
    platform: Installation, retire: Decommissioning, make_version: Make, run: RunRef
) -> None:
    make_version()
    retire.request(1, reason="old", successor="", run=run)
    with pytest.raises(StateConflict, match="two_people"), platform.database.begin() as c:
        c.execute(text("UPDATE decommission SET second_person = 'Olga'"))


def test_the_database_refuses_retiring_without_a_second_person(
    platform: Installation, retire: Decommissioning, make_version: Make, run: RunRef
) -> None:
    ref = make_version()
    retire.request(1, reason="old", successor="", run=run)
    with pytest.raises(StateConflict, match="no decommission confirmed by a second person"):
        force(platform, ref, State.RETIRING)


def test_a_refusal_ends_the_attempt_and_a_new_one_may_follow(
    platform: Installation, retire: Decommissioning, make_version: Make, run: RunRef
) -> None:
    make_version()
    retire.request(1, reason="old", successor="", run=run)
    assert retire.confirm(1, agrees=False, person="grace").waiting
    assert [one.waiting for one in walk(retire, run)] == [True] * 4
    assert state_of(platform) is State.REJECTED
    agree(retire, run)
    assert not any(one.waiting for one in walk(retire, run))
    assert state_of(platform) is State.DELETED
    assert verify_ledger(platform, invariants=True).ok


def test_a_version_that_is_champion_again_does_not_retire(
    platform: Installation, retire: Decommissioning, make_version: Make, run: RunRef
) -> None:
    ref = make_version()
    agree(retire, run)
    retire.do(StepAction.NOTIFY, 1, run)
    with platform.database.begin() as c:
        c.execute(text("SET LOCAL session_replication_role = replica"))
        c.execute(text("UPDATE model_version SET state = 'champion'"))
    outcome = retire.do(StepAction.ARCHIVE, 1, run)
    assert outcome == StepResult(
        "flight_late@1 is champion again; it does not retire.", waiting=True
    )
    with platform.database.begin() as c:
        progress = decommissions.get(c, ref.id)
    assert progress is not None
    assert progress.step is DecommissionStep.WITHDRAWN


def test_notice_and_retention_end_the_run_until_their_date(
    include_with: Callable[[str, str], Installation],
    make_version: Make,
    run: RunRef,
    mirror: object,
    clock: object,
) -> None:
    make_version()
    slow = include_with("notice_days: 0, retain_days: 0", "notice_days: 2, retain_days: 3")
    slow.__dict__["clock"] = clock
    retire = decommissioning(slow, MODEL, mirror)  # type: ignore[arg-type]
    agree(retire, run)
    assert [one.waiting for one in walk(retire, run)] == [False, True, True, True]
    assert state_of(slow) is State.REJECTED
    assert retire.resume(1, run) == []
    clock.ahead += timedelta(days=2, minutes=14)  # type: ignore[attr-defined]
    assert retire.resume(1, run) == []
    clock.ahead += timedelta(minutes=1)  # type: ignore[attr-defined]
    assert len(retire.resume(1, run)) == 1
    assert state_of(slow) is State.ARCHIVED
    outcome = retire.do(StepAction.DELETE, 1, run)
    assert outcome.waiting
    assert "next comes delete, due on" in outcome.note


def test_the_database_does_not_let_retention_be_cut_short(
    include_with: Callable[[str, str], Installation],
    make_version: Make,
    run: RunRef,
    mirror: object,
    clock: object,
) -> None:
    """A clock that runs ahead does not help: the database looks at its own."""
    make_version()
    slow = include_with("retain_days: 0", "retain_days: 3")
    slow.__dict__["clock"] = clock
    retire = decommissioning(slow, MODEL, mirror)  # type: ignore[arg-type]
    agree(retire, run)
    walk(retire, run)
    clock.ahead += timedelta(days=4)  # type: ignore[attr-defined]
    with pytest.raises(StateConflict, match="must be retained longer"):
        retire.do(StepAction.DELETE, 1, run)
    assert state_of(slow) is State.ARCHIVED


def test_an_artifact_that_another_version_needs_is_kept(
    platform: Installation, retire: Decommissioning, make_version: Make, run: RunRef
) -> None:
    first = make_version(1, b"same bytes")
    make_version(2, b"same bytes")
    agree(retire, run)
    walk(retire, run)
    assert state_of(platform) is State.DELETED
    assert platform.store.exists(artifact_key(first.artifact_digest or ""))
    agree(retire, run, 2)
    walk(retire, run, 2)
    assert not platform.store.exists(artifact_key(first.artifact_digest or ""))


def test_a_flipped_byte_stops_the_deletion_and_is_repaired_from_the_original(
    platform: Installation, retire: Decommissioning, make_version: Make, run: RunRef, mirror: object
) -> None:
    ref = make_version()
    key, copy = artifact_key(ref.artifact_digest or ""), "archive/flight_late/1/artifact.skops"
    agree(retire, run)
    retire.do(StepAction.NOTIFY, 1, run)
    retire.do(StepAction.ARCHIVE, 1, run)
    data = bytearray(platform.store.get(copy))
    data[3] ^= 1
    platform.store.put(copy, bytes(data))
    with pytest.raises(ArchiveIncomplete) as caught:
        retire.do(StepAction.DELETE, 1, run)
    assert "1 items of the archive do not read back" in caught.value.what
    assert platform.store.exists(key)
    assert state_of(platform) is State.ARCHIVED
    assert mirror.gone == []  # type: ignore[attr-defined]
    retire.do(StepAction.ARCHIVE, 1, run)
    assert platform.store.get(copy, ref.artifact_digest)
    retire.do(StepAction.DELETE, 1, run)
    assert state_of(platform) is State.DELETED


@pytest.mark.parametrize("name", ["manifest.json", "version.json", "reference.parquet"])
def test_a_lost_object_stops_the_deletion(
    platform: Installation, retire: Decommissioning, make_version: Make, run: RunRef, name: str
) -> None:
    make_version()
    agree(retire, run)
    retire.do(StepAction.NOTIFY, 1, run)
    retire.do(StepAction.ARCHIVE, 1, run)
    platform.store.delete(f"archive/flight_late/1/{name}")
    with pytest.raises(ArchiveIncomplete):
        retire.do(StepAction.DELETE, 1, run)
    assert state_of(platform) is State.ARCHIVED


def test_an_original_that_was_changed_is_not_archived(
    platform: Installation, retire: Decommissioning, make_version: Make, run: RunRef
) -> None:
    ref = make_version()
    platform.store.put(artifact_key(ref.artifact_digest or ""), b"other bytes")
    agree(retire, run)
    retire.do(StepAction.NOTIFY, 1, run)
    with pytest.raises(ArchiveIncomplete, match="artifact"):
        retire.do(StepAction.ARCHIVE, 1, run)
    assert state_of(platform) is State.RETIRING
    with pytest.raises(StateConflict, match="is not verified"):
        force(platform, ref, State.ARCHIVED)
