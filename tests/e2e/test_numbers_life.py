"""A regression on a real stack: a version serves, one is promoted, a worse one is rolled back.

Rides of made-up minutes: clients ask the gateway day by day and post what the rides took. `make
test` lives until the first version serves; `make test-exhaustive` lives all of it.
"""

import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tenure.adapters.airflow_rest import AirflowRest
from tenure.adapters.sql.summary import VersionState
from tenure.demo import show
from tenure.demo.client import Flight, Replay
from tenure.demo.receiver import receiving
from tenure.demo.story import Story
from tenure.layout import landing_prefix
from tenure.settings import REPOSITORY
from tenure.stack import processes
from tenure.stack.embedded import Stack
from tenure.stack.endpoints import StackEndpoints
from tenure.stack.environment import WATCHDOG
from tenure.stack.logins import airflow_passwords
from tenure.usecases.decisions import replay
from tenure.vocabulary import State

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(4000)]

MODEL, DATASET = "ride_minutes", "rides"
SETTINGS = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120"}
ROWS = 1_500
A_DAY = 150
"""Rides of a day that are asked about."""
DATASET_YAML = """
name: rides
description: made-up rides
owner: ada
steward: sam
sensitivity: public
source: {format: parquet, settle_seconds: 0}
schedule: "0 6 1 1 *"
time_column: scheduled_at
suite: rides
contract:
  key: [ride_id]
  columns:
    ride_id: {type: string, nullable: false}
    scheduled_at: {type: timestamp, nullable: false}
    km: {type: number, nullable: false}
    hour: {type: integer, nullable: false}
    kind: {type: string, nullable: false}
    minutes: {type: number, nullable: false}
"""
SUITE = {
    "name": "rides",
    "expectations": [
        {
            "type": "expect_column_values_to_not_be_null",
            "kwargs": {"column": "minutes"},
            "severity": "critical",
            "notes": "A ride without minutes teaches nothing.",
        }
    ],
}
MODEL_YAML = """
name: ride_minutes
purpose: how many minutes a ride takes
owner: ada
dataset: rides
task: regression
label: {column: minutes, horizon_hours: 1}
subject_column: ride_id
features: {numeric: [km, hour], categorical: [kind]}
training: {parameters: {max_iter: 60}, window_batches: 2, gap_hours: 1, seed: 7}
evaluation:
  min_rows: 200
  conformal: {coverage: 0.9, tolerance: 0.06}
  champion_margin: null
  min_uplift: null
  gates: [{metric: mae, maximum: 40}]
bias: {attributes: [kind], metric: mean_error, max_difference: 10, min_group_rows: 50}
approval: {valid_days: 30, ask_hours: 72}
serving: {fallback_score: 20}
canary:
  shares_bp: [5000, 10000]
  analysis_seconds: 2
  lease_seconds: 20
  min_step_subjects: 100
  metrics:
    - {event: error, margin: 1.5, required: false}
    - {event: absolute_error, margin: 1.5, min_subjects: 100}
monitoring: {metric: mae, min_decisions: 100}
retraining: {frozen: true}
workers: {training: {pool: heavy}}
"""
WORSE = (
    "features: {numeric: [km, hour], categorical: [kind]}",
    "features: {numeric: [hour], categorical: [kind]}",
)
"""Whoever does not know the distance errs by several times as much."""


def rides(month: int, count: int, first: datetime) -> list[Flight]:
    """Rides of one month; minutes by distance, hour and kind, with a long tail."""
    rng = np.random.default_rng(month)
    km, hour = rng.uniform(1, 20, count), rng.integers(0, 24, count)
    kind = rng.choice(["taxi", "bus"], count)
    minutes = 5 + 2.2 * km + 6 * (hour % 12 > 7) + 4 * (kind == "bus") + rng.exponential(3, count)
    return [
        {
            "ride_id": f"{month}-{n}",
            "scheduled_at": first + timedelta(minutes=n * 10),
            "km": float(km[n]),
            "hour": int(hour[n]),
            "kind": str(kind[n]),
            "minutes": float(minutes[n]),
        }
        for n in range(count)
    ]


class RideReplay(Replay):
    """Asks about rides and posts their minutes."""

    def request(self, flight: Flight) -> dict[str, Any]:
        return super().request({**flight, "flight_id": flight["ride_id"]})

    def outcome(self, flight: Flight) -> dict[str, Any]:
        return {"request_id": flight["ride_id"], "label": flight["minutes"]}


