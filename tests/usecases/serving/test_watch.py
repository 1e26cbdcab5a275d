"""What is silent is posted once, by whoever lives; and once more when it is over."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from sqlalchemy import text
from waiting import wait_for

from tenure.adapters.sql import health
from tenure.errors import ServiceUnreachable
from tenure.installation import Installation
from tenure.lifecycle.serving.silence import LifeSign, outages
from tenure.settings import Settings
from tenure.usecases.serving.watch import Probes, Watch

pytestmark = pytest.mark.service
START = datetime(2026, 1, 1, tzinfo=UTC)
PERIOD = 60.0


@dataclass
class World:
    """A clock, and parts that are there or not."""

    now: datetime = START
    heard: dict[str, datetime] = field(default_factory=dict)

    def signs(self) -> list[LifeSign]:
        return [LifeSign(name, at, PERIOD / 2) for name, at in self.heard.items()]

    def later(self, seconds: float, *alive: str) -> None:
        self.now += timedelta(seconds=seconds)
        self.heard |= dict.fromkeys(alive, self.now)


@pytest.fixture
def world() -> World:
    return World()


def with_watch(settings: Settings, folder: Path, **watch: object) -> Settings:
    """The same installation with its own `platform.yaml`."""
    include = folder / "include"
    shutil.copytree(settings.include, include)
    path = include / "configs" / "platform.yaml"
    path.chmod(0o644)
    said = yaml.safe_load(path.read_text()) | {"watch": watch}
    path.write_text(yaml.safe_dump(said))
    return replace(settings, include=include)


Fleet = Callable[..., list[Watch]]


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path, receiver: Any, world: World) -> Iterator[Fleet]:
    """Watchers of one installation, each a process of its own as far as they can tell."""
    made: list[Installation] = []

    def make(number: int, webhook: str | None = None, **changes: Any) -> list[Watch]:
        where = with_watch(
            settings, tmp_path, webhook=webhook or receiver.url, period_seconds=PERIOD
        )
        where = replace(where, **changes)
        for _ in range(number):
            made.append(Installation(where, patience_seconds=5.0))
            made[-1].__dict__["clock"] = _Clock(world)
        return [Watch(one, f"gw-{n}", world.signs) for n, one in enumerate(made)]

    yield make
    for one in made:
        if "database" in one.__dict__:
            one.database.dispose()


@dataclass
class _Clock:
    world: World

    def now(self) -> datetime:
        return self.world.now


def incidents(platform: Installation) -> list[tuple[str, str, int]]:
    with platform.database.begin() as connection:
        rows = connection.execute(text("SELECT dedupe_key, state, seen FROM incident ORDER BY id"))
        return [tuple(row) for row in rows]  # type: ignore[misc]


def kinds(receiver: Any) -> list[tuple[str, str]]:
    return [(body["part"], body["kind"]) for body in receiver.bodies]


@pytest.mark.parametrize("number", [1, 3])
def test_an_outage_is_posted_once_and_its_end_once(
    platform: Installation, fleet: Fleet, receiver: Any, world: World, number: int
) -> None:
    watchers = fleet(number)
    world.later(0, "scheduler", "gateway")
    for seconds in (0, 60, 60.1):
        world.now = START + timedelta(seconds=seconds)
        world.heard["gateway"] = world.now
        for one in watchers:
            one.look()
        assert kinds(receiver) == ([] if seconds <= PERIOD else [("scheduler", "silent")])
    for _ in range(4):
        world.later(30, "gateway")
        for one in watchers:
            one.look()
    assert kinds(receiver) == [("scheduler", "silent")]
    assert incidents(platform) == [("silent:scheduler", "open", 1)]
    assert "no sign of life for 60 s; 60 s are allowed" in receiver.bodies[0]["cause"]
    for _ in range(3):
        world.later(30, "scheduler", "gateway")
        for one in watchers:
            one.look()
    assert kinds(receiver) == [("scheduler", "silent"), ("scheduler", "over")]
    assert incidents(platform) == [("silent:scheduler", "closed", 1)]
    assert len(set(receiver.ids)) == 2
    world.later(120, "gateway")
    for one in watchers:
        one.look()
    assert kinds(receiver)[2:] == [("scheduler", "silent")]
    assert len(set(receiver.ids)) == 3


def test_a_watcher_that_comes_later_repeats_nothing_and_ends_what_others_began(
    fleet: Fleet, receiver: Any, world: World
) -> None:
    first, second, third = fleet(3)
    world.later(0, "scheduler")
    world.later(90)
    first.look()
    second.look()
    world.later(30, "scheduler")
    third.look()  # the others are gone
    assert kinds(receiver) == [("scheduler", "silent"), ("scheduler", "over")]


def test_what_the_receiver_did_not_take_somebody_posts_later(
    fleet: Fleet, receiver: Any, world: World
) -> None:
    receiver.answers += [503, 503]
    watchers = fleet(2)
    world.later(0, "database")
    world.later(90)
    for _ in range(6):
        for one in watchers:
            one.look()
        world.later(30)
    assert kinds(receiver) == [("database", "silent")] * 3
    assert len(set(receiver.ids)) == 1  # the receiver knows it again


def test_a_silent_database_is_posted_without_it(fleet: Fleet, receiver: Any, world: World) -> None:
    lost = "postgresql+psycopg://x@127.0.0.1:9/x"
    watchers = fleet(3, database_url=lost)
    world.later(0, "database", "scheduler")
    world.later(90)
    for one in watchers:
        one.look()
    assert kinds(receiver) == [("database", "silent")]  # the scheduler cannot be known then


def test_without_the_store_each_posts_by_itself(
    fleet: Fleet, receiver: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    watchers = fleet(2)

    def broken(*_: object) -> None:
        raise ServiceUnreachable("no store", still_safe="x", next_step="y")

    for one in watchers:
        for name in ("exists", "get", "put_once", "delete"):
            monkeypatch.setattr(one._platform.store, name, broken)
    world.later(0, "gateway")
    for one in watchers:
        one.look()
    world.later(90)
    for _ in range(3):
        for one in watchers:
            one.look()
    assert kinds(receiver) == [("gateway", "silent")] * 2
    world.later(30, "gateway")
    for one in watchers:
        one.look()
    assert kinds(receiver)[2:] == [("gateway", "over")] * 2


@pytest.mark.parametrize("webhook", ["https://elsewhere.example/x", "env:NOT_SET_ANYWHERE"])
def test_nothing_is_posted_to_an_address_that_is_not_allowed(
    platform: Installation, fleet: Fleet, receiver: Any, world: World, webhook: str
) -> None:
    (one,) = fleet(1, webhook)
    world.later(0, "scheduler")
    world.later(90)
    assert one.look() == {"scheduler": True}
    assert receiver.bodies == []


@pytest.mark.parametrize(
    ("webhook", "expected"),
    [
        (None, "watch.webhook of platform.yaml is not set"),
        ("env:NOT_SET_ANYWHERE", "variable NOT_SET_ANYWHERE"),
        ("http://127.0.0.1:9/x", ""),
    ],
)
def test_who_can_post_to_nobody_says_so(
    settings: Settings, tmp_path: Path, world: World, webhook: str | None, expected: str
) -> None:
    where = with_watch(settings, tmp_path, webhook=webhook, period_seconds=PERIOD)
    said = Watch(Installation(where), "w", world.signs).deaf()
    assert said == expected or (expected and expected in said)


def test_a_silent_maintenance_is_seen_by_the_clock_of_the_database(
    platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour between the clocks changes nothing."""
    ahead = World(datetime.now(tz=UTC) + timedelta(hours=1))
    monkeypatch.setitem(platform.__dict__, "clock", _Clock(ahead))
    probes = Probes(platform, ahead.now)
    with platform.database.begin() as connection:
        health.beat(connection, "maintain_platform", period_seconds=300)

    def found() -> Mapping[str, bool]:
        return {one.name: one.is_silent(ahead.now) for one in probes.look()}

    assert found() == {"database": False, "maintenance": False, "api-server": False}
    with platform.database.begin() as connection:
        connection.execute(text("UPDATE heartbeat SET seen_at = now() - interval '601 s'"))
    assert found()["maintenance"] is True


