"""Rates equal Fairlearn's; gaps fail when the interval says so, and not by chance."""

import math
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import (
    MetricFrame,
    false_negative_rate,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from pydantic import ValidationError
from sklearn.metrics import accuracy_score, precision_score

from tenure.errors import ConfigInvalid
from tenure.lifecycle.training.bias import BiasPolicy
from tenure.lifecycle.training.bias.audit import audit
from tenure.lifecycle.training.bias.cells import Cells, views
from tenure.lifecycle.training.bias.disparity import RATES, rates
from tenure.lifecycle.training.evaluation import EvaluationPolicy, MetricGate
from tenure.lifecycle.training.fitness import gate_faults
from tenure.verdicts import Report, Verdict

TODAY = date(2026, 11, 22)
FAIRLEARN = {
    "selection_rate": selection_rate,
    "accuracy": accuracy_score,
    "tpr": true_positive_rate,
    "fpr": false_positive_rate,
    "fnr": false_negative_rate,
    "ppv": precision_score,
}


def population(seed: int = 5, n: int = 4000) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "carrier": rng.choice(["AA", "B6", "UA"], n, p=[0.5, 0.3, 0.2]),
            "origin": rng.choice(["EWR", "JFK"], n),
            "decision": rng.random(n) < 0.4,
            "label": rng.random(n) < 0.3,
        }
    )


def cells_of(rows: pd.DataFrame, *attributes: str) -> Cells:
    d, y = rows.decision, rows.label
    marked = rows.assign(tp=d & y, fp=d & ~y, fn=~d & y, tn=~d & ~y)
    counted = marked.groupby(list(attributes))[["tp", "fp", "fn", "tn"]].sum()
    keys = [key if isinstance(key, tuple) else (key,) for key in counted.index]
    return Cells.of(attributes, dict(zip(keys, map(tuple, counted.to_numpy()), strict=True)))


def groups(*counted: tuple[int, int, int, int]) -> Cells:
    return Cells.of(("group",), {(f"g{i}",): c for i, c in enumerate(counted)})


def judged(cells: Cells, **policy: Any) -> Report:
    settings: dict[str, Any] = {"attributes": cells.attributes, "metric": "false_positive_rate"}
    stated = BiasPolicy(**{**settings, "max_difference": 0.1, **policy})
    return audit(cells, stated, subject="m@1", seed=7, today=TODAY)


