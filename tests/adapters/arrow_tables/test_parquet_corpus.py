"""The Parquet corpus: each file ends in a clear error, or in rows set aside; rows are conserved."""

import gzip
import pickle
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tenure.adapters.arrow_tables import Batch, read_batch, write_quarantine, write_snapshot
from tenure.adapters.arrow_tables.peeking import first_rows
from tenure.adapters.confined import LimitReached, Limits, run_confined
from tenure.lifecycle.data.quality import QualityPolicy, judge
from tenure.lifecycle.data.sources import Column, Contract, Source

CONTRACT = Contract(
    columns={
        "id": Column(type="string", nullable=False),
        "n": Column(type="integer"),
        "x": Column(type="number"),
        "at": Column(type="timestamp"),
    },
    key=("id",),
)
UTC = pa.timestamp("us", "UTC")


def table(rows: int = 3, **columns: pa.Array) -> pa.Table:
    good = {
        "id": pa.array([f"r{i}" for i in range(rows)]),
        "n": pa.array(range(rows), pa.int64()),
        "x": pa.array([0.5] * rows),
        "at": pa.array([1_400_000_000_000_000] * rows, UTC),
    }
    return pa.table(good | columns)


def judged(path: Path, source: Source | None = None) -> tuple[Batch, str, dict[int, str]]:
    """The batch, the breach that stops it, and why which rows are set aside."""
    batch = read_batch(path, source or Source(), CONTRACT)
    judgement = judge(batch.rows, batch.findings, QualityPolicy(max_quarantined=1, min_rows=0))
    fatal = next((str(f) for f in batch.findings if f.is_fatal), "")
    if batch.original is None:
        assert batch.rows == 0
        return batch, fatal, {}
    write_quarantine(batch.original, judgement.reasons, path.with_name("quarantine"))
    aside = list(first_rows(path.with_name("quarantine"), batch.rows + 1, frozenset()))
    kept = 0
    if batch.is_sound:
        kept = write_snapshot(batch.table, judgement.reasons, path.with_name("snapshot"))
    assert kept + len(aside) == batch.rows == batch.original.num_rows
    return batch, fatal, {row.number: "; ".join(map(str, row.reasons)) for row in aside}


def _write(content: pa.Table, **options: object) -> Callable[[Path], None]:
    return lambda path: pq.write_table(content, path, **options)


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        pq.write_table(table(2_000), path)
        path.write_bytes(change(path.read_bytes()))

    return write


def _no_row_groups(path: Path) -> None:
    pq.ParquetWriter(path, table().schema).close()


