"""Killed anywhere, cleared at any time, doubled or late: one version, one run, the same bytes."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from asking import Asking, settle
from served import Process

from tenure.adapters.mlflow_registry import MlflowRegistry
from tenure.errors import ServiceUnreachable
from tenure.installation import Installation
from tenure.lifecycle.promotion.approval import Choice
from tenure.usecases.promotion import approval, traffic
from tenure.usecases.serving.api_keys import create_key
from tenure.vocabulary import State


class Killed(BaseException):
    """The process is gone: no handler of the code under test may catch it."""


class Grim:
    """Counts what leaves a trace and kills at one of them, before or after it is done."""

    def __init__(self, at: int, *, before: bool) -> None:
        self.at, self.before, self.seen = at, before, 0

    @contextmanager
    def around(self) -> Iterator[None]:
        self.seen += 1
        mine = self.seen == self.at
        if mine and self.before:
            raise Killed
        yield
        if mine:
            raise Killed

    def call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            with self.around():
                return function(*args, **kwargs)

        return counted

    @property
    def struck(self) -> bool:
        return self.seen >= self.at


class MortalDatabase:
    """Dies before the commit (rolled back) or right after it (the caller never hears of it)."""

    def __init__(self, real: Any, grim: Grim) -> None:
        self.real, self.grim, self.engine = real, grim, real.engine

    @contextmanager
    def begin(self) -> Iterator[Any]:
        self.grim.seen += 1
        mine = self.grim.seen == self.grim.at
        with self.real.begin() as connection:
            yield connection
            if mine and self.grim.before:
                raise Killed
        if mine:
            raise Killed


class Mortal:
    """Any object whose public methods leave traces."""

    def __init__(self, real: Any, grim: Grim, names: set[str]) -> None:
        self._real, self._grim, self._names = real, grim, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        return self._grim.call(found) if name in self._names else found


def mortal(world: Any, grim: Grim) -> Any:
    platform = Installation(world.platform.settings)
    platform.__dict__["database"] = MortalDatabase(world.platform.database, grim)
    platform.__dict__["store"] = Mortal(world.platform.store, grim, {"put", "put_file"})
    tracked = {"ensure_run", "log", "ensure_version"}
    return type(world)(platform, Mortal(world.mlflow, grim, tracked))


def versions_for(world: Any, request: int) -> list[Any]:
    return [v for v in world.versions() if world.row(v.version).facts.request_id == request]


def one_version(world: Any, request: int, before: tuple[int, int]) -> None:
    """Exactly what an undisturbed training leaves."""
    (version,) = versions_for(world, request)
    moves = [dst for subject, dst in world.ledger() if subject == f"mv:{version.id}"]
    assert version.state is State.VALIDATED
    assert moves == ["trained", "validated"]
    assert world.request_row(request).state == "done"
    assert (len(world.mlflow.runs), len(world.mlflow.versions)) == (before[0] + 1, before[1] + 1)
    assert world.row(version.version).artifact_digest == world.row(1).artifact_digest


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(True, id="before it is done", marks=pytest.mark.exhaustive),
        pytest.param(False, id="after it is done"),
    ],
)
@pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.fault)])
def test_killed_at_every_trace_the_next_try_ends_the_same(
    world: Any, before: bool, every: int
) -> None:
    """`make test` tries each tenth trace, `make fault-test` all of them."""
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.life("undisturbed")
    for at in range(1, 200, every):
        grim = Grim(at, before=before)
        request = world.request()
        counted = (len(world.mlflow.runs), len(world.mlflow.versions))
        dying = mortal(world, grim)
        try:
            dying.life(f"r{at}")
        except Killed:
            world.life(f"r{at}")  # the scheduler starts the task again; those before it stand
        one_version(world, request, counted)
        if not grim.struck:
            break
    assert 15 < at < 199, "the loop must end because nothing was left to kill at"


def test_clearing_any_finished_task_changes_nothing(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    answers = [step() for step in world.steps()]
    row, ledger = world.row(), world.ledger()
    for again, first in zip(world.steps(), answers, strict=True):
        assert again() == first
    assert (world.row(), world.ledger()) == (row, ledger)
    assert len(world.mlflow.runs) == len(world.mlflow.versions) == 1


def test_clearing_while_the_run_goes_on_changes_nothing(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    done: list[Callable[[], Any]] = []
    for step in world.steps():
        done.append(step)
        for cleared in done:
            cleared()
    assert [v.state for v in world.versions()] == [State.VALIDATED]
    assert len(world.mlflow.runs) == 1


def test_a_rejected_version_says_the_same_again(world: Any) -> None:
    from tenure.errors import GateFailed

    world.configure(auc=0.99)
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()
    world.train()
    told = []
    for _ in range(2):
        with pytest.raises(GateFailed) as caught:
            world.evaluate()
        told.append((caught.value.lines(), world.ledger()))
    assert told[0] == told[1]
    assert (world.plan().version, world.train()["version"]) == (1, 1)  # finished: stays green


def test_a_zombie_that_is_overtaken_by_its_retry_does_nothing(world: Any) -> None:
    """The first try sleeps in MLflow; its retry ends; then the first one wakes up."""
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()

    class Sleepy(type(world.mlflow)):  # type: ignore[misc]
        def log(self, run_id: str, **what: Any) -> None:
            world.mlflow.log(run_id, **what)
            world.train()

    zombie = type(world)(world.platform, Sleepy(*vars(world.mlflow).values()))
    assert zombie.train()["version"] == 1
    assert world.versions()[0].generation == 1
    assert [dst for _, dst in world.ledger() if dst] == ["trained"]


def test_mlflow_away_leaves_a_draft_that_the_next_try_finishes(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()
    away = type(world)(world.platform, MlflowRegistry("http://127.0.0.1:9"))
    with pytest.raises(ServiceUnreachable):
        away.train()
    assert world.versions()[0].state is State.DRAFT
    for step in world.steps():
        step()
    assert world.versions()[0].state is State.VALIDATED


@pytest.fixture
def gateway(world: Any) -> Iterator[Process]:
    """A gateway of the world's installation, not started yet."""
    made = Process(world.platform)
    yield made
    made.close()