def test_a_ledger_that_nobody_verified_for_two_days_is_missed(platform: Installation) -> None:
    """While maintenance runs: it is alive and does not verify, as its incident may say."""
    now = datetime.now(tz=UTC)
    with platform.database.begin() as connection:
        health.beat(connection, "maintain_platform", period_seconds=300)
        health.beat(connection, "ledger_verification", period_seconds=86_400)
    for hours, is_silent in ((47, False), (49, True)):
        with platform.database.begin() as connection:
            connection.execute(
                text(
                    "UPDATE heartbeat SET seen_at = now() - make_interval(hours => :h) "
                    "WHERE name = 'ledger_verification'"
                ),
                {"h": hours},
            )
        signs = Probes(platform, now).look()
        assert outages(signs, platform.clock.now())["verification"] is is_silent
    with platform.database.begin() as connection:
        connection.execute(text("UPDATE heartbeat SET seen_at = now() - interval '50 hours'"))
    silent = outages(Probes(platform, now).look(), platform.clock.now())
    assert (silent["maintenance"], "verification" in silent) == (True, False)


def is_missed(receiver: Any, part: str) -> bool:
    """Whether its silence was posted once more often than its end.

    A busy machine may be slow: what is posted again under its own id is no other message.
    """
    pairs = zip(receiver.ids, receiver.bodies, strict=False)  # one may come in between
    said = {i: (body["part"], body["kind"]) for i, body in pairs}
    found = [*said.values()]
    return found.count((part, "silent")) - found.count((part, "over")) == 1


