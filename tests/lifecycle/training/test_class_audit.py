"""Groups of a multiclass model: by right answers, by being selected, and class by class."""

from datetime import date
from typing import Any

import pytest

from tenure.lifecycle.training.bias import BiasPolicy
from tenure.lifecycle.training.bias.class_audit import audit_classes
from tenure.verdicts import Verdict

TODAY = date(2026, 1, 1)
EVEN = {
    ("f",): {("a", "a"): 300, ("b", "b"): 300, ("c", "c"): 300, ("a", "b"): 100},
    ("m",): {("a", "a"): 300, ("b", "b"): 300, ("c", "c"): 300, ("b", "a"): 100},
}
UNFAIR = {
    ("f",): {("a", "a"): 300, ("b", "b"): 300, ("c", "c"): 300, ("a", "b"): 100},
    ("m",): {("a", "a"): 100, ("b", "b"): 100, ("c", "c"): 300, ("c", "a"): 500},
}


def report(counted: Any, **stated: Any) -> Any:
    limits = {"max_difference": 0.1, "bootstrap_draws": 200} | stated
    policy = BiasPolicy(attributes=("sex",), **limits)
    return audit_classes(("sex",), counted, policy, subject="m@1", seed=7, today=TODAY)


@pytest.mark.parametrize(("counted", "verdict"), [(EVEN, "passed"), (UNFAIR, "failed")])
def test_accuracy_is_of_the_class_itself(counted: Any, verdict: str) -> None:
    found = report(counted, metric="accuracy")
    assert found.verdict == verdict
    by_group = {tuple(one["value"]): one for one in found.facts["groups"]}
    assert by_group["f",]["accuracy"] == 0.9
    assert by_group["f",]["sufficient"]
    assert found.facts["rows"] == 2000


def test_selected_is_one_of_the_positive_classes() -> None:
    found = report(UNFAIR, metric="selection_rate", positive=["a", "b"])
    rates = {one["value"][0]: one["selection_rate"] for one in found.facts["groups"]}
    assert rates == {"f": 0.7, "m": 0.2}
    assert (found.verdict, found.facts["positive"]) == (Verdict.FAILED, ["a", "b"])
    assert report(UNFAIR, metric="selection_rate", positive=["c", "b", "a"]).verdict == (
        Verdict.INCONCLUSIVE  # everybody is: no group has a negative label
    )


def test_without_positive_classes_each_is_judged_against_the_rest() -> None:
    found = report(UNFAIR, metric="selection_rate")
    assert found.verdict is Verdict.FAILED
    rates = {
        (one["class"], one["value"][0]): one["selection_rate"] for one in found.facts["groups"]
    }
    assert rates == {
        ("a", "f"): 0.4, ("a", "m"): 0.1, ("b", "f"): 0.3, ("b", "m"): 0.1,
        ("c", "f"): 0.3, ("c", "m"): 0.8,
    }  # fmt: skip
    assert "each class against the rest: class a" in found.summary
    assert found.checks[0].subject.startswith("class ")
    assert set(found.facts["overall"]) == {"a", "b", "c"}


def test_a_small_group_is_listed_and_nothing_passes() -> None:
    few = {**EVEN, ("x",): {("a", "a"): 3}, (None,): {("b", "b"): 2}}
    found = report(few, metric="accuracy", min_group_rows=20)
    assert found.verdict is Verdict.INCONCLUSIVE
    small = {check.subject for check in found.checks if check.rule == "group rows"}
    assert small == {"sex=x", "sex=(missing)"}
