"""A real gateway whose clock jumps, whose disk fails, whose canary is too large, or is stopped."""

import json
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from asking import CLIENTS, MODEL, Asking, logged_rows, settle, soon
from served import Life, Process
from sqlalchemy import text

from tenure.settings import REPOSITORY
from tenure.vocabulary import State
from tenure.wiring.base import Platform
from tenure.wiring.rollback import settle_stops

pytestmark = [pytest.mark.service, pytest.mark.fault]
ENDED = {0, -15}
FAILING_DISK = """
import errno, os, pathlib
real = os.fdatasync
def fdatasync(descriptor):
    if pathlib.Path(os.environ["FAULT"]).exists():
        raise OSError(errno.EIO, "Input/output error")
    real(descriptor)
os.fdatasync = fdatasync
"""
JUMPING_CLOCK = """
import os, pathlib
from datetime import UTC, datetime, timedelta
from tenure.wiring import base
def now(self):
    fault = pathlib.Path(os.environ["FAULT"])
    ahead = float(fault.read_text()) if fault.exists() else 0.0
    return datetime.now(tz=UTC) + timedelta(seconds=ahead)
base.SystemClock.now = now
"""


@pytest.fixture
def faulty(process: Process, tmp_path: Path) -> Callable[[str], Path]:
    """Starts the gateway with a layer of the test beneath it; the file that orders the fault."""

    def start(layer: str) -> Path:
        fault = tmp_path / "fault"
        process.env["FAULT"] = str(fault)
        process.command[2] = f"{layer}\n{process.command[2]}"
        process.start()
        return fault

    return start


def state(platform: Platform, version: int) -> str:
    with platform.database.begin() as c:
        query = text("SELECT state FROM model_version WHERE version = :v")
        return str(c.execute(query, {"v": version}).scalar_one())


def serving(process: Process, keys: dict[str, str]) -> tuple[int, int]:
    """Champion and share as the gateway applies them."""
    headers = {"Authorization": keys["score"]}
    plan = httpx.get(f"{process.url}/v2/models/{MODEL}/plan", headers=headers, timeout=15).json()
    return plan["champion"], plan["share_bp"]


def test_rollback_by_hand(platform: Platform, life: Life, process: Process, asking: Asking) -> None:
    """F9: nothing of Airflow runs; within a poll the version before answers everything."""
    first, second = life.champion(1), life.approved(2)
    moves = [(first, State.SUPERSEDED), (second, State.CANARY), (second, State.CHAMPION)]
    life.publish(second, moves=moves)
    process.start()
    assert serving(process, asking.keys) == (2, 0)
    env = {k: v for k, v in process.env.items() if not k.startswith("AIRFLOW_")}
    with asking:
        asking.wait(20)
        done = subprocess.run(
            [*process.command[:3], "rollback", MODEL, "--reason", "harm", "--json"],
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, json.loads(done.stdout)["serving"]) == (0, 1), done.stderr
        soon(lambda: serving(process, asking.keys) == (1, 0), 5)
        asking.wait(20)
    assert (state(platform, 1), state(platform, 2)) == ("champion", "rolled_back")
    assert asking.refused == Counter()
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)


def test_canary_stopped_without_the_database(
    platform: Platform,
    asking: Asking,
    wire: Any,
    wired: Callable[[Process], Process],
    process: Process,
) -> None:
    """F10: off at once, also over a kill -9; rolled back and written down when it is back."""
    life = asking.life
    first, second = life.champion(1), life.approved(2)
    wired(process).start()
    life.publish(first, second, share_bp=10_000, lease_seconds=300, moves=[(second, State.CANARY)])
    soon(lambda: serving(process, asking.keys) == (1, 10_000))
    assert asking.once(process.url, 1) == "canary"
    wire.cut()
    stop = f"{process.url}/v2/models/{MODEL}/canary/stop"
    headers = {"Authorization": asking.keys["admin"]}
    answer = httpx.post(stop, json={"reason": "complaints"}, headers=headers, timeout=15)
    assert answer.status_code == 200, answer.text
    assert asking.once(process.url, 2) == "champion"
    process.kill()
    process.start()
    assert asking.once(process.url, 3) == "champion"
    assert state(platform, 2) == "canary"
    wire.mode = "pass"
    soon(lambda: settle_stops(platform) == 1, 60)  # what maintain_platform does
    assert state(platform, 2) == "rolled_back"
    assert asking.once(process.url, 4) == "champion"
    with platform.database.begin() as c:
        query = "SELECT actor FROM ledger_event WHERE dst = 'rolled_back'"
        (actor,) = c.execute(text(query)).scalars()
    assert actor.startswith("key:")
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)


