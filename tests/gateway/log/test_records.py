"""What scored is known of each decision: in the log, in tables old and new, and from outside."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient
from version_rows import onnx

from tenure.adapters import segment_files
from tenure.adapters.decision_tables import decisions_to_parquet
from tenure.gateway.app import create_app
from tenure.gateway.follow import worker
from tenure.gateway.log.records import (
    DecisionDelivery,
    DecisionRecord,
    OutcomeDelivery,
    OutcomeRecord,
    decision_table,
    decode_decision,
    encode,
)
from tenure.gateway.log.shipper import DeliveryHeldBack
from tenure.installation.provenance import environment
from tenure.lifecycle.model_version import VersionRecord
from tenure.lifecycle.serving import ServingPolicy

INFER = "/v2/models/flight_late/infer"
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def by_onnx(world: Any) -> Any:
    """A world whose model processes score by ONNX, or say why they do not."""
    load, world.note = world.loader.load, ""

    def variant(row: Mapping[str, Any], *, distrust: str) -> Any:
        model = load(row)
        model.note = distrust or world.note
        model.variant = "native" if model.note else "onnx"
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


def test_a_refused_variant_is_reported_once_a_load(by_onnx: Any, ask: Ask, wait_ready: Any) -> None:
    by_onnx.note = "flipped byte."
    (row,) = shipped(by_onnx, ask, wait_ready)
    assert "variant" not in row
    assert by_onnx.variants == {"1": "native"}
    assert by_onnx.source.refusals == ["variant_refused flight_late@1: flipped byte."]


def test_other_libraries_than_in_training_are_named_once_a_load(
    world: Any, ask: Ask, wait_ready: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = environment()
    older = replace(here, packages={**here.packages, "scikit-learn": "1.0.0"})
    monkeypatch.setattr(worker, "environment", lambda: older)
    assert len(shipped(world, ask, wait_ready)) == 1
    (said,) = world.source.refusals
    assert said.startswith("other_libraries flight_late@1: scikit-learn ")
    assert said.endswith(", here 1.0.0")


CRASHED = "variant_refused flight_late@1: its process ended while it scored by ONNX."


def with_onnx(world: Any, digest: str = "d" * 64) -> VersionRecord:
    """Version 1 states such a file from now on."""
    rows: dict[int, VersionRecord] = world.source.catalog.versions
    rows[11] = replace(rows[11], facts_json={**rows[11].facts_json, "onnx": onnx(digest)})
    return rows[11]


@pytest.fixture
def polled(by_onnx: Any) -> Iterator[Any]:
    """The gateway of that world, polled by hand; `variant` is what scores version 1 now."""
    made = by_onnx.gateway()
    by_onnx.variant = lambda: made.follower.view.models["flight_late"].champion.variant
    by_onnx.poll = made.follower.poll
    by_onnx.workers = made.follower._workers
    by_onnx.row = by_onnx.source.catalog.versions[11]
    by_onnx.row = with_onnx(by_onnx)
    made.follower.poll()
    yield by_onnx
    made.close()


def again(world: Any) -> str:
    """What scores after a poll that sees who died, and one that may start a process."""
    world.poll()
    world.clock.seconds += 60
    world.poll()
    return str(world.variant())


def score(world: Any, score: Any = None, timeout_seconds: float = 5.0) -> Any:
    """What comes of a request that is scored so; by what scores now when nothing is said."""
    if score is not None:  # a process that begins scores so
        world.loader.models[11] = score
        world.loader.started[-1].die()
        again(world)
    version = world.workers.version(world.row)

    async def ask() -> Any:
        asked = version.scorer.score([(1.0,)], timeout_seconds=timeout_seconds)
        return (await asyncio.gather(asked, return_exceptions=True))[0]

    return asyncio.run(ask())


def dying(_rows: Any) -> list[float]:
    raise SystemExit  # as a runtime that crashes: without a word


def test_a_process_that_dies_while_onnx_scores_comes_back_native(
    polled: Any, constants: Any
) -> None:
    assert str(score(polled, dying)) == "process ended"
    polled.loader.models[11] = constants(0.8)
    assert again(polled) == "native"
    assert polled.source.refusals[-1] == CRASHED
    assert score(polled) == [0.8]
    assert score(polled, constants(0.7)) == [0.7]  # it died, and is native again
    assert polled.variant() == "native"


def test_it_is_native_also_after_no_plan_named_it_for_a_while(
    polled: Any, constants: Any, plans: Any
) -> None:
    score(polled, dying)
    polled.loader.models[11] = constants(0.8)
    polled.publish(replace(plans(2), champion_id=12))
    polled.poll()
    for _ in range(2):
        polled.clock.seconds += 61
        polled.poll()
    polled.loader.loads.clear()
    polled.publish(plans(3))
    polled.source.catalog.versions[11] = polled.row
    polled.poll()
    assert (polled.variant(), polled.loader.loads) == ("native", [11])


@pytest.mark.parametrize("change", ["another file", "a restart"])
def test_onnx_gets_another_chance_after(polled: Any, constants: Any, change: str) -> None:
    score(polled, dying)
    polled.loader.models[11] = constants(0.8)
    if change == "another file":
        polled.row = with_onnx(polled, "e" * 64)
        assert again(polled) == "onnx"
    else:
        made = polled.gateway()
        made.follower.poll()
        assert made.follower.view.models["flight_late"].champion.variant == "onnx"
        made.close()


@pytest.mark.parametrize("end", ["killed while idle", "hangs", "native"])
def test_what_is_no_crash_of_onnx_changes_nothing(polled: Any, constants: Any, end: str) -> None:
    """Who kills it, or a machine that is too busy, says nothing about the file."""
    if end == "killed while idle":
        polled.loader.started[-1].die()
    elif end == "hangs":
        free = threading.Event()
        hung = score(polled, lambda _rows: free.wait(9) or [0.5], timeout_seconds=0.05)
        assert str(hung) == "timeout"
        free.set()
    else:
        polled.note = "flipped byte."
        score(polled, dying)
        polled.note = ""
    polled.loader.models[11] = constants(0.8)
    assert again(polled) == "onnx"
    assert CRASHED not in polled.source.refusals


def test_the_copy_of_the_onnx_file_stays_as_long_as_its_version(world: Any, gateway: Any) -> None:
    with_onnx(world)
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
        assert segment_files.merge({path.stem: path for path in paths}, target) == 5
        assert pq.read_table(target)["variant"].to_pylist() == expected


class Folder(dict[str, bytes]):
    """A store that refuses what is of one model."""

    bad = ""

    def put(self, key: str, data: bytes) -> str:
        if f"model={self.bad}/" in key:
            raise ValueError(f"no {self.bad}")
        self[key] = data
        return ""


MODELS = ("a", "b", "c")
SEGMENT = "0001-x"


def outcome_of(model: str) -> bytes:
    return encode(
        OutcomeRecord(
            model=model,
            received_at=0,
            outcome_ids=["o"],
            decision_ids=["d"],
            request_ids=[None],
            labels=[True],
            observed_at=[0],
            watermark=1,
            callers=[None],
        )
    )


@pytest.mark.parametrize("after_gap", [False, True])
@pytest.mark.parametrize("where", ["store", "watermark"])
@pytest.mark.parametrize("bad", MODELS)
def test_what_is_wrong_about_one_models_outcomes_holds_up_no_others(
    bad: str, where: str, after_gap: bool
) -> None:
    store, moved = Folder(), []

    def advance(model: str, _: Any) -> None:
        if where == "watermark" and model == bad:
            raise ValueError(f"no {bad}")
        moved.append(model)

    store.bad = bad if where == "store" else ""
    deliver = OutcomeDelivery(store, "g", lambda _: b"", advance)
    payloads = [outcome_of(model) for model in MODELS]
    is_told = where == "store" or not after_gap
    with pytest.raises(ValueError if is_told else DeliveryHeldBack):
        deliver(SEGMENT, payloads, after_gap=after_gap)
    kept = [m for m in MODELS if m != bad]
    assert len(store) == (2 if where == "store" else 3)
    assert moved == ([] if after_gap else kept)
    store.bad, where = "", ""
    deliver(SEGMENT, payloads)  # tried again
    assert len(store) == 3
    assert moved == [*([] if after_gap else kept), *MODELS]


@pytest.mark.parametrize("bad", MODELS)
def test_what_is_wrong_about_one_models_decisions_holds_up_no_others(bad: str) -> None:
    store, queued = Folder(), []

    def enqueue(rows: list[dict[str, Any]]) -> None:
        if rows[0]["model"] == bad:
            raise ValueError(f"no {bad}")
        queued.append(rows[0]["model"])

    payloads = [
        encode(msgspec.structs.replace(record(1, None), model=m, review=[True])) for m in MODELS
    ]
    deliver = DecisionDelivery(store, "g", lambda _: b"", enqueue=enqueue)
    with pytest.raises(ValueError, match=f"no {bad}"):
        deliver(SEGMENT, payloads)
    assert len(store) == 3
    assert queued == [m for m in MODELS if m != bad]
    store.clear()
    store.bad = bad
    with pytest.raises(ValueError, match=f"no {bad}"):
        DecisionDelivery(store, "g", lambda _: b"")(SEGMENT, payloads)
    assert len(store) == 2
