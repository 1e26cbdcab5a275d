"""The pictures of a report: every number in them is one of the stored JSON."""

import re
from typing import Any

import pytest

from tenure.lifecycle.training.bias import comparison as comparison_of_groups
from tenure.lifecycle.training.evaluation import comparison
from tenure.verdicts import Check, Report, Verdict
from tenure.web import report_plots
from tenure.web.axes import Axis, Dot, dots
from tenure.web.report_plots import figures

BIN = {"low": 0.2, "high": 0.3, "mean_score": 0.25, "positive_share": 0.375, "rows": 8}
EVALUATION: dict[str, Any] = {
    "threshold": 0.125,
    "metrics": {"roc_auc": 0.8125, "log_loss": 1.25},
    "intervals": {"roc_auc": [0.78125, 0.84375], "log_loss": [1.125, 1.5]},
    "reliability": {"bins": [BIN | {"interval": [0.125, 0.625]}, BIN | {"rows": 0}]},
    "costs": {
        "curve": [[0.0, 500.0], [0.5, 250.0], [1.0, 750.0]],
        "chosen": {"cost": 260.0},
        "always_yes": {"cost": 500.0},
        "always_no": {"cost": 750.0},
        "per_decisions": 1000,
    },
    "importance": {
        "features": [
            {
                "feature": "temp",
                "better_by": 0.03125,
                "interval": [0.0, 0.0625],
                "metric": "roc_auc",
            }
        ]
    },
    "slices": {"by_column": {"carrier": [{"value": "UA", "loss": 0.4375, "rows": 320}]}},
}
CHECKS = (
    Check("kpi:roc_auc", Verdict.PASSED, "0.8125", "at least 0.75", value=0.8125, limit=0.75),
    Check(
        "champion",
        Verdict.INCONCLUSIVE,
        "better by 0.01",
        "surely no worse by 0.01",
        subject="m@1",
        value=0.015625,
        interval=(-0.03125, 0.0625),
    ),
)
GROUP = {"by": ["sex"], "value": ["f"], "n": 155, "selection_rate": 0.4375, "sufficient": True}
BIAS: dict[str, Any] = {
    "metric": "selection_rate",
    "groups": [
        GROUP | {"ci": {"selection_rate": [0.375, 0.5]}},
        GROUP | {"value": [None], "n": 3, "sufficient": False},
        GROUP | {"value": ["x"], "n": 0, "selection_rate": None},
    ],
}
TRAINING = {"rows": {"train": 299, "gap": 1, "holdout": 100, "unlabelled": 0}, "metrics": {}}


def report(stage: str, facts: dict[str, Any], checks: tuple[Check, ...] = ()) -> Report:
    return Report(stage, "m@2", Verdict.PASSED, "fine", checks, facts, enforced=True)


@pytest.mark.parametrize(
    ("stage", "facts", "checks", "titles", "told"),
    [
        (
            "evaluation",
            EVALUATION,
            CHECKS,
            [
                "How good",
                "Against the champion, the rule and the trivial answer",
                "Reliability",
                "What decisions cost",
                "What each feature is worth",
                "Where it is worst",
            ],
            [
                "roc auc: 0.8125 [0.7812, 0.8438]; allowed: at least 0.75",
                "so only in the facts: log_loss",
                "better by 0.01; allowed: surely no worse by 0.01",
                "scores 0.2 to 0.3: 8 rows, mean score 0.250, 37.5% positive",
                "threshold 0.125: 260",
                "always no: 750",
                "temp: 0.03125 [0, 0.0625]",
                "carrier UA: loss 0.4375 on 320 rows",
            ],
        ),
        (
            "bias",
            BIAS,
            (),
            ["Selection rate by sex"],
            [
                "f: 0.4375 [0.375, 0.5], 155 rows",
                "missing: 0.4375, 3 rows",
                "Without a number, for lack of rows: x.",
            ],
        ),
        (
            "training",
            TRAINING,
            (),
            ["Where the rows went"],
            ["train 299, gap 1, holdout 100; together 400."],
        ),
        ("ingestion", {}, (), [], []),
    ],
)
def test_pictures(
    stage: str, facts: dict[str, Any], checks: tuple[Check, ...], titles: list[str], told: list[str]
) -> None:
    drawn = figures(report(stage, facts, checks))
    assert [one.title for one in drawn] == titles
    said = "".join(f"{one.drawing}{one.note}" for one in drawn)
    assert [text for text in told if text not in said] == []