def test_a_disk_that_cannot_sync(
    platform: Platform,
    life: Life,
    process: Process,
    asking: Asking,
    faulty: Callable[[str], Path],
) -> None:
    """F25: from the first failed sync on nothing is answered, until a restart on a sound disk."""
    life.champion(1)
    fault = faulty(FAILING_DISK)
    with asking:
        asking.wait(20)
        fault.touch()
        soon(lambda: asking.refused[503] >= 20)
        assert process.get("/v2/health/ready") == 503
        fault.unlink()
        before = len(asking.answered)
        count = asking.refused[503]
        soon(lambda: asking.refused[503] >= count + 40)
        assert len(asking.answered) == before
        process.kill()
        process.start()
        asking.wait(20)
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)


@pytest.mark.parametrize("days", [1, -1])
def test_wall_clock_jumps(
    platform: Platform,
    process: Process,
    asking: Asking,
    faulty: Callable[[str], Path],
    days: int,
) -> None:
    """F32: the canary has its lease, neither longer nor shorter; nothing is lost."""
    life = asking.life
    first, second = life.champion(1), life.approved(2)
    fault = faulty(JUMPING_CLOCK)
    life.publish(first, second, share_bp=10_000, lease_seconds=15, moves=[(second, State.CANARY)])
    ends = time.monotonic() + 15
    soon(lambda: serving(process, asking.keys)[1] == 10_000, 12)
    asking.once(process.url, 1)
    fault.write_text(str(timedelta(days=days).total_seconds()))
    with asking:
        asking.wait(20)
        assert {arm for _, arm in asking.answered} == {"canary"}
        time.sleep(max(0.0, ends - time.monotonic()))
        begin = len(asking.answered) + CLIENTS
        asking.wait(40)
        assert {arm for _, arm in asking.answered[begin:]} == {"champion"}
    assert asking.refused == Counter()
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)
    assert len({row["received_at"].date() for row in logged_rows(platform)}) == 2


def test_a_canary_that_needs_too_much_memory(
    platform: Platform, life: Life, process: Process, asking: Asking, tmp_path: Path
) -> None:
    """F59: its process is refused the memory; the champion notices nothing; somebody is told."""
    include = tmp_path / "include"
    shutil.copytree(REPOSITORY / "include", include)
    path = include / "configs" / "models" / f"{MODEL}.yaml"
    limited, count = re.subn(
        r"(?m)^serving: {", "serving: {model_memory_mb: 128, ", path.read_text()
    )
    assert count == 1
    path.write_text(limited)
    process.env["TENURE_INCLUDE"] = str(include)
    first, second = life.champion(1), life.approved(2, ballast=np.zeros(1 << 25))
    process.start()

    def told() -> list[str]:
        with platform.database.begin() as c:
            return list(c.execute(text("SELECT summary FROM incident")).scalars())

    with asking:
        asking.wait(20)
        plan = {"share_bp": 10_000, "lease_seconds": 300}
        life.publish(first, second, **plan, moves=[(second, State.CANARY)])
        (said,) = soon(told, 60)
        assert said == (
            f"Gateway gw-a cannot load {MODEL}@2: {MODEL}@2: it needs more than 128 MiB of memory."
        )
        asking.wait(40)
    assert {arm for _, arm in asking.answered} == {"champion"}
    assert asking.refused == Counter()
    assert process.get("/v2/health/ready") == 200
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)
