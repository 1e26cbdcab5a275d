"""Killed at every step of an ingestion, then run again: as if nothing had happened."""

import re
import resource
import signal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tenure
from tenure.errors import DataRejected, ServiceUnreachable
from tenure.usecases.audit.ledger import find_breaches
from tenure.usecases.data import judge_file

PLACES = [
    "ingest.pinned",
    "ingest.judged",
    "ingest.quarantined",
    "ingest.kept",
    "ingest.stored",
    "ingest.reported",
    "ingest.manifested",
    "ingest.committing",
    "ingest.committed",
]
COMMITTED = PLACES.index("ingest.committed")


def ingested(gate: Any, key: str) -> Any:
    return lambda service: service.ingest(key, gate.run)


@pytest.mark.parametrize(
    "place",
    [
        place
        if place in {"ingest.stored", "ingest.committing", "ingest.committed"}
        else pytest.param(place, marks=pytest.mark.exhaustive)
        for place in PLACES
    ],
)
def test_killed(gate: Any, place: str) -> None:
    key = gate.drop([1.0, 99.0, 3.0])

    ended = gate.in_child(ingested(gate, key), TENURE_ENV="test", TENURE_FAIL=f"{place}:kill")

    assert ended == -signal.SIGKILL
    known = place == PLACES[COMMITTED]
    assert len(gate.rows("SELECT * FROM validation")) == known
    assert len(gate.rows("SELECT * FROM snapshot")) == known
    assert gate.service.discover() == ([] if known else [key])
    done = gate.service.ingest(key, gate.run)
    assert (done.rows_ok, done.rows_quarantined) == (2, 1)
    assert_stands_once(gate)


def test_terminated(gate: Any) -> None:
    """F64: as killed."""
    key = gate.drop([1.0, 99.0, 3.0])

    orders = {"TENURE_ENV": "test", "TENURE_FAIL": "ingest.manifested:term"}
    assert gate.in_child(ingested(gate, key), **orders) == -signal.SIGTERM

    gate.service.ingest(key, gate.run)
    assert_stands_once(gate)


def test_raised_at_every_step_in_turn(gate: Any) -> None:
    """One task, tried again and again, each time a step further (F35)."""
    key = gate.drop([1.0, 99.0, 3.0])
    for place in PLACES:
        orders = {"TENURE_ENV": "test", "TENURE_FAIL": f"{place}:raise"}
        assert gate.in_child(ingested(gate, key), **orders) == 1

    gate.service.ingest(key, gate.run)
    assert_stands_once(gate)


def test_the_judging_process_is_killed(gate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    key = gate.drop([1.0, 99.0, 3.0])
    monkeypatch.setenv("TENURE_ENV", "test")
    monkeypatch.setenv("TENURE_FAIL", "ingest.read:kill")

    with pytest.raises(ServiceUnreachable, match="judging process was killed"):
        gate.service.ingest(key, gate.run)
    assert gate.rows("SELECT * FROM validation") == []

    monkeypatch.delenv("TENURE_FAIL")
    gate.service.ingest(key, gate.run)
    assert_stands_once(gate)


def test_every_failpoint_is_tried() -> None:
    folder = Path(tenure.__file__).parent / "usecases" / "data"
    found = {
        name
        for stem in ("ingestion", "judge_file", "publication")
        for name in re.findall(r"failpoint\(\"(.+)\"\)", (folder / f"{stem}.py").read_text())
    }
    assert found == {*PLACES, "ingest.read"}


def test_a_reader_that_crashes_fails_the_batch_only(
    gate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    key = gate.drop([1.0])
    monkeypatch.setattr(judge_file, "read_landed", lambda *_: os.abort())

    with pytest.raises(DataRejected, match=r"found bytes that made its reader crash \(SIGABRT\)"):
        gate.service.ingest(key, gate.run)

    assert gate.service.discover() == []
    (kept,) = gate.keys("quarantine/")
    assert kept.endswith(".rejected")


class TestFullDisk:
    """F24: nothing is published and nothing is left; with room again it goes on."""

    @pytest.mark.parametrize("kilobytes", [1, 60], ids=["pinning", "judging"])
    def test_nothing_is_left(self, gate: Any, kilobytes: int) -> None:
        key = crowded(gate)
        sizes = (gate.store / key).stat().st_size
        assert 1_000 < sizes < 60_000
        said = gate.store.parent / "said"

        def act(service: Any) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1000, kilobytes * 1000))
            try:
                service.ingest(key, gate.run)
            except ServiceUnreachable as error:
                said.write_text(error.what)

        assert gate.in_child(act) == 0
        assert (
            said.read_text() == f"{gate.store.parent}/cache/work cannot be written: File too large."
        )
        assert gate.rows("SELECT * FROM validation") == []
        assert gate.keys("snapshots/") == []
        assert list((gate.store.parent / "cache/work").iterdir()) == []
        drafts = gate.store / ".tmp"
        assert not drafts.exists() or list(drafts.iterdir()) == []

        assert gate.service.ingest(key, gate.run).rows_ok == 20_000


def crowded(gate: Any) -> str:
    """A small file whose snapshot is large: the reader's pages are packed better than ours."""
    rows = 20_000
    path = gate.store / "landing/tiny/a.parquet"
    path.parent.mkdir(parents=True)
    table = pa.table(
        {
            "id": [f"{i:05d}{'x' * 20}" for i in range(rows)],
            "at": pa.array(range(rows), pa.timestamp("us", "UTC")),
            "x": pa.array([1.0] * rows),
        }
    )
    pq.write_table(
        table,
        path,
        compression="zstd",
        use_dictionary=["x"],
        column_encoding={"id": "DELTA_BYTE_ARRAY", "at": "DELTA_BINARY_PACKED"},
    )
    return "landing/tiny/a.parquet"


def assert_stands_once(gate: Any) -> None:
    (row,) = gate.rows("SELECT * FROM validation")
    assert (row["rows_in"], row["rows_ok"], row["rows_quarantined"]) == (3, 2, 1)
    (snapshot,) = gate.rows("SELECT * FROM snapshot")
    assert len(gate.rows("SELECT * FROM ledger_event")) == 1
    assert len(gate.rows("SELECT * FROM report")) == 1
    assert len(gate.keys("snapshots/")) == 2
    store = gate.platform.store
    data = store.fetch(f"snapshots/tiny/{snapshot['digest']}/data.parquet", snapshot["digest"])
    (quarantine,) = gate.keys("quarantine/")
    kept = pq.read_table(data).column("id").to_pylist()
    aside = pq.read_table(store.fetch(quarantine)).column("id").to_pylist()
    assert sorted(kept + aside) == ["r0", "r1", "r2"]
    assert [one for one in find_breaches(gate.platform) if one.breaches] == []
    assert gate.service.discover() == []