def comparison(report: Report, metric: str, *by: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = report.facts["comparisons"]  # type: ignore[assignment]
    [one] = [row for row in found if row["metric"] == metric and row["by"] == list(by)]
    return one


@pytest.mark.parametrize("attributes", [("carrier",), ("origin",), ("carrier", "origin")])
def test_equal_to_fairlearn_to_the_last_digit(attributes: tuple[str, ...]) -> None:
    rows = population()
    frame = MetricFrame(
        metrics=FAIRLEARN,
        y_true=rows.label,
        y_pred=rows.decision,
        sensitive_features=rows[list(attributes)],
    )
    report = judged(cells_of(rows, *attributes))
    found: list[dict[str, Any]] = report.facts["groups"]  # type: ignore[assignment]
    groups_ = [one for one in found if one["by"] == list(attributes)]
    overall: dict[str, float] = report.facts["overall"]  # type: ignore[assignment]
    for name in FAIRLEARN:
        assert [one[name] for one in groups_] == frame.by_group[name].tolist()
        assert overall[name] == frame.overall[name]
        told = comparison(report, name, *attributes)
        assert told["difference"] == pytest.approx(frame.difference()[name], rel=1e-15)
        assert told["ratio"] == pytest.approx(frame.ratio()[name], rel=1e-15)


def test_views_are_attributes_then_each_crossing() -> None:
    rows = population()
    cells = cells_of(
        rows.assign(late=rows.index % 2 == 0).astype({"late": str}), "carrier", "origin", "late"
    )
    names = [v.name for v in views(cells, intersections=True)]
    assert names == [
        "carrier",
        "origin",
        "late",
        "carrier & origin",
        "carrier & late",
        "origin & late",
        "carrier & origin & late",
    ]
    assert [v.name for v in views(cells, intersections=False)] == names[:3]
    assert all(v.counts.sum() == 4000 for v in views(cells, intersections=True))


def test_a_rate_without_rows_is_null_and_all_zero_rates_are_equal() -> None:
    found = rates(np.array([[0, 0, 0, 0], [3, 0, 1, 0]]))
    assert np.isnan(found[0]).all()
    named = dict(zip(RATES, found[1].tolist(), strict=True))
    assert (named["selection_rate"], named["tpr"], named["ppv"]) == (0.75, 0.75, 1.0)
    assert np.isnan(named["fpr"])
    report = judged(groups((0, 0, 200, 200), (0, 0, 200, 200)))
    assert comparison(report, "selection_rate", "group")["ratio"] == 1.0
    told: list[dict[str, Any]] = report.facts["groups"]  # type: ignore[assignment]
    assert (told[0]["ppv"], told[0]["ci"]["ppv"], told[0]["fpr"]) == (None, None, 0.0)
    assert comparison(report, "ppv", "group") == {
        "metric": "ppv",
        "by": ["group"],
        **dict.fromkeys(
            ("worst", "best", "difference", "ratio", "p_adjusted", "rule", "limit", "verdict")
        ),
    }


def equal_but_for(rate: float, n: int = 20_000) -> Cells:
    """Two groups of n negatives: false positive rates 0.2 and 0.2 + rate."""
    low, high = round(0.2 * n), round((0.2 + rate) * n)
    return groups((10, low, 10, n - low), (10, high, 10, n - high))


@pytest.mark.parametrize(
    ("case", "rate", "expected"),
    [
        ("below the bound", 0.0999, Verdict.PASSED),
        ("at the bound", 0.1, Verdict.PASSED),
        ("just above: the interval reaches back", 0.1005, Verdict.INCONCLUSIVE),
        ("far above: the interval lies beyond", 0.13, Verdict.FAILED),
    ],
)
def test_bound_on_the_difference(case: str, rate: float, expected: Verdict) -> None:
    assert judged(equal_but_for(rate), max_difference=0.1).verdict is expected, case


@pytest.mark.parametrize(
    ("case", "best", "worst", "rows", "expected"),
    [
        ("exactly 0.80", 50_000, 40_000, 100_000, Verdict.PASSED),
        ("0.79999", 100_000, 79_999, 200_000, Verdict.FAILED),
        ("0.80001", 100_000, 80_001, 200_000, Verdict.PASSED),
        ("exactly 0.80, and 0.8 is no float", 30, 24, 100, Verdict.PASSED),
        ("0.7, and the two may be equal", 30, 21, 100, Verdict.INCONCLUSIVE),
        ("0.7, and they are not", 300, 210, 1000, Verdict.FAILED),
        ("none and none", 0, 0, 100, Verdict.PASSED),
    ],
)
def test_the_four_fifths_rule(
    case: str, best: int, worst: int, rows: int, expected: Verdict
) -> None:
    def selected(n: int) -> tuple[int, int, int, int]:
        return (n // 2, n - n // 2, 10, rows - n - 10)

    cells = groups(selected(best), selected(worst))
    found = judged(cells, metric="selection_rate", max_difference=None, min_ratio=0.8)
    assert found.verdict is expected, case
    [told] = [c for c in found.checks if c.rule == "selection_rate ratio"]
    assert (told.observed == "0.8000") == (told.value == 0.8), case


@pytest.mark.parametrize(
    ("case", "rows", "small_groups", "expected"),
    [
        ("below the minimum, strict", 99, "inconclusive", Verdict.INCONCLUSIVE),
        ("below the minimum, shown", 99, "report", Verdict.PASSED),
        ("at the minimum", 100, "inconclusive", Verdict.PASSED),
        ("above the minimum", 101, "inconclusive", Verdict.PASSED),
    ],
)
def test_small_groups(case: str, rows: int, small_groups: str, expected: Verdict) -> None:
    """Only negative labels count for a false positive rate: the many positives change nothing."""
    cells = groups((5, 200, 5, 800), (5, 200, 5, 800), (500, 20, 500, rows - 20))
    report = judged(cells, small_groups=small_groups)
    assert report.verdict is expected, case
    shown = [c for c in report.checks if c.name == "group rows"]
    assert [c.subject for c in shown] == (["group=g2"] if rows < 100 else []), case


def told_of(report: Report, group: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = report.facts["groups"]  # type: ignore[assignment]
    return next(one for one in found if one["value"] == [group])


def test_a_small_group_is_shown_but_its_wild_rate_is_not_judged() -> None:
    cells = groups((50, 200, 50, 800), (50, 210, 50, 790), (0, 9, 1, 0))
    report = judged(cells, small_groups="report")
    assert report.verdict is Verdict.PASSED
    assert (told_of(report, "g2")["fpr"], told_of(report, "g2")["sufficient"]) == (1.0, False)
    assert told_of(report, "g1")["sufficient"] is True


@pytest.mark.parametrize(
    ("case", "cell", "said"),
    [
        ("three rows", (1, 0, 1, 1), "3 rows that selection_rate counts"),
        ("no positives", (0, 200, 0, 200), "0 positive labels"),
        ("no negatives", (200, 0, 200, 0), "0 negative labels"),
    ],
)
def test_a_group_that_cannot_be_judged_never_vanishes(
    case: str, cell: tuple[int, int, int, int], said: str
) -> None:
    cells = groups((250, 250, 250, 250), (250, 250, 250, 250), cell)
    report = judged(cells, metric="selection_rate", max_difference=None, min_ratio=0.8)
    assert report.verdict is Verdict.INCONCLUSIVE, case
    assert told_of(report, "g2")["sufficient"] is False
    assert [c.observed for c in report.checks if c.subject == "group=g2"] == [said]


def test_a_group_without_positives_that_is_never_selected_fails() -> None:
    """It cannot be judged by its labels, but what is decided about it can."""
    cells = groups((250, 250, 250, 250), (0, 0, 0, 500))
    report = judged(cells, metric="selection_rate", max_difference=None, min_ratio=0.8)
    assert report.verdict is Verdict.FAILED


def test_missing_empty_and_the_text_null_are_three_groups() -> None:
    cell = (100, 100, 100, 100)
    cells = Cells.of(("a",), {(None,): cell, ("",): cell, ("null",): cell, ("x",): (3, 0, 0, 0)})
    report = judged(cells)
    found: list[dict[str, Any]] = report.facts["groups"]  # type: ignore[assignment]
    assert [one["value"] for one in found] == [[""], ["null"], ["x"], [None]]
    assert [c.subject for c in report.checks if c.rule == "group rows"] == ["a=x"]
    cells = Cells.of(("a",), {(None,): (1, 0, 0, 0), ("",): (1, 0, 0, 0), ("x",): cell})
    subjects = [c.subject for c in judged(cells).checks if c.rule == "group rows"]
    assert subjects == ["a=''", "a=(missing)"]


def test_bands() -> None:
    cell = (10, 10, 10, 10)
    ages: list[str | None] = ["24.9", "25", "39", "40", "71", None]
    cells = Cells.of(("age", "sex"), {(age, "f"): cell for age in ages})
    banded = cells.banded({"age": (25, 40)})
    assert banded.groups == (
        ("under 25", "f"),
        ("25 to under 40", "f"),
        ("40 and over", "f"),
        (None, "f"),
    )
    assert banded.counts[:, 0].tolist() == [10, 20, 20, 10]
    with pytest.raises(ConfigInvalid, match="age has the value 'old', which is no number"):
        Cells.of(("age",), {("old",): cell}).banded({"age": (25, 40)})


@pytest.mark.parametrize(
    ("rule", "reference", "worst", "best", "value"),
    [
        ("ratio", {}, ["g0"], ["g2"], 0.1 / 0.95),
        ("ratio", {"group": "g1"}, ["g0"], ["g1"], 0.1 / 0.5),
        ("ratio", {"group": "g2"}, ["g0"], ["g2"], 0.1 / 0.95),
        ("difference", {}, ["g0"], ["g2"], 0.85),
        ("difference", {"group": "g1"}, ["g1"], ["g2"], 0.45),
    ],
)
def test_reference_group(
    rule: str, reference: dict[str, str], worst: list[str], best: list[str], value: float
) -> None:
    """Selected are 0.1, 0.5 and 0.95; what is farthest from 0.5 depends on the rule."""
    limits = {"min_ratio": 0.8 if rule == "ratio" else None}
    limits["max_difference"] = 0.2 if rule == "difference" else None
    cells = groups((50, 50, 450, 450), (250, 250, 250, 250), (475, 475, 25, 25))
    report = judged(cells, metric="selection_rate", reference=reference, **limits)
    told = comparison(report, "selection_rate", "group")
    assert (told["worst"], told["best"]) == (worst, best)
    assert told[rule] == pytest.approx(value)
    assert report.verdict is Verdict.FAILED
    [check] = report.checks
    assert check.interval is not None
    assert check.interval[0] < value < check.interval[1]


def test_a_reference_with_too_few_rows_is_inconclusive() -> None:
    report = judged(
        groups((50, 50, 50, 50), (50, 50, 50, 50), (1, 1, 1, 1)), reference={"group": "g2"}
    )
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.checks[0].observed == "nothing to compare with g2, or too few rows of it"


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        (date(2026, 11, 21), Verdict.INCONCLUSIVE),
        (TODAY, Verdict.PASSED),
        (date(2026, 11, 23), Verdict.PASSED),
    ],
)
def test_a_decision_holds_until_its_day(until: date, expected: Verdict) -> None:
    decision = {"why": "the law", "by": "ada", "until": until}
    report = judged(groups((50, 50, 50, 50), (50, 50, 50, 50)), decision=decision)
    assert report.verdict is expected
    assert report.facts["decision"] == {"why": "the law", "by": "ada", "until": str(until)}
    said = f"decision on metric and limits of ada, held until {until}, allowed one that holds"
    assert (said in report.summary) == (expected is Verdict.INCONCLUSIVE)


def test_a_lapsed_decision_is_said_before_training() -> None:
    policy = BiasPolicy.model_validate(
        {
            "attributes": ("a",),
            "max_difference": 0.1,
            "decision": {"why": "the law", "by": "ada", "until": "2026-11-21"},
        }
    )
    labels = np.array([True, False] * 200)
    values: Any = np.array(["x", "x", "y", "y"] * 100, dtype=object)
    evaluation = EvaluationPolicy(gates=(MetricGate(metric="brier", maximum=1.0),), min_rows=1)
    found = list(gate_faults(evaluation, policy, labels, {"a": values}, today=TODAY))
    assert [(one.said, one.about) for one in found] == [
        (
            "bias audit will be inconclusive on the 400 rows that are held out: the decision on "
            "metric and limits of ada, held until 2026-11-21",
            ("bias", "decision"),
        )
    ]


def test_equalized_odds_judges_both_rates() -> None:
    cells = groups((400, 100, 100, 400), (400, 300, 100, 200))
    report = judged(cells, metric="equalized_odds")
    assert [(c.rule, c.verdict) for c in report.checks] == [
        ("false_positive_rate difference", Verdict.FAILED),
        ("true_positive_rate difference", Verdict.PASSED),
    ]


def scored(*errors: float) -> Cells:
    """Groups of 1,000 rows, half positive, whose mean error is given, with spread 0.1."""
    return Cells.of(
        ("group",),
        {(f"g{n}",): (250, 250, 250, 250) for n in range(len(errors))},
        {(f"g{n}",): (1000 * e, 1000 * (0.01 + e * e)) for n, e in enumerate(errors)},
    )


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ((0.0, 0.1), Verdict.PASSED),
        ((0.0, 0.1001), Verdict.INCONCLUSIVE),
        ((-0.2, 0.1), Verdict.FAILED),
    ],
)
def test_calibration(errors: tuple[float, float], expected: Verdict) -> None:
    report = judged(scored(*errors), metric="calibration")
    assert report.verdict is expected
    told = comparison(report, "calibration", "group")
    assert told["difference"] == pytest.approx(errors[1] - errors[0])
    assert (told["worst"], told["ratio"]) == (["g0"] if errors[0] < -0.1 else ["g1"], None)
    assert told_of(report, "g1")["calibration"] == pytest.approx(errors[1])
    low, high = told_of(report, "g1")["ci"]["calibration"]
    assert low < errors[1] < high


