"""Batches that are too large, rules that never end, files that change: refused in words."""

import itertools
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.adapters.local_store import LocalStore
from tenure.errors import DataRejected, ServiceUnreachable
from tenure.ports import missing_object
from tenure.usecases.data import judge_file

STRICT = {
    "type": "expect_column_max_to_be_between",
    "kwargs": {"column": "x", "max_value": 10},
    "severity": "critical",
}


def large(gate: Any, rows: int) -> str:
    """A file of a few kilobytes that holds so many rows."""
    path = gate.store / "landing/tiny/a.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    one = {"id": ["a"], "at": pa.array([0], pa.timestamp("us", "UTC")), "x": [1.0]}
    schema = pa.table(one).schema
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        many = pa.table({name: pa.repeat(pa.table(one)[name][0], rows) for name in one})
        writer.write_table(many.cast(schema))
    return "landing/tiny/a.parquet"


def test_a_batch_that_claims_too_much_is_refused_with_the_numbers(gate: Any) -> None:
    key = large(gate, 2_500_000)
    assert (gate.store / key).stat().st_size < 100_000

    with pytest.raises(DataRejected) as error:
        gate.service.ingest(key, gate.run)

    assert error.value.what == (
        "tiny batch a: the contract is broken; the file: found 60,000,000 bytes (decompressed); "
        "source.memory_mb allows 53,687,091, expected a parquet file."
    )
    assert gate.service.discover() == []
    assert gate.keys("snapshots/") == []


def test_a_file_larger_than_the_memory_is_not_even_copied(gate: Any) -> None:
    key = gate.drop([1.0])
    os.truncate(gate.store / key, 1024**3 + 1)

    assert gate.service.discover() == [key]
    with pytest.raises(DataRejected) as error:
        gate.service.ingest(key, gate.run)

    assert error.value.what == (
        "tiny batch a: the contract is broken; the file: found 1,073,741,825 bytes, expected at "
        "most 1,024 MiB (split the file, or raise source.memory_mb)."
    )
    assert gate.keys("quarantine/") == []
    assert "lies in" not in error.value.still_safe
    assert gate.service.discover() == []
    os.utime(gate.store / key, (0, 0))
    assert gate.service.discover() == [key]
    gate.drop([1.0])
    assert gate.service.ingest(key, gate.run).rows_ok == 1


@pytest.mark.parametrize(("extra", "read"), [(0, True), (1, False)])
def test_the_bound_of_the_size(gate: Any, tmp_path: Path, extra: int, read: bool) -> None:
    key = gate.drop([1.0])
    os.truncate(gate.store / key, 1024**3 + extra)

    class Counting(LocalStore):
        read = False

        def fetch(self, key: str, digest: str | None = None) -> Path:
            Counting.read = True
            raise missing_object(key)

    from dataclasses import replace

    service = replace(gate.service, store=Counting(gate.store))
    service.discover()
    assert Counting.read is read


