"""A gateway on fakes: everything but its database, its models and its store is real."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient
from version_rows import facts, record
from waiting import wait_for

from tenure.adapters.model_process import ModelProcess, Pipe
from tenure.gateway.app import Gateway, Parts, create_app
from tenure.gateway.http import server
from tenure.gateway.log.feedback import FeedbackDelivery
from tenure.gateway.log.records import DecisionDelivery, OutcomeDelivery
from tenure.installation import Uuid7
from tenure.lifecycle.model_version import VersionFacts, VersionRecord
from tenure.lifecycle.promotion.trial_loads import Trial
from tenure.lifecycle.serving import (
    ApiKey,
    CanaryStop,
    Catalog,
    GatewayPolicy,
    Score,
    ServingPolicy,
    TrafficPlan,
)
from tenure.lifecycle.training.labels import LabelRule
from tenure.usecases.serving import model_process

MODEL = "flight_late"
SCORE_KEY, OUTCOME_KEY, ADMIN_KEY = "score-key", "outcome-key", "admin-key"
METRICS_KEY, FEEDBACK_KEY = "metrics-key", "feedback-key"
FACTS = facts(
    features={"numeric": ["hour", "temp"], "categorical": ["carrier"], "dates": []},
    categories={"carrier": ["AA", "UA"]},
    ranges={"hour": [0, 23], "temp": [-20, 110]},
)


class FakeClock:
    """Both clocks under the test's control."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds


class FakeSource:
    """The lifecycle database as a list of plans."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.clock = FakeClock()
        self.acknowledged: list[tuple[str, int]] = []
        self.refusals: list[str] = []
        self.loads: list[tuple[str, datetime, str]] = []
        self.reads = 0
        self.stops: list[CanaryStop] = []
        self.corrupt: list[bool] = []
        self.aside: list[dict[str, str]] = []
        self.asked: list[Trial] = []
        self.told: dict[int, str] = {}
        self.renewals = self.left = 0
        self.no_presence: Exception | None = None
        self.error: Exception | None = None

    def read(self, known_versions: frozenset[int]) -> Catalog:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return replace(self.catalog, read_at=self.clock.now())

    def acknowledge(self, plan: TrafficPlan) -> None:
        self.acknowledged.append((plan.model, plan.generation))

    def renew(self) -> dict[str, int]:
        self.renewals += 1
        if self.no_presence is not None:
            raise self.no_presence
        return dict(self.acknowledged)

    def leave(self) -> None:
        self.left += 1

    def report_failure(self, model: str, version: int, kind: str, cause: str) -> None:
        self.refusals.append(f"{kind} {model}@{version}: {cause}")

    def report_load(self, model: str, version: int, *, began: datetime, note: str) -> None:
        if self.error is not None:
            raise self.error
        self.loads.append((f"{model}@{version}", began, note))

    def report_stops(self, *, is_corrupt: bool) -> None:
        if self.error is not None:
            raise self.error
        self.corrupt.append(is_corrupt)

    def report_aside(self, items: Mapping[str, str]) -> None:
        if self.error is not None:
            raise self.error
        self.aside.append(dict(items))

    def stop_canary(self, stop: CanaryStop) -> None:
        if self.error is not None:
            raise self.error
        self.stops.append(stop)

    def trials(self) -> list[Trial]:
        return [trial for trial in self.asked if trial.id not in self.told]

    def answer_trial(self, trial_id: int, refusal: str) -> None:
        self.told[trial_id] = refusal

    def wait(self, seconds: float) -> None:
        time.sleep(0.01)


class ThreadModel(ModelProcess):
    """A model process that is a thread: the same pipe and protocol, on a function of the test."""

    def __init__(self, score: Score) -> None:
        ours, theirs = socket.socketpair()
        super().__init__(Pipe(ours), handle=-1)
        self._thread = threading.Thread(target=self._serve, args=(theirs, score), daemon=True)
        self._thread.start()

    def _serve(self, sock: socket.socket, score: Score) -> None:
        with sock, contextlib.suppress(EOFError, OSError, SystemExit):
            model_process.serve(Pipe(sock), score, name="thread")

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive() and self.pipe.fileno() >= 0

    def die(self) -> None:
        """End as a process ends: its own end of the pipe is gone, ours is still open."""
        with contextlib.suppress(OSError):
            self.pipe.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def close(self) -> None:
        if self.pipe.fileno() >= 0:
            with contextlib.suppress(OSError):
                self.pipe.socket.shutdown(socket.SHUT_RDWR)
            self.pipe.close()


class FakeLoader:
    """Scores by version id; an exception instead of a function is raised while loading."""

    def __init__(self) -> None:
        self.models: dict[int, Score | Exception] = {}
        self.loads: list[int] = []
        self.started: list[ThreadModel] = []
        self.kept: frozenset[str] = frozenset()

    def load(self, row: VersionRecord, *, distrust: str = "") -> ThreadModel:
        self.loads.append(row.id)
        model = self.models[row.id]
        if isinstance(model, Exception):
            raise model
        self.started.append(ThreadModel(model))
        return self.started[-1]

    def facts(self, row: VersionRecord) -> VersionFacts:
        return row.facts

    def keep_only(self, digests: frozenset[str]) -> None:
        self.kept = digests

    def close(self) -> None:
        for model in self.started:
            model.close()


class MemoryStore:
    """Objects in a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}

    def put(self, key: str, data: Any) -> str:
        self.objects[key] = data
        return key