def test_calibration_without_scores_is_inconclusive() -> None:
    report = judged(groups((50, 50, 50, 50), (50, 50, 50, 50)), metric="calibration")
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.checks[0].observed == "no scores to compare"


def test_p_values_are_those_of_the_textbook_and_corrected_for_all_pairs() -> None:
    """Two groups of 100 with 60 and 40: z = 0.2 / sqrt(0.5 * 0.5 * 0.02) = 2.828, p = 0.00468."""
    two = groups((30, 30, 20, 20), (20, 20, 30, 30))
    told = comparison(judged(two), "selection_rate", "group")
    assert told["p_adjusted"] == pytest.approx(0.004678, abs=1e-6)
    three = groups((30, 30, 20, 20), (20, 20, 30, 30), (25, 25, 25, 25))
    told = comparison(judged(three), "selection_rate", "group")
    assert told["p_adjusted"] == pytest.approx(3 * 0.004678, abs=1e-5)


def test_one_group_alone_is_inconclusive() -> None:
    report = judged(groups((5, 200, 5, 800), (5, 1, 5, 1)), small_groups="report")
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.checks[0].observed == "fewer than two groups to compare"


def test_no_rows_are_inconclusive() -> None:
    assert judged(groups((0, 0, 0, 0), (0, 0, 0, 0))).verdict is Verdict.INCONCLUSIVE