class Rides(Story):
    """The first version serves; the second and the third are lived in `make test-exhaustive`."""

    def run(self) -> None:
        self.people["olga"].call("POST", "/pools", json={"name": "heavy", "slots": 1})
        for month in (1, 2, 3):
            self.publish(month)
        self.people["olga"].trigger(f"{DATASET}__ingest_data", {})
        self.publish_until(3)
        self.train(1)
        self.approve(1, State.CHAMPION)
        self._wait("the gateway to serve", self._serves)

    def go_on(self) -> None:
        """A second version that is promoted, and a third one that knows less."""
        self.train(2)
        self.approve(2, State.CANARY)
        self.probation(2, month=21)
        path = self.settings.include / "configs" / "models" / f"{MODEL}.yaml"
        text = path.read_text(encoding="utf-8")
        assert WORSE[0] in text
        path.write_text(text.replace(*WORSE), encoding="utf-8")
        self.train(3)
        self.approve(3, State.CANARY)
        self.probation(3, month=22)

    def publish(self, month: int) -> None:
        draft = self.folder / f"2013-{month:02}.parquet"
        table = pa.Table.from_pylist(rides(month, ROWS, datetime(2013, month, 1, tzinfo=UTC)))
        draft.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, draft)
        self.platform.store.put_file(landing_prefix(DATASET) + draft.name, draft)

    def publish_until(self, batches: int) -> None:
        self._wait(
            "publishing",
            lambda: len([b for b in self.facts.batches(DATASET) if b.rows_ok]) >= batches or None,
        )

    def train(self, number: int) -> None:
        self.people["ada"].trigger(f"{MODEL}__train_model", {"reason": f"Version {number}."})
        states = {State.VALIDATED, State.APPROVED, State.CANARY, State.CHAMPION}
        self._wait(f"training {number}", lambda: self._in(number, states))

    def approve(self, number: int, state: State) -> None:
        self._wait_answering(
            f"version {number} to become {state}", lambda: self._in(number, {state, State.CHAMPION})
        )

    def probation(self, number: int, *, month: int) -> None:
        """Live rides until the canary has ended."""
        first = datetime(2013, 4, 1, tzinfo=UTC) + timedelta(days=60 * (month - 21))
        live = rides(month, 60 * A_DAY, first)
        for n, ride in enumerate(live):
            ride["scheduled_at"] = first + timedelta(days=n // A_DAY, seconds=n % A_DAY)
        client = self.client(pace=150.0)
        self._probation(client, live, lambda: self._in(number, {State.CHAMPION, State.ROLLED_BACK}))
        assert client.refused == 0

    def client(self, pace: float) -> RideReplay:
        return RideReplay(
            url=self.settings.gateway_url,
            key=self.gateway_key,
            model=MODEL,
            features=("km", "hour", "kind"),
            log=self.answers,
            requests_per_second=pace,
        )

    def version(self, number: int) -> VersionState | None:
        return next((v for v in self.facts.versions(MODEL) if v.version == number), None)

    def _in(self, number: int, states: set[State]) -> VersionState | None:
        row = self.version(number)
        assert row is None or row.state is not State.REJECTED, self.facts.reports()[-1].summary
        return row if row and row.state in states else None

    def _serves(self) -> bool | None:
        url = f"{self.settings.gateway_url}/v2/models/{MODEL}/ready"
        headers = {"Authorization": f"Bearer {self.gateway_key}"}
        return httpx.get(url, headers=headers, timeout=5).status_code == 200 or None

    def _stop_at_failure(self) -> None:
        """The canary that rolls back is red, as it should be; a rejected version ends the wait."""


def configs(folder: Path) -> Path:
    """The project's platform with this model alone."""
    include = Path(shutil.copytree(REPOSITORY / "include", folder / "include"))
    for kind in ("models", "datasets"):
        for path in (include / "configs" / kind).glob("*.yaml"):
            path.unlink()
    (include / "configs" / "datasets" / f"{DATASET}.yaml").write_text(DATASET_YAML)
    (include / "configs" / "models" / f"{MODEL}.yaml").write_text(MODEL_YAML)
    (include / "expectations" / f"{DATASET}.json").write_text(json.dumps(SUITE))
    return include


@pytest.fixture(scope="module")
def life(one_stack: None) -> Iterator[Rides]:
    with tempfile.TemporaryDirectory(prefix="tenure-") as name:
        folder = Path(name)
        home = folder / "home"
        with receiving(folder / "notices.jsonl") as url:
            extra = show.people_around(url) | SETTINGS
            stack = Stack(home, StackEndpoints.free(), include=configs(folder), extra=extra)
            try:
                story = lived(stack)
                yield story
                story.close()
            finally:
                stack.stop()
                leaders: dict[int, float] = {}
                assert processes.of_stack(home, leaders) == []


def lived(stack: Stack) -> Rides:
    console, began = Console(width=140), time.monotonic()

    def say(line: str) -> None:
        console.print(f"[{time.monotonic() - began:4.0f} s] {line}", markup=False, highlight=False)

    stack.start()
    stack.wait_healthy()
    plain = show.prepare(stack.settings, stack.home / "demo", say)
    plain.platform.database.dispose()
    given = {f.name: getattr(plain, f.name) for f in dataclasses.fields(Story)}
    story = Rides(**given)
    story.run()
    say("a version serves")
    return story


@pytest.fixture(scope="module")
def whole_life(life: Rides) -> Rides:
    life.go_on()
    return life


def ended(life: Rides, dag_id: str, conf: dict[str, object]) -> None:
    """Trigger and wait for success."""
    olga = life.people["olga"]
    run = olga.trigger(dag_id, conf)

    def state() -> str | None:
        found = next(r["state"] for r in olga.runs(dag_id) if r["dag_run_id"] == run)
        return found if found in {"success", "failed"} else None

    assert wait(life, state) == "success"


def wait(life: Rides, look: Callable[[], Any]) -> Any:
    return life._wait("an answer", look)


@pytest.mark.exhaustive
def test_one_is_promoted_by_its_canary(whole_life: Rides) -> None:
    promoted = whole_life.version(2)
    assert promoted is not None
    assert promoted.state is State.CHAMPION
    assert len(whole_life.facts.analyses(promoted.id)) > 1
    reports = [r for r in whole_life.facts.reports() if r.stage == "canary"]
    assert any("mean absolute error" in r.summary for r in reports)


def test_answers_have_intervals_that_hold_what_they_promise(life: Rides) -> None:
    url = f"{life.settings.gateway_url}/v2/models/{MODEL}"
    headers = {"Authorization": f"Bearer {life.gateway_key}"}
    outputs = httpx.get(url, headers=headers).json()["outputs"]
    assert [one["name"] for one in outputs] == ["prediction", "lower", "upper"]
    asked = rides(30, 300, datetime(2013, 12, 1, tzinfo=UTC))
    inside = 0
    client = life.client(0.0)
    with httpx.Client(headers=headers) as http:
        for ride in asked:
            answer = http.post(f"{url}/infer", json=client.request(ride)).json()
            found = {one["name"]: one["data"][0] for one in answer["outputs"]}
            assert found["lower"] <= found["prediction"] <= found["upper"]
            inside += found["lower"] <= ride["minutes"] <= found["upper"]
    assert 0.8 < inside / len(asked) < 0.97


@pytest.mark.exhaustive
def test_decisions_score_the_same_again_with_their_intervals(whole_life: Rides) -> None:
    platform = whole_life.facts.platform
    ids = replay.chosen(platform, rows=400, seed=7, model=MODEL)
    found = [one for one in replay.replay(platform, ids) if one.found != "no_model"]
    assert len(found) > 300
    assert {one.found for one in found} == {replay.ReplayVerdict.IDENTICAL}
    assert len({one.version for one in found}) > 1
    shown = replay.show(platform, found[0].decision_id)
    assert shown is not None
    decision = shown.decision
    assert decision.lower is not None
    assert decision.upper is not None
    assert decision.lower <= decision.score <= decision.upper


def test_trainings_take_their_slots_from_the_pool_of_the_yaml(life: Rides) -> None:
    url, passwords = life.settings.airflow_url, airflow_passwords(life.settings.home)
    assert AirflowRest(url, WATCHDOG, passwords[WATCHDOG]).pools()["heavy"] == 1
    olga = life.people["olga"]
    found = {}
    for stage in ("train_model", "promote_model"):
        dag_id = f"{MODEL}__{stage}"
        tasks = olga.tasks(dag_id, olga.runs(dag_id)[0]["dag_run_id"])
        found[stage] = {(one["pool"], one["priority_weight"]) for one in tasks}
    assert found == {"train_model": {("heavy", 1)}, "promote_model": {("default_pool", 80)}}


@pytest.mark.exhaustive
def test_a_worse_one_is_rolled_back_by_its_canary(whole_life: Rides) -> None:
    states = {row.version: row.state for row in whole_life.facts.versions(MODEL)}
    assert states == {1: State.SUPERSEDED, 2: State.CHAMPION, 3: State.ROLLED_BACK}
    promoted, rolled_back = (whole_life.version(number) for number in (2, 3))
    assert promoted is not None
    assert rolled_back is not None
    assert whole_life.facts.analyses(rolled_back.id)[-1].verdict == "failed"
    assert rolled_back.metrics["mae"] > 2 * promoted.metrics["mae"]


@pytest.mark.exhaustive
def test_a_batch_has_the_intervals_as_well(whole_life: Rides) -> None:
    ended(whole_life, f"{MODEL}__batch_score", {"shard_rows": 1000})
    report = next(r for r in whole_life.facts.reports() if r.stage == "batch_scoring")
    assert report.verdict == "passed"
    store = whole_life.platform.store
    (first, *_) = sorted(key for key in store.list("scores/") if key.endswith(".parquet"))
    table = pq.read_table(store.fetch(first))
    lower, score, upper = (table[name].to_numpy() for name in ("lower", "score", "upper"))
    assert ((lower <= score) & (score <= upper)).all()


@pytest.mark.exhaustive
def test_the_share_of_outcomes_inside_is_watched(whole_life: Rides) -> None:
    ended(whole_life, f"{MODEL}__monitor_model", {})
    judged = [r for r in whole_life.facts.reports() if r.facts.get("kind") == "performance"]
    assert judged, [r.summary for r in whole_life.facts.reports() if r.stage == "monitoring"]
    facts: Any = judged[-1].facts
    assert 0.8 < facts["covered"] / facts["with_interval"] < 0.97