def _encrypted(path: Path) -> None:
    class Kms(pe.KmsClient):  # type: ignore[misc]
        def __init__(self, _: object) -> None:
            super().__init__()

        def wrap_key(self, key_bytes: bytes, _: str) -> bytes:
            return key_bytes

        def unwrap_key(self, wrapped_key: bytes, _: str) -> bytes:
            return wrapped_key

    factory = pe.CryptoFactory(Kms)
    how = pe.EncryptionConfiguration(footer_key="k", column_keys={"k": ["id"]})
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), how)
    with pq.ParquetWriter(path, table().schema, encryption_properties=properties) as writer:
        writer.write_table(table())


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "38 zero bytes": (lambda path: path.write_bytes(b""), "the file: found"),
    "38 packed": (
        lambda path: path.write_bytes(gzip.compress(b"PAR1")),
        "the file: found a file that was packed by gzip; Parquet is packed by itself",
    ),
    "38 zip": (lambda path: path.write_bytes(b"PK\x03\x04\0"), "the file: found a ZIP archive"),
    "38 encrypted as a whole": (
        lambda path: path.write_bytes(b"PARE\0\0\0\0PARE"),
        "found an encrypted Parquet file",
    ),
    "39 bad magic": (_bytes(lambda data: b"PAR2" + data[4:-4] + b"PAR2"), "the file: found"),
    "40 footer length": (_bytes(lambda d: d[:-8] + b"\xff\xff\xff\x7fPAR1"), "the file: found"),
    "41 cut off": (_bytes(lambda data: data[: len(data) // 2]), "the file: found"),
    "41 cut within": (_bytes(lambda d: d[:900] + d[1900:]), "the file: found"),
    "43 zero columns": (_write(pa.table({})), "0 columns; 1…2,000 are allowed"),
    "44 struct": (_write(table(x=pa.array([{"a": 1}] * 3))), "x: found struct<a: int64>, expected"),
    "44 list": (_write(table(x=pa.array([[1.0]] * 3))), "x: found list<element: double>, expected"),
    "44 map": (
        _write(table(x=pa.array([[("a", 1)]] * 3, pa.map_(pa.string(), pa.int64())))),
        "x: found map<string, int64 ('x')>, expected",
    ),
    "45 duplicate columns": (
        _write(table().append_column("n", pa.array([1, 2, 3]))),
        "n: found 2 columns of this name",
    ),
    "47 years beyond nanoseconds, without zone": (
        _write(table(at=pa.array([32_503_680_000_000_000] * 3, pa.timestamp("us")))),
        "at: found timestamp[us] without a time zone, expected timestamp",
    ),
    "47 days": (_write(table(at=pa.array([date(2024, 1, 1)] * 3))), "at: found date32[day]"),
    "49 bytes for text": (_write(table(id=pa.array([b"a", b"\xff", b"c"]))), "id: found binary"),
    "51 encrypted": (_encrypted, "the file: found"),
    "53 another type than last time": (_write(table(n=pa.array(["1", "2", "3"]))), "n: found str"),
}


@pytest.mark.parametrize(("write", "part"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(tmp_path: Path, write: Callable[[Path], object], part: str) -> None:
    path = tmp_path / "a.parquet"
    write(path)

    batch, fatal, _ = judged(path)

    assert part in fatal
    assert str(tmp_path) not in fatal
    assert not batch.is_sound


ACCEPTED: dict[str, tuple[pa.Table, dict[int, str]]] = {
    "46 decimals": (table(x=pa.array([Decimal("1.50")] * 3, pa.decimal128(10, 2))), {}),
    "46 decimals beyond any float's digits": (
        table(x=pa.array([Decimal(10) ** 70] * 3, pa.decimal256(76, 2))),
        {},
    ),
    "47 nanoseconds": (table(at=pa.array([2**62, 0, -(2**62)], pa.timestamp("ns", "UTC"))), {}),
    "47 a year of five digits": (
        table(at=pa.array([0, 400_000_000_000_000_000, 1], UTC)),
        {2: "at: type, allowed timestamp"},
    ),
    "50 categories": (
        table(id=pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), ["a", "b", "c"])),
        {},
    ),
    "50 categories without a value": (
        table(id=pa.DictionaryArray.from_arrays(pa.array([0, None, 2]), ["a", "b", "c"])),
        {2: "id: null, allowed string, never null"},
    ),
    "29 an unsigned number beyond 64 bits": (
        table(n=pa.array([1, 2**64 - 1, 3], pa.uint64())),
        {2: "n: type, allowed integer"},
    ),
    "35 duplicate keys": (table(id=pa.array(["a", "b", "a"])), {3: "id: key, allowed each key"}),
    "26 nan and infinity": (
        table(x=pa.array([float("nan"), float("inf"), 1.0])),
        {2: "x: type, allowed number"},
    ),
}


@pytest.mark.parametrize(("content", "expected"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(tmp_path: Path, content: pa.Table, expected: dict[int, str]) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(content, path)

    batch, fatal, aside = judged(path)

    assert (batch.rows, fatal) == (3, "")
    assert sorted(aside) == sorted(expected)
    assert all(part in aside[row] for row, part in expected.items())


def test_42_no_row_groups_is_a_batch_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    _no_row_groups(path)

    batch, fatal, _ = judged(path)

    assert (batch.rows, fatal, batch.is_sound) == (0, "", True)
    assert judge(0, batch.findings, QualityPolicy()).verdict == "failed"


def test_48_a_dictionary_is_weighed_before_it_is_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,000 times 100 kB in a file of 1 kB."""
    path = tmp_path / "a.parquet"
    huge = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000), ["a" * 100_000])
    pq.write_table(table(1_000, id=huge), path, compression="zstd")
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(Source, "max_batch_bytes", 10_000_000)

    _, fatal, _ = judged(path)

    assert fatal.startswith("the file: found 100,000,000 bytes (decompressed)")


def test_48_rows_are_weighed_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million equal numbers take a few bytes in the file."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": pa.array([7]).take(pa.array([0] * 1_000_000))}), path)
    monkeypatch.setattr(Source, "max_batch_bytes", 7_999_999)

    _, fatal, _ = judged(path)

    assert fatal.startswith("the file: found 8,000,000 bytes (decompressed)")


def test_52_nothing_in_the_metadata_is_run(tmp_path: Path) -> None:
    proof = tmp_path / "proof"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path(proof).write_text, ("run",))

    evil = pickle.dumps(Evil())
    path = tmp_path / "a.parquet"
    pq.write_table(table().replace_schema_metadata({b"pandas": evil, b"x": evil}), path)

    batch, fatal, aside = judged(path)

    assert (fatal, aside, batch.table.schema.metadata) == ("", {}, None)
    assert not proof.exists()


def test_local_times_are_read_where_the_source_names_their_zone(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    local = pa.array(["2024-07-01T12:00", "2024-03-31T02:30", "2024-10-27T02:30"])
    pq.write_table(table(at=local.cast(pa.timestamp("us"))), path)

    batch, fatal, aside = judged(path, Source(time_zone="Europe/Berlin"))

    assert fatal == ""
    assert sorted(aside) == [2, 3]
    assert batch.table.column("at")[0].as_py().isoformat() == "2024-07-01T10:00:00+00:00"


@given(position=st.integers(0, 3_000), flip=st.integers(1, 255))
@example(position=705, flip=75)
@example(position=1_309, flip=32)
def test_any_flipped_byte_ends_in_a_verdict(
    tmp_path_factory: pytest.TempPathFactory, position: int, flip: int
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.parquet"
    pq.write_table(table(20), path, compression="none")
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= flip
    path.write_bytes(bytes(data))

    assert fate(path) in {"judged", "SIGABRT"}


def fate(path: Path) -> str:
    """What becomes of it in a child, as in `judge_confined`, where a crash is a finding as well.

    Of 300 flipped bytes one makes Arrow 25 abort: "Definition level histogram size mismatch".
    """

    def work() -> bytes:
        judged(path)
        return b"judged"

    try:
        return run_confined(work, Limits(512 * 1024 * 1024, 60)).decode()
    except LimitReached as limit:
        return limit.cause