@pytest.mark.exhaustive
@pytest.mark.fault
@pytest.mark.quick
def test_a_full_disk_leaves_a_draft_that_the_next_try_finishes(
    world: Any, gateway: Process
) -> None:
    """F24: no version without its artifact, nothing half written; with room again it goes on."""
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        with pytest.raises(ServiceUnreachable, match=r"store cannot be written: File too large\."):
            world.train()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (draft,) = world.versions()
    assert (draft.state, draft.artifact_digest) == (State.DRAFT, None)
    store = world.platform.store
    assert [key for key in store.list("") if key.startswith(("artifacts/", "reference/"))] == []
    assert list((world.platform.settings.home / "store" / ".tmp").iterdir()) == []
    for step in world.steps():
        step()
    assert world.versions()[0].state is State.VALIDATED
    asking = Asking(gateway.url, None, {})
    serve(world, gateway, asking)
    settle(world.platform, asking, unanswered=0)


def serve(world: Any, gateway: Process, asking: Asking) -> None:
    """The one version is approved, becomes champion and answers a request."""
    (version,), run = world.versions(), world.run(task="review")
    asked = approval.ask(world.platform, version)
    assert asked is not None
    what = (version.id, asked.artifact, asked.evidence)
    approval.answer(world.platform, what, user="grace", choice=Choice.APPROVE, run=run)
    traffic.promote_first(world.platform, version.id, actor="test")
    key = create_key(world.platform, "app", ["score"])
    gateway.start()
    answer = httpx.post(
        f"{gateway.url}/v2/models/loan_ok/infer",
        json={
            "inputs": [
                {"name": "income", "shape": [1], "datatype": "FP64", "data": [0.5]},
                {"name": "branch", "shape": [1], "datatype": "BYTES", "data": ["n"]},
            ]
        },
        headers={"Authorization": f"Bearer {key}"},
        timeout=15,
    )
    told = answer.raise_for_status().json()["parameters"]
    assert told["fallback_level"] == "model"
    asking.answered += [(one, told["arm"]) for one in told["decision_ids"]]
    assert gateway.stop() in {0, -15}


def test_the_whole_life_on_a_real_mlflow(world: Any, mlflow_url: str) -> None:
    real = type(world)(world.platform, MlflowRegistry(mlflow_url))
    for month in (1, 2):
        world.publish(month)
    world.request()
    for _ in range(2):
        real.life()
    client = real.mlflow._client
    run = client.get_run(world.row().mlflow_run_id)
    (version,) = client.search_model_versions("name = 'loan_ok'")
    assert run.data.metrics.keys() >= {"roc_auc", "brier"}
    assert run.data.params["batches"] == "2013-01,2013-02"
    assert run.data.tags["tenure.artifact_digest"] == world.row().artifact_digest
    assert version.run_id == run.info.run_id
    assert {f.path for f in client.list_artifacts(run.info.run_id)} == {"model", "reports"}
