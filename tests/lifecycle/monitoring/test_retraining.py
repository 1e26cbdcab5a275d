"""The controller: each reason, each thing that holds it back, each bound from both sides."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tenure.lifecycle.monitoring.retraining import (
    MonitoringResult,
    RetrainAction,
    RetrainingPolicy,
    RetrainRequest,
    Situation,
    VersionHistory,
    decide,
    report,
)
from tenure.lifecycle.training import PublishedSnapshot
from tenure.verdicts import Verdict
from tenure.vocabulary import State

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = RetrainingPolicy(cooldown_hours=24, catch_up_hours=24)
ENDS = {
    1: datetime(2013, 2, 1, 3, tzinfo=UTC),
    2: datetime(2013, 3, 1, 3, tzinfo=UTC),
    3: datetime(2013, 4, 1, 3, tzinfo=UTC),
    4: datetime(2013, 5, 1, 3, tzinfo=UTC),
    5: datetime(2013, 6, 1, 3, tzinfo=UTC),
    6: datetime(2013, 7, 1, 3, tzinfo=UTC),
}
JUNE = ENDS[6]
WRONG = "Performance failed: wrong_label_rate 0.293."


def months(*numbers: int) -> list[PublishedSnapshot]:
    """Published in this order."""
    return [
        PublishedSnapshot(i, f"2013-{m:02}", f"d{m}", "s", 1000, ENDS[m])
        for i, m in enumerate(numbers, 1)
    ]


def champion(
    *numbers: int, state: State = State.CHAMPION, days: int = 0, version: int = 1
) -> VersionHistory:
    return VersionHistory(
        version, state, frozenset(f"d{m}" for m in numbers), NOW - timedelta(days=days)
    )


def judged(
    kind: str, verdict: Verdict, until: datetime = JUNE, summary: str = WRONG
) -> MonitoringResult:
    return MonitoringResult(kind, verdict, until, summary)


FAILED = judged("performance", Verdict.FAILED)
PASSED = judged("performance", Verdict.PASSED, summary="Performance passed.")
DRIFTED = judged("drift", Verdict.FAILED, summary="Drift failed: 5 of 14 features moved.")
FIRST = Situation(
    model="flight_late",
    now=NOW,
    versions=[],
    results=[],
    published=months(1, 2, 3),
    window_batches=3,
    asked=None,
)
JUDGED_BAD = replace(
    FIRST,
    versions=[champion(1, 2, 3)],
    results=[FAILED, DRIFTED],
    published=months(1, 2, 3, 4, 5, 6),
)
QUIET = replace(JUDGED_BAD, results=[PASSED])


@pytest.mark.parametrize(
    ("count", "action", "sentence"),
    [
        (
            2,
            RetrainAction.NOTHING,
            "No version yet, and 2 of the 3 batches that training needs are published.",
        ),
        (
            3,
            RetrainAction.RETRAIN,
            "No version is in play and 3 batches are published (3 needed). "
            "Trains on 2013-01, 2013-02, 2013-03.",
        ),
        (
            4,
            RetrainAction.RETRAIN,
            "No version is in play and 4 batches are published (3 needed). "
            "Trains on 2013-02, 2013-03, 2013-04.",
        ),
    ],
)
def test_first_version(count: int, action: RetrainAction, sentence: str) -> None:
    decision = decide(POLICY, replace(FIRST, published=months(*range(1, count + 1))))
    assert (decision.action, decision.sentence) == (action, sentence)
    assert decision.code == ("first_version" if action is RetrainAction.RETRAIN else "")


def test_a_batch_published_twice_counts_once() -> None:
    twice = [*months(1, 2), PublishedSnapshot(9, "2013-02", "d2b", "s", 1000, ENDS[2])]
    assert decide(POLICY, replace(FIRST, published=twice)).action is RetrainAction.NOTHING


@pytest.mark.parametrize("state", [State.DRAFT, State.REJECTED])
def test_a_version_that_never_served_is_no_first_version(state: State) -> None:
    seen = replace(FIRST, versions=[champion(1, 2, state=state)])
    assert decide(POLICY, seen).code == "first_version"


def test_performance() -> None:
    decision = decide(POLICY, JUDGED_BAD)
    assert decision.action is RetrainAction.RETRAIN
    assert decision.code == "performance"
    assert decision.sentence == f"{WRONG} Trains on 2013-04, 2013-05, 2013-06."


def test_performance_that_recovered_or_is_unclear_is_no_reason() -> None:
    unclear = judged("performance", Verdict.INCONCLUSIVE)
    assert (
        decide(POLICY, replace(JUDGED_BAD, results=[PASSED, FAILED])).action
        is RetrainAction.NOTHING
    )
    assert decide(POLICY, replace(JUDGED_BAD, results=[unclear])).action is RetrainAction.NOTHING
    assert decide(POLICY, replace(JUDGED_BAD, results=[unclear, FAILED])).code == "performance"


def test_performance_may_be_switched_off() -> None:
    off = RetrainingPolicy(on_performance=False)
    assert decide(off, replace(JUDGED_BAD, results=[FAILED])).action is RetrainAction.NOTHING


def test_drift_asks_for_a_look_unless_the_policy_retrains_on_it() -> None:
    drifted = replace(JUDGED_BAD, results=[PASSED, DRIFTED])
    look = decide(POLICY, drifted)
    assert (look.action, look.code) == (RetrainAction.INVESTIGATE, "drift")
    assert look.sentence.startswith("Drift failed: 5 of 14 features moved. Drift alone does not")
    retrain = decide(RetrainingPolicy(on_drift=True), drifted)
    assert (retrain.action, retrain.code) == (RetrainAction.RETRAIN, "drift")


@pytest.mark.parametrize(
    ("asking", "action"),
    [(4, RetrainAction.NOTHING), (3, RetrainAction.RETRAIN), (2, RetrainAction.RETRAIN)],
)
def test_new_batches(asking: int, action: RetrainAction) -> None:
    decision = decide(RetrainingPolicy(new_batches=asking), QUIET)
    assert decision.action is action
    assert decision.code == ("new_batches" if action is RetrainAction.RETRAIN else "")


@pytest.mark.parametrize(
    ("days", "action"),
    [(29, RetrainAction.NOTHING), (30, RetrainAction.RETRAIN), (31, RetrainAction.RETRAIN)],
)
def test_age(days: int, action: RetrainAction) -> None:
    seen = replace(QUIET, versions=[champion(1, 2, 3, days=days)])
    decision = decide(RetrainingPolicy(max_age_days=30), seen)
    assert decision.action is action
    assert decision.code == ("age" if action is RetrainAction.RETRAIN else "")


def test_quiet_says_what_was_looked_at() -> None:
    decision = decide(RetrainingPolicy(new_batches=5, max_age_days=30), QUIET)
    assert decision.sentence == (
        "No reason to retrain. Performance passed. 3 new batches (of 5 that ask for training); "
        "0 days old of at most 30."
    )


def test_reasons_in_order() -> None:
    everything = RetrainingPolicy(on_drift=True, new_batches=1, max_age_days=1)
    old = [champion(1, 2, 3, days=9)]
    seen = replace(JUDGED_BAD, versions=old)
    assert decide(everything, seen).code == "performance"
    assert decide(everything, replace(seen, results=[DRIFTED])).code == "drift"
    assert decide(everything, replace(seen, results=[])).code == "new_batches"
    few = replace(seen, results=[], published=months(1, 2, 3))
    assert decide(everything, few).code == "age"


@pytest.mark.parametrize(
    ("name", "policy", "changes", "why"),
    [
        ("frozen", RetrainingPolicy(frozen=True), {}, "frozen in its YAML"),
        (
            "open request",
            POLICY,
            {"asked": RetrainRequest(7, True, NOW)},
            "request 7 is not finished yet",
        ),
        (
            "cooldown",
            POLICY,
            {"asked": RetrainRequest(7, False, NOW - timedelta(hours=23))},
            "cooldown since request 7 until 2026-11-22 13:00:00 UTC",
        ),
        (
            "nothing new",
            POLICY,
            {"published": months(1, 2, 3)},
            "nothing new to learn from, version 1 is trained on 2013-01, 2013-02, 2013-03",
        ),
        (
            "the first of three snapshots woke it",
            POLICY,
            {"published": months(1, 2, 3, 4)},
            "waiting for batches up to 2013-07-01 03:00, published up to 2013-05-01 03:00",
        ),
        (
            "the last of three snapshots came first",
            POLICY,
            {"published": months(1, 2, 3, 6)},
            "waiting for a batch that seems to be missing between 2013-03 and 2013-06",
        ),
        (
            "the one in the middle is missing",
            POLICY,
            {"published": months(1, 2, 3, 4, 6)},
            "waiting for a batch that seems to be missing between 2013-04 and 2013-06",
        ),
    ],
)
def test_held_back(
    name: str, policy: RetrainingPolicy, changes: dict[str, object], why: str
) -> None:
    decision = decide(policy, replace(JUDGED_BAD, **changes))  # type: ignore[arg-type]
    assert decision.action is RetrainAction.HOLD, name
    assert decision.code == "performance"
    assert decision.sentence.startswith(f"{WRONG} Held back: ")
    assert decision.sentence.endswith(f"{why}.")


@pytest.mark.parametrize("state", [State.VALIDATED, State.APPROVED, State.CANARY])
def test_held_back_by_a_version_under_way(state: State) -> None:
    under_way = champion(1, 2, 3, state=state, version=2)
    decision = decide(POLICY, replace(JUDGED_BAD, versions=[under_way, champion(1, 2, 3)]))
    assert decision.action is RetrainAction.HOLD
    assert f"version 2 is under way ({state})" in decision.sentence


@pytest.mark.parametrize("state", [State.DRAFT, State.TRAINED])
@pytest.mark.parametrize(
    ("is_open", "action"), [(True, RetrainAction.HOLD), (False, RetrainAction.RETRAIN)]
)
def test_a_training_that_died_holds_nothing_back_once_its_request_is_closed(
    state: State, is_open: bool, action: RetrainAction
) -> None:
    """The watchdog closes the request; the version stays where its run was killed, for ever."""
    left = champion(1, 2, 3, state=state, version=2)
    asked = RetrainRequest(7, is_open, NOW - timedelta(days=30))
    seen = replace(JUDGED_BAD, versions=[left, champion(1, 2, 3)], asked=asked)
    assert decide(POLICY, seen).action is action


def test_too_few_batches_hold_a_reason_back() -> None:
    decision = decide(POLICY, replace(JUDGED_BAD, published=months(5, 6)))
    assert "Held back: 2 of the 3 batches that training needs are published" in decision.sentence


@pytest.mark.parametrize(
    ("hours", "action"),
    [(23, RetrainAction.HOLD), (24, RetrainAction.RETRAIN), (25, RetrainAction.RETRAIN)],
)
def test_cooldown_bound(hours: int, action: RetrainAction) -> None:
    asked = RetrainRequest(7, False, NOW - timedelta(hours=hours))
    assert decide(POLICY, replace(JUDGED_BAD, asked=asked)).action is action


@pytest.mark.parametrize(
    ("hours", "action"),
    [(23, RetrainAction.RETRAIN), (24, RetrainAction.RETRAIN), (25, RetrainAction.HOLD)],
)
def test_batches_may_end_a_little_before_the_window(hours: int, action: RetrainAction) -> None:
    """The last rows of a batch may be in quarantine, so its end is not quite the window's."""
    failed = judged("performance", Verdict.FAILED, until=JUNE + timedelta(hours=hours))
    assert decide(POLICY, replace(JUDGED_BAD, results=[failed])).action is action


