"""A clock that jumps, a disk that fails: what is answered is logged once, nothing else."""

import errno
import os
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from tenure.gateway.app import create_app

INFER = "/v2/models/flight_late/infer"
SCORE = {"Authorization": "Bearer score-key"}


@pytest.mark.parametrize("wrong", [timedelta(days=1), timedelta(days=-1)], ids=["ahead", "behind"])
@pytest.mark.parametrize(
    ("age", "share_bp"), [(0, 10_000), (19.9, 10_000), (20, 0), (60, 0)], ids=str
)
def test_a_restart_with_a_wrong_wall_clock_takes_the_lease_as_it_is(
    world: Any, plans: Any, wrong: Any, age: float, share_bp: int
) -> None:
    """F32: what is left of a lease is a matter of the database's clock, at any restart."""
    database = world.source.clock = type(world.clock)()
    world.clock.wall += wrong
    world.publish(plans(2, canary=12, share_bp=10_000))
    database.wall += timedelta(seconds=age)
    for _restart in range(2):
        gateway = world.gateway()
        gateway.follower.poll()
        held = gateway.follower.view.models["flight_late"].held
        assert held.share_bp(world.clock.seconds) == share_bp
        assert held.seconds_left(world.clock.seconds) == pytest.approx(max(0, 20 - age))
        gateway.close()


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=-1)], ids=["ahead", "behind"])
def test_wall_clock_jumps_a_day(
    world: Any, plans: Any, ask: Any, wait_ready: Any, jump: Any
) -> None:
    """F32: the lease runs by the monotonic clock; the log keeps its order by number."""
    answered: list[str] = []
    world.publish(plans(2, canary=12, share_bp=10_000))
    with TestClient(create_app(world.gateway())) as client:
        wait_ready(client)

        def arm(subject: str) -> str:
            answer = client.post(INFER, json=ask(subject), headers=SCORE)
            assert answer.status_code == 200, answer.text
            answered.extend(answer.json()["parameters"]["decision_ids"])
            return str(answer.json()["parameters"]["arm"])

        assert arm("before") == "canary"
        world.clock.wall += jump
        assert arm("after") == "canary"
        world.clock.seconds += 19.9
        assert arm("late") == "canary"
        world.clock.seconds += 0.2
        assert arm("over") == "champion"
    assert sorted(row["decision_id"] for row in world.rows()) == sorted(answered)
    assert len(answered) == 4
    days = {key.split("/date=")[1][:10] for key in world.store.objects if "decisions/" in key}
    assert len(days) == 2


def test_a_disk_that_cannot_sync_ends_the_answers(
    world: Any, ask: Any, wait_ready: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F25: not ready, every request refused, and what was refused is not logged."""
    real = os.fdatasync
    answered: list[str] = []

    def status(client: TestClient, subject: str) -> int:
        answer = client.post(INFER, json=ask(subject), headers=SCORE)
        if answer.status_code == 200:
            answered.extend(answer.json()["parameters"]["decision_ids"])
        return int(answer.status_code)

    with TestClient(create_app(world.gateway())) as client:
        wait_ready(client)
        assert status(client, "one") == 200

        def fail(_descriptor: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fdatasync", fail)
        assert status(client, "two") == 503
        monkeypatch.setattr(os, "fdatasync", real)
        assert status(client, "three") == 503
        assert client.get("/v2/health/ready").status_code == 503
        assert client.get("/v2/health/live").status_code == 200
    assert [row["decision_id"] for row in world.rows()] == answered
    with TestClient(create_app(world.gateway())) as client:
        wait_ready(client)
        assert status(client, "four") == 200
    assert sorted(row["decision_id"] for row in world.rows()) == sorted(answered)
    assert len(answered) == 2