def test_a_planted_gap_hidden_in_a_crossing_is_found() -> None:
    """Each attribute alone looks fair; only their crossing does not."""
    even, odd = (5, 150, 5, 850), (5, 450, 5, 550)
    cells = Cells.of(
        ("a", "b"), {("0", "0"): even, ("0", "1"): odd, ("1", "0"): odd, ("1", "1"): even}
    )
    report = judged(cells)
    assert [(c.subject, c.verdict) for c in report.checks] == [
        ("a & b", Verdict.FAILED),
        ("a", Verdict.PASSED),
        ("b", Verdict.PASSED),
    ]
    assert judged(cells, intersections=False).verdict is Verdict.PASSED


def random_groups(true_rates: list[float], sizes: list[int], rng: Any) -> Cells:
    drawn = [(n, int(rng.binomial(n, r))) for r, n in zip(true_rates, sizes, strict=True)]
    return groups(*((5, x, 5, n - x) for n, x in drawn))


def share_of(verdict: Verdict, true_rates: list[float], sizes: list[int], **policy: Any) -> float:
    rng = np.random.default_rng(11)
    found = [
        judged(random_groups(true_rates, sizes, rng), bootstrap_draws=200, **policy).verdict
        for _ in range(200)
    ]
    return found.count(verdict) / len(found)


