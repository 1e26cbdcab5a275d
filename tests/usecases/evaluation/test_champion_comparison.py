"""A version against the one that serves, on the version's own holdout."""

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from tenure.errors import GateInconclusive
from tenure.usecases.evaluation import evidence
from tenure.usecases.evaluation.champion_comparison import unseen_rows
from tenure.vocabulary import State


def crown(world: Any, number: int = 1) -> None:
    """Make a validated version the champion as promotion does, without its people."""
    platform = world.platform
    with platform.database.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            text("UPDATE model_version SET state = :to WHERE version = :number"),
            {"to": str(State.CHAMPION), "number": number},
        )


def second(world: Any, **columns: Any) -> Any:
    """The evaluation report of a second version; the first one serves."""
    for month in (1, 2):
        world.publish(month, rows=400)
    world.request()
    world.life()
    crown(world)
    world.publish(3, rows=400, **columns)
    world.request("again")
    for step in (world.plan, world.train):
        step("r2")
    with suppress(GateInconclusive):
        world.evaluate("r2")
    return evidence.stored(world.platform, world.row(2).evaluation_report)


def test_a_first_version_has_nothing_to_compare_with(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.life()
    report = evidence.stored(world.platform, world.row().evaluation_report)
    assert report is not None
    champion: Any = report.facts["champion"]
    assert champion["why"] == "no version of loan_ok serves: there is nothing to compare with"
    assert "champion" not in [check.rule for check in report.checks]


def test_the_champion_scores_the_same_rows(world: Any) -> None:
    report = second(world)
    champion: Any = report.facts["champion"]
    assert (champion["name"], champion["rows"]) == ("loan_ok@1", world.row(2).facts.rows.holdout)
    assert [one["metric"] for one in champion["differences"]] == ["roc_auc", "brier"]
    (check,) = [one for one in report.checks if one.rule == "champion"]
    assert check.interval is not None
    assert check.interval[0] <= champion["differences"][0]["better_by"] <= check.interval[1]


@pytest.mark.parametrize(
    ("case", "before", "after", "says"),
    [
        (
            "another label",
            "label: {column: ok,",
            "label: {column: ok, positive: 'false', negative: 'true',",
            "loan_ok@1 was trained on another label",
        ),
        (
            "a feature that is no longer read",
            "numeric: [income], ",
            "numeric: [], ",
            "loan_ok@1 reads income, which the version's holdout does not have",
        ),
    ],
)
def test_a_champion_that_cannot_be_compared_with(
    world: Any, case: str, before: str, after: str, says: str
) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.life()
    crown(world)
    path = world.platform.settings.configs / "models" / "loan_ok.yaml"
    path.write_text(path.read_text().replace(before, after).replace("minimum: 0.6", "minimum: 0.1"))
    world.publish(3)
    world.request("again")
    for step in (world.plan, world.train):
        step("r2")
    with pytest.raises(Exception, match="checks"):
        world.evaluate("r2")
    report = evidence.stored(world.platform, world.row(2).evaluation_report)
    assert report is not None
    (check,) = [one for one in report.checks if one.rule == "champion"]
    assert check.observed == says, case


@pytest.mark.parametrize(
    ("case", "span", "split", "expected"),
    [
        ("by time: from its holdout on", (20, 40), "temporal", [False, True, True, True]),
        ("else: after all that it had", (20, 40), "random", [False, False, False, True]),
        ("without time nobody knows", None, "random", [False] * 4),
    ],
)
def test_rows_that_the_champion_cannot_have_learned_from(
    case: str, span: tuple[int, int] | None, split: str, expected: list[bool]
) -> None:
    times = np.array([10, 20, 40, 50])
    assert unseen_rows(times, span, split).tolist() == expected, case
