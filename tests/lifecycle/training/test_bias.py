"""Rates equal Fairlearn's; gaps fail when the interval says so, and not by chance."""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import (
    MetricFrame,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from pydantic import ValidationError

from tenure.lifecycle.training.bias import RATES, BiasPolicy
from tenure.lifecycle.training.bias.audit import audit
from tenure.lifecycle.training.bias.disparity import Cells, Gap, gap, rates, views
from tenure.verdicts import Report, Verdict

TODAY = date(2026, 11, 22)
FAIRLEARN = dict(zip(RATES, (selection_rate, true_positive_rate, false_positive_rate), strict=True))


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


@pytest.mark.parametrize("attributes", [("carrier",), ("origin",), ("carrier", "origin")])
def test_equal_to_fairlearn_to_the_last_digit(attributes: tuple[str, ...]) -> None:
    rows = population()
    frame = MetricFrame(
        metrics=FAIRLEARN,
        y_true=rows.label,
        y_pred=rows.decision,
        sensitive_features=rows[list(attributes)],
    )
    *_, view = views(cells_of(rows, *attributes), intersections=True)
    ours = rates(view.counts)
    report = judged(cells_of(rows, *attributes))
    told = report.facts["views"][view.name]["gaps"]  # type: ignore[index]
    for i, name in enumerate(RATES):
        assert ours[:, i].tolist() == frame.by_group[name].tolist()
        assert told[name]["difference"] == frame.difference()[name]
        assert told[name]["ratio"] == frame.ratio()[name]


def test_views_are_attributes_then_their_crossing() -> None:
    cells = cells_of(population(), "carrier", "origin")
    assert [v.name for v in views(cells, intersections=True)] == [
        "carrier",
        "origin",
        "carrier & origin",
    ]
    assert [v.name for v in views(cells, intersections=False)] == ["carrier", "origin"]
    assert all(v.counts.sum() == 4000 for v in views(cells, intersections=True))


def test_a_rate_without_rows_is_nan_and_all_zero_rates_are_equal() -> None:
    found = rates(np.array([[0, 0, 0, 0], [3, 0, 1, 0]]))
    assert np.isnan(found[0]).all()
    assert found[1].tolist()[:2] == [0.75, 0.75]
    zero = np.zeros(2)
    assert gap(zero, zero, np.full(2, 0.1)).ratio == 1.0
    assert gap(np.array([0.3]), np.array([0.2]), np.array([0.4])) == Gap(None, None, None, None)


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
    # At the bound the difference of two floats may be an ulp off, so the bound is that difference.
    bound = (round((0.2 + 0.1) * 20_000) / 20_000) - (round(0.2 * 20_000) / 20_000)
    assert judged(equal_but_for(rate), max_difference=bound).verdict is expected, case


@pytest.mark.parametrize(
    ("case", "selected", "expected"),
    [
        ("above four fifths", 8010, Verdict.PASSED),
        ("at four fifths", 8000, Verdict.PASSED),
        ("just below: the interval reaches back", 7950, Verdict.INCONCLUSIVE),
        ("far below: the interval lies beyond", 7000, Verdict.FAILED),
    ],
)
def test_bound_on_the_ratio(case: str, selected: int, expected: Verdict) -> None:
    cells = groups((0, 10_000, 0, 10_000), (0, selected, 0, 20_000 - selected))
    found = judged(cells, metric="selection_rate", max_difference=None, min_ratio=0.8)
    assert found.verdict is expected, case


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
    cells = groups((0, 200, 0, 800), (0, 200, 0, 800), (500, 20, 500, rows - 20))
    report = judged(cells, small_groups=small_groups)
    assert report.verdict is expected, case
    shown = [c for c in report.checks if c.name == "group rows"]
    assert [c.subject for c in shown] == (["group=g2"] if rows < 100 else []), case


def test_a_small_group_is_shown_but_its_wild_rate_is_not_judged() -> None:
    report = judged(groups((0, 200, 0, 800), (0, 210, 0, 790), (0, 9, 0, 0)), small_groups="report")
    assert report.verdict is Verdict.PASSED
    told = report.facts["views"]["group"]["groups"][2]  # type: ignore[index]
    assert told["rates"]["false_positive_rate"]["value"] == 1.0
    assert told["rates"]["false_positive_rate"]["judged"] is False


def test_one_group_alone_is_inconclusive() -> None:
    report = judged(groups((0, 200, 0, 800), (0, 1, 0, 1)), small_groups="report")
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.checks[0].observed == "fewer than two groups to compare"


def test_no_rows_are_inconclusive() -> None:
    assert judged(groups((0, 0, 0, 0), (0, 0, 0, 0))).verdict is Verdict.INCONCLUSIVE


def test_a_planted_gap_hidden_in_a_crossing_is_found() -> None:
    """Each attribute alone looks fair; only their crossing does not."""
    even, odd = (0, 150, 0, 850), (0, 450, 0, 550)
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
    return groups(*((0, x, 0, n - x) for n, x in drawn))


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


def test_a_gate_without_a_bound_is_not_allowed() -> None:
    with pytest.raises(ValidationError, match="state min_ratio or max_difference"):
        BiasPolicy(attributes=("a",))


def test_the_summary_says_the_numbers() -> None:
    report = judged(equal_but_for(0.13), max_difference=0.1)
    assert report.summary.startswith(
        "bias audit failed on 40,040 rows: group false_positive_rate difference 0.1300 ["
    )
    assert report.summary.endswith("], allowed at most 0.1")
