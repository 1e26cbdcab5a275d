"""Who may answer, what counts, until when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from tenure.errors import NotPermitted
from tenure.lifecycle.promotion.approval import (
    ApprovalAnswer,
    ApprovalQuestion,
    Choice,
    admit,
    authorized_until,
    evidence_digest,
    may_answer,
    quorum_of,
    require_bound,
    standing,
)

NOW = datetime(2013, 7, 1, tzinfo=UTC)
EVIDENCE = evidence_digest(artifact="a" * 64, evaluation="e" * 64, bias="b" * 64)
QUESTION = ApprovalQuestion("flight_late@2", "Ada", "a" * 64, EVIDENCE, quorum=1)


def answer(
    approver: str = "grace", choice: Choice = Choice.APPROVE, **changes: object
) -> ApprovalAnswer:
    base = ApprovalAnswer(approver, choice, "a" * 64, EVIDENCE, NOW + timedelta(days=30))
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "is_approver", "message"),
    [
        pytest.param(answer("mallory"), False, "mallory is not an approver", id="wrong person"),
        pytest.param(answer("Ada"), True, "Ada trained flight_late@2", id="trainer"),
        pytest.param(answer("aDA"), True, "aDA trained flight_late@2", id="trainer, other case"),
        pytest.param(
            answer(artifact="c" * 64), True, "is about artifact cccccccccccc", id="other bytes"
        ),
        pytest.param(answer(evidence="d" * 64), True, "evidence dddddddddddd", id="other evidence"),
    ],
)
def test_an_answer_that_does_not_count_is_refused(
    given: ApprovalAnswer, is_approver: bool, message: str
) -> None:
    with pytest.raises(NotPermitted, match=message):
        admit(QUESTION, [], given, is_approver=is_approver, after=NOW)


def test_the_evidence_names_the_onnx_file_only_where_there_is_one() -> None:
    """Approvals from before there was ONNX, and of versions without it, stay bound to the same."""
    text = f'{{"artifact":"{"a" * 64}","bias":"{"b" * 64}","evaluation":"{"e" * 64}"}}'
    assert sha256(text.encode()).hexdigest() == EVIDENCE
    assert len({EVIDENCE, *(with_onnx(file) for file in "12")}) == 3


def with_onnx(file: str) -> str:
    return evidence_digest(artifact="a" * 64, evaluation="e" * 64, bias="b" * 64, onnx=file * 64)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        pytest.param([], "flight_late@2 has 0 of 1 approvals of what it is now.", id="none"),
        pytest.param(
            [answer("heidi", evidence="d" * 64), answer(evidence="d" * 64)],
            "flight_late@2 has 0 of 1 approvals of what it is now. grace, heidi approved it with "
            "another report or another ONNX file.",
            id="of something else",
        ),
        pytest.param(
            [answer(choice=Choice.REJECT, evidence="d" * 64)],
            "flight_late@2 has 0 of 1 approvals of what it is now.",
            id="no approval at all",
        ),
    ],
)
def test_what_was_not_approved_as_it_is_may_not_serve(
    answers: list[ApprovalAnswer], message: str
) -> None:
    with pytest.raises(NotPermitted) as refused:
        require_bound(QUESTION, answers)
    assert refused.value.what == message


def test_what_was_approved_as_it_is_may_serve_whatever_else_was_answered() -> None:
    """Dates are the database's to judge: a probation may outlast them."""
    long_ago = answer(expires_at=datetime(2001, 1, 1, tzinfo=UTC))
    require_bound(QUESTION, [answer("heidi", evidence="d" * 64), long_ago])


def test_a_canary_goes_on_when_its_model_asks_for_more_approvers_since() -> None:
    """A higher risk tier; but what somebody approved as something else needs all of them."""
    question = replace(QUESTION, quorum=2)
    require_bound(question, [answer()])
    with pytest.raises(NotPermitted, match="1 of 2 approvals"):
        require_bound(question, [answer(), answer("heidi", evidence="d" * 64)])


def test_the_first_answer_counts_and_its_repetition_is_no_second_one() -> None:
    assert admit(QUESTION, [], answer(), is_approver=True, after=NOW)
    assert not admit(QUESTION, [answer()], answer("GRACE"), is_approver=True, after=NOW)


@pytest.mark.parametrize("first", list(Choice))
def test_nobody_changes_an_answer(first: Choice) -> None:
    other = Choice.REJECT if first is Choice.APPROVE else Choice.APPROVE
    with pytest.raises(NotPermitted, match=f"grace answered {first} for flight_late@2 already"):
        admit(QUESTION, [answer(choice=first)], answer(choice=other), is_approver=True, after=NOW)


@pytest.mark.parametrize(
    ("expires_in", "approved"),
    [
        pytest.param(timedelta(seconds=1), True, id="in date"),
        pytest.param(timedelta(0), False, id="at its end"),
        pytest.param(timedelta(seconds=-1), False, id="expired"),
    ],
)
def test_an_approval_holds_until_it_expires(expires_in: timedelta, approved: bool) -> None:
    found = standing(QUESTION, [answer(expires_at=NOW + expires_in)], now=NOW)
    assert found.is_approved is approved


