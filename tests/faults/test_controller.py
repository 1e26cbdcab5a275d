"""A real controller of a canary is killed while a real gateway answers."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asking import CLIENTS, MODEL, Asking, settle, soon
from served import Process
from sqlalchemy import text

from tenure.installation import Installation

pytestmark = [pytest.mark.service, pytest.mark.fault]
ENDED = {0, -15}
LEASE_SECONDS = 8
CONTROLLER = """
import time
from tenure.adapters.sql import versions
from tenure.settings import Settings
from tenure.vocabulary import RunRef
from tenure.installation import Installation
from tenure.usecases.promotion import canary
platform = Installation(Settings.from_environment())
with platform.database.begin() as connection:
    version = versions.get(connection, "flight_late", 2)
run = RunRef("flight_late__promote_model", "run-1", "canary")
probation = canary.enter(platform, version, run).probation
while True:
    probation.analyse()
    time.sleep(0.5)
"""
"""What the task of Airflow does: enter, or take over; then judge, and renew the lease by that."""


@pytest.fixture
def controller(process: Process) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Starts controllers beside the gateway; they end with the test."""
    made: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        with process.log.with_name("controller.log").open("ab") as log:
            command = [sys.executable, "-c", CONTROLLER]
            made.append(subprocess.Popen(command, env=process.env, stdout=log, stderr=log))
        return made[-1]

    yield start
    for one in made:
        one.kill()
        one.wait()


def newest(platform: Installation) -> Any:
    query = "SELECT generation, fence, canary_id FROM traffic_plan ORDER BY generation DESC LIMIT 1"
    with platform.database.begin() as c:
        return c.execute(text(query)).one()


def test_killed(
    platform: Installation,
    process: Process,
    asking: Asking,
    configure: Callable[[dict[str, str]], None],
    controller: Callable[[], "subprocess.Popen[bytes]"],
) -> None:
    """F28: it alone renews the lease; without it the champion is alone; another one takes over."""
    lease = rf"\g<1>{LEASE_SECONDS}"
    configure({r"(shares_bp: )\[.+\]": r"\g<1>[5000, 10000]", r"(lease_seconds: )\d+": lease})
    life = asking.life
    life.champion(1)
    life.approved(2)
    process.start()
    first = controller()
    with asking:
        soon(lambda: asking.serving() == (1, 5_000), 60)
        began = newest(platform).generation
        time.sleep(LEASE_SECONDS + 2)
        assert asking.serving() == (1, 5_000), "renewed"
        assert newest(platform).generation > began
        first.kill()
        first.wait()
        left = newest(platform)
        assert {arm for _, arm in asking.answered} == {"champion", "canary"}
        soon(lambda: asking.serving() == (1, 0), LEASE_SECONDS + 5)
        begin = len(asking.answered) + CLIENTS
        asking.wait(40)
        assert {arm for _, arm in asking.answered[begin:]} == {"champion"}
        assert newest(platform) == left, "the plan still names the canary; the gateway knew better"
        assert left.canary_id is not None
        controller()
        soon(lambda: asking.serving() == (1, 5_000), 60)
        assert newest(platform).fence == left.fence + 1
        done = process.command_line("rollback", MODEL, "--reason", "no verdict", "--json")
        assert done.returncode == 0, done.stderr
        soon(lambda: asking.serving() == (1, 0))
        asking.wait(40)
    assert (life.state(1), life.state(2)) == ("champion", "rolled_back")
    assert asking.refused == Counter()
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)