def constant(value: float) -> Score:
    """A model that always says the same."""
    return lambda rows: [value] * len(rows)


def plan(generation: int = 1, *, canary: int | None = None, share_bp: int = 0) -> TrafficPlan:
    """Version 1 (row 11) is champion; the canary, when there is one, has a lease of 20 s."""
    with_canary = canary is not None
    return TrafficPlan(
        model=MODEL,
        generation=generation,
        fence=1,
        champion_id=11,
        canary_id=canary,
        share_bp=share_bp,
        salt="salt",
        lease_seconds=20 if with_canary else None,
        lease_until=FakeClock().wall + timedelta(seconds=20) if with_canary else None,
        champion_until=FakeClock().wall + timedelta(days=30),
        canary_until=FakeClock().wall + timedelta(days=30) if with_canary else None,
    )


def row(version: int, stated: Mapping[str, Any] = FACTS) -> VersionRecord:
    """A version, as the gateway reads it."""
    return record(
        stated, id=version + 10, model=MODEL, version=version, artifact_digest=f"{version:064}"
    )


def patient(policy: ServingPolicy) -> ServingPolicy:
    """The policy with time enough for a busy machine, unless the test is about that time."""
    return ServingPolicy(**{"timeout_seconds": 30.0} | policy.model_dump(exclude_unset=True))