SCHEDULER = """
import pathlib, sys, time
while True:
    pathlib.Path(sys.argv[1]).touch()
    time.sleep(0.05)
"""


@pytest.fixture
def airflow(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """An API server that says when the scheduler, a process of its own, was heard of last."""
    beat = tmp_path / "heartbeat"
    beat.touch()
    process = subprocess.Popen([sys.executable, "-c", SCHEDULER, str(beat)])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            now = datetime.now(tz=UTC)
            seen = {
                "scheduler": datetime.fromtimestamp(beat.stat().st_mtime, tz=UTC),
                "triggerer": now,
                "dag_processor": now,
            }
            body = json.dumps(
                {name: {f"latest_{name}_heartbeat": at.isoformat()} for name, at in seen.items()}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", process
        server.shutdown()
    process.kill()
    process.wait()


def test_a_killed_scheduler_is_posted_by_a_gateway_or_by_tenure_watch(
    settings: Settings,
    tmp_path: Path,
    receiver: Any,
    airflow: tuple[str, subprocess.Popen[bytes]],
) -> None:
    """Real processes: a gateway and `tenure watch` live, the scheduler is killed."""
    from served import Process

    url, scheduler = airflow
    where = with_watch(settings, tmp_path, webhook=receiver.url, period_seconds=2.0)
    gateway = Process(Installation(where), env={"TENURE_AIRFLOW_URL": url})
    log = tmp_path / "watch.log"
    gateway.start("/v2/health/live")
    env = gateway.env | {"TENURE_GATEWAY_URL": gateway.url}
    with log.open("wb") as output:
        watch = subprocess.Popen(
            [*gateway.command[:3], "watch"], env=env, stdout=output, stderr=output
        )
    try:
        said = gateway.command_line("watch", "--once", "--json", TENURE_GATEWAY_URL=gateway.url)
        assert "scheduler" in json.loads(said.stdout)["heard"], said.stderr
        scheduler.send_signal(signal.SIGKILL)
        wait_for(lambda: is_missed(receiver, "scheduler"))
        gateway.kill()  # whoever posted it: the other one lives, and misses the gateway
        wait_for(lambda: is_missed(receiver, "gateway"))
        assert is_missed(receiver, "scheduler")
        assert watch.poll() is None, log.read_text()
    finally:
        gateway.close()
        watch.kill()
        watch.wait()
