"""A real gateway whose clock jumps, whose disk fails, whose canary is too large, or is stopped."""

import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from asking import CLIENTS, MODEL, Asking, incidents, logged_rows, settle, soon
from bad_texts import BAD_NAMES
from served import Life, Process
from sqlalchemy import text

from tenure.installation import Installation
from tenure.usecases.promotion.rollback import settle_stops
from tenure.vocabulary import State

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
from tenure import installation
def now(self):
    fault = pathlib.Path(os.environ["FAULT"])
    ahead = float(fault.read_text()) if fault.exists() else 0.0
    return datetime.now(tz=UTC) + timedelta(seconds=ahead)
installation.SystemClock.now = now
"""


def test_rollback_by_hand(
    platform: Installation, life: Life, process: Process, asking: Asking
) -> None:
    """F9: nothing of Airflow runs; within a poll the version before answers everything."""
    life.successor(life.champion(1), 2)
    process.start()
    assert asking.serving() == (2, 0)
    with asking:
        asking.wait(20)
        done = process.command_line("rollback", MODEL, "--reason", "harm", "--json")
        assert (done.returncode, json.loads(done.stdout)["serving"]) == (0, 1), done.stderr
        soon(lambda: asking.serving() == (1, 0), 5)
        asking.wait(20)
    assert (life.state(1), life.state(2)) == ("champion", "rolled_back")
    assert asking.refused == Counter()
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)


def test_canary_stopped_without_the_database(
    platform: Installation,
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
    soon(lambda: asking.serving() == (1, 10_000))
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
    assert life.state(2) == "canary"
    wire.mode = "pass"
    soon(lambda: settle_stops(platform) == 1, 60)  # what maintain_platform does
    assert life.state(2) == "rolled_back"
    assert asking.once(process.url, 4) == "champion"
    with platform.database.begin() as c:
        query = "SELECT actor FROM ledger_event WHERE dst = 'rolled_back'"
        (actor,) = c.execute(text(query)).scalars()
    assert actor.startswith("key:")
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)


def test_expired_champion_under_load(
    platform: Installation,
    asking: Asking,
    wire: Any,
    wired: Callable[[Process], Process],
    process: Process,
) -> None:
    """Its paper ends while clients ask and the database is away: the rule answers, after -9 too."""
    champion = asking.life.champion(1)
    wired(process).start()
    asking.life.publish(champion, authorized=timedelta(seconds=6))
    soon(lambda: generation_at(process, asking) == 2)
    with asking:
        asking.wait(20)
        assert {arm for _, arm in asking.answered} == {"champion"}
        wire.cut()
        soon(lambda: asking.answered[-1][1] == "rule", 30)
        asking.wait(CLIENTS * 5)
        process.kill()
        process.start()
        before = len(asking.answered)
        asking.wait(20)
    assert {arm for _, arm in asking.answered[before:]} == {"rule"}
    wire.mode = "pass"
    asking.life.publish(champion, authorized=timedelta(hours=1))
    soon(lambda: asking.once(process.url, 7, id_=f"again-{len(asking.answered)}") == "champion", 60)
    assert set(asking.refused) <= {0, 401, 503}  # killed, and not up again yet
    assert process.stop() in ENDED
    rows = logged_rows(platform)
    said = {row["reason"] for row in rows if row["arm_answered"] == "rule"}
    assert len(said) == 1
    assert said.pop().startswith("champion: authorization ended: ")
    settle(platform, asking)


def generation_at(process: Process, asking: Asking) -> int:
    with asking.client(process.url) as client:
        return int(client.get(f"/v2/models/{MODEL}/plan").json()["generation"])


def test_a_disk_that_cannot_sync(
    platform: Installation,
    life: Life,
    process: Process,
    asking: Asking,
    faulty: Callable[[str], Path],
) -> None:
    """F25: from the first failed sync on nothing is answered, until a restart on a sound disk."""
    life.champion(1)
    fault = faulty(FAILING_DISK)
    process.start()
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
    platform: Installation,
    process: Process,
    asking: Asking,
    faulty: Callable[[str], Path],
    days: int,
) -> None:
    """F32: the canary has its lease, neither longer nor shorter, nor once more after a restart."""
    life = asking.life
    first, second = life.champion(1), life.approved(2)
    fault = faulty(JUMPING_CLOCK)
    process.start()
    life.publish(first, second, share_bp=10_000, lease_seconds=15, moves=[(second, State.CANARY)])
    ends = time.monotonic() + 15
    soon(lambda: asking.serving()[1] == 10_000, 12)
    asking.once(process.url, 1)
    fault.write_text(str(timedelta(days=days).total_seconds()))
    with asking:
        asking.wait(20)
        assert {arm for _, arm in asking.answered} == {"canary"}
        time.sleep(max(0.0, ends - time.monotonic()))
        begin = len(asking.answered) + CLIENTS
        asking.wait(40)
        assert {arm for _, arm in asking.answered[begin:]} == {"champion"}
    assert process.stop() in ENDED
    process.start()
    assert asking.serving() == (1, 0)
    assert asking.once(process.url, 2) == "champion"
    assert asking.refused == Counter()
    assert process.stop() in ENDED
    assert len({row["received_at"].date() for row in logged_rows(platform)}) == 2
    settle(platform, asking, unanswered=0)


def test_a_canary_that_needs_too_much_memory(
    platform: Installation,
    life: Life,
    process: Process,
    asking: Asking,
    configure: Callable[[dict[str, str]], None],
) -> None:
    """F59: its process is refused the memory; the champion notices nothing; somebody is told."""
    configure({"^serving: {": "serving: {model_memory_mb: 128, "})
    first, second = life.champion(1), life.large(2, np.zeros(1 << 25))
    process.start()

    with asking:
        asking.wait(20)
        plan = {"share_bp": 10_000, "lease_seconds": 300}
        life.publish(first, second, **plan, moves=[(second, State.CANARY)])
        (said,) = soon(lambda: incidents(platform), 60)
        assert said == (
            f"Gateway gw-a cannot load {MODEL}@2: {MODEL}@2: it needs more than 128 MiB of memory."
        )
        asking.wait(40)
    assert {arm for _, arm in asking.answered} == {"champion"}
    assert asking.refused == Counter()
    assert process.get("/v2/health/ready") == 200
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)


def test_hostile_subjects(
    platform: Installation, life: Life, process: Process, asking: Asking
) -> None:
    """Long, with NUL, turned around, half a pair: refused by name; others are answered."""
    life.champion(1)
    process.start()
    url = f"{process.url}/v2/models/{MODEL}/infer"
    headers = {"Authorization": asking.keys["score"], "Content-Type": "application/json"}
    with asking:
        asking.wait(20)
        for kind, (bad, said) in BAD_NAMES.items():
            body = life.example(1)
            body["parameters"] = {"subject": bad}
            answer = httpx.post(url, content=json.dumps(body), headers=headers, timeout=15)
            malformed = kind == "surrogate"
            assert answer.status_code == (400 if malformed else 422), answer.text
            assert malformed or (answer.json()["field"] == "parameters.subject")
            assert malformed or said in answer.json()["error"]
        asking.wait(20)
    assert asking.refused == Counter()
    assert incidents(platform) == []
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)
