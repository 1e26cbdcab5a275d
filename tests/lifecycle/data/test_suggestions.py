"""A proposal beside the suite: new, tighter, looser, other, covered."""

import pytest

from tenure.lifecycle.data.expectations import Expectation, Suite
from tenure.lifecycle.data.profiling import Proposal
from tenure.lifecycle.data.suggestions import beside
from tenure.verdicts import Severity

RANGE = "expect_column_values_to_be_between"


def proposal(low: int, high: int) -> Proposal:
    kwargs = {"column": "x", "min_value": low, "max_value": high}
    return Proposal(RANGE, kwargs, Severity.WARNING, "1…9 in 3 batches.")


def suite(*ranges: tuple[str, int, int]) -> Suite:
    return Suite(
        "s",
        "d",
        "",
        tuple(
            Expectation("", RANGE, {"column": c, "min_value": a, "max_value": b}, Severity.WARNING)
            for c, a, b in ranges
        ),
    )


CASES = {
    "new": (suite(("y", 0, 9)), "new: x, values: 0…10. 1…9 in 3 batches."),
    "tighter": (
        suite(("x", 0, 20)),
        "tighter: x, values: 0…10 (the suite allows 0…20). 1…9 in 3 batches.",
    ),
    "looser": (
        suite(("x", 1, 9)),
        "looser: x, values: 0…10 (the suite allows 1…9). 1…9 in 3 batches.",
    ),
    "other": (
        suite(("x", 1, 20)),
        "other: x, values: 0…10 (the suite allows 1…20). 1…9 in 3 batches.",
    ),
    "covered": (
        suite(("x", 0, 20), ("x", 0, 10)),
        "covered: x, values: 0…10 (the suite allows 0…10). 1…9 in 3 batches.",
    ),
}


@pytest.mark.parametrize(("present", "words"), CASES.values(), ids=CASES.keys())
def test_standing(present: Suite, words: str) -> None:
    (suggestion,) = beside([proposal(0, 10)], present)
    assert str(suggestion) == words


def test_what_is_new_comes_first_and_what_is_covered_last() -> None:
    found = beside([proposal(0, 10), proposal(0, 5), proposal(0, 20)], suite(("x", 0, 10)))
    assert [s.standing.value for s in found] == ["tighter", "looser", "covered"]
