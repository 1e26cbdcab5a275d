"""Segments reach the store once, in order, whenever the process dies."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.adapters.decision_tables import decisions_to_parquet
from tenure.errors import ConfigInvalid, NotPermitted, ServiceUnreachable, StateConflict
from tenure.gateway.log import wal
from tenure.gateway.log.records import (
    DecisionDelivery,
    DecisionRecord,
    OutcomeDelivery,
    OutcomeRecord,
    Table,
    decision_table,
    encode,
)
from tenure.gateway.log.shipper import ASIDE_SECONDS, TRIES, Shipper
from tenure.lifecycle.decisions.decision_log import Trouble, micros, moment

NOON = datetime(2026, 5, 1, 12, 59, 59, 999_999, tzinfo=UTC)


def decision(number: int, **changes: Any) -> DecisionRecord:
    values: dict[str, Any] = {
        "model": "m",
        "version": 1,
        "version_id": 11,
        "request_id": f"r{number}",
        "subject": "p",
        "arm_assigned": "champion",
        "arm_answered": "champion",
        "generation": 1,
        "share_bp": 0,
        "received_at": micros(NOON),
        "event_time": micros(NOON),
        "fallback_level": "model",
        "reason": "",
        "latency_ms": 1.0,
        "decision_ids": [f"d{number}"],
        "scores": [0.5],
        "decisions": [True],
        "confidences": [0.5],
        "numeric": {"hour": [9.0]},
        "categorical": {"carrier": ["AA"]},
    }
    return DecisionRecord(**{**values, **changes})


def outcome(watermark: datetime | None, labels: int = 1) -> OutcomeRecord:
    return OutcomeRecord(
        model="m",
        received_at=micros(NOON),
        outcome_ids=[f"o{n}" for n in range(labels)],
        decision_ids=["d1"] * labels,
        request_ids=[None] * labels,
        labels=[True] * labels,
        observed_at=[micros(NOON)] * labels,
        watermark=None if watermark is None else micros(watermark),
    )


def write(folder: Path, name: str, records: Sequence[Any], tail: bytes = b"") -> Path:
    path = folder / f"{name}.wal"
    frames = b"".join(wal.frame(encode(record)) for record in records)
    path.write_bytes(wal.MAGIC + frames + tail)
    return path


class Store:
    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.fail_on: str | None = None

    def put(self, key: str, data: Any) -> str:
        if self.fail_on is not None and self.fail_on in key:
            raise OSError("store is down")
        self.objects[key] = data
        return key


@pytest.fixture
def store() -> Store:
    return Store()


def decisions_to(store: Store) -> DecisionDelivery:
    return DecisionDelivery(store, "gw", lambda table: table)  # type: ignore[arg-type,return-value]


def test_micros_are_exact() -> None:
    assert moment(micros(NOON)) == NOON
    before = datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC)
    assert moment(micros(before)) == before


def test_key_names_model_hour_gateway_and_segment(tmp_path: Path, store: Store) -> None:
    later = micros(NOON) + 1
    path = write(tmp_path, "000000001-a", [decision(1), decision(2, received_at=later)])
    assert Shipper(tmp_path, decisions_to(store)).ship_all()
    assert sorted(store.objects) == [
        "decisions/model=m/date=2026-05-01/hour=12/gw-000000001-a.parquet",
        "decisions/model=m/date=2026-05-01/hour=13/gw-000000001-a.parquet",
    ]
    assert not path.exists()


def test_again_after_a_kill_before_the_delete(tmp_path: Path, store: Store) -> None:
    path = write(tmp_path, "000000001-a", [decision(1), decision(2)])
    left = path.read_bytes()
    shipper = Shipper(tmp_path, decisions_to(store))
    shipper.ship_all()
    first = dict(store.objects)
    path.write_bytes(left)
    shipper.ship_all()
    assert store.objects == first


def test_order_is_kept_when_the_store_fails(tmp_path: Path, store: Store) -> None:
    write(tmp_path, "000000001-a", [decision(1)])
    write(tmp_path, "000000002-b", [decision(2)])
    shipper = Shipper(tmp_path, decisions_to(store))
    store.fail_on = "000000001"
    assert not shipper.ship_all()
    assert store.objects == {}
    assert shipper.waiting == 2
    store.fail_on = None
    assert shipper.ship_all()
    assert len(store.objects) == 2


def test_damaged_segment_ships_its_good_part_and_is_kept(tmp_path: Path, store: Store) -> None:
    write(tmp_path, "000000001-a", [decision(1)], tail=b"\x01" * 30)
    write(tmp_path, "000000002-b", [decision(2)])
    assert Shipper(tmp_path, decisions_to(store)).ship_all()
    assert len(store.objects) == 2
    assert (tmp_path / "damaged" / "000000001-a.wal").exists()


def test_thread_ships_what_was_left_and_ends(tmp_path: Path, store: Store) -> None:
    write(tmp_path, "000000001-a", [decision(1)])
    shipper = Shipper(tmp_path, decisions_to(store))
    shipper.start()
    shipper.close()
    assert len(store.objects) == 1


def test_table_of_versions_with_other_features() -> None:
    table = decision_table(
        [
            decision(1),
            decision(
                2,
                decision_ids=["d2", "d3"],
                scores=[0.1, 0.2],
                decisions=[False, False],
                confidences=[0.9, 0.8],
                numeric={"temp": [1.0, None]},
                categorical={},
            ),
        ]
    )
    assert table.columns["decision_id"] == ["d1", "d2", "d3"]
    assert table.columns["request_id"] == ["r1", "r2", "r2"]
    assert table.columns["f_hour"] == [9.0, None, None]
    assert table.columns["f_temp"] == [None, 1.0, None]
    assert table.columns["f_carrier"] == ["AA", None, None]
    assert (table.numeric, table.categorical) == (["hour", "temp"], ["carrier"])


def test_watermark_moves_after_the_outcomes_are_stored(tmp_path: Path, store: Store) -> None:
    seen: list[tuple[str, int]] = []
    write(tmp_path, "000000001-a", [outcome(NOON), outcome(None)])
    delivery = OutcomeDelivery(
        store,  # type: ignore[arg-type]
        "gw",
        lambda table: table,  # type: ignore[arg-type,return-value]
        lambda model, reached: seen.append((f"{model} {reached}", len(store.objects))),
    )
    shipper = Shipper(tmp_path, delivery)
    store.fail_on = "outcomes"
    assert not shipper.ship_all()
    assert seen == []
    store.fail_on = None
    assert shipper.ship_all()
    assert seen == [(f"m {NOON}", 1)]


def test_segment_waits_when_the_watermark_cannot_be_moved(tmp_path: Path, store: Store) -> None:
    write(tmp_path, "000000001-a", [outcome(NOON, labels=0)])

    def down(_model: str, _reached: datetime) -> None:
        raise OSError("database is down")

    delivery = OutcomeDelivery(store, "gw", lambda table: table, down)  # type: ignore[arg-type,return-value]
    shipper = Shipper(tmp_path, delivery)
    assert not shipper.ship_all()
    assert shipper.waiting == 1
    assert store.objects == {}


def test_a_feature_that_changed_its_kind_does_not_block_the_log(
    tmp_path: Path, store: Store
) -> None:
    """One segment may hold the last request of the old champion and the first of the new one."""
    new = {"numeric": {}, "categorical": {"hour": ["9"]}}
    write(tmp_path, "000000001-a", [decision(1), decision(2, version=2, **new), decision(3)])
    to_parquet = decision_parquet
    delivery = DecisionDelivery(store, "gw", to_parquet)  # type: ignore[arg-type]
    assert Shipper(tmp_path, delivery).ship_all()
    rows = [row for data in store.objects.values() for row in read_parquet(data)]
    hours = {row["decision_id"]: row["f_hour"] for row in rows}
    assert hours == {"d1": 9.0, "d2": "9", "d3": 9.0}


def decision_parquet(table: Table) -> bytes:
    return decisions_to_parquet(table.columns, numeric=table.numeric, categorical=table.categorical)


def read_parquet(data: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(pa.BufferReader(data)).to_pylist()
    return rows


def test_what_was_set_aside_is_reported_until_somebody_hears_it(
    tmp_path: Path, store: Store
) -> None:
    write(tmp_path, "000000001-a", [decision(1)], tail=b"\x01" * 30)
    told: list[dict[str, tuple[str, ...]]] = []
    down = [True]
    empty: list[int] = []

    def alarm(log: str, troubles: Mapping[str, Trouble]) -> None:
        assert log == tmp_path.name
        if down.pop() if down else False:
            raise OSError("database is down")
        told.append({kind: one.segments for kind, one in troubles.items()})

    shipper = Shipper(tmp_path, decisions_to(store), alarm=alarm, on_empty=lambda: empty.append(1))
    for _ in range(3):
        shipper._look_around(shipper.ship_all())
    damaged = ("000000001-a.wal",)
    assert told == [{"log_damaged": damaged, "log_unshippable": (), "log_waiting": ()}]
    assert empty == []
    (tmp_path / "damaged" / "000000001-a.wal").unlink()
    shipper._look_around(shipper.ship_all())
    assert told[1:] == [{"log_damaged": ()}]
    assert empty == [1]


def test_what_is_sealed_while_it_ships_is_shipped_before_it_ends(
    tmp_path: Path, store: Store
) -> None:
    """SIGTERM in the middle of a delivery, as the last segment is sealed."""
    deliver = decisions_to(store)

    def slow(segment: str, payloads: Sequence[bytes], *, after_gap: bool = False) -> None:
        deliver(segment, payloads)
        if segment.endswith("a"):
            write(tmp_path, "000000002-b", [decision(2)])
            shipper._stopping = True

    shipper = Shipper(tmp_path, slow)
    write(tmp_path, "000000001-a", [decision(1)])
    shipper.start()
    shipper._thread.join(0.5)
    shipper.close()
    assert len(store.objects) == 2


def test_what_a_person_must_look_at_is_queued_after_it_is_stored() -> None:
    queued: list[dict[str, Any]] = []
    store = Store()

    def enqueue(rows: list[dict[str, Any]]) -> None:
        assert store.objects, "queued before the decision itself was stored"
        queued.extend(rows)

    delivery = DecisionDelivery(
        store,  # type: ignore[arg-type]
        "gw",
        lambda table: table,  # type: ignore[arg-type,return-value]
        None,
        enqueue,
    )
    sure = decision(1)
    unsure = decision(
        2,
        decision_ids=["d2", "d3"],
        scores=[0.9, 0.51],
        decisions=[True, True],
        confidences=[0.9, 0.51],
        review=[False, True],
    )
    nobody = decision(4, fallback_level="review", reason="champion: timeout", review=[True])
    delivery("1", [encode(record) for record in (sure, unsure, nobody)])
    assert [(row["decision_id"], row["reason"]) for row in queued] == [
        ("d3", "low confidence"),
        ("d4", "champion: timeout"),
    ]
    assert {row["received_at"] for row in queued} == {NOON}


class Guarded:
    """A delivery that refuses some segments, and tells what was told of the others."""

    def __init__(self, store: Store, error: Exception) -> None:
        self.deliver, self.error = decisions_to(store), error
        self.refused = {"000000002-b"}
        self.tries: list[str] = []

    def __call__(self, segment: str, payloads: Sequence[bytes], *, after_gap: bool = False) -> None:
        self.tries.append(segment.partition("-")[2])
        if segment in self.refused:
            raise self.error
        self.deliver(segment, payloads, after_gap=after_gap)


class Told:
    """What somebody was told, and the seconds that pass."""

    def __init__(self) -> None:
        self.log: list[dict[str, tuple[tuple[str, ...], str]]] = []
        self.now = 0.0

    def __call__(self, _log: str, troubles: Mapping[str, Trouble]) -> None:
        self.log.append({kind: (one.segments, one.cause) for kind, one in troubles.items()})

    def monotonic(self) -> float:
        return self.now


POISON = [
    OverflowError("date value out of range"),
    StateConflict("no such model", still_safe="x", next_step="y"),
    ValueError("a NUL byte"),
    MemoryError(),
]


@pytest.mark.parametrize("error", POISON, ids=lambda error: type(error).__name__)
def test_a_segment_that_cannot_be_stored_holds_up_no_other_and_is_not_lost(
    tmp_path: Path, store: Store, error: Exception
) -> None:
    for number, name in enumerate("abc", 1):
        write(tmp_path, f"00000000{number}-{name}", [decision(number)])
    left = (tmp_path / "000000002-b.wal").read_bytes()
    deliver, told, empty = Guarded(store, error), Told(), []
    shipper = Shipper(
        tmp_path, deliver, alarm=told, on_empty=lambda: empty.append(1), monotonic=told.monotonic
    )

    def look() -> None:
        shipper._look_around(shipper.ship_all())

    look()
    assert (len(store.objects), shipper.waiting) == (2, 1)
    for _ in range(TRIES - 2):
        look()
    assert (shipper.waiting, shipper.aside["unshippable"], told.log[1:]) == (1, 0, [])
    look()
    aside = tmp_path / "unshippable" / "000000002-b.wal"
    assert aside.read_bytes() == left
    assert (shipper.waiting, shipper.aside["unshippable"]) == (0, 1)
    cause = f"000000002-b.wal: {type(error).__name__}: {error}".splitlines()[0]
    assert told.log[1:] == [{"log_unshippable": (("000000002-b.wal",), cause)}]
    write(tmp_path, "000000004-d", [decision(4)])
    look()
    assert (len(store.objects), deliver.tries.count("b")) == (3, TRIES)
    assert empty == []
    told.now = ASIDE_SECONDS - 0.1
    look()
    assert deliver.tries.count("b") == TRIES
    told.now = ASIDE_SECONDS
    look()
    assert (deliver.tries.count("b"), shipper.waiting) == (TRIES + 1, 0)
    assert told.log[2:] == [{"log_unshippable": (("000000002-b.wal",), cause)}]
    deliver.refused.clear()
    told.now = 2 * ASIDE_SECONDS
    look()
    assert sorted(row for one in store.objects.values() for row in one.columns["decision_id"]) == [
        f"d{number}" for number in range(1, 5)
    ]
    assert told.log[3:] == [{"log_unshippable": ((), cause)}]
    assert not aside.exists()
    assert empty == [1]


def test_another_start_tries_at_once_what_was_put_aside(tmp_path: Path, store: Store) -> None:
    (tmp_path / "unshippable").mkdir()
    write(tmp_path / "unshippable", "000000002-b", [decision(2)])
    assert wal.next_number(tmp_path) == 3
    write(tmp_path, "000000003-c", [decision(3)])
    assert Shipper(tmp_path, decisions_to(store)).ship_all()
    assert [key[-9:-8] for key in store.objects] == ["b", "c"]


ALL_WAIT = [
    ServiceUnreachable("the store is away", still_safe="x", next_step="y"),
    NotPermitted("the bucket is not ours", still_safe="x", next_step="y"),
    ConfigInvalid("another master key", still_safe="x", next_step="y"),
    OSError(28, "No space left on device"),
]


@pytest.mark.parametrize("error", ALL_WAIT, ids=lambda error: type(error).__name__)
def test_what_every_segment_would_meet_puts_none_aside_and_is_reported(
    tmp_path: Path, store: Store, error: Exception
) -> None:
    for number, name in enumerate("abc", 1):
        write(tmp_path, f"00000000{number}-{name}", [decision(number)])
    deliver, told = Guarded(store, error), Told()
    shipper = Shipper(tmp_path, deliver, alarm=told, monotonic=told.monotonic)
    for _ in range(TRIES - 1):
        shipper._look_around(shipper.ship_all())
    assert len(told.log) == 1
    for _ in range(TRIES):
        shipper._look_around(shipper.ship_all())
    assert deliver.tries == ["a", *"b" * (2 * TRIES - 1)]
    cause = f"{type(error).__name__}: {error}".splitlines()[0]
    assert told.log[1:] == [{"log_waiting": (("000000002-b.wal",), cause)}]
    deliver.refused.clear()
    shipper._look_around(shipper.ship_all())
    assert (len(store.objects), shipper.waiting) == (3, 0)
    assert told.log[2:] == [{"log_waiting": ((), cause)}]


def test_a_file_that_the_disk_does_not_give_back_holds_up_no_other(
    tmp_path: Path, store: Store
) -> None:
    (tmp_path / "000000001-a.wal").mkdir()  # reading it is an OSError, renaming it is not
    write(tmp_path, "000000002-b", [decision(2)])
    shipper = Shipper(tmp_path, decisions_to(store))
    assert not shipper.ship_all()
    assert len(store.objects) == 1
    for _ in range(TRIES - 1):
        shipper.ship_all()
    assert (shipper.waiting, shipper.aside["unshippable"]) == (0, 1)


def test_no_watermark_passes_outcomes_that_are_not_stored(tmp_path: Path, store: Store) -> None:
    """What waits for older outcomes waits beside them, is stored, and goes after them."""
    early, late = NOON.replace(hour=1), NOON.replace(hour=2)
    write(tmp_path, "000000001-a", [outcome(early)])
    write(tmp_path, "000000002-b", [outcome(late)])
    write(tmp_path, "000000003-c", [outcome(None)])
    moved: list[datetime] = []
    told = Told()
    deliver = OutcomeDelivery(
        store,  # type: ignore[arg-type]
        "gw",
        lambda table: table,  # type: ignore[arg-type,return-value]
        lambda _model, reached: moved.append(reached),
    )
    broken, tries = [True], list[str]()

    def poisoned(segment: str, payloads: Sequence[bytes], *, after_gap: bool = False) -> None:
        tries.append(segment[-1])
        if segment == "000000001-a" and broken:
            raise ValueError("poison")
        deliver(segment, payloads, after_gap=after_gap)

    shipper = Shipper(tmp_path, poisoned, alarm=told, monotonic=told.monotonic)
    for _ in range(TRIES):
        shipper._look_around(shipper.ship_all())
    assert [path.name for path in wal.unshippable(tmp_path)] == [
        "000000001-a.wal",
        "000000002-b.wal",
    ]
    assert told.log[-1]["log_unshippable"][1] == "000000001-a.wal: ValueError: poison"
    assert sorted(key[-9:-8] for key in store.objects) == ["b", "c"]
    told.now = ASIDE_SECONDS
    assert shipper.ship_all()
    assert (moved, shipper.aside["unshippable"]) == ([], 2)
    assert tries == [*"abcabababab", "a"]  # b is not tried again before a is stored
    again = Shipper(tmp_path, poisoned, alarm=told, monotonic=told.monotonic)
    for _ in range(2):
        again._look_around(again.ship_all())
        told.now += ASIDE_SECONDS
    assert tries[12:] == [*"ab", "a"]  # nor by another start more than once
    assert told.log[-1]["log_unshippable"][0] == ("000000001-a.wal",)  # b is not the trouble
    told.now -= ASIDE_SECONDS
    broken.clear()
    told.now = 2 * ASIDE_SECONDS
    assert shipper.ship_all()
    assert moved == [early, late]
    assert (len(store.objects), shipper.aside["unshippable"]) == (3, 0)


def test_many_bad_segments_are_put_aside_together(tmp_path: Path, store: Store) -> None:
    for number, name in enumerate("abcd", 1):
        write(tmp_path, f"00000000{number}-{name}", [decision(number)])
    deliver = Guarded(store, ValueError("poison"))
    deliver.refused = {"000000001-a", "000000002-b", "000000004-d"}
    shipper = Shipper(tmp_path, deliver)
    for _ in range(TRIES):
        shipper.ship_all()
    assert (len(store.objects), shipper.waiting, shipper.aside["unshippable"]) == (1, 0, 3)


def test_a_watermark_waits_no_longer_than_what_it_waits_for(tmp_path: Path, store: Store) -> None:
    write(tmp_path, "000000001-a", [outcome(None)])
    write(tmp_path, "000000002-b", [outcome(NOON)])
    moved: list[datetime] = []
    broken = [ValueError("once")]
    deliver = OutcomeDelivery(
        store,  # type: ignore[arg-type]
        "gw",
        lambda table: table,  # type: ignore[arg-type,return-value]
        lambda _model, reached: moved.append(reached),
    )

    def once(segment: str, payloads: Sequence[bytes], *, after_gap: bool = False) -> None:
        if broken:
            raise broken.pop()
        deliver(segment, payloads, after_gap=after_gap)

    shipper = Shipper(tmp_path, once, monotonic=lambda: 0.0)
    assert not shipper.ship_all()
    assert (moved, shipper.waiting) == ([], 2)
    assert shipper.ship_all()
    assert moved == [NOON]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("odd name")])
def test_a_folder_that_cannot_be_listed_does_not_end_the_thread(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    listed = wal.sealed_segments
    calls = []

    def explode(folder: Path) -> list[Path]:
        calls.append(folder)
        if len(calls) <= 2:
            raise error
        return listed(folder)

    write(tmp_path, "0001", [decision(1)])
    shipper = Shipper(tmp_path, DecisionDelivery(store, "gw", lambda table: table))
    monkeypatch.setattr(wal, "sealed_segments", explode)
    shipper.start()
    shipper.close()
    assert len(calls) > 2
    assert len(store.objects) == 1
