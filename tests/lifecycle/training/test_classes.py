"""Several classes: what counts as one, what can be learned, how answers are measured."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import (
    brier_score_loss,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    recall_score,
)

from tenure.errors import ConfigInvalid
from tenure.lifecycle.training.classes import ClassRule, class_faults
from tenure.lifecycle.training.evaluation import EvaluationPolicy, MetricGate
from tenure.lifecycle.training.evaluation.class_comparison import (
    judge_class_champion,
    judge_class_uplift,
    paired_classes,
)
from tenure.lifecycle.training.evaluation.classes import (
    ClassScores,
    appraise_classes,
    class_scores,
    confusion,
    measure_classes,
    measure_confusion,
    spread,
)
from tenure.lifecycle.training.evaluation.metrics import measure
from tenure.lifecycle.training.evaluation.policy import ClassErrorCosts
from tenure.lifecycle.training.fitness import declared_class_faults
from tenure.verdicts import Severity, Verdict

NAMES = ("a", "b", "c")


def scored(rows: int = 600, *, seed: int = 1, skill: float = 3.0, unseen: int = 0) -> ClassScores:
    """Answers that are better the more skill there is; the last rows are of a class `z`."""
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(7).choice(NAMES, rows, p=(0.6, 0.3, 0.1))
    raw = rng.gumbel(size=(rows, 3)) + skill * (labels[:, np.newaxis] == np.array(NAMES))
    likelihood = np.exp(raw)
    if unseen:
        labels[-unseen:] = "z"
    return class_scores(NAMES, likelihood / likelihood.sum(axis=1, keepdims=True), labels)


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("red", "red"), (3, "3"), (3.0, "3"), ("3", "3"), (True, "true"), ("x" * 128, "x" * 128),
        ("x" * 129, None), ("", None), ("a\n", None), ([], None), (None, None),
    ],
)  # fmt: skip
def test_a_class_is_spelled_in_one_way(value: object, meaning: str | None) -> None:
    assert ClassRule().meaning(value) == meaning


def test_what_is_no_class_is_named_with_its_rows() -> None:
    with pytest.raises(ConfigInvalid, match=r"kind is no class in 3 of 13 rows: '' \(3 rows\)"):
        ClassRule().meanings({"": 3, "a": 10}, column="kind", still_safe="")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"a": 10, "b": 10, "c": 10}, []),
        ({"a": 50, "b": 60}, ["two classes only (a (50 rows), b (60 rows))"]),
        ({str(n): 10 for n in range(100)}, []),
        ({str(n): 10 for n in range(101)}, ["has 101 classes; at most 100"]),
        ({"a": 10, "b": 9, "c": 1}, ["fewer than 10 rows to learn from: b (9 rows), c (1 row)"]),
    ],
)
def test_what_can_be_learned(rows: dict[str, int], says: list[str]) -> None:
    found = [said for said, _ in class_faults(rows, label="kind")]
    assert len(found) == len(says)
    assert all(part in said for part, said in zip(says, found, strict=True))


def test_a_declared_class_must_be_there() -> None:
    declared = {("serving", "fallback_class"): ("q",), ("bias", "positive"): ("a", "w")}
    found = list(declared_class_faults(declared, np.array(["a"] * 2 + ["b"])))
    assert [fault.about for fault in found] == [("serving", "fallback_class"), ("bias", "positive")]
    assert "serving.fallback_class names 'q'" in found[0].said
    assert "they have a (2 rows), b (1 row)" in found[0].said


def test_the_numbers_are_those_of_scikit_learn() -> None:
    found = scored()
    labels, answers = (np.array(NAMES)[codes] for codes in (found.labels, found.answers))
    measured = measure_classes(found)
    assert measured["accuracy"].value == pytest.approx((labels == answers).mean())
    assert measured["balanced_accuracy"].value == pytest.approx(
        recall_score(labels, answers, average="macro")
    )
    assert measured["macro_f1"].value == pytest.approx(f1_score(labels, answers, average="macro"))
    assert measured["log_loss"].value == pytest.approx(log_loss(labels, found.probabilities))
    assert measured["brier"].value == pytest.approx(
        brier_score_loss(labels, found.probabilities, scale_by_half=False)
    )
    top = measure(found.probabilities.max(axis=1), labels == answers, threshold=0.5)
    assert measured["ece"] == top["ece"]
    facts: Any = appraise_classes(found, dict.fromkeys(NAMES, 5)).facts
    precision, recall, f1, rows = precision_recall_fscore_support(labels, answers, labels=NAMES)
    for place, one in enumerate(facts["classes"]):
        assert (one["class"], one["rows"]) == (NAMES[place], rows[place])
        assert (one["precision"], one["recall"]) == pytest.approx((precision[place], recall[place]))
        assert one["f1"] == pytest.approx(f1[place])
    for estimate in measured.values():
        assert estimate.low is not None
        assert estimate.value is not None
        assert estimate.high is not None
        assert estimate.low < estimate.value < estimate.high


def test_a_class_that_is_new_is_wrong_and_said_but_no_class_of_a_mean() -> None:
    few, none = scored(unseen=3), scored()
    before, after = measure_classes(none), measure_classes(few)
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert after[name].value == pytest.approx(before[name].value, abs=0.02)  # type: ignore[index]
    assert after["log_loss"].value > before["log_loss"].value + 0.1  # type: ignore[operator]
    (check,) = appraise_classes(few, dict.fromkeys(NAMES, 5)).checks
    assert (check.rule, check.severity, check.value) == ("unseen classes", Severity.WARNING, 3.0)
    assert "z (3 rows)" in check.observed
    assert appraise_classes(none, dict.fromkeys(NAMES, 5)).checks == ()


@pytest.mark.parametrize(
    ("cells", "balanced"),
    [
        ([[5, 0, 0], [0, 0, 0], [0, 0, 0]], 1.0),  # a class that never occurs is not counted
        ([[0, 0, 0], [0, 0, 0], [4, 0, 0]], None),  # only classes that are new came true
        ([[0, 0, 0], [0, 0, 0], [0, 0, 0]], None),
    ],
)
def test_edges_of_a_confusion_matrix(cells: list[list[int]], balanced: float | None) -> None:
    found = measure_confusion(np.array(cells), known=2, confidence=0.95, seed=7)
    assert found["balanced_accuracy"].value == balanced


@pytest.mark.parametrize(
    "metric",
    ["accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier", "expected_cost"],
)
def test_paired_intervals_have_the_spread_of_redrawn_rows(metric: Any) -> None:
    one, other = scored(seed=1, skill=2.0), scored(seed=2, skill=1.5)
    costs = ClassErrorCosts(other=1, wrong={"c": {"a": 20}})
    found = paired_classes(metric, one, other, costs)
    assert found is not None
    assert found.better.low is not None
    assert found.better.high is not None
    rng, drawn = np.random.default_rng(3), []
    for _ in range(300):
        rows = rng.integers(0, 600, 600)
        again = [
            ClassScores(s.names, s.known, s.probabilities[rows], s.labels[rows], s.answers[rows])
            for s in (one, other)
        ]
        paired = paired_classes(metric, again[0], again[1], costs)
        assert paired is not None
        drawn.append(paired.better.value)
    half = (found.better.high - found.better.low) / 2
    assert half == pytest.approx(1.96 * np.std(drawn), rel=0.2)


def policy(**changes: Any) -> EvaluationPolicy:
    gate = MetricGate(metric="balanced_accuracy", minimum=0.5)
    return EvaluationPolicy(gates=(gate,), min_rows=100, **changes)


def test_uplift_is_over_what_always_answers_the_same() -> None:
    mine = scored()
    shares = spread(np.tile([0.6, 0.3, 0.1], (600, 1)), NAMES, NAMES)
    trivial = class_scores(NAMES, shares, np.array(NAMES)[mine.labels])
    (passed,) = judge_class_uplift(policy(), mine, {"most frequent class": trivial}).checks
    assert (passed.rule, passed.verdict) == ("uplift", Verdict.PASSED)
    (failed,) = judge_class_uplift(policy(), trivial, {"most frequent class": trivial}).checks
    assert (failed.rule, failed.verdict) == ("no_measurable_roi", Verdict.FAILED)


@pytest.mark.parametrize(
    ("skill", "rows", "verdict"),
    [(3.0, 600, Verdict.PASSED), (1.0, 600, Verdict.FAILED), (3.0, 99, Verdict.INCONCLUSIVE)],
)
def test_a_champion_is_compared_on_the_same_rows(skill: float, rows: int, verdict: Verdict) -> None:
    mine, theirs = scored(rows, seed=1, skill=skill), scored(rows, seed=1, skill=3.0)
    found = judge_class_champion(policy(), mine, theirs, name="m@1", excluded=4)
    (check,) = found.checks
    assert check.verdict is verdict
    differences = found.facts["champion"]["differences"]  # type: ignore[index]
    assert [one["metric"] for one in differences] == ["balanced_accuracy", "accuracy", "log_loss"]


def test_one_list_of_classes() -> None:
    wide = spread(np.array([[0.3, 0.7]]), ("a", "c"), NAMES)
    assert wide.tolist() == [[0.3, 0.0, 0.7]]
    both = class_scores(NAMES, wide, np.array(["q"]))
    assert (both.names, both.known, both.labels.tolist()) == (("a", "b", "c", "q"), 3, [3])
    assert confusion(both)[3].tolist() == [0, 0, 1, 0]