def test_null_case_many_equal_small_groups_are_not_failed_by_chance() -> None:
    """Sixteen fair groups of 120 rows: the point gap exceeds 0.1 nearly always."""
    rates_, sizes = [0.15] * 16, [120] * 16
    assert share_of(Verdict.PASSED, rates_, sizes) < 0.5
    assert share_of(Verdict.FAILED, rates_, sizes) <= 0.05


def test_null_case_a_gap_exactly_at_the_bound_is_rarely_failed() -> None:
    assert share_of(Verdict.FAILED, [0.1, 0.2], [2000, 2000]) <= 0.05


def test_null_case_rare_events_do_not_fail_a_ratio_by_chance() -> None:
    """Equal rates of 1%: often one group has no event at all, and so ratio 0."""
    failed = share_of(
        Verdict.FAILED, [0.01, 0.01, 0.01], [150] * 3, max_difference=None, min_ratio=0.8
    )
    assert failed <= 0.05


def test_planted_gap_is_failed() -> None:
    assert share_of(Verdict.FAILED, [0.1, 0.12, 0.35], [2000, 2000, 400]) >= 0.95


def test_the_same_seed_gives_the_same_report() -> None:
    cells = cells_of(population(), "carrier", "origin")
    assert judged(cells).digest == judged(cells).digest


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({}, "state min_ratio or max_difference"),
        ({"metric": "calibration", "min_ratio": 0.8}, "calibration is a difference"),
        ({"min_ratio": 0.8, "attributes": ("a", "a")}, "attributes names a column twice"),
        ({"min_ratio": 0.8, "edges": {"b": (1,)}}, "edges names b, which is not in attributes"),
        ({"min_ratio": 0.8, "reference": {"b": "x"}}, "reference names b, which is not in"),
        ({"min_ratio": 0.8, "edges": {"a": (2, 2)}}, "edges of a must be numbers that rise"),
        ({"min_ratio": 0.8, "edges": {"a": ()}}, "edges of a must be numbers that rise"),
    ],
)
def test_a_policy_that_cannot_be_meant(stated: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        BiasPolicy.model_validate({"attributes": ("a",), **stated})


def test_many_groups_are_corrected_by_bonferroni() -> None:
    """Of 501 groups two differ: p of 98 and 2 of 100, times 501 * 500 / 2 pairs."""
    even, low, high = (25, 25, 25, 25), (1, 1, 49, 49), (49, 49, 1, 1)
    report = judged(groups(*[even] * 499, low, high), bootstrap_draws=100, intersections=False)
    told = comparison(report, "selection_rate", "group")
    assert (told["worst"], told["best"]) == (["g499"], ["g500"])
    z = 0.96 / (0.5 * 0.5 * 0.02) ** 0.5
    assert told["p_adjusted"] == pytest.approx(math.erfc(z / 2**0.5) * 501 * 500 / 2)
    assert comparison(report, "accuracy", "group")["p_adjusted"] == 1.0


def simulated(rng: Any) -> bool:
    """Whether all intervals of one audit hold the truth: three groups, two sexes, and crossed."""
    size = np.array([[900, 700], [400, 300], [200, 150]])
    truth = np.array([[0.30, 0.25], [0.5, 0.45], [0.15, 0.20]])
    drawn = rng.binomial(size, truth)
    cells = Cells.of(
        ("a", "b"),
        {
            (str(i), str(j)): (x // 2, x - x // 2, 40, int(size[i, j]) - x - 40)
            for i, j, x in ((i, j, int(drawn[i, j])) for i in range(3) for j in range(2))
        },
    )
    report = judged(cells, metric="selection_rate", bootstrap_draws=1000)
    by = {
        **{(("a",), (str(i),)): (truth[i] * size[i]).sum() / size[i].sum() for i in range(3)},
        **{
            (("b",), (str(j),)): (truth[:, j] * size[:, j]).sum() / size[:, j].sum()
            for j in range(2)
        },
        **{(("a", "b"), (str(i), str(j))): truth[i, j] for i in range(3) for j in range(2)},
    }
    found: list[dict[str, Any]] = report.facts["groups"]  # type: ignore[assignment]
    ends = [
        (one["ci"]["selection_rate"], by[tuple(one["by"]), tuple(one["value"])]) for one in found
    ]
    return all(low <= true <= high for (low, high), true in ends)


@pytest.mark.exhaustive
def test_simultaneous_intervals_hold_all_truths_in_95_of_100_audits() -> None:
    rng = np.random.default_rng(2026)
    held = [simulated(rng) for _ in range(1000)]
    assert 0.93 <= np.mean(held) <= 0.99


def test_the_summary_says_the_numbers() -> None:
    report = judged(equal_but_for(0.13), max_difference=0.1)
    assert report.summary.startswith(
        "bias audit failed on 40,040 rows: group false_positive_rate difference 0.1300 ["
    )
    assert report.summary.endswith("], allowed at most 0.1")
