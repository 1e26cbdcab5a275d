"""A gateway on fakes: everything but its database, its models and its store is real."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tenure.gateway.app import Gateway, Parts, create_app
from tenure.gateway.records import DecisionDelivery, OutcomeDelivery
from tenure.lifecycle.serving import Catalog, Score, ServingPolicy, TrafficPlan
from tenure.wiring.base import Uuid7

MODEL = "flight_late"
SCORE_KEY, OUTCOME_KEY, ADMIN_KEY = "score-key", "outcome-key", "admin-key"
FACTS = {
    "threshold": 0.5,
    "features": {"numeric": ["hour", "temp"], "categorical": ["carrier"]},
    "categories": {"carrier": ["AA", "UA"]},
    "ranges": {"hour": [0, 23], "temp": [-20, 110]},
}


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
        self.acknowledged: list[tuple[str, int]] = []
        self.refusals: list[str] = []
        self.error: Exception | None = None

    def read(self, known_versions: frozenset[int]) -> Catalog:
        if self.error is not None:
            raise self.error
        return self.catalog

    def acknowledge(self, plan: TrafficPlan) -> None:
        self.acknowledged.append((plan.model, plan.generation))

    def report_refusal(self, model: str, version: int, cause: str) -> None:
        self.refusals.append(f"{model}@{version}: {cause}")

    def wait(self, seconds: float) -> None:
        time.sleep(0.01)


class FakeLoader:
    """Scores by version id; an exception instead of a function is raised while loading."""

    def __init__(self) -> None:
        self.models: dict[int, Score | Exception] = {}
        self.loads: list[int] = []
        self.kept: frozenset[str] = frozenset()

    def load(self, row: Mapping[str, Any]) -> Score:
        self.loads.append(row["id"])
        model = self.models[row["id"]]
        if isinstance(model, Exception):
            raise model
        return model

    def keep_only(self, digests: frozenset[str]) -> None:
        self.kept = digests


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
    )


def row(version: int, facts: Mapping[str, Any] = FACTS) -> dict[str, Any]:
    """A version row, as far as the gateway reads it."""
    return {
        "id": version + 10,
        "model": MODEL,
        "version": version,
        "artifact_digest": f"{version:064}",
        "facts": dict(facts),
    }


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
    states: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.loader.models = {11: constant(0.8), 12: constant(0.2)}
        self.publish(plan())

    def publish(self, newest: TrafficPlan) -> None:
        """What the database says from now on."""
        states = {f"{MODEL}@1": "champion", f"{MODEL}@2": "canary", **self.states}
        from hashlib import sha256

        keys = [
            (sha256(secret.encode()).hexdigest(), secret, [secret.removesuffix("-key")])
            for secret in (SCORE_KEY, OUTCOME_KEY, ADMIN_KEY)
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
                policy=lambda _model: self.policy,
                deliver_decisions=DecisionDelivery(self.store, "gw-test", lambda table: table),
                deliver_outcomes=OutcomeDelivery(
                    self.store,
                    "gw-test",
                    lambda table: table,
                    lambda model, reached: self.watermarks.append((model, reached)),
                ),
                subject_key=b"k" * 32,
                clock=self.clock,
                ids=Uuid7(),
                monotonic=self.clock.monotonic,
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


@pytest.fixture
def served(world: World, client: TestClient) -> tuple[World, TestClient]:
    """Both at once."""
    return world, client


def wait_for(claim: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true answer. Fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := claim():
            return answer
        time.sleep(0.01)
    raise AssertionError(f"not true within {seconds} s")


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Polls a claim until it holds."""
    return wait_for


@pytest.fixture
def ask() -> Callable[..., dict[str, Any]]:
    """Makes the body of an infer request; keyword arguments replace features or parts."""

    def make(subject: str = "s1", **changes: Any) -> dict[str, Any]:
        features: dict[str, Any] = {"hour": [9.0], "temp": [50.5], "carrier": ["AA"]}
        features |= changes
        return {
            "id": f"request-{subject}",
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
