"""Errors, verdicts and vocabulary."""

import doctest
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

import tenure.verdicts
import tenure.vocabulary
from tenure import errors
from tenure.verdicts import Check, Report, Severity, Verdict, worst
from tenure.vocabulary import LEGAL_MOVES, State, canonical_json, digest_json, is_id


@pytest.mark.parametrize("module", [tenure.verdicts, tenure.vocabulary])
def test_docstring_examples_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("a", True),
        ("flight_late", True),
        ("a-b-", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("a__b", False),
        ("_a", False),
        ("A", False),
        ("", False),
        ("..", False),
        ("a/b", False),
        ("a\n", False),
        ("a\x00", False),
        ("con", False),
        ("com1", False),
        ("com10", True),
        ("const", True),
    ],
)
def test_ids(text: str, allowed: bool) -> None:
    assert is_id(text) is allowed


@pytest.mark.parametrize(
    ("verdicts", "sum_"),
    [
        ([], Verdict.INCONCLUSIVE),
        ([Verdict.PASSED], Verdict.PASSED),
        ([Verdict.PASSED, Verdict.INCONCLUSIVE], Verdict.INCONCLUSIVE),
        ([Verdict.INCONCLUSIVE, Verdict.FAILED, Verdict.PASSED], Verdict.FAILED),
    ],
)
def test_the_worst_verdict_wins(verdicts: list[Verdict], sum_: Verdict) -> None:
    assert worst(verdicts) is sum_


def test_canonical_json_does_not_depend_on_order_of_keys() -> None:
    assert digest_json({"b": 1, "a": [1.5, None]}) == digest_json({"a": [1.5, None], "b": 1})


def test_canonical_json_refuses_what_has_no_single_form() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))
    with pytest.raises(TypeError, match="set has no canonical JSON form"):
        canonical_json({1})


def test_canonical_json_writes_moments_and_states_as_text() -> None:
    moment = datetime(2013, 3, 1, tzinfo=UTC)
    assert canonical_json([moment, State.CANARY]) == b'["2013-03-01T00:00:00+00:00","canary"]'


def test_a_report_changes_its_digest_with_any_check() -> None:
    one = Report("quality", "flights/2013-03", Verdict.PASSED, "fine", enforced=True)
    other = Report(
        "quality",
        "flights/2013-03",
        Verdict.PASSED,
        "fine",
        (Check("nulls", Verdict.PASSED, "0%", "2%"),),
        enforced=True,
    )
    assert one.digest != other.digest
    assert replace(one, enforced=False).digest != one.digest


FULL = Report(
    "bias",
    "m@1",
    Verdict.FAILED,
    "a gap",
    (
        Check(
            rule="selection_rate difference",
            verdict=Verdict.FAILED,
            observed="0.3100",
            allowed="at most 0.1",
            subject="sex",
            severity=Severity.WARNING,
            columns=("sex",),
            value=0.31,
            limit=0.1,
            counts=(31, 100),
            interval=(0.2, 0.4),
        ),
        Check("rows", Verdict.PASSED, "9 rows", "at least 5", value=9, limit=5),
    ),
    {"rows": 9, "views": {"sex": [0.1, None]}},
    enforced=False,
)


def test_a_report_reads_back_as_it_was_stored() -> None:
    back = Report.from_dict(json.loads(canonical_json(FULL.to_dict())))
    assert back == FULL
    assert back.digest == FULL.digest
    assert type(back.checks[0].severity) is Severity


NOT_STORED_BY_US = {
    "a field too many": ({"colour": "red"}, "Report as it was stored differs in colour"),
    "no such verdict": ({"verdict": "perhaps"}, "'perhaps' is not a valid Verdict"),
    "neither true nor false": ({"enforced": "yes"}, "enforced is 'yes', neither true nor false"),
    "a check of another form": ({"checks": [{"name": "x"}]}, "Check as it was stored differs in"),
}


@pytest.mark.parametrize("case", NOT_STORED_BY_US)
def test_a_report_of_another_form_is_refused(case: str) -> None:
    change, says = NOT_STORED_BY_US[case]
    stored = json.loads(canonical_json(FULL.to_dict())) | change
    with pytest.raises((ValueError, TypeError), match=says):
        Report.from_dict(stored)


def test_a_report_without_its_enforcement_is_refused() -> None:
    stored = FULL.to_dict()
    del stored["enforced"]
    with pytest.raises(ValueError, match="Report as it was stored differs in enforced"):
        Report.from_dict(stored)


def test_deleted_is_the_end_and_live_versions_cannot_retire() -> None:
    assert not [move for move in LEGAL_MOVES if move[0] is State.DELETED]
    assert (State.CHAMPION, State.RETIRING) not in LEGAL_MOVES
    assert (State.CANARY, State.RETIRING) not in LEGAL_MOVES


def test_an_error_reads_as_a_card() -> None:
    error = errors.GateFailed(
        "AUC is 0.58, at least 0.60 is needed.",
        still_safe="Nothing was promoted.",
        next_step="Open the report.",
        evidence="ab12",
    )
    assert error.lines() == [
        "AUC is 0.58, at least 0.60 is needed.",
        "Still safe: Nothing was promoted.",
        "Next step: Open the report.",
        "Evidence: ab12",
    ]


def test_only_what_can_heal_by_itself_is_tried_again() -> None:
    retryable = [kind.__name__ for kind in errors.TenureError.__subclasses__() if kind.retryable]
    assert retryable == ["ObjectMissing", "ServiceUnreachable"]


def test_the_hierarchy_at_the_top_of_the_file_names_every_class() -> None:
    document = errors.__doc__ or ""
    assert [
        k.__name__ for k in errors.TenureError.__subclasses__() if k.__name__ not in document
    ] in (
        [],
        ["BrokenFile"],
    )
