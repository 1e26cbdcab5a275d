"""Live fairness is the audit of the training gate, on the cells of a window."""

from datetime import date

import pytest

from tenure.lifecycle.monitoring.fairness import judge_fairness
from tenure.lifecycle.training.bias import BiasPolicy
from tenure.ports import OutcomeCounts
from tenure.verdicts import Report, Verdict

POLICY = BiasPolicy(
    attributes=("origin", "race"),
    metric="false_positive_rate",
    max_difference=0.1,
    min_group_rows=100,
    small_groups="report",
)


def judged(
    cells: dict[tuple[str, ...], tuple[int, int, int, int]],
    *,
    answered: int | None = None,
    visible: tuple[str, ...] = ("origin",),
) -> Report:
    labelled = sum(sum(cell) for cell in cells.values())
    counts = OutcomeCounts(labelled, answered or labelled, labelled, cells, [], 200)
    return judge_fairness(
        counts,
        POLICY,
        visible=visible,
        min_label_coverage=0.5,
        subject="m@1",
        seed=1,
        today=date(2026, 1, 1),
        facts={"kind": "fairness"},
    )


@pytest.mark.parametrize(
    ("name", "false_positives", "verdict"),
    [("alike", 500, Verdict.PASSED), ("planted gap", 1500, Verdict.FAILED)],
)
def test_gap(name: str, false_positives: int, verdict: Verdict) -> None:
    cells = {
        ("JFK",): (500, 500, 500, 4500),
        ("LGA",): (500, false_positives, 500, 5000 - false_positives),
    }
    report = judged(cells)
    assert report.verdict is verdict, name
    assert report.stage == "monitoring"
    assert report.summary.startswith(f"Fairness {verdict}: ")
    assert "Not in the decisions, so not judged: race." in report.summary
    assert report.facts["kind"] == "fairness"


def test_too_few_outcomes() -> None:
    report = judged({("JFK",): (100, 100, 100, 100)}, answered=801)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "49.9% of the mature decisions have an outcome, 50% are needed" in report.summary


def test_attributes_that_decisions_do_not_carry() -> None:
    report = judged({(): (100, 100, 100, 100)}, visible=())
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.summary == "Fairness inconclusive: decisions carry none of origin, race."