def test_it_waits_for_the_first_failure_not_for_the_latest() -> None:
    """Windows go on while batches come monthly: the latest window is never reached."""
    days = [
        judged("performance", Verdict.FAILED, until=JUNE + timedelta(days=d)) for d in (20, 10, 0)
    ]
    before = judged("performance", Verdict.PASSED, until=JUNE - timedelta(days=9))
    long_ago = judged("performance", Verdict.FAILED, until=JUNE - timedelta(days=90))
    seen = replace(JUDGED_BAD, results=[*days, before, long_ago])
    assert decide(POLICY, seen).action is RetrainAction.RETRAIN
    assert decide(POLICY, replace(seen, results=days[:2])).action is RetrainAction.HOLD


def test_a_regular_rhythm_with_pauses_is_no_hole() -> None:
    """Daily batches without weekends: Friday to Monday is the longest usual distance."""
    start = datetime(2013, 6, 3, 23, tzinfo=UTC)
    days = [d for d in range(15) if d % 7 < 5]
    daily = [
        PublishedSnapshot(i, f"d{d:02}", f"x{d}", "s", 10, start + timedelta(days=d))
        for i, d in enumerate(days, 1)
    ]
    failed = judged("performance", Verdict.FAILED, until=start + timedelta(days=14))
    seen = replace(JUDGED_BAD, published=daily, results=[failed])
    assert decide(POLICY, seen).action is RetrainAction.RETRAIN
    assert (
        decide(POLICY, replace(seen, published=daily[:5] + daily[-1:])).action is RetrainAction.HOLD
    )


@pytest.mark.parametrize(
    ("seen", "verdict", "action"),
    [
        (JUDGED_BAD, Verdict.PASSED, "retrain"),
        (QUIET, Verdict.PASSED, "nothing"),
        (replace(JUDGED_BAD, published=months(1, 2, 3)), Verdict.INCONCLUSIVE, "hold"),
        (replace(JUDGED_BAD, results=[DRIFTED]), Verdict.INCONCLUSIVE, "investigate"),
    ],
)
def test_report(seen: Situation, verdict: Verdict, action: str) -> None:
    found = report(seen, decide(POLICY, seen))
    assert (found.stage, found.subject, found.verdict) == ("retraining", "flight_late", verdict)
    assert found.facts["action"] == action


def test_the_same_situation_gives_the_same_evidence() -> None:
    """Woken again a moment later: nothing new is stored."""
    later = replace(QUIET, now=NOW + timedelta(hours=1))
    assert (
        report(QUIET, decide(POLICY, QUIET)).digest == report(later, decide(POLICY, later)).digest
    )
