"""A rollback by hand: its target loads first, a kill at any point leaves one champion at 100%."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asking import Nothing

from tenure.config import load_model
from tenure.installation import Installation
from tenure.layout import artifact_key
from tenure.lifecycle.serving import CanaryStop
from tenure.settings import REPOSITORY, Settings
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.operations.reconcile import CanaryCounts, reconcile
from tenure.usecases.promotion import traffic
from tenure.usecases.promotion.rollback import intend
from tenure.usecases.serving.gateway import PlanSource
from tenure.usecases.serving.loading import VerifiedLoader
from tenure.vocabulary import State

MODEL = "flight_late"


def tenure(settings: Settings, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own, as a person would; no Airflow anywhere."""
    return subprocess.run(
        [sys.executable, "-c", "from tenure.cli import main; main()", *words],
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith(("TENURE_", "AIRFLOW_"))},
            "PYTHONPATH": str(REPOSITORY / "plugins"),
            "TENURE_HOME": str(settings.home),
            "TENURE_INCLUDE": str(settings.include),
            "TENURE_DATABASE_URL": settings.database_url,
            "TENURE_STORE_URL": settings.store_url,
            **env,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.exhaustive
def test_a_target_that_does_not_load_is_not_taken_but_another_is_offered(
    world: Callable[..., Any], tmp_path: Path
) -> None:
    life, drafts = world(), tmp_path / "drafts"
    drafts.mkdir()
    _, broken, champion = life.champion(), life.promoted(), life.promoted()
    life.platform.store.put(artifact_key(broken.artifact_digest), b"other bytes")
    settings, plan = life.platform.settings, life.plan()
    asked = ("rollback", MODEL, "--reason", "wrong since noon", "--to", "2", "--json")
    done = tenure(settings, *asked, TMPDIR=str(drafts))
    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["done"], answer["offer"]) == (False, 1)
    assert answer["passed_over"][0]["version"] == "flight_late@2"
    assert "has SHA-256" in answer["passed_over"][0]["reason"]
    assert (life.plan(), life.now(champion).state) == (plan, State.CHAMPION)
    taken = tenure(settings, *asked[:-2], "1", "--json", TMPDIR=str(drafts))
    assert (taken.returncode, json.loads(taken.stdout)["serving"]) == (0, 1)
    assert list(drafts.iterdir()) == []


def test_two_at_once_do_not_take_each_others_copies(
    world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    life = world()
    first = life.champion()
    life.promoted()
    ordered = VerifiedLoader._ordered

    def somebody_else_first(loader: VerifiedLoader, *order: Any) -> tuple[str, str]:
        monkeypatch.setattr(VerifiedLoader, "_ordered", ordered)
        intend(life.platform, MODEL)
        return ordered(loader, *order)

    monkeypatch.setattr(VerifiedLoader, "_ordered", somebody_else_first)
    intent = intend(life.platform, MODEL)
    assert (intent.successor.id, intent.refused) == (first.id, ())


@pytest.mark.parametrize(
    ("to", "says"),
    [
        pytest.param("9", "flight_late@9 is no superseded version", id="unknown"),
        pytest.param("2", "flight_late@2 is no superseded version", id="the champion itself"),
    ],
)
def test_only_a_superseded_version_takes_over(
    world: Callable[..., Any], to: str, says: str
) -> None:
    life = world()
    life.champion()
    life.promoted()
    settings = life.platform.settings
    done = tenure(settings, "rollback", MODEL, "--reason", "r", "--to", to, "--json")
    assert done.returncode == 1
    assert f"StateConflict: Nothing of flight_late was rolled back: {says}." in done.stderr


def test_database_down(settings: Settings) -> None:
    away = replace(settings, database_url="postgresql+psycopg://x@127.0.0.1:9/tenure")
    done = tenure(away, "rollback", MODEL, "--reason", "r", "--yes")
    seconds = load_model(settings.include, MODEL)[0].canary.lease_seconds
    assert done.returncode == 3
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("ServiceUnreachable: Nothing of flight_late was rolled back. ")
    assert (
        "Still safe: Gateways keep answering by the plan that they have; a canary loses its share "
        f"by itself when its lease ends, at most {seconds} s after the last renewal." in lines
    )
    assert (
        "Next step: To end a canary at once, on each gateway: `curl -X POST -H 'Authorization: "
        "Bearer KEY' -H 'Content-Type: application/json' -d '{\"reason\": \"…\"}' "
        "GATEWAY/v2/models/flight_late/canary/stop` with an admin key. Bring the service back, "
        "then run the command again." in lines
    )


def test_a_canary_stopped_at_a_gateway(world: Callable[..., Any]) -> None:
    """F10: the gateway's own role can tell of it; maintenance rolls back in the person's name."""
    life = world()
    champion, challenger = life.champion(), life.approved()
    policy = load_model(life.platform.settings.include, MODEL)[0].canary
    traffic.start_canary(life.platform, challenger.id, policy, actor="controller")
    url = life.platform.settings.database_url.replace("postgres@", "tenure_gateway@")
    gateway = Installation(replace(life.platform.settings, database_url=url))
    at = datetime(2026, 5, 1, tzinfo=UTC)
    stop = CanaryStop(MODEL, challenger.id, challenger.version, "ops", "complaints", at)
    for name in ("gw-a", "gw-a", "gw-b"):
        PlanSource(gateway, name).stop_canary(stop)
    gateway.database.dispose()
    for _ in range(2):
        found = reconcile(life.platform, life.run("maintain"), registry=Nothing())
        assert isinstance(found.canaries, CanaryCounts)
    assert life.now(challenger).state is State.ROLLED_BACK
    assert (life.plan().champion_id, life.plan().canary_id) == (champion.id, None)
    with life.platform.database.begin() as c:
        query = "SELECT actor, body FROM ledger_event ORDER BY seq DESC LIMIT 2"
        (told, moved) = c.exec_driver_sql(query).all()
        open_ = c.exec_driver_sql("SELECT dedupe_key FROM incident WHERE state = 'open'").all()
    assert moved.actor == told.actor == "key:ops"
    assert moved.body["reason"] == f"stopped at gateway gw-a at {at.isoformat()}: complaints"
    assert told.body["stopped"] == challenger.name
    assert open_ == []
    assert verify_ledger(life.platform, invariants=True).ok
