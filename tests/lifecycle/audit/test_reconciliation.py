from datetime import UTC, datetime, timedelta

import pytest

from tenure.lifecycle.audit.reconciliation import (
    SPEAK_GRACE,
    AliasRepair,
    FailedTask,
    alias_repairs,
    silent_deaths,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("name", "wanted", "found", "earlier", "repairs"),
    [
        ("as it should be", 2, {"champion": 2}, {1, 2}, []),
        ("nobody yet", None, {}, set(), []),
        ("never set", 2, {}, {2}, [(None, 2, False)]),
        ("late after a promotion", 2, {"champion": 1}, {1, 2}, [(1, 2, False)]),
        ("moved by hand", 2, {"champion": 3}, {1, 2}, [(3, 2, True)]),
        ("set by hand before any champion", None, {"champion": 1}, set(), [(1, None, True)]),
        ("champion is gone", None, {"champion": 1}, {1}, [(1, None, False)]),
        ("foreign alias", 2, {"champion": 2, "mine": 9}, {2}, []),
    ],
)
def test_aliases_follow_the_ledger(
    name: str,
    wanted: int | None,
    found: dict[str, int],
    earlier: set[int],
    repairs: list[tuple[int | None, int | None, bool]],
) -> None:
    expected = [AliasRepair("champion", *one) for one in repairs]
    assert alias_repairs({"champion": wanted}, found, {"champion": earlier}) == expected, name


def task(
    dag_id: str = "m__train_model", ended: datetime | None = NOW - SPEAK_GRACE, tries: int = 1
) -> FailedTask:
    return FailedTask(dag_id, "r", "train", -1, ended, tries)


@pytest.mark.parametrize(
    ("name", "failed", "spoken", "dead"),
    [
        ("killed", task(), {}, True),
        ("said why", task(), {("m__train_model", "r", "train", -1): 1}, False),
        ("its last try said why", task(tries=2), {("m__train_model", "r", "train", -1): 2}, False),
        ("only an earlier try did", task(tries=2), {("m__train_model", "r", "train", -1): 1}, True),
        ("another map index said why", task(), {("m__train_model", "r", "train", 0): 1}, True),
        ("its card may be on its way", task(ended=NOW - SPEAK_GRACE + SECOND), {}, False),
        ("no end", task(ended=None), {}, True),
        ("not ours", task("etl"), {}, False),
        ("of a model that is not ours", task("x__train_model"), {}, False),
        ("of the platform", task("retrain_models"), {}, True),
    ],
)
def test_only_tasks_of_ours_that_said_nothing_are_dead(
    name: str, failed: FailedTask, spoken: dict[tuple[str, str, str, int], int], dead: bool
) -> None:
    found = silent_deaths([failed], spoken=spoken, names={"m"}, now=NOW)
    assert found == ([failed] if dead else []), name


def test_the_model_of_a_task_is_in_its_dag_id() -> None:
    assert task().owner == "m"
    assert task("maintain_platform").owner is None
