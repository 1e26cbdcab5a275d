"""Failpoints act in tests only, where and when they are told."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tenure import failpoints
from tenure.errors import ConfigInvalid
from tenure.failpoints import InjectedFault, failpoint


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was passed yet, and this is a test."""
    monkeypatch.setattr(failpoints, "_passed", type(failpoints._passed)())
    monkeypatch.setenv("TENURE_ENV", "test")
    monkeypatch.delenv("TENURE_FAIL", raising=False)


def passes(name: str, times: int) -> list[int]:
    """Which of so many turns raised."""
    raised = []
    for turn in range(1, times + 1):
        try:
            failpoint(name)
        except InjectedFault:
            raised.append(turn)
    return raised


@pytest.mark.parametrize(
    ("orders", "raised"),
    [
        ("", []),
        ("a.b:raise", [1]),
        ("a.b:raise:1", [1]),
        ("a.b:raise:3", [3]),
        ("a.b:raise:4", []),
        ("a:raise", []),
        ("a.b.c:raise", []),
        ("x:kill, a.b:raise:2", [2]),
        ("a.b:raise:1,a.b:raise:3", [1, 3]),
    ],
)
def test_it_raises_where_and_when_it_is_reported(
    monkeypatch: pytest.MonkeyPatch, orders: str, raised: list[int]
) -> None:
    monkeypatch.setenv("TENURE_FAIL", orders)

    assert passes("a.b", 3) == raised


@pytest.mark.parametrize(
    ("action", "field"), [("sleep", "_SLEEP_SECONDS"), ("hang", "_HANG_SECONDS")]
)
def test_it_waits(monkeypatch: pytest.MonkeyPatch, action: str, field: str) -> None:
    waited: list[float] = []
    monkeypatch.setattr(failpoints.time, "sleep", waited.append)
    monkeypatch.setenv("TENURE_FAIL", f"a:{action}")

    failpoint("a")
    failpoint("a")

    assert waited == [getattr(failpoints, field)]
    assert 0 < failpoints._SLEEP_SECONDS < failpoints._HANG_SECONDS


@pytest.mark.parametrize("environment", ["", "production", "TEST"])
def test_outside_a_test_it_refuses(monkeypatch: pytest.MonkeyPatch, environment: str) -> None:
    monkeypatch.setenv("TENURE_ENV", environment)
    failpoint("a")
    monkeypatch.setenv("TENURE_FAIL", "other:kill")

    with pytest.raises(ConfigInvalid, match="TENURE_FAIL is set, but TENURE_ENV is not 'test'"):
        failpoint("a")


@pytest.mark.parametrize("orders", ["a", "a:", "a:explode", "a:KILL"])
def test_an_order_that_nobody_knows_is_refused(
    monkeypatch: pytest.MonkeyPatch, orders: str
) -> None:
    monkeypatch.setenv("TENURE_FAIL", orders)

    with pytest.raises(ConfigInvalid, match="is not one of kill, term, raise, sleep, hang"):
        failpoint("a")


@pytest.mark.parametrize(("action", "number"), [("kill", signal.SIGKILL), ("term", signal.SIGTERM)])
def test_a_process_dies_at_the_second_turn(action: str, number: int) -> None:
    code = (
        "from tenure.failpoints import failpoint\n"
        "for turn in range(3):\n    print(turn, flush=True)\n    failpoint('a')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {
            "PYTHONPATH": str(Path(__file__).parents[1] / "plugins"),
            "TENURE_ENV": "test",
            "TENURE_FAIL": f"a:{action}:2",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout.split()) == (-number, ["0", "1"])


def test_names_are_unique_in_the_code() -> None:
    """A failpoint that is passed in two places could not be aimed at."""
    package = Path(failpoints.__file__).parent
    found: dict[str, list[str]] = {}
    for path in package.rglob("*.py"):
        for name in re.findall(r"^\s+failpoint\(\"([^\"]+)\"\)", path.read_text(), re.MULTILINE):
            found.setdefault(name, []).append(path.name)

    assert all(re.fullmatch(r"[a-z_]+\.[a-z_0-9]+", name) for name in found), found
    assert {name: where for name, where in found.items() if len(where) > 1} == {}