@pytest.mark.parametrize(
    ("answers", "approved", "missing"),
    [
        pytest.param([answer("grace")], False, 1, id="one of two"),
        pytest.param([answer("grace"), answer("GRACE")], False, 1, id="one person twice"),
        pytest.param([answer("grace"), answer("ada")], False, 1, id="the trainer is no second"),
        pytest.param([answer("grace"), answer("heidi")], True, 0, id="two people"),
        pytest.param([answer("grace"), answer("heidi"), answer("ivan")], True, 0, id="three"),
        pytest.param(
            [answer("grace"), answer("heidi", artifact="c" * 64)], False, 1, id="other bytes"
        ),
        pytest.param(
            [answer("grace"), answer("heidi"), answer("ivan", Choice.REJECT)],
            False,
            0,
            id="one rejection outweighs",
        ),
    ],
)
def test_a_quorum_of_two_needs_two_people(
    answers: list[ApprovalAnswer], approved: bool, missing: int
) -> None:
    found = standing(replace(QUESTION, quorum=2), answers, now=NOW)
    assert (found.is_approved, found.missing) == (approved, missing)


def days(*given: tuple[str, int]) -> list[ApprovalAnswer]:
    return [answer(who, expires_at=NOW + timedelta(days=n)) for who, n in given]


@pytest.mark.parametrize(
    ("quorum", "answers", "excuses", "expected"),
    [
        pytest.param(1, [], [], None, id="nobody"),
        pytest.param(1, days(("grace", 30)), [], 30, id="one of one"),
        pytest.param(1, days(("grace", -400)), [], -400, id="over for 400 days"),
        pytest.param(1, days(("grace", 30), ("heidi", 60)), [], 60, id="one is enough: the longer"),
        pytest.param(2, days(("grace", 30), ("heidi", 60)), [], 30, id="both needed: the shorter"),
        pytest.param(2, days(("a", 10), ("b", 30), ("c", 20)), [], 20, id="the second longest"),
        pytest.param(1, days(("grace", -1), ("GRACE", 29)), [], 29, id="renewed after its end"),
        pytest.param(1, days(("grace", 3), ("grace", 33)), [], 33, id="renewed before its end"),
        pytest.param(2, days(("a", 3), ("b", 5), ("a", 33)), [], 5, id="one of two renewed"),
        pytest.param(2, days(("a", 3), ("b", 5), ("a", 33), ("b", 34)), [], 33, id="both renewed"),
        pytest.param(2, days(("a", 3)), [], 3, id="the quorum was raised since"),
        pytest.param(2, days(("a", 3), ("a", 33)), [], 3, id="raised: one alone renews nothing"),
        pytest.param(2, days(("a", 3), ("Ada", 33)), [], 3, id="the trainer is no second"),
        pytest.param(1, days(("Ada", 30)), [], None, id="the trainer alone"),
        pytest.param(
            2, [answer(), answer("b", evidence="c" * 64)], [], None, id="one of two: other evidence"
        ),
        pytest.param(1, [answer(artifact="c" * 64)], [], None, id="other bytes"),
        pytest.param(1, [answer(evidence="c" * 64)], [], None, id="other evidence"),
        pytest.param(1, [answer(), answer("heidi", Choice.REJECT)], [], None, id="rejected"),
        pytest.param(1, days(("grace", 30)), [7, 90], 7, id="an excuse ends sooner"),
        pytest.param(1, days(("grace", 30)), [30], 30, id="an excuse ends with it"),
        pytest.param(1, days(("grace", 30)), [-1], -1, id="an excuse is over"),
    ],
)
def test_authorized_until(
    quorum: int, answers: list[ApprovalAnswer], excuses: list[int], expected: int | None
) -> None:
    found = authorized_until(
        replace(QUESTION, quorum=quorum),
        answers,
        excused_until=[NOW + timedelta(days=n) for n in excuses],
    )
    assert found == (None if expected is None else NOW + timedelta(days=expected))


@pytest.mark.parametrize(
    ("ends", "is_new"),
    [
        pytest.param(timedelta(seconds=-1), True, id="expired"),
        pytest.param(timedelta(0), True, id="at its end"),
        pytest.param(timedelta(seconds=1), False, id="holds: a repeated run"),
    ],
)
def test_who_approved_may_approve_again_when_that_is_over(ends: timedelta, is_new: bool) -> None:
    before = [answer(expires_at=NOW + ends)]
    assert admit(QUESTION, before, answer("GRACE"), is_approver=True, after=NOW) is is_new
    assert may_answer(QUESTION, before, ["grace"], after=NOW) == (("grace",) if is_new else ())


def test_a_rejection_does_not_expire() -> None:
    old = answer(choice=Choice.REJECT, expires_at=NOW - timedelta(days=999))
    assert standing(QUESTION, [old], now=NOW).rejected_by == ("grace",)


def test_who_may_still_be_asked() -> None:
    people = ("grace", "ADA", "heidi", "ivan")
    assert may_answer(QUESTION, [answer("Heidi")], people, after=NOW) == ("grace", "ivan")


@pytest.mark.parametrize(
    ("tiers", "quorum"),
    [(("minimal",), 1), (("limited",), 1), (("high",), 2), (("limited", "high"), 2), (("?",), 2)],
)
def test_the_strictest_tier_counts(tiers: tuple[str, ...], quorum: int) -> None:
    assert quorum_of(*tiers) == quorum
