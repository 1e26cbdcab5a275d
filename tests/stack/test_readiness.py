"""A command waits for a stack that is starting, and says so when there is none."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from stack_states import write_state

from tenure.errors import ServiceUnreachable
from tenure.settings import Settings
from tenure.stack.readiness import SEEN_SECONDS, START_SECONDS, await_airflow


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TENURE_HOME", str(tmp_path))
    for name in ("TENURE_AIRFLOW_URL", "TENURE_AIRFLOW_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


class Looks:
    """Answers no so often, then yes; a stack may begin at one of the looks."""

    def __init__(self, refusals: int, *, begins_at: int = -1) -> None:
        self.answers: Iterator[bool] = iter([False] * refusals + [True])
        self.begins_at, self.count = begins_at, 0
        self.told: list[str] = []
        self.paused = 0.0

    def ask(self, settings: Settings) -> bool:
        if self.count == self.begins_at:
            write_state(settings.home)
        self.count += 1
        return next(self.answers)

    def pause(self, seconds: float) -> None:
        self.paused += seconds

    def await_airflow(self) -> None:
        await_airflow(self.told.append, self.ask, self.pause)


@pytest.mark.parametrize(
    ("refusals", "begins_at", "said"),
    [
        (0, -1, []),
        (5, -1, ["No stack of "]),
        (3, 0, ["Airflow of the stack is not ready yet"]),
        (8, 5, ["No stack of ", "Airflow of the stack is not ready yet"]),
    ],
)
def test_what_is_waited_for_is_said_once(refusals: int, begins_at: int, said: list[str]) -> None:
    looks = Looks(refusals, begins_at=begins_at)
    looks.await_airflow()
    assert looks.paused == refusals
    assert len(looks.told) == len(said)
    assert all(line.startswith(start) for line, start in zip(looks.told, said, strict=True))


@pytest.mark.parametrize("left_behind", [True, False])
def test_without_a_stack_the_next_step_is_tenure_up(home: Path, *, left_behind: bool) -> None:
    if left_behind:
        write_state(home, lives=False)
    looks = Looks(10_000)
    with pytest.raises(ServiceUnreachable, match="No stack of") as refused:
        looks.await_airflow()
    assert looks.paused == SEEN_SECONDS
    assert "`tenure up`" in refused.value.next_step


def test_a_start_that_never_ends_is_left_to_the_login(home: Path) -> None:
    write_state(home)
    looks = Looks(10_000)
    looks.await_airflow()
    assert looks.paused == START_SECONDS


def test_an_airflow_of_ones_own_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_AIRFLOW_URL", "http://airflow.example")
    looks = Looks(10_000)
    looks.await_airflow()
    assert looks.count == 0
