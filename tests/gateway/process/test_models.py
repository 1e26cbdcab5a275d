"""Models that are gone, hang, die or answer nonsense, in a real gateway with real processes."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from asking import Asking, settle
from sqlalchemy import select

from tenure.adapters.sql import versions
from tenure.adapters.sql.tables import gateway_ack, incident
from tenure.installation import Installation
from tenure.layout import artifact_key
from tenure.vocabulary import State

pytestmark = [pytest.mark.service, pytest.mark.fault]
MODEL = "flight_late"
CANARY = f"{MODEL}@2"


@dataclass
class Scene:
    """A gateway on a model, and one client that asks one thing after the other."""

    platform: Installation
    life: Any
    process: Any
    asking: Asking
    http: httpx.Client
    number: int = 0

    def ask(self, **values: float) -> dict[str, Any]:
        """Parameters of an answer, which is remembered; `values` stand in place of features."""
        self.number += 1
        body = self.life.example(self.number)
        for tensor in body["inputs"]:
            tensor["data"] = [values.get(tensor["name"], tensor["data"][0])]
        answer = self.http.post(f"/v2/models/{MODEL}/infer", json=body)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()["parameters"]
        self.asking.answered += [(one, told["arm"]) for one in told["decision_ids"]]
        return told

    def generation(self) -> int:
        return int(self.http.get(f"/v2/models/{MODEL}/plan").json()["generation"])

    def fallbacks(self) -> dict[str, float]:
        """Answers that another level than the canary's own gave, by reason."""
        headers = {"Authorization": self.asking.keys["metrics"]}
        text = self.http.get("/metrics", headers=headers).text
        lines = [line for line in text.splitlines() if line.startswith("tenure_fallbacks_total{")]
        return {line.split('reason="')[1].split('"')[0]: float(line.split()[-1]) for line in lines}

    def incidents(self) -> set[tuple[str, str]]:
        with self.platform.database.begin() as c:
            return {tuple(row) for row in c.execute(select(incident.c.kind, incident.c.subject))}

    def end(self) -> None:
        """All were answered; each answer stands in the log, and nothing else."""
        assert self.process.stop() in {0, -15}
        settle(self.platform, self.asking, unanswered=0)


@pytest.fixture
def scene(platform: Installation, life: Any, process: Any, keys: dict[str, str]) -> Iterator[Scene]:
    headers = {"Authorization": keys["score"]}
    with httpx.Client(base_url=process.url, headers=headers, timeout=10) as client:
        yield Scene(platform, life, process, Asking(process.url, life, keys), client)


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
    scene.end()


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
    # Nobody asks it, dead or alive again, but for the one probe of an open circuit.
    asked = Counter(one["reason"] for one in after)
    assert set(asked) <= {reason, "canary: circuit open", "canary: not loaded"}, asked
    assert asked[reason] <= 1, asked
    eventually(lambda: ("model_crashed", CANARY) in scene.incidents())
    scene.end()


def raising(life: Any) -> Any:
    """Raises on a number that its scaling makes infinite; the champion's trees take any."""
    return life.fitted(2, "logistic_regression")


def answering_nan(life: Any) -> Any:
    """Every leaf of its trees says NaN."""
    estimator = life.fitted(2)
    for trees in estimator[-1]._predictors:
        for tree in trees:
            tree.nodes["value"] = float("nan")
    return estimator


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(raising, "canary: error: ValueError", id="raises"),
        pytest.param(answering_nan, "canary: score is not a probability", id="NaN"),
    ],
)
def test_a_canary_that_raises_or_answers_nonsense(
    scene: Scene, eventually: Any, make: Callable[[Any], Any], reason: str
) -> None:
    """F58: the champion answers each call, it is counted, and after five the canary is cut off."""
    first = scene.life.champion(1)
    second = scene.life.approved(2, estimator=make(scene.life))
    scene.process.start()
    scene.life.publish(
        first, second, share_bp=10_000, lease_seconds=120, moves=[(second, State.CANARY)]
    )
    eventually(lambda: scene.generation() == 2)
    told = [scene.ask(n0=1.7e308) for _ in range(5)] + [scene.ask() for _ in range(3)]
    assert {(one["arm_assigned"], one["fallback_level"]) for one in told} == {
        ("canary", "champion")
    }
    assert [one["reason"] for one in told] == [reason] * 5 + ["canary: circuit open"] * 3
    counted = scene.fallbacks()
    assert (sum(counted.values()), counted["canary: circuit open"]) == (8, 3)
    scene.end()


def test_a_champion_s_process_is_killed_and_comes_back(scene: Scene, eventually: Any) -> None:
    scene.life.champion(1)
    scene.process.start()
    assert scene.ask()["fallback_level"] == "model"
    (victim,) = model_processes(scene.process.popen.pid)
    os.kill(victim, signal.SIGKILL)
    assert scene.ask()["fallback_level"] == "rule"
    eventually(lambda: scene.ask()["fallback_level"] == "model")
    eventually(lambda: ("model_crashed", f"{MODEL}@1") in scene.incidents())
    scene.end()


def model_processes(gateway: int) -> list[int]:
    """Forks of the gateway's warm process."""

    def children(pid: int) -> list[int]:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(word) for word in text.split()]

    return [fork for warm in children(gateway) for fork in children(warm)]
