"""Models that are gone, hang, die or answer nonsense, in a real gateway with real processes."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tenure.adapters.sql import versions
from tenure.adapters.sql.tables import gateway_ack, incident
from tenure.lifecycle.registry import artifact_key
from tenure.vocabulary import State
from tenure.wiring.base import Platform
from tenure.wiring.ledger import verify_ledger

pytestmark = [pytest.mark.service, pytest.mark.fault]
MODEL = "flight_late"
CANARY = f"{MODEL}@2"


@dataclass
class Scene:
    """A gateway on a model, and one client that asks one thing after the other."""

    platform: Platform
    life: Any
    process: Any
    http: httpx.Client
    number: int = 0

    def ask(self) -> dict[str, Any]:
        """Parameters of an answer."""
        self.number += 1
        body = self.life.example(self.number)
        answer = self.http.post(f"/v2/models/{MODEL}/infer", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["parameters"])

    def generation(self) -> int:
        return int(self.http.get(f"/v2/models/{MODEL}/plan").json()["generation"])

    def incidents(self) -> set[tuple[str, str]]:
        with self.platform.database.begin() as c:
            return {tuple(row) for row in c.execute(select(incident.c.kind, incident.c.subject))}

    def check(self) -> None:
        """No invariant is broken, and one champion is left."""
        found = verify_ledger(self.platform, invariants=True)
        assert found["ok"], found
        with self.platform.database.begin() as c:
            assert len(versions.in_state(c, MODEL, (State.CHAMPION,))) == 1


@pytest.fixture
def scene(platform: Platform, life: Any, process: Any, keys: dict[str, str]) -> Iterator[Scene]:
    headers = {"Authorization": keys["score"]}
    with httpx.Client(base_url=process.url, headers=headers, timeout=10) as client:
        yield Scene(platform, life, process, client)


def test_a_plan_names_a_version_whose_artifact_is_gone(scene: Scene, eventually: Any) -> None:
    """F57: the old plan stays, somebody is told, the new generation is not acknowledged."""
    first, second = scene.life.champion(1), scene.life.approved(2)
    with scene.platform.database.begin() as c:
        digest = str(versions.get_by_id(c, second.id).artifact_digest)
    scene.platform.store.delete(artifact_key(digest))
    scene.process.start()
    scene.life.publish(
        first, second, share_bp=10_000, lease_seconds=60, moves=[(second, State.CANARY)]
    )
    eventually(lambda: ("artifact_refused", CANARY) in scene.incidents())
    assert scene.generation() == 1
    assert scene.ask()["fallback_level"] == "model"
    with scene.platform.database.begin() as c:
        assert list(c.execute(select(gateway_ack.c.generation)).scalars()) == [1]
    scene.check()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("hang", "canary: timeout"), ("kill", "canary: process ended")],
)
def test_a_canary_that_hangs_or_dies(
    scene: Scene, eventually: Any, fault: str, reason: str
) -> None:
    """F58: each call falls back at once, and after the first one nobody waits for it any more."""
    first, second = scene.life.champion(1), scene.life.approved(2)
    orders = {"TENURE_ENV": "test", "TENURE_FAIL": f"model.score.{CANARY}:{fault}"}
    scene.process.env.update(orders)
    scene.process.start()
    scene.life.publish(
        first, second, share_bp=10_000, lease_seconds=120, moves=[(second, State.CANARY)]
    )
    eventually(lambda: scene.generation() == 2)
    hit = scene.ask()
    assert (hit["arm_assigned"], hit["fallback_level"], hit["reason"]) == (
        "canary",
        "champion",
        reason,
    )
    after = [scene.ask() for _ in range(20)]
    assert {one["fallback_level"] for one in after} == {"champion"}
    # Nobody waits for it any more, but for the one probe of an open circuit.
    asked = [one["reason"] for one in after if one["reason"] == reason]
    assert len(asked) <= 1, after
    eventually(lambda: ("model_crashed", CANARY) in scene.incidents())
    scene.check()


def test_a_champion_s_process_is_killed_and_comes_back(scene: Scene, eventually: Any) -> None:
    scene.life.champion(1)
    scene.process.start()
    assert scene.ask()["fallback_level"] == "model"
    (victim,) = model_processes(scene.process.popen.pid)
    os.kill(victim, signal.SIGKILL)
    assert scene.ask()["fallback_level"] == "rule"
    eventually(lambda: scene.ask()["fallback_level"] == "model")
    eventually(lambda: ("model_crashed", f"{MODEL}@1") in scene.incidents())
    scene.check()


def model_processes(gateway: int) -> list[int]:
    """Forks of the gateway's warm process."""

    def children(pid: int) -> list[int]:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(word) for word in text.split()]

    return [fork for warm in children(gateway) for fork in children(warm)]
