"""Whatever the gateway answers or takes in, the store takes as well: no value stops a log."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from tenure.adapters.decision_tables import decisions_to_parquet, outcomes_to_parquet
from tenure.gateway.app import Gateway, create_app
from tenure.gateway.log import wal
from tenure.gateway.log.records import DecisionDelivery, OutcomeDelivery, Table
from tenure.lifecycle.serving import ServingPolicy

INFER, OUTCOMES = "/v2/models/flight_late/infer", "/v2/models/flight_late/outcomes"
TEXTS = ["", "\x00", "a\x00b", "\ud800", "\U0001d518", "\u202e", "\ufeff", "x" * 1_000_000]
NUMBERS = [1.7e308, -1.7e308, 5e-324, -0.0, 2**53 + 1, 2**63, 2**64, 10**40, 10**400]
MOMENTS = [
    "1970-01-01T00:00:00Z",
    "2013-07-01 09:00:00.123456789+00",
    "2013-07-01T09:00:00 UTC",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-14:00",
]


def to_parquet(table: Table) -> bytes:
    return decisions_to_parquet(table.columns, numeric=table.numeric, categorical=table.categorical)


@pytest.fixture
def gateway(world: Any) -> Gateway:
    """It stores real Parquet files; a person has to look at everything."""
    world.policy = ServingPolicy(review_below_confidence=1.0)
    first = world.gateway()
    first.close()
    delivery = DecisionDelivery(world.store, "gw-test", to_parquet, None, world.queued.extend)
    return Gateway(
        replace(
            first.parts,
            deliver_decisions=delivery,
            deliver_outcomes=OutcomeDelivery(
                world.store,
                "gw-test",
                lambda table: outcomes_to_parquet(table.columns),
                lambda model, reached: world.watermarks.append((model, reached)),
            ),
        )
    )


def stored(world: Any, kind: str) -> int:
    files = [data for key, data in world.store.objects.items() if key.startswith(f"{kind}/")]
    return sum(pq.read_table(pa.BufferReader(data)).num_rows for data in files)


def test_every_odd_value_is_refused_or_stored(
    world: Any, gateway: Gateway, ask: Callable[..., dict[str, Any]], wait_ready: Any
) -> None:
    bodies = [ask(carrier=[text]) for text in TEXTS] + [ask(hour=[one]) for one in NUMBERS]
    for name in ("subject", "event_time"):
        for value in (*TEXTS, *MOMENTS):
            body = ask()
            body["parameters"][name] = value
            bodies.append(body)
    bodies += [{**ask(), "id": text} for text in TEXTS]
    with TestClient(create_app(gateway), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = "Bearer score-key"
        client.headers["Content-Type"] = "application/json"
        wait_ready(client)
        codes = [client.post(INFER, content=json.dumps(body)).status_code for body in bodies]
    assert {*codes} <= {200, 400, 413, 422}
    assert codes.count(200) >= 15
    assert (stored(world, "decisions"), len(world.queued)) == (codes.count(200),) * 2
    assert left(gateway, "decisions") == []


def test_every_odd_outcome_is_refused_or_stored(
    world: Any, gateway: Gateway, wait_ready: Any
) -> None:
    said = [{"request_id": text, "label": True} for text in TEXTS]
    said += [{"decision_id": text, "label": True} for text in TEXTS]
    said += [{"request_id": "r", "label": True, "observed_at": at} for at in MOMENTS]
    bodies = [{"outcomes": [one]} for one in said]
    bodies += [{"outcomes": [], "watermark": at} for at in MOMENTS]
    with TestClient(create_app(gateway), raise_server_exceptions=False) as client:
        wait_ready(client)
        client.headers["Authorization"] = "Bearer outcome-key"
        client.headers["Content-Type"] = "application/json"
        codes = [client.post(OUTCOMES, content=json.dumps(body)).status_code for body in bodies]
    assert {*codes} <= {200, 400, 413, 422}
    taken = codes[: len(said)].count(200)
    assert taken >= 3
    assert stored(world, "outcomes") == taken
    assert codes[len(said) :].count(200) >= 1
    assert world.watermarks != []
    assert left(gateway, "outcomes") == []


def left(gateway: Gateway, log: str) -> list[str]:
    """Names of what was not stored."""
    folder = gateway.parts.folder / "wal" / log
    return [path.name for path in (*wal.sealed_segments(folder), *wal.unshippable(folder))]
