"""A run is followed: each change once, whatever Airflow does meanwhile; the real one is in e2e."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tenure.errors import ServiceUnreachable
from tenure.lifecycle.audit.reconciliation import TaskProgress
from tenure.usecases.operations.dag_runs import (
    APPEAR_SECONDS,
    SILENT_SECONDS,
    StartedRun,
    await_dag,
)


def silence() -> ServiceUnreachable:
    return ServiceUnreachable("no answer", still_safe="all", next_step="wait")


@dataclass
class Script:
    """What Airflow answers, look by look: the run's state, then its tasks; None is silence."""

    looks: list[tuple[str, dict[str, str | None]] | None]
    paused: list[float] = field(default_factory=list)

    def run_state(self, dag_id: str, run_id: str) -> str:
        if self.looks[0] is None:
            self.looks.pop(0)
            raise silence()
        return self.looks[0][0]

    def tasks(self, dag_id: str, run_id: str) -> list[TaskProgress]:
        look = self.looks.pop(0)
        assert look
        return [TaskProgress(name, -1, "", state, 1, 2) for name, state in look[1].items()]

    def follow(self) -> Iterator[tuple[str, str]]:
        session: Any = self
        for change in StartedRun(session, "d", "r", "url").follow(self.paused.append):
            yield change.what, change.state


def test_each_change_is_reported_once_and_the_run_comes_last() -> None:
    script = Script(
        [
            ("queued", {"plan": None}),
            ("running", {"plan": "running"}),
            ("running", {"plan": "running"}),
            None,
            ("running", {"plan": "success", "train": "running"}),
            ("success", {"plan": "success", "train": "success"}),
        ]
    )
    assert list(script.follow()) == [
        ("run", "queued"),
        ("plan", "running"),
        ("run", "running"),
        ("plan", "success"),
        ("train", "running"),
        ("train", "success"),
        ("run", "success"),
    ]
    assert len(script.paused) == 5


def test_airflow_may_be_silent_for_two_minutes() -> None:
    script = Script([None] * (int(SILENT_SECONDS) + 1))
    with pytest.raises(ServiceUnreachable):
        list(script.follow())
    assert sum(script.paused) == SILENT_SECONDS


@pytest.mark.parametrize(
    ("looks", "waited", "told"),
    [(0, 0, 0), (3, 3, 1), (10_000, APPEAR_SECONDS, 1)],
)
def test_a_dag_whose_yaml_is_new_is_waited_for(looks: int, waited: float, told: int) -> None:
    """For a while: what never appears is refused by the trigger."""
    answers = iter([False] * looks + [True])
    paused: list[float] = []
    said: list[str] = []

    class Session:
        def has(self, dag_id: str) -> bool:
            assert dag_id == "m__train_model"
            return next(answers)

    session: Any = Session()
    await_dag(session, "m__train_model", said.append, paused.append)
    assert (sum(paused), len(said)) == (waited, told)