def test_judging_that_needs_too_much_memory(gate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    key = gate.drop([1.0])
    monkeypatch.setattr(judge_file, "read_landed", lambda *_: bytearray(2 * 1024**3))

    with pytest.raises(DataRejected, match=r"found more than 1,024 MiB of memory needed"):
        gate.service.ingest(key, gate.run)

    assert gate.service.discover() == []


def test_judging_that_never_ends(gate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    key = gate.drop([1.0])
    monkeypatch.setattr(judge_file, "CPU_SECONDS", 1)
    monkeypatch.setattr(judge_file, "read_landed", lambda *_: sum(0 for _ in itertools.count()))

    with pytest.raises(DataRejected) as error:
        gate.service.ingest(key, gate.run)

    assert error.value.what == (
        "tiny batch a: the contract is broken; the file: found more than 1 s of processor time "
        "needed to judge it, expected at most 1 s (split the file)."
    )
    assert gate.service.discover() == []


def test_a_regular_expression_that_would_never_end(
    gate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T29: 2^60 steps for an engine that goes back, one pass for ours."""
    monkeypatch.setattr(judge_file, "CPU_SECONDS", 60)
    gate.expect(
        {
            "type": "expect_column_values_to_match_regex",
            "kwargs": {"column": "id", "regex": r"^([a-z]+)+\Z"},
            "severity": "critical",
        }
    )
    key = gate.drop([1.0])
    table = pq.read_table(gate.store / key)
    position = table.column_names.index("id")
    hostile = table.set_column(position, "id", pa.array(["a" * 60 + "!"]))
    pq.write_table(hostile, gate.store / key)

    with pytest.raises(DataRejected, match="1 of 2 expectations failed; id has 1 of 1 values"):
        gate.service.ingest(key, gate.run)


class TestChangedFiles:
    """A new file under an old name is judged, and says what it replaces."""

    def test_after_a_refused_one(self, gate: Any) -> None:
        key = gate.drop([99.0])
        with pytest.raises(DataRejected):
            gate.service.ingest(key, gate.run)

        gate.drop([1.0])
        done = gate.service.ingest(key, gate.run)

        (row,) = gate.rows(f"SELECT summary, body FROM report WHERE digest = '{done.report}'")
        assert row["summary"].endswith(
            "published, 0 not. A changed file: the one before it under this name was refused."
        )
        assert row["body"]["facts"]["replaces"]["verdict"] == "failed"

    def test_after_a_published_one(self, gate: Any) -> None:
        key = gate.drop([1.0])
        first = gate.service.ingest(key, gate.run)
        gate.drop([99.0])

        with pytest.raises(DataRejected) as error:
            gate.service.ingest(key, gate.run)

        assert error.value.what.endswith(
            "A changed file: the one before it under this name was published as snapshot "
            f"{first.snapshot[:12]}."
        )
        assert error.value.still_safe.startswith(
            f"Nothing of this batch was published; snapshot {first.snapshot[:12]} of batch a stays "
            "the newest. Models in service and other batches are not affected."
        )
        (row,) = gate.rows("SELECT digest FROM snapshot")
        assert row["digest"] == first.snapshot

    def test_the_same_file_again_replaces_nothing(self, gate: Any) -> None:
        key = gate.drop([1.0])
        first = gate.service.ingest(key, gate.run)
        gate.drop([1.0], "b.parquet")
        assert gate.service.discover() == []
        assert gate.service.ingest("landing/tiny/b.parquet", gate.run) == first
        assert len(gate.rows("SELECT * FROM validation")) == 1

    def test_a_repair_that_is_taken_back(self, gate: Any) -> None:
        """What lies in the landing zone now is what is in force, whatever lay there meanwhile."""
        key = gate.drop([1.0])
        first = gate.service.ingest(key, gate.run)
        gate.drop([1.0, 2.0])
        second = gate.service.ingest(key, gate.run)
        assert gate.in_force() == {"a": second.snapshot}

        gate.drop([1.0])
        assert gate.service.discover() == [key]
        third = gate.service.ingest(key, gate.run)

        assert third.snapshot == first.snapshot
        assert gate.in_force() == {"a": first.snapshot}
        assert len(gate.rows("SELECT * FROM snapshot")) == 2
        assert gate.service.discover() == []
        assert gate.service.ingest(key, gate.run) == third
        events = gate.rows("SELECT body FROM ledger_event WHERE subject = 'dataset:tiny'")
        replaced = [event["body"]["replaces"] and event["body"]["replaces"]["snapshot"]
                    for event in events]  # fmt: skip
        assert replaced == [None, first.snapshot, second.snapshot]

    def test_a_rule_that_is_taken_back(self, gate: Any) -> None:
        key = gate.drop([1.0, 20.0])
        first = gate.service.ingest(key, gate.run)
        gate.expect(STRICT)
        assert gate.service.discover() == [key]
        with pytest.raises(DataRejected):
            gate.service.ingest(key, gate.run)

        gate.expect()

        assert gate.service.discover() == [key]
        assert gate.service.ingest(key, gate.run) == first
        verdicts = gate.rows("SELECT verdict FROM validation ORDER BY id")
        assert [row["verdict"] for row in verdicts] == ["passed", "failed", "passed"]
        assert gate.service.discover() == []

    def test_a_file_under_a_wrong_name(self, gate: Any) -> None:
        """April was dropped as March; then both come under their own names."""
        march = gate.drop([1.0], "march.parquet")
        april = gate.service.ingest(march, gate.run)
        gate.drop([1.0], "april.parquet")
        assert gate.service.discover() == []

        gate.drop([1.0, 2.0], "march.parquet")
        assert gate.service.discover() == [march]
        right = gate.service.ingest(march, gate.run)
        assert gate.service.discover() == ["landing/tiny/april.parquet"]
        gate.service.ingest("landing/tiny/april.parquet", gate.run)

        assert gate.in_force() == {"march": right.snapshot, "april": april.snapshot}
        assert gate.service.discover() == []

    def test_a_file_that_changes_while_it_is_copied_waits(self, gate: Any) -> None:
        """F48."""
        from dataclasses import replace

        key = gate.drop([1.0])

        class Busy(LocalStore):
            def fetch(self, key: str, digest: str | None = None) -> Path:
                path = super().fetch(key, digest)
                with path.open("ab") as stream:
                    stream.write(b"more")
                return path

        service = replace(gate.service, store=Busy(gate.store))
        assert service.discover() == []
        with pytest.raises(ServiceUnreachable, match=re.escape(f"{key} changed while it was")):
            service.ingest(key, gate.run)
        assert gate.rows("SELECT * FROM validation") == []


def test_ten_batches_wait_for_one_run_and_one_that_fails_stops_no_other(gate: Any) -> None:
    keys = [gate.drop([99.0 if n == 4 else float(n)], f"2026-{n:02d}.parquet") for n in range(10)]
    service = gate.service
    assert service.discover() == keys

    for key in reversed(keys):
        if key.endswith("04.parquet"):
            with pytest.raises(DataRejected, match="2026-04"):
                service.ingest(key, gate.run)
        else:
            service.ingest(key, gate.run)

    assert service.discover() == []
    assert len(gate.rows("SELECT * FROM snapshot")) == 9
    counted = gate.rows("SELECT rows_in, rows_ok + rows_quarantined AS known FROM validation")
    assert all(row["rows_in"] == row["known"] for row in counted)


def test_what_killed_runs_left_is_removed_after_a_day(gate: Any) -> None:
    work = gate.store.parent / "cache/work"
    for name, age in (("old", 2 * 86400), ("young", 3600)):
        (work / name).mkdir(parents=True)
        (work / name / "source").write_bytes(b"x")
        now = gate.platform.clock.now().timestamp()
        os.utime(work / name, (now - age, now - age))

    gate.service.ingest(gate.drop([1.0]), gate.run)

    assert [path.name for path in work.iterdir()] == ["young"]
