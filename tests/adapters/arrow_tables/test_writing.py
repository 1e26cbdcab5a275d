"""Equal content gives equal bytes; quarantine keeps rows as they came."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tenure.adapters.arrow_tables import time_range, write_quarantine, write_snapshot
from tenure.adapters.arrow_tables.peeking import first_rows
from tenure.lifecycle.data.quality import Reason
from tenure.vocabulary import digest_bytes

AT = datetime(2013, 3, 1, tzinfo=UTC)
TABLE = pa.table(
    {
        "id": ["a", "b", "c", "d"],
        "x": pa.array([1.5, None, -0.0, 2.0]),
        "at": pa.array([AT, None, AT, AT], pa.timestamp("us", "UTC")),
    }
)


def written(table: pa.Table, path: Path, quarantined: dict[int, object] | None = None) -> str:
    write_snapshot(table, quarantined or {}, path)
    return digest_bytes(path.read_bytes())


def test_bytes_depend_on_content_only(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    chunked = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)])
    described = TABLE.replace_schema_metadata({"pandas": "{}", "who": "me"})

    assert written(TABLE, path) == written(chunked, path) == written(described, path)
    assert written(TABLE, path) != written(TABLE.slice(1), path)
    assert written(TABLE, path, {1: ()}) == written(TABLE.take([0, 2, 3]), path)


def test_the_digest_that_every_machine_gets(tmp_path: Path) -> None:
    """Pinned: a change means that the writer or its options changed, so say so in the changelog."""
    assert written(TABLE, tmp_path / "s.parquet") == PINNED


def test_a_snapshot_reads_back(tmp_path: Path) -> None:
    assert write_snapshot(TABLE, {1: ()}, tmp_path / "s") == 3
    assert pq.read_table(tmp_path / "s").equals(TABLE.take([0, 2, 3]).combine_chunks())


LATE = Reason("expect_column_values_to_be_between", "at", ("at",), "at least 2013-01-01")
PAIR = Reason("expect_column_pair_values_to_be_equal", "a and b", ("a", "b"), "equal values")


def listed(reason: Reason) -> dict[str, object]:
    return asdict(reason) | {"columns": list(reason.columns)}


def test_quarantine_says_row_and_reasons(tmp_path: Path) -> None:
    odd = TABLE.append_column("_row", pa.array([9, 9, 9, 9])).append_column("x", TABLE.column("x"))

    write_quarantine(odd, {3: [LATE], 0: [PAIR, LATE]}, tmp_path / "q")

    found = pq.read_table(tmp_path / "q")
    assert found.column_names == ["id", "x", "at", "_row__2", "x__2", "_row", "_reasons"]
    assert found.column("_row").to_pylist() == [1, 4]
    assert found.column("_reasons").to_pylist() == [[listed(PAIR), listed(LATE)], [listed(LATE)]]


def test_the_first_quarantined_rows_read_back_as_they_were_written(tmp_path: Path) -> None:
    write_quarantine(TABLE, {3: [LATE], 0: [PAIR, LATE]}, tmp_path / "q")

    (first,) = first_rows(tmp_path / "q", 1, frozenset({"id", "gone"}))

    assert (first.number, first.reasons) == (1, (PAIR, LATE))
    assert first.cells == {"id": TABLE.column("id")[0].as_py()}


def test_time_range() -> None:
    assert time_range(TABLE, "at") == (AT, AT)
    assert time_range(TABLE.slice(1, 1), "at") == (None, None)


PINNED = "4c97feb2eeca4743e57abea451ea1fe2708a597257b579c98bc85f5cc78cfe6d"
