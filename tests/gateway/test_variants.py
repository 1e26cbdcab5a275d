"""What scored is known of each decision: in the log, in tables old and new, and from outside."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from tenure.adapters import segment_files
from tenure.adapters.decision_tables import decisions_to_parquet
from tenure.gateway.app import create_app
from tenure.gateway.records import DecisionRecord, decision_table, decode_decision, encode
from tenure.lifecycle.serving import ServingPolicy

INFER = "/v2/models/flight_late/infer"
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def by_onnx(world: Any) -> Any:
    """A world whose model processes score by ONNX, or say why they do not."""
    load, world.note = world.loader.load, ""

    def variant(row: Mapping[str, Any]) -> Any:
        model = load(row)
        model.note = world.note
        model.variant = "native" if world.note else "onnx"
        return model

    world.loader.load = variant
    return world


def shipped(world: Any, ask: Ask, wait_ready: Any, count: int = 1) -> list[dict[str, Any]]:
    """Rows of the log after so many requests, and what the gateway says of itself."""
    with TestClient(create_app(world.gateway())) as client:
        client.headers["Authorization"] = "Bearer score-key"
        wait_ready(client)
        for _ in range(count):
            assert client.post(INFER, json=ask()).status_code == 200
        world.variants = client.get("/v2/models/flight_late").json()["variants"]
        headers = {"Authorization": "Bearer metrics-key"}
        world.metrics = client.get("/metrics", headers=headers).text
    return list(world.rows())


def test_a_decision_by_onnx_says_so(by_onnx: Any, ask: Ask, wait_ready: Any) -> None:
    (row,) = shipped(by_onnx, ask, wait_ready)
    assert row["variant"] == "onnx"
    assert by_onnx.variants == {"1": "onnx"}
    assert 'tenure_onnx_versions{model="flight_late"} 1.0' in by_onnx.metrics
    assert by_onnx.source.refusals == []


def test_a_known_score_is_still_one_of_onnx(by_onnx: Any, ask: Ask, wait_ready: Any) -> None:
    by_onnx.policy = ServingPolicy(cache_rows=10)
    rows = shipped(by_onnx, ask, wait_ready, count=3)
    assert [row["variant"] for row in rows] == ["onnx"] * 3
    assert 'tenure_score_cache_total{model="flight_late",result="hit"} 2.0' in by_onnx.metrics


def test_a_native_gateway_ships_what_it_always_did(world: Any, ask: Ask, wait_ready: Any) -> None:
    (row,) = shipped(world, ask, wait_ready)
    assert "variant" not in row
    assert world.variants == {"1": "native"}
    assert 'tenure_onnx_versions{model="flight_late"} 0.0' in world.metrics


def test_a_refused_variant_is_told_once_a_load(by_onnx: Any, ask: Ask, wait_ready: Any) -> None:
    by_onnx.note = "flipped byte."
    (row,) = shipped(by_onnx, ask, wait_ready)
    assert "variant" not in row
    assert by_onnx.variants == {"1": "native"}
    assert by_onnx.source.refusals == ["variant_refused flight_late@1: flipped byte."]


def test_the_copy_of_the_onnx_file_stays_as_long_as_its_version(world: Any, gateway: Any) -> None:
    row = world.source.catalog.versions[11]
    row["facts"]["onnx"] = {"verdict": "passed", "digest": "d" * 64}
    gateway.follower.poll()
    assert world.loader.kept == {f"{1:064}", "d" * 64}


def broken(_rows: Any) -> list[float]:
    raise RuntimeError


def test_the_rule_is_no_variant(by_onnx: Any, ask: Ask, wait_ready: Any) -> None:
    by_onnx.loader.models[11] = broken
    (row,) = shipped(by_onnx, ask, wait_ready)
    assert row["arm_answered"] == "rule"
    assert "variant" not in row


def record(number: int, variant: str | None) -> DecisionRecord:
    return DecisionRecord(
        model="m",
        version=1,
        version_id=11,
        request_id=f"r{number}",
        subject="p",
        arm_assigned="champion",
        arm_answered="champion" if variant else "rule",
        generation=1,
        share_bp=0,
        received_at=0,
        event_time=0,
        fallback_level="model" if variant else "rule",
        reason="",
        latency_ms=1.0,
        decision_ids=[f"d{number}"],
        scores=[0.5],
        decisions=[True],
        confidences=[0.5],
        variant=variant,
    )


@pytest.mark.parametrize("variant", ["native", "onnx", None])
def test_a_record_comes_back(variant: str | None) -> None:
    assert decode_decision(encode(record(1, variant))).variant == variant


def test_a_record_from_before_there_was_a_choice_is_native() -> None:
    old = msgspec.msgpack.decode(encode(record(1, "onnx")))
    del old["variant"]
    assert decode_decision(msgspec.msgpack.encode(old)).variant == "native"


def parquet(path: Path, *variants: str | None) -> Path:
    table = decision_table([record(number, one) for number, one in enumerate(variants)])
    path.write_bytes(decisions_to_parquet(table.columns, numeric=[], categorical=[]))
    return path


def test_files_with_and_without_it_become_one(tmp_path: Path) -> None:
    old = parquet(tmp_path / "old.parquet", "native", None)
    new = parquet(tmp_path / "new.parquet", "native", "onnx", None)
    assert "variant" not in pq.read_schema(old).names
    assert pq.read_schema(new).field("variant").type == pa.string()
    for paths, expected in (
        ([old, new], [None, None, "native", "onnx", None]),
        ([new, old], ["native", "onnx", None, None, None]),
    ):
        target = tmp_path / "merged.parquet"
        assert segment_files.merge(paths, target) == 5
        assert pq.read_table(target)["variant"].to_pylist() == expected
