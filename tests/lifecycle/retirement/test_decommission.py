from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenure.layout import archive_prefix
from tenure.lifecycle.retirement.decommission import (
    ABANDONED_AFTER,
    DecommissionPolicy,
    DecommissionStep,
    Item,
    Manifest,
    NextAction,
    Permit,
    Progress,
    StepAction,
    is_abandoned,
    may_be_deleted,
    next_step,
    permit,
    person_refusal,
    question,
    read_manifest,
    refusal,
)
from tenure.vocabulary import Role, State

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
POLICY = DecommissionPolicy(notice_days=30, retain_days=365)

REQUESTED = Progress(
    id=1,
    version_id=7,
    model="m",
    version=2,
    state=State.SUPERSEDED,
    step=DecommissionStep.REQUESTED,
    reason="old",
    successor="m@3",
    requested_by="olga",
    second_person=None,
    legal_hold=False,
    archive_key=None,
    archive_digest=None,
    created_at=NOW,
    notified_at=None,
    revoked_at=None,
    verified_at=None,
    retain_until=None,
    deleted_at=None,
    record_digest=None,
)
CONFIRMED = replace(REQUESTED, step=DecommissionStep.CONFIRMED, second_person="grace")
NOTIFIED = replace(CONFIRMED, step=DecommissionStep.NOTIFIED, notified_at=NOW)
RETIRING = replace(NOTIFIED, step=DecommissionStep.REVOKED, state=State.RETIRING, revoked_at=NOW)
ARCHIVED = replace(
    RETIRING,
    step=DecommissionStep.ARCHIVED,
    state=State.ARCHIVED,
    verified_at=NOW,
    retain_until=NOW + 365 * DAY,
)
DELETED = replace(ARCHIVED, step=DecommissionStep.DELETED, state=State.DELETED, deleted_at=NOW)
RECORDED = replace(DELETED, step=DecommissionStep.RECORDED, record_digest="d")


@pytest.mark.parametrize(
    ("name", "progress", "expected"),
    [
        (
            "asked",
            REQUESTED,
            NextAction(StepAction.CONFIRM, blocked="m@2 waits for a second person"),
        ),
        ("two people agreed", CONFIRMED, NextAction(StepAction.NOTIFY, NOW)),
        ("consumers know", NOTIFIED, NextAction(StepAction.ARCHIVE, NOW + 30 * DAY)),
        ("access is refused", RETIRING, NextAction(StepAction.ARCHIVE, NOW)),
        ("archived", ARCHIVED, NextAction(StepAction.DELETE, NOW + 365 * DAY)),
        ("deleted", DELETED, NextAction(StepAction.RECORD, NOW)),
        ("recorded", RECORDED, NextAction(StepAction.NOTHING)),
        (
            "refused",
            replace(REQUESTED, step=DecommissionStep.REFUSED),
            NextAction(StepAction.NOTHING),
        ),
        (
            "withdrawn",
            replace(NOTIFIED, step=DecommissionStep.WITHDRAWN),
            NextAction(StepAction.NOTHING),
        ),
        (
            "champion again",
            replace(NOTIFIED, state=State.CHAMPION),
            NextAction(StepAction.WITHDRAW),
        ),
        (
            "on hold before the archive",
            replace(NOTIFIED, legal_hold=True),
            NextAction(StepAction.ARCHIVE, NOW + 30 * DAY, "m@2 is on legal hold"),
        ),
        (
            "on hold before deletion",
            replace(ARCHIVED, legal_hold=True),
            NextAction(StepAction.DELETE, NOW + 365 * DAY, "m@2 is on legal hold"),
        ),
    ],
)
def test_what_comes_next(name: str, progress: Progress, expected: NextAction) -> None:
    assert next_step(progress, POLICY) == expected, name


@pytest.mark.parametrize(
    ("name", "action", "progress", "now", "may", "words"),
    [
        (
            "a second before the notice period ends",
            StepAction.ARCHIVE,
            NOTIFIED,
            NOW + 30 * DAY - SECOND,
            Permit.WAIT,
            "m@2: next comes archive, due on 2026-12-22 12:00 UTC.",
        ),
        ("when it ends", StepAction.ARCHIVE, NOTIFIED, NOW + 30 * DAY, Permit.GO, ""),
        ("a second after", StepAction.ARCHIVE, NOTIFIED, NOW + 30 * DAY + SECOND, Permit.GO, ""),
        (
            "a second before retention ends",
            StepAction.DELETE,
            ARCHIVED,
            NOW + 365 * DAY - SECOND,
            Permit.WAIT,
            "m@2: next comes delete, due on 2027-11-22 12:00 UTC.",
        ),
        ("when retention ends", StepAction.DELETE, ARCHIVED, NOW + 365 * DAY, Permit.GO, ""),
        (
            "deletion before the archive",
            StepAction.DELETE,
            RETIRING,
            NOW,
            Permit.WAIT,
            "m@2: next comes archive, due on 2026-11-22 12:00 UTC.",
        ),
        (
            "again",
            StepAction.NOTIFY,
            NOTIFIED,
            NOW,
            Permit.DONE,
            "notify of m@2 was done already.",
        ),
        (
            "nobody confirmed",
            StepAction.NOTIFY,
            REQUESTED,
            NOW,
            Permit.WAIT,
            "m@2 waits for a second person.",
        ),
        (
            "refused",
            StepAction.NOTIFY,
            replace(REQUESTED, step=DecommissionStep.REFUSED),
            NOW,
            Permit.WAIT,
            "The retirement of m@2 was refused.",
        ),
        (
            "on hold",
            StepAction.DELETE,
            replace(ARCHIVED, legal_hold=True),
            NOW + 999 * DAY,
            Permit.WAIT,
            "m@2 is on legal hold.",
        ),
        (
            "champion again",
            StepAction.ARCHIVE,
            replace(NOTIFIED, state=State.CHAMPION),
            NOW + 30 * DAY,
            Permit.WAIT,
            "m@2 is champion again; it does not retire.",
        ),
        (
            "recorded",
            StepAction.RECORD,
            RECORDED,
            NOW,
            Permit.DONE,
            "record of m@2 was done already.",
        ),
    ],
)
def test_whether_a_step_may_be_done(
    *, name: str, action: StepAction, progress: Progress, now: datetime, may: Permit, words: str
) -> None:
    assert permit(action, progress, POLICY, now) == (may, words), name


