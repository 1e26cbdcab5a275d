"""Bad files: a breach by column and row, never a traceback; good ones in every shape."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.adapters.arrow_tables import Batch, read_batch
from tenure.lifecycle.data.sources import Column, Contract, Source

CONTRACT = Contract(
    key=("id",),
    columns={
        "id": Column(type="string", nullable=False),
        "n": Column(type="integer"),
        "x": Column(type="number"),
        "ok": Column(type="boolean"),
        "at": Column(type="timestamp"),
    },
)
AT = datetime(2013, 3, 1, 12, 0, tzinfo=UTC)
HEADER = "id,n,x,ok,at\n"
LINE = "a,1,1.5,true,2013-03-01T12:00:00Z\n"


def table(rows: int = 2, **columns: pa.Array) -> pa.Table:
    good = {
        "id": pa.array([f"r{i}" for i in range(rows)]),
        "n": pa.array(range(rows), pa.int64()),
        "x": pa.array([0.5] * rows),
        "ok": pa.array([True] * rows),
        "at": pa.array([AT] * rows, pa.timestamp("us", "UTC")),
    }
    return pa.table(good | columns)


def read(path: Path, contract: Contract = CONTRACT) -> Batch:
    return read_batch(path, Source(format=path.suffix.removeprefix(".")), contract)  # type: ignore[arg-type]


def parquet(tmp_path: Path, content: pa.Table) -> Path:
    path = tmp_path / "a.parquet"
    pq.write_table(content, path)
    return path


def csv(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def breaches(batch: Batch) -> list[str]:
    return [str(f) for f in batch.findings if not f.holds]


ACCEPTED: dict[str, dict[str, pa.Array]] = {
    "as promised": {},
    "narrow integer": {"n": pa.array([0, 1], pa.int8())},
    "unsigned": {"n": pa.array([0, 1], pa.uint32())},
    "narrow number": {"x": pa.array([0.5, 0.5], pa.float32())},
    "large text": {"id": pa.array(["r0", "r1"], pa.large_string())},
    "categories": {"id": pa.array(["r0", "r1"]).dictionary_encode()},
    "nanoseconds": {"at": pa.array([AT, AT], pa.timestamp("ns", "UTC"))},
    "another zone": {"at": pa.array([AT, AT], pa.timestamp("ms", "America/New_York"))},
}


@pytest.mark.parametrize("columns", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_width_and_zone_do_not_matter(tmp_path: Path, columns: dict[str, pa.Array]) -> None:
    batch = read(parquet(tmp_path, table(**columns)))

    assert breaches(batch) == []
    assert batch.is_sound
    assert batch.table.equals(table())


def test_the_order_of_columns_does_not_matter(tmp_path: Path) -> None:
    shuffled = table().select(["at", "x", "id", "ok", "n"])

    assert read(parquet(tmp_path, shuffled)).table.equals(table())


def test_nan_is_null_and_a_column_of_nulls_has_any_type(tmp_path: Path) -> None:
    batch = read(parquet(tmp_path, table(x=pa.array([float("nan"), 1.0]), ok=pa.nulls(2))))

    assert batch.table.column("x").to_pylist() == [None, 1.0]
    assert batch.table.column("ok").to_pylist() == [None, None]


REFUSED: dict[str, tuple[pa.Table, list[str]]] = {
    "missing": (table().drop_columns(["n"]), ["n: found no such column, expected integer"]),
    "unknown": (
        table(more=pa.array([1, 2])),
        ["more: found a column that the contract does not know, expected no such column"],
    ),
    "text for a number": (table(x=pa.array(["1", "2"])), ["x: found string, expected number"]),
    "number for an integer": (
        table(n=pa.array([1.5, 2.5])),
        ["n: found double with fractions, expected integer"],
    ),
    "time without zone": (
        table(at=pa.array([AT, AT], pa.timestamp("us"))),
        ["at: found timestamp[us] without a time zone, expected timestamp"],
    ),
    "list": (
        table(x=pa.array([[1.0], []])),
        ["x: found list<element: double>, expected number"],
    ),
}

SET_ASIDE: dict[str, tuple[pa.Table, list[str]]] = {
    "too large": (
        table(n=pa.array([2**63, 1], pa.uint64())),
        ["n has a number beyond 64 bits in 1 rows (row 1), allowed integer"],
    ),
    "null": (
        table(id=pa.array([None, "a"])),
        ["id has null in 1 rows (row 1), allowed string, never null"],
    ),
    "infinity": (
        table(x=pa.array([float("inf"), 1.0])),
        ["x has infinity in 1 rows (row 1), allowed number"],
    ),
    "far future": (
        table(at=pa.array([300_000_000_000, 0], pa.timestamp("s", "UTC"))),
        [
            "at has a time outside 0001-01-01T00:00:00Z…9999-12-31T23:59:59Z in 1 rows (row 1), "
            "allowed timestamp"
        ],
    ),
}


@pytest.mark.parametrize(("content", "expected"), SET_ASIDE.values(), ids=SET_ASIDE.keys())
def test_a_bad_cell_costs_its_row(tmp_path: Path, content: pa.Table, expected: list[str]) -> None:
    batch = read(parquet(tmp_path, content))

    assert breaches(batch) == expected
    assert batch.is_sound
    assert [list(f.rows) for f in batch.findings if not f.holds] == [[0]]


@pytest.mark.parametrize(("content", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_columns(tmp_path: Path, content: pa.Table, expected: list[str]) -> None:
    batch = read(parquet(tmp_path, content))

    assert "".join(breaches(batch)) == "".join(expected)
    assert not batch.is_sound
    assert batch.rows == 2
    assert batch.original.num_rows == 2


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    twice = table().append_column("n", pa.array([1, 2]))

    assert breaches(read(parquet(tmp_path, twice))) == [
        "n: found 2 columns of this name, expected one"
    ]


def test_extra_columns_may_be_allowed_and_are_not_published(tmp_path: Path) -> None:
    contract = CONTRACT.model_copy(update={"allow_extra_columns": True})
    batch = read(parquet(tmp_path, table(more=pa.array([1, 2]))), contract)

    assert breaches(batch) == []
    assert batch.table.column_names == list(CONTRACT.columns)


def test_later_rows_of_a_key_are_named(tmp_path: Path) -> None:
    batch = read(parquet(tmp_path, table(4, id=pa.array(["a", "b", "a", "a"]))))

    (finding,) = (f for f in batch.findings if not f.holds)
    assert list(finding.rows) == [2, 3]
    assert (
        str(finding) == "id has 2 of 4 rows with a key seen before (50.0%), allowed each key once"
    )
    assert batch.is_sound


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[20:60] = os.urandom(40)
    path.write_bytes(bytes(data))


def _footer(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8] + b"\xff\xff\xff\x7fPAR1")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "zero bytes": lambda path: path.write_bytes(b""),
    "magic only": lambda path: path.write_bytes(b"PAR1"),
    "text": lambda path: path.write_text("hello"),
    "cut": _cut,
    "footer length": _footer,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damaged_parquet(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    path = parquet(tmp_path, table(1000))
    damage(path)

    batch = read(path)

    (breach,) = breaches(batch)
    assert breach.startswith("the file: found ")
    assert breach.endswith(", expected a parquet file")
    assert str(tmp_path) not in breach
    assert (batch.rows, batch.table, batch.original) == (0, None, None)


def test_flipped_bytes_end_in_a_batch_or_a_breach(tmp_path: Path) -> None:
    path = parquet(tmp_path, table(1000))
    _flip(path)

    batch = read(path)

    assert batch.rows in {0, 1000}


def test_the_bound_of_columns(tmp_path: Path) -> None:
    for count, fine in ((2_000, True), (2_001, False)):
        wide = pa.table({f"c{i}": [1] for i in range(count)})
        said = breaches(read(parquet(tmp_path, wide)))
        assert ("1…2,000 are allowed" in said[0]) is not fine


def test_a_bomb_is_refused_by_what_it_claims(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet(tmp_path, table(100_000, x=pa.array([0.0] * 100_000)))
    monkeypatch.setattr(Source, "max_batch_bytes", path.stat().st_size + 1)

    assert "bytes (decompressed); source.memory_mb allows" in breaches(read(path))[0]


ROWS_OF_CSV = {
    "good": (HEADER + LINE, []),
    "no final newline": (HEADER + LINE.strip(), []),
    "byte order mark": (b"\xef\xbb\xbf" + (HEADER + LINE).encode(), []),
    "windows lines": ((HEADER + LINE).replace("\n", "\r\n"), []),
    "other order": ("n,id,x,ok,at\n1,a,1.5,true,2013-03-01T12:00:00Z\n", []),
    "empty cells are null": (HEADER + "a,,,,\n", []),
    "header only": (HEADER, []),
    "offset": (HEADER + "a,+1,-.5e3,FALSE,2013-03-01 12:00+02:00\n", []),
    "quoted comma and line": (HEADER + '"a,\nb",1,1,true,2013-03-01T12:00Z\n', []),
    "null words are text": (HEADER + "NA,1,1,true,2013-03-01T12:00Z\n", []),
    "whole, with a point": (HEADER + "a,1.0,1,true,2013-03-01T12:00Z\n", []),
    "no whole number": (
        HEADER + "a,1.5,1,true,2013-03-01T12:00Z\n",
        ["n has text that is no integer in 1 rows (row 1)"],
    ),
    "thousands": (HEADER + 'a,1,"1,234",true,2013-03-01T12:00Z\n', ["x has text that is no n"]),
    "nan": (HEADER + "a,1,nan,true,2013-03-01T12:00Z\n", ["x has text that is no number"]),
    "1e999": (HEADER + "a,1,1e999,true,2013-03-01T12:00Z\n", ["x has a number beyond 64 bits"]),
    "long integer": (HEADER + f"a,{2**63 - 1},1,true,2013-03-01T12:00Z\n", []),
    "longer integer": (
        HEADER + f"a,{2**63},1,true,2013-03-01T12:00Z\n",
        ["n has a number beyond 64 bits in 1 rows (row 1)"],
    ),
    "yes": (HEADER + "a,1,1,yes,2013-03-01T12:00Z\n", ["ok has text that is no boolean"]),
    "local time": (HEADER + "a,1,1,true,2013-03-01T12:00\n", ["at has text that is no timesta"]),
    "no such day": (
        HEADER + "a,1,1,true,2013-02-31T12:00Z\n",
        ["at has text that is no timest"],
    ),
    "blank": (
        HEADER + "a, ,1,true,2013-03-01T12:00Z\n",
        ["n has text that is no integer in 1 rows (row 1)"],
    ),
    "null in the key": (HEADER + ",1,1,true,2013-03-01T12:00Z\n", ["id has null in 1 rows"]),
    "formula": (HEADER + "=cmd(),=1+1,1,true,2013-03-01T12:00Z\n", ["n has text that is no in"]),
    "header in capitals": (HEADER.upper() + LINE, ["ID: found a column"]),
}


@pytest.mark.parametrize(("content", "expected"), ROWS_OF_CSV.values(), ids=ROWS_OF_CSV.keys())
def test_csv(tmp_path: Path, content: str | bytes, expected: list[str]) -> None:
    found = breaches(read(csv(tmp_path, content)))

    if not expected:
        assert found == []
    else:
        assert found[0].startswith(expected[0])


FILES_OF_CSV = {
    "empty": (b"", "no header"),
    "blank lines": (b"\n\n", "no header"),
    "UTF-16": (HEADER.encode("utf-16"), "UTF-16 text, the source says utf-8"),
    "NUL in the header": (b"\0" + HEADER.encode(), "a header that is not utf-8 text"),
    "gzip": (b"\x1f\x8b\x08\0\0\0", "a gzip file that is damaged or cut off"),
    "endless cell": (HEADER.encode() + b'"' + b"a" * 3_000_000, "a quote that is never closed"),
}


@pytest.mark.parametrize(("content", "part"), FILES_OF_CSV.values(), ids=FILES_OF_CSV.keys())
def test_files_that_are_no_csv(tmp_path: Path, content: bytes, part: str) -> None:
    (breach,) = breaches(read(csv(tmp_path, content)))

    assert breach.startswith("the file: found ")
    assert part in breach


def test_csv_and_parquet_of_one_content_are_one_table(tmp_path: Path) -> None:
    text = HEADER + "".join(f"r{i},{i},0.5,true,2013-03-01T13:00:00+01:00\n" for i in range(2))

    assert read(csv(tmp_path, text)).table.combine_chunks().equals(table())


def test_rows_of_bad_cells_are_listed_shortly(tmp_path: Path) -> None:
    text = HEADER + "".join(f"r{i},bad,1,true,\n" for i in range(8))

    assert breaches(read(csv(tmp_path, text))) == [
        "n has text that is no integer in 8 rows (row 1, 2, 3, 4, 5 and 3 more), allowed integer"
    ]
