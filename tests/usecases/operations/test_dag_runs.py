"""A run is followed: each change once, whatever Airflow does meanwhile; the real one is in e2e."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tenure.errors import ServiceUnreachable
from tenure.lifecycle.audit.reconciliation import TaskProgress
from tenure.usecases.operations.dag_runs import SILENT_SECONDS, StartedRun


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