@pytest.mark.parametrize(
    ("name", "progress", "since", "abandoned"),
    [
        ("due and fresh", NOTIFIED, 30 * DAY + ABANDONED_AFTER - SECOND, False),
        ("due for long", NOTIFIED, 30 * DAY + ABANDONED_AFTER, True),
        ("confirmed and left", CONFIRMED, ABANDONED_AFTER, True),
        ("waits for a person", REQUESTED, 99 * DAY, False),
        ("on hold", replace(ARCHIVED, legal_hold=True), 999 * DAY, False),
        ("refused", replace(REQUESTED, step=DecommissionStep.REFUSED), 99 * DAY, False),
        ("done", RECORDED, 999 * DAY, False),
        ("champion again", replace(NOTIFIED, state=State.CHAMPION), ABANDONED_AFTER, True),
    ],
)
def test_what_maintenance_takes_up(
    name: str, progress: Progress, since: timedelta, abandoned: bool
) -> None:
    assert is_abandoned(progress, POLICY, NOW + since) is abandoned, name


@pytest.mark.parametrize("state", list(State))
def test_only_versions_that_serve_nobody_retire(state: State) -> None:
    why = refusal(state, in_live_plan=False)
    if state in {State.SUPERSEDED, State.ROLLED_BACK, State.REJECTED}:
        assert why is None
        assert refusal(state, in_live_plan=True) == "the traffic plan in force still names it"
    else:
        assert why == f"it is {state}; only superseded, rolled_back, rejected versions retire"


@pytest.mark.parametrize(
    ("person", "roles", "why"),
    [
        ("grace", [Role.DECOMMISSIONER], None),
        ("grace", [Role.APPROVER], "grace does not have the role decommissioner"),
        (
            "OLGA",
            [Role.DECOMMISSIONER],
            "OLGA asked for the retirement, so somebody else must confirm it",
        ),
        (None, [Role.DECOMMISSIONER], "nobody who is known answered"),
        ("", [Role.DECOMMISSIONER], "nobody who is known answered"),
    ],
)
def test_who_may_confirm(person: str | None, roles: list[Role], why: str | None) -> None:
    assert person_refusal(person, roles=roles, requested_by="olga") == why


ITEM = Item("artifact", "artifacts/a.skops", "archive/m/2/artifact.skops", 3, "f" * 64, True)


@pytest.mark.parametrize(
    ("item", "needed", "may"),
    [
        (ITEM, [], True),
        (ITEM, ["artifacts/a.skops"], False),
        (replace(ITEM, delete_after=False), [], False),
    ],
)
def test_an_original_that_others_need_stays(item: Item, needed: list[str], may: bool) -> None:
    assert may_be_deleted(item, needed) is may


def test_a_manifest_is_read_back_as_it_was_written() -> None:
    kept = Item("config", "database:config.yaml", "archive/m/2/config.yaml", 1, "e" * 64)
    manifest = Manifest("m", 2, {"model": "m", "facts": {"seed": 7}}, (ITEM, kept))
    assert read_manifest(manifest.to_dict()) == manifest
    assert manifest.marked == (ITEM,)
    assert manifest.has("config")
    assert not manifest.has("lock")
    assert all(item.archive_key.startswith(archive_prefix("m", 2)) for item in manifest.items)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"model": "m", "version": 1, "row": {}, "items": {}},
        {"model": "m", "version": 1, "row": [], "items": []},
        {"model": "m", "version": 1, "row": {}, "items": [{"key": "x"}]},
    ],
)
def test_what_is_no_manifest_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError)):
        read_manifest(value)


def test_the_second_person_reads_what_will_happen() -> None:
    text = question(REQUESTED, POLICY, consumers=["app"], keys=["artifacts/a.skops"])
    assert text == (
        "**olga** asks to retire **m@2** (superseded).\n\nReason: old\n\nSuccessor: m@3\n\n"
        "Told: app; access ends 30 days later (HTTP 410).\n\n"
        "Archived, read back and compared; 365 days later deleted for good:\n"
        "- `artifacts/a.skops`\n"
    )
    lonely = question(replace(REQUESTED, successor=""), POLICY, consumers=[], keys=[])
    assert "Successor: none" in lonely
    assert "Told: nobody uses it" in lonely
    assert lonely.endswith("- nothing\n")