def test_errors_of_a_regression() -> None:
    part = {
        "from": 10.0,
        "to": 20.0,
        "rows": 30,
        "mean_error": -1.5,
        "error_quantiles": {"0.05": -8.0, "0.95": 6.0},
    }
    (drawn,) = figures(report("evaluation", {"residuals": [part]}))
    assert "predicted 10 to 20: 30 rows, mean error -1.5" in drawn.drawing
    assert "from -8 to 6" in drawn.drawing


def test_classes_that_were_taken_for_each_other() -> None:
    cells = {"classes": ["a", "<b>"], "true_by_answered": [[8, 2], [0, 0]]}
    (drawn,) = figures(report("evaluation", {"confusion": cells}))
    assert "a answered as &lt;b&gt;: 2 of 10 rows" in drawn.drawing
    assert re.findall(r'fill-opacity="([0-9.]+)"', drawn.drawing) == [
        "0.800", "0.200", "0.000", "0.000"
    ]  # fmt: skip
    many = {"classes": [*map(str, range(40))], "true_by_answered": [[1] * 40] * 40}
    (drawn,) = figures(report("evaluation", {"confusion": many}))
    assert drawn.note.startswith("The first 12 of 40 classes. ")


def test_groups_that_cannot_be_judged_are_pale() -> None:
    (drawn,) = figures(report("bias", BIAS))
    assert re.findall(r'class="dot ([a-z]*)"', drawn.drawing) == ["", "dim"]


def test_a_multiclass_audit_is_drawn_class_by_class() -> None:
    groups = [{**group, "class": name} for name in ("a", "b") for group in BIAS["groups"]]
    drawn = figures(report("bias", BIAS | {"groups": groups}))
    assert [one.title for one in drawn] == [
        "Selection rate of class a by sex",
        "Selection rate of class b by sex",
    ]


def test_groups_whose_gap_breaks_its_limit_come_first_and_few_are_drawn() -> None:
    classes = [f"c{n:02}" for n in range(20)]
    groups = [{**BIAS["groups"][0], "class": name} for name in classes]
    checks = [
        Check("gap", verdict, "0.4", "0.3", f"class {name}: sex", columns=("sex",))
        for name, verdict in (
            ("c01", Verdict.PASSED),
            ("c07", Verdict.INCONCLUSIVE),
            ("c09", Verdict.FAILED),
        )
    ]
    drawn = figures(report("bias", BIAS | {"groups": groups}, tuple(checks)))
    assert [one.title[24:27] for one in drawn[:5]] == ["c09", "c07", "c01", "c00", "c02"]
    assert len(drawn) == 12
    assert drawn[-1].note.endswith("8 more pictures are left out; their numbers are in the report.")


def test_mean_errors_have_their_zero() -> None:
    group = {"by": ["sex"], "value": ["f"], "n": 9, "mean_error": -2.5}
    facts = {"metric": "mean_error", "groups": [group, group | {"mean_error": 4.0}]}
    (drawn,) = figures(report("bias", facts))
    assert 'class="limit"' in drawn.drawing
    assert report_plots._AROUND_ZERO == comparison_of_groups.AROUND_ZERO


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"reliability": None, "costs": [], "metrics": 3},
        {"importance": {"features": [{}]}, "slices": {"by_column": [1]}},
    ],
)
def test_a_report_of_another_shape_has_fewer_pictures(facts: dict[str, Any]) -> None:
    assert figures(report("evaluation", facts)) == []


def test_what_strangers_named_is_escaped() -> None:
    drawn = dots([Dot("<script>", 0.5, title="<b>")], label="<i>")
    assert "<script>" not in drawn
    assert "<b>" not in drawn
    assert "<i>" not in drawn


def test_a_dot_lies_where_its_number_is() -> None:
    drawn = dots([Dot("low", 0.0), Dot("middle", 0.5), Dot("high", 1.0)], label="x")
    low, middle, high = (float(x) for x in re.findall(r'cx="([0-9.]+)"', drawn))
    assert middle - low == pytest.approx(high - middle, abs=15)  # room right of the highest
    assert low < middle < high


def test_rows_beyond_the_picture_are_counted() -> None:
    parts = [{"value": str(n), "loss": n / 100, "rows": 9} for n in range(40)]
    (drawn,) = figures(report("evaluation", {"slices": {"by_column": {"day": parts}}}))
    assert drawn.note.startswith("24 of 40. ")
    assert drawn.drawing.count("<circle") == 24


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.03, 0.07, [-0.02, 0.0, 0.02, 0.04, 0.06]),
        (0.0, 5600.0, [0, 1000, 2000, 3000, 4000, 5000]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert Axis(low, high, 0, 100).ticks() == pytest.approx(ticks)


def test_the_rules_of_comparisons_are_those_that_reports_have() -> None:
    assert {comparison.NO_ROI, comparison.CHAMPION} < {*report_plots._PAIRED}