@dataclass
class World:
    """A gateway on fakes with its HTTP client; nothing happens until `settle`."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    source: FakeSource = field(default_factory=FakeSource)
    loader: FakeLoader = field(default_factory=FakeLoader)
    store: MemoryStore = field(default_factory=MemoryStore)
    watermarks: list[tuple[str, datetime]] = field(default_factory=list)
    policy: ServingPolicy = field(default_factory=ServingPolicy)
    label: LabelRule = field(default_factory=LabelRule)
    states: dict[str, str] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    queued: list[dict[str, Any]] = field(default_factory=list)
    given: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.loader.models = {11: constant(0.8), 12: constant(0.2)}
        self.source.clock = self.clock
        self.publish(plan())

    def publish(self, newest: TrafficPlan) -> None:
        """What the database says from now on."""
        states = {f"{MODEL}@1": "champion", f"{MODEL}@2": "canary", **self.states}
        from hashlib import sha256

        keys = [
            ApiKey(sha256(secret.encode()).hexdigest(), secret, [secret.removesuffix("-key")])
            for secret in (SCORE_KEY, OUTCOME_KEY, FEEDBACK_KEY, METRICS_KEY, ADMIN_KEY)
        ]
        self.source.catalog = Catalog(
            plans=[newest],
            states=states,
            keys=keys,
            models=[MODEL, "unborn"],
            versions={11: row(1), 12: row(2)},
        )

    def gateway(self) -> Gateway:
        """A gateway process, so to speak; a second one on the same folder is a restart."""
        return Gateway(
            Parts(
                gateway="gw-test",
                folder=self.folder,
                source=self.source,
                loader=self.loader,
                policy=lambda _model: patient(self.policy),
                labels=lambda _model: self.label,
                deliver_decisions=DecisionDelivery(self.store, "gw-test", lambda table: table),
                deliver_outcomes=OutcomeDelivery(
                    self.store,
                    "gw-test",
                    lambda table: table,
                    lambda model, reached: self.watermarks.append((model, reached)),
                ),
                deliver_feedback=FeedbackDelivery(self.given.extend),
                subject_key=b"k" * 32,
                clock=self.clock,
                ids=Uuid7(),
                monotonic=self.clock.monotonic,
                note_use=self.used.extend,
            )
        )

    def rows(self, kind: str = "decisions") -> list[dict[str, Any]]:
        """Shipped rows."""
        tables = [t for key, t in self.store.objects.items() if key.startswith(f"{kind}/")]
        return [
            dict(zip(table.columns, values, strict=True))
            for table in tables
            for values in zip(*table.columns.values(), strict=True)
        ]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll waits for the loads that it starts: on a busy machine a thread may take its second."""
    monkeypatch.setattr("tenure.gateway.follow.worker._PATIENCE_SECONDS", 60.0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One model, one champion, no gateway yet."""
    return World(tmp_path)


@pytest.fixture
def gateway(world: World) -> Iterator[Gateway]:
    """The gateway of the world, without its HTTP surface."""
    made = world.gateway()
    yield made
    made.close()


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    """HTTP to a started gateway that has seen the plan; calls carry the score key."""
    made = world.gateway()
    with TestClient(create_app(made), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {SCORE_KEY}"
        wait_for(lambda: made.follower.seen_at is not None)
        yield client


@contextlib.contextmanager
def serving(world: World, limits: GatewayPolicy | None = None) -> Iterator[str]:
    """The world's gateway behind the real server, in a thread; its URL once it is ready."""
    with running(world, limits) as served:
        yield served.url


@dataclass
class Served:
    """A gateway on fakes behind the real server."""

    url: str
    port: int
    server: uvicorn.Server
    thread: threading.Thread

    def told(self, *signals: int) -> None:
        """As if the process got these signals."""
        for number in signals:
            self.server.handle_exit(number, None)

    def ended(self) -> bool:
        """Whether it has ended, within what is long for it."""
        self.thread.join(8)
        return not self.thread.is_alive()


@contextlib.contextmanager
def running(world: World, limits: GatewayPolicy | None = None) -> Iterator[Served]:
    """The world's gateway behind the real server, in a thread, once it is ready."""
    sock = server.bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    made = world.gateway()
    one = server.create_server(create_app(made), limits=limits, draining=made.draining)
    thread = threading.Thread(target=one.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        wait_for(lambda: made.follower.seen_at is not None and one.started)
        yield Served(f"http://127.0.0.1:{port}", port, one, thread)
    finally:
        one.should_exit = True
        thread.join(20)
        sock.close()


@pytest.fixture
def run_world() -> Callable[..., contextlib.AbstractContextManager[Served]]:
    """See `running`."""
    return running


@pytest.fixture
def url(world: World) -> Iterator[str]:
    """A gateway on fakes, over real sockets."""
    with serving(world) as url:
        yield url


@pytest.fixture(scope="module")
def shared_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same for all tests of a module."""
    with serving(World(tmp_path_factory.mktemp("gateway"))) as url:
        yield url


@pytest.fixture
def served(world: World, client: TestClient) -> tuple[World, TestClient]:
    """Both at once."""
    return world, client


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Polls a claim until it holds."""
    return wait_for


@pytest.fixture
def ask() -> Callable[..., dict[str, Any]]:
    """Makes the body of an infer request; keyword arguments replace features or parts."""

    numbers = itertools.count(1)

    def make(subject: str = "s1", **changes: Any) -> dict[str, Any]:
        features: dict[str, Any] = {"hour": [9.0], "temp": [50.5], "carrier": ["AA"]}
        features |= changes
        return {
            "id": f"request-{next(numbers)}-{subject}",
            "parameters": {"subject": subject, "event_time": "2013-07-01T09:00:00Z"},
            "inputs": [
                {
                    "name": name,
                    "shape": [len(data)],
                    "datatype": "BYTES" if name == "carrier" else "FP64",
                    "data": data,
                }
                for name, data in features.items()
                if data is not None
            ],
        }

    return make


@pytest.fixture
def plans() -> Callable[..., TrafficPlan]:
    """Makes plans; see `plan`."""
    return plan


@pytest.fixture
def constants() -> Callable[[float], Score]:
    """Makes models that always say the same."""
    return constant


@pytest.fixture
def wait_ready() -> Callable[[TestClient], None]:
    """Waits until the gateway says that it is ready."""
    return lambda client: wait_for(lambda: client.get("/v2/health/ready").status_code == 200)


@pytest.fixture
def in_thread() -> Iterator[Callable[[Score], ThreadModel]]:
    """Makes model processes that are threads; they end with the test."""
    made: list[ThreadModel] = []

    def make(score: Score) -> ThreadModel:
        made.append(ThreadModel(score))
        return made[-1]

    yield make
    for one in made:
        one.close()
