"""One cell at a time: what it becomes, from CSV and from Parquet, and what is said when it cannot.

Cases that have a number come from public reports about other tools.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tenure.adapters.arrow_tables import (
    Batch,
    read_batch,
    rebuild_batch,
    time_range,
    write_quarantine,
    write_snapshot,
)
from tenure.adapters.arrow_tables.cells import from_arrow, from_text
from tenure.adapters.arrow_tables.detecting import detect
from tenure.adapters.arrow_tables.parquet_file import plain
from tenure.adapters.arrow_tables.peeking import first_rows
from tenure.gateway.contract.bodies import instant
from tenure.gateway.contract.refusals import Refusal
from tenure.lifecycle.data.quality import QualityPolicy, judge
from tenure.lifecycle.data.sources import Column, ColumnType, Contract, CsvFormat, Source
from tenure.vocabulary import moment

CASES = Path(__file__).parents[2] / "cases"
BIG = 2**53 + 1
CSV = Source(format="csv")
NO_INTEGER, BEYOND_64 = "text that is no integer", "a number beyond 64 bits"
DOUBTFUL = "a doubtful local time"
BEYOND = "a time outside 0001-01-01T00:00:00Z…9999-12-31T23:59:59Z"


def texts(*cells: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(cells, pa.string())])


def of_text(cell: str, kind: ColumnType, source: Source = CSV) -> Any:
    """The value of a cell, or why it has none; its neighbors must not matter."""
    typed = from_text(texts(None, cell, None), kind, source)
    assert typed.found is None
    value = typed.values.to_pylist()
    assert (len(value), value[0], value[2]) == (3, None, None)
    return value[1] if not typed.bad else _why(typed.bad)


def of_arrow(cell: Any, arrow: pa.DataType, kind: ColumnType, source: Source | None = None) -> Any:
    column = plain(pa.table({"c": pa.array([None, cell, None], arrow)})).column("c")
    typed = from_arrow(column, kind, source or Source())
    if typed.found is not None:
        return typed.found
    value = typed.values.to_pylist()
    assert (len(value), value[0], value[2]) == (3, None, None)
    return value[1] if not typed.bad else _why(typed.bad)


def _why(bad: dict[str, list[int]]) -> str:
    assert [*bad.values()] == [[1]]
    return next(iter(bad))


INTEGERS: dict[str, Any] = {
    "0": 0, "-0": 0, "+7": 7, "0001": 1, "1.0": 1, "1.": 1, "-1.00": -1, "1.0000": 1,
    str(BIG): BIG, f"{BIG}.0": BIG, str(2**63 - 1): 2**63 - 1, str(-(2**63)): -(2**63),
    "00000000000000000000000001": 1, "1582218195625938945": 1582218195625938945,
    str(2**63): BEYOND_64, str(-(2**63) - 1): BEYOND_64, "9" * 40: BEYOND_64,
    f"{2**63}.0": BEYOND_64, "1.5": NO_INTEGER, "1.000": NO_INTEGER, "1e3": NO_INTEGER,
    "1.0e3": NO_INTEGER, "1,0": NO_INTEGER, "1,000": NO_INTEGER, "": NO_INTEGER, ".": NO_INTEGER,
    ".0": NO_INTEGER, "nan": NO_INTEGER, "٣": NO_INTEGER, "1 ": NO_INTEGER, "--1": NO_INTEGER,
}  # fmt: skip


@pytest.mark.parametrize("cell", INTEGERS)
def test_integers_of_csv(cell: str) -> None:
    assert of_text(cell, "integer") == INTEGERS[cell]


def test_the_decimal_sign_of_the_source_counts_for_integers_as_well() -> None:
    comma = Source(format="csv", csv=CsvFormat(decimal=",", delimiter=";"))

    assert of_text("1,0", "integer", comma) == 1
    assert of_text("1.0", "integer", comma) == NO_INTEGER
    assert of_text("1,000", "integer", comma) == NO_INTEGER


WHOLE: dict[str, tuple[Any, pa.DataType, Any]] = {
    "double": (7.0, pa.float64(), 7),
    "double, negative": (-7.0, pa.float64(), -7),
    "double, nan": (float("nan"), pa.float64(), None),
    "double, infinity": (float("-inf"), pa.float64(), "infinity"),
    "double at its last whole number": (2.0**53, pa.float64(), 2**53),
    "double beyond": (
        1582218195625938945.0, pa.float64(), "a whole number so large that its type lost digits",
    ),
    "double with a fraction": (1.5, pa.float64(), "a number that is no integer"),
    "float": (7.0, pa.float32(), 7),
    "float beyond": (
        2.0**25, pa.float32(), "a whole number so large that its type lost digits",
    ),
    "half": (np.float16(7), pa.float16(), 7),
    "decimal": (Decimal(BIG), pa.decimal128(38, 0), BIG),
    "decimal of 256 bits": (Decimal(BIG), pa.decimal256(76, 3), BIG),
    "decimal of 32 bits": (Decimal("7.00"), pa.decimal32(7, 2), 7),
    "decimal of 64 bits": (Decimal(7), pa.decimal64(17, 0), 7),
    "decimal with a scale": (Decimal("7.00"), pa.decimal128(10, 2), 7),
    "decimal with a fraction": (
        Decimal("7.01"), pa.decimal128(10, 2), "a number that is no integer",
    ),
    "decimal at the end": (Decimal(2**63 - 1), pa.decimal128(38, 0), 2**63 - 1),
    "decimal at the other end": (Decimal(-(2**63)), pa.decimal128(19, 0), -(2**63)),
    "decimal beyond": (Decimal(2**63), pa.decimal128(38, 0), BEYOND_64),
    "unsigned": (2**63 - 1, pa.uint64(), 2**63 - 1),
    "unsigned beyond": (2**63, pa.uint64(), BEYOND_64),
    "narrow": (-5, pa.int8(), -5),
    "text": ("7", pa.string(), "string"),
    "boolean": (True, pa.bool_(), "bool"),
}  # fmt: skip


@pytest.mark.parametrize(("cell", "arrow", "expected"), WHOLE.values(), ids=WHOLE.keys())
def test_integers_of_parquet(cell: Any, arrow: pa.DataType, expected: Any) -> None:
    found = of_arrow(cell, arrow, "integer")

    assert found == expected or (isinstance(found, str) and found.startswith(str(expected)))


def test_a_fraction_among_whole_numbers_costs_its_row() -> None:
    column = pa.chunked_array([pa.array([1.0, 1.5, None, 2.0, 3.0])])

    typed = from_arrow(column, "integer", Source())

    assert typed.values.to_pylist() == [1, None, None, 2, 3]
    assert typed.bad == {"a number that is no integer": [1]}
    assert typed.as_a_whole(column) is typed


def test_many_fractions_are_another_type() -> None:
    column = pa.chunked_array([pa.array([1.0, 1.5, None, 2.5])])

    typed = from_arrow(column, "integer", Source())

    assert typed.as_a_whole(column).found == "double with fractions"


def test_what_was_set_aside_is_put_together_again(tmp_path: Path) -> None:
    """Of quarantined rows most are broken; that is no reason to take their column for another."""
    contract = Contract(
        columns={"n": Column(type="integer"), "day": Column(type="timestamp")}, key=("n",)
    )
    source = Source(time_zone="UTC")
    days = pa.array([0, 1, 4_000_000, 3, 4], pa.int32()).cast(pa.date32())
    landed = pa.table({"n": [1.0, 1.5, 2.0, 3.0, None], "day": days})
    pq.write_table(landed, tmp_path / "landed")
    batch = read_batch(tmp_path / "landed", source, contract)
    judgement = judge(batch.rows, batch.findings, QualityPolicy())
    write_snapshot(batch.table, judgement.reasons, tmp_path / "snapshot")
    write_quarantine(batch.original, judgement.reasons, tmp_path / "quarantine")

    again = rebuild_batch(tmp_path / "snapshot", tmp_path / "quarantine", source, contract)

    rows = {row.number: row for row in first_rows(tmp_path / "quarantine", 9, frozenset({"day"}))}
    assert sorted(rows) == [2, 3, 5]
    assert "12921" in str(rows[3].cells["day"])
    assert again.table.equals(batch.table)
    assert {row for f in again.findings for row in f.rows} == {1, 2, 4}


ROUNDED: dict[str, tuple[pa.Array, list[int]]] = {
    "integers": (pa.array([BIG, 2**53, 2**53 + 2, None]), [0]),
    "unsigned": (pa.array([2**64 - 1, 2**63, 1, None], pa.uint64()), [0]),
    "decimals": (pa.array([Decimal(BIG), Decimal(2**53), None], pa.decimal128(38, 0)), [0]),
    "decimals of money": (pa.array([Decimal("0.10"), Decimal("123.45")]), []),
    "decimals of 18 places": (
        pa.array([Decimal("1.000000000000000001"), Decimal("1.5"), None], pa.decimal128(38, 18)),
        [0],
    ),
    "doubles": (pa.array([0.1, 1e300, None]), []),
    "tiny texts": (
        texts("1e-400", "1e-99999999999999999999", "1.234567890123e-320", "5e-324", "1e-200",
              "0e-400",
              "12345678901234567.5e-99999999999999999999", f"0.{'1' * 5_000}", f"0.{'0' * 400}1"),
        [0, 1, 2, 6, 7, 8],
    ),
    "texts": (
        texts(str(BIG), "0.1", "0.30000000000000004", "1e23", "1.000000000000000001", None,
              "99999999999999991611392", "12345678901234567890123", "1.2345678901234568e+22"),
        [0, 4, 7],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("column", "rows"), ROUNDED.values(), ids=ROUNDED.keys())
def test_digits_that_a_number_loses_are_named(column: Any, rows: list[int]) -> None:
    chunked = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    typed = (
        from_text(chunked, "number", CSV)
        if chunked.type == pa.string()
        else from_arrow(chunked, "number", Source())
    )

    lost = "digits that a 64-bit floating-point number cannot hold"
    assert typed.changed == ({lost: rows} if rows else {})
    assert typed.bad == {}


MOMENTS: dict[str, str | None] = {
    "2026-01-02T08:01:00Z": "2026-01-02T08:01:00+00:00",
    "2026-01-02 08:01:00+00": "2026-01-02T08:01:00+00:00",
    "2026-01-02 08:01:00.5-03": "2026-01-02T11:01:00.500000+00:00",
    "2026-01-02 08:01:00+0530": "2026-01-02T02:31:00+00:00",
    "2026-01-02 08:01:00 +0000": "2026-01-02T08:01:00+00:00",
    "2026-01-02 08:01:00 UTC": "2026-01-02T08:01:00+00:00",
    "2026-01-02 08:01:00.123 UTC": "2026-01-02T08:01:00.123000+00:00",
    "2026-01-02T08:01:00UTC": "2026-01-02T08:01:00+00:00",
    "2026-01-02T08:01:00.1234567Z": "2026-01-02T08:01:00.123456+00:00",
    "2026-01-02T08:01:00.123456789+01:00": "2026-01-02T07:01:00.123456+00:00",
    "2026-01-02T08:01Z": "2026-01-02T08:01:00+00:00",
    "2026-01-02T08Z": "2026-01-02T08:00:00+00:00",
    "20260102T080100Z": "2026-01-02T08:01:00+00:00",
    "2026-W01-5T08:01:00Z": "2026-01-02T08:01:00+00:00",
    "2026-01-02T08:01:00,5Z": "2026-01-02T08:01:00.500000+00:00",
    "1969-12-31T23:59:59.9999999Z": "1969-12-31T23:59:59.999999+00:00",
    "9999-12-31T23:59:59.999999Z": "9999-12-31T23:59:59.999999+00:00",
    "0001-01-01T00:00:00Z": "0001-01-01T00:00:00+00:00",
    "9999-12-31T23:59:59-01:00": None,
    "0001-01-01T00:00:00+01": None,
    "2026-02-31T08:01:00Z": None,
    "2026-01-02T24:00:00Z": None,
    "2026-01-02T08:01:60Z": None,
    "2026-01-02T08:01:00": None,
    "2026-01-02": None,
    "2026-01-02Z": None,
    "2026-01-02 +05:00": None,
    "UTC": None,
    "2026-01-02T08:01:00z": None,
    "2026-01-02T08:01:00Z ": None,
    "1767340860": None,
}


@pytest.mark.parametrize("cell", MOMENTS)
def test_files_read_a_time_as_the_gateway_does(cell: str) -> None:
    wanted = MOMENTS[cell]
    expected = datetime.fromisoformat(wanted) if wanted else None

    in_file = of_text(cell, "timestamp")

    if expected is None:
        assert in_file in {"text that is no timestamp", BEYOND}
        with pytest.raises(Refusal):
            instant(cell, "event_time")
        return
    assert in_file == instant(cell, "event_time") == moment(cell) == expected


def test_all_forms_in_one_column() -> None:
    good = [cell for cell, wanted in MOMENTS.items() if wanted]

    typed = from_text(texts(*good, None), "timestamp", CSV)

    assert typed.bad == {}
    assert [v and v.isoformat() for v in typed.values.to_pylist()] == [
        *(MOMENTS[cell] for cell in good), None
    ]  # fmt: skip
    lost = [
        i for i, cell in enumerate(good) if "456789" in cell or "4567" in cell or "9999999" in cell
    ]
    assert typed.changed == {"digits beyond microseconds": lost}


LOCAL: dict[str, tuple[str, str, str]] = {
    "a day": ("Europe/Berlin", "2026-01-02", "2026-01-01T23:00:00+00:00"),
    "no midnight, Cairo": ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00+00:00"),
    "no midnight, Sao Paulo": ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00+00:00"),
    "no midnight, Santiago": ("America/Santiago", "2026-09-06", "2026-09-06T04:00:00+00:00"),
    "midnight twice, Havana": ("America/Havana", "2026-11-01", "2026-11-01T04:00:00+00:00"),
    "midnight twice, St. John's": ("America/St_Johns", "2010-11-07", "2010-11-07T02:30:00+00:00"),
    "no such day, Apia": ("Pacific/Apia", "2011-12-30", DOUBTFUL),
    "the last day": ("UTC", "9999-12-31", "9999-12-31T00:00:00+00:00"),
    "the last day, east": ("Asia/Tokyo", "9999-12-31", "9999-12-30T15:00:00+00:00"),
    "the last day, west": ("America/New_York", "9999-12-31", "9999-12-31T05:00:00+00:00"),
    "the last evening, west": ("America/New_York", "9999-12-31 20:00:00", BEYOND),
    "the first day, east": ("Asia/Tokyo", "0001-01-01", BEYOND),
    "a clock": ("Europe/Berlin", "2026-07-01 02:30:00", "2026-07-01T00:30:00+00:00"),
    "a clock with 7 digits": (
        "Europe/Berlin", "2026-07-01 02:30:00.1234567", "2026-07-01T00:30:00.123456+00:00",
    ),
    "midnight by the clock, not there": ("Africa/Cairo", "2026-04-24 00:00:00", DOUBTFUL),
    "an hour that comes twice": ("Europe/Berlin", "2026-10-25 02:30:00", DOUBTFUL),
    "an hour that is skipped": ("Europe/Berlin", "2026-03-29T02:30:00", DOUBTFUL),
}  # fmt: skip


@pytest.mark.parametrize(("zone", "cell", "expected"), LOCAL.values(), ids=LOCAL.keys())
def test_local_times_of_csv_and_parquet(zone: str, cell: str, expected: str) -> None:
    csv, parquet = Source(format="csv", time_zone=zone), Source(time_zone=zone)
    wanted = datetime.fromisoformat(expected) if expected[0].isdigit() else expected
    ticks = np.datetime64(cell.replace(" ", "T")[:26], "us").astype(np.int64)

    assert of_text(cell, "timestamp", csv) == wanted
    if len(cell) == 10:
        day = date.fromisoformat(cell)
        assert of_arrow(day, pa.date32(), "timestamp", parquet) == wanted
        form = csv.model_copy(update={"csv": CsvFormat(times=("%d.%m.%Y",))})
        assert of_text(f"{day:%d.%m.}{cell[:4]}", "timestamp", form) == wanted
    else:
        assert of_arrow(int(ticks), pa.timestamp("us"), "timestamp", parquet) == wanted


def test_times_of_96_bits_do_not_run_over(tmp_path: Path) -> None:
    """Spark and Impala write such; as nanoseconds the years 1 and 9999 became 1754 and 1816."""
    texts = ("0001-01-01T00:00:00Z", "9999-12-31T03:00:00Z", "2024-02-29T01:02:03.000456Z")
    far = [moment(text) for text in texts]
    landed = pa.table({"at": pa.array(far, pa.timestamp("us", "UTC"))})
    pq.write_table(landed, tmp_path / "a", use_deprecated_int96_timestamps=True)
    contract = Contract(columns={"at": Column(type="timestamp")})

    batch = read_batch(tmp_path / "a", Source(time_zone="UTC"), contract)

    assert batch.table.column("at").to_pylist() == far
    assert batch.findings == ()


def test_a_text_that_no_database_holds_costs_its_row() -> None:
    column = pa.chunked_array([pa.array(["a", "b\0", None], pa.large_string())])

    typed = from_arrow(column, "string", Source())

    assert typed.values.to_pylist() == ["a", None, None]
    assert typed.bad == {"a character U+0000, which is not text": [1]}


NAMES = {
    "case": (("id", "x", "X", "ID"), "'ID' and 'id' differ by case only; 'X' and 'x' differ"),
    "ours": (("id", "_row"), "'_row' is a name that quarantined rows need themselves"),
    "ours, in capitals": (("id", "_Reasons"), "'_Reasons' is a name that"),
}


@pytest.mark.parametrize(("names", "said"), NAMES.values(), ids=NAMES.keys())
def test_names_that_an_engine_would_mix_up_are_no_contract(
    names: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        Contract(columns={name: Column(type="string") for name in names})


def test_names_that_no_engine_mixes_up_are_a_contract() -> None:
    names = ("Straße", "Strasse", "v", "v ", "a.b", "a", "__index_level_0__", "row")

    assert [*Contract(columns={name: Column(type="string") for name in names}).columns] == [*names]


FAR: dict[str, tuple[int, pa.DataType, Any]] = {
    "milliseconds that would run over": (2**62, pa.timestamp("ms", "UTC"), BEYOND),
    "local milliseconds that would run over": (2**62, pa.timestamp("ms"), BEYOND),
    "seconds that would run over": (-(2**62), pa.timestamp("s", "UTC"), BEYOND),
    "the last microsecond": (
        253_402_300_799_999_999, pa.timestamp("us", "UTC"),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ),
    "one more": (253_402_300_800_000_000, pa.timestamp("us", "UTC"), BEYOND),
    "the last millisecond": (
        253_402_300_799_999, pa.timestamp("ms", "UTC"),
        datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    ),
    "the first second": (-62_135_596_800, pa.timestamp("s", "UTC"), datetime(1, 1, 1, tzinfo=UTC)),
    "one less": (-62_135_596_801, pa.timestamp("s", "UTC"), BEYOND),
    "the first nanosecond": (
        -(2**63) + 1, pa.timestamp("ns", "UTC"),
        datetime(1677, 9, 21, 0, 12, 43, 145_224, tzinfo=UTC),
    ),
    "the last nanosecond": (
        2**63 - 1, pa.timestamp("ns", "UTC"),
        datetime(2262, 4, 11, 23, 47, 16, 854_775, tzinfo=UTC),
    ),
    "nanoseconds before 1970": (
        -1, pa.timestamp("ns", "UTC"), datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("ticks", "arrow", "expected"), FAR.values(), ids=FAR.keys())
def test_no_time_runs_over(ticks: int, arrow: pa.DataType, expected: Any) -> None:
    assert of_arrow(ticks, arrow, "timestamp", Source(time_zone="Asia/Tokyo")) == expected


def test_nanoseconds_that_are_dropped_are_counted() -> None:
    column = pa.chunked_array([pa.array([1_000, 1_001, None], pa.timestamp("ns", "UTC"))])

    assert from_arrow(column, "timestamp", Source()).changed == {"digits beyond microseconds": [1]}


def read(
    name: str, source: Source | None = None, key: tuple[str, ...] = (), **types: ColumnType
) -> Batch:
    columns = {column: Column(type=kind) for column, kind in types.items()}
    kind: Any = "csv" if ".csv" in name else "parquet"
    usual = Source(format=kind, time_zone="UTC")
    return read_batch(CASES / name, source or usual, Contract(columns=columns, key=key))


def said(batch: Batch) -> dict[str, list[int]]:
    """What does not hold, to the rows (from 1)."""
    return {str(f): [row + 1 for row in f.rows] for f in batch.findings if not f.holds}


def test_03_times_of_postgres() -> None:
    batch = read("03-postgres-timestamps/rides.csv", CSV, ride_id="integer", started_at="timestamp")

    assert said(batch) == {}
    assert batch.table["started_at"][0].as_py() == datetime(2026, 1, 2, 8, 1, tzinfo=UTC)
    assert detect(CASES / "03-postgres-timestamps/rides.csv").types["started_at"] == "timestamp"


def test_06_19_digits_are_one_answer_in_csv_and_parquet(tmp_path: Path) -> None:
    contract = Contract(
        columns={"post_id": Column(type="integer"), "likes": Column(type="integer")}
    )
    csv = read("06-19-digit-ids/posts.csv", post_id="integer", likes="integer")
    pq.write_table(csv.table, tmp_path / "a.parquet")
    parquet = read_batch(tmp_path / "a.parquet", Source(), contract)

    assert (said(csv), said(parquet)) == ({}, {})
    assert csv.table.equals(parquet.table)
    assert len(set(csv.table["post_id"].to_pylist())) == 100
    assert detect(CASES / "06-19-digit-ids/posts.csv").types["post_id"] == "string"


def test_11_whole_numbers_that_a_program_wrote_with_a_point() -> None:
    batch = read("11-float-ints/feb.csv", id="integer", seats="integer")

    seats = batch.table["seats"]
    assert said(batch) == {}
    assert (seats.null_count, seats.type, seats.to_pylist()[:5]) == (
        1,
        pa.int64(),
        [1, 2, None, 4, 0],
    )


def test_20_decimals_of_scale_0_stay_different() -> None:
    assert detect(CASES / "20-decimal-ids/accounts.parquet").types == {
        "account_id": "integer", "balance": "number"
    }  # fmt: skip
    batch = read("20-decimal-ids/accounts.parquet", account_id="integer", balance="number")
    assert said(batch) == {}
    assert batch.table["account_id"].to_pylist() == [2**53 + i for i in range(100)]


def test_20_as_numbers_they_would_merge_and_that_is_said() -> None:
    batch = read("20-decimal-ids/accounts.parquet", account_id="number", balance="number")

    (finding,) = (f for f in batch.findings if not f.holds)
    assert str(finding).startswith(
        "account_id has digits that a 64-bit floating-point number cannot hold in 50 rows (row 2, "
    )
    assert (finding.rows, batch.is_sound) == ((), True)


def test_20_a_number_that_is_no_integer_is_no_key() -> None:
    with pytest.raises(ValidationError, match="'x' is a number, and numbers that are different"):
        Contract(columns={"x": Column(type="number")}, key=("x",))


def test_21_unsigned_numbers_beyond_64_bits_are_named() -> None:
    from tenure.adapters.arrow_tables.csv_text import UnreadableFile

    with pytest.raises(UnreadableFile, match="a column 'u64' of type uint64 with values from 9,22"):
        detect(CASES / "21-parquet-types/u64.parquet")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("date", "timestamp"), ("dict", "string"), ("dictint", "integer"), ("float16", "number"),
        ("large", "string"), ("sview", "string"), ("nulls", "string"),
    ],
)  # fmt: skip
def test_21_types_of_parquet_that_are_read(name: str, kind: ColumnType) -> None:
    batch = read(f"21-parquet-types/{name}.parquet", id="integer", at="timestamp", **{name: kind})

    assert said(batch) == {}
    assert detect(CASES / f"21-parquet-types/{name}.parquet").types[name] == kind


@pytest.mark.parametrize("month", ["jan", "feb"])
def test_22_an_integer_that_pandas_made_a_double(month: str) -> None:
    batch = read(f"22-int-as-double/{month}.parquet", id="integer", at="timestamp", seats="integer")

    assert said(batch) == {}
    assert batch.table["seats"].type == pa.int64()
    assert batch.table["seats"].null_count == (month == "feb")


def test_23_the_year_9999() -> None:
    far = read("23-timestamps/far.parquet", id="integer", at="timestamp", until="timestamp")
    sentinels = read("23-timestamps/sentinels.csv", id="integer", until="timestamp")

    assert (said(far), said(sentinels)) == ({}, {})
    assert time_range(sentinels.table, "until")[1] < datetime(9999, 12, 31, tzinfo=UTC)
    assert max(sentinels.table["until"].to_pylist()) == datetime(
        9999, 12, 31, 23, 59, 59, tzinfo=UTC
    )
    assert detect(CASES / "23-timestamps/contracts.csv").types["valid_until"] == "timestamp"


def test_24_infinity_is_no_value_and_nan_is_null() -> None:
    batch = read("24-infinity/inf.parquet", id="integer", at="timestamp", x="number")

    (finding,) = said(batch)
    assert finding.startswith("x has infinity in 1 rows")


def test_41_a_doubtful_time_is_called_so() -> None:
    batch = read(
        "41-dst/autumn.csv",
        Source(format="csv", time_zone="Europe/Berlin"),
        id="integer",
        at="timestamp",
    )

    assert said(batch) == {
        "at has a doubtful local time in 2 rows (row 2, 4), allowed timestamp": [2, 4]
    }


def test_41_reasons_stand_side_by_side() -> None:
    berlin = Source(format="csv", time_zone="Europe/Berlin")
    column = texts("2026-10-25 02:30:00", "soon", "9999-12-31T23:59:59-01:00", None)

    assert from_text(column, "timestamp", berlin).bad == {
        DOUBTFUL: [0], BEYOND: [2], "text that is no timestamp": [1],
    }  # fmt: skip


def test_42_a_day_without_midnight() -> None:
    batch = read(
        "42-date-without-midnight/cairo.csv",
        Source(format="csv", time_zone="Africa/Cairo"),
        id="integer",
        day="timestamp",
    )

    assert said(batch) == {}
    assert batch.table["day"][1].as_py() == datetime(2026, 4, 23, 22, tzinfo=UTC)


def test_43_a_row_without_a_key_is_called_so() -> None:
    null = read("43-null-key/nullkey.csv", key=("id",), id="string", v="integer")
    quoted = read("43-null-key/quotedkey.csv", key=("id",), id="string", v="integer")

    assert said(null) == {
        "id has 1 of 4 rows with a key seen before (25.0%), allowed each key once": [4],
        "id has 2 of 4 rows with a null key (50.0%), allowed a key, never null": [1, 2],
    }
    assert said(quoted) == {
        "id has 1 of 2 rows with a key seen before (50.0%), allowed each key once": [2]
    }


def test_44_forms_of_numbers() -> None:
    ints = read("44-number-forms/ints.csv", id="integer", x="integer")
    numbers = read("44-number-forms/numbers.csv", id="integer", x="number")

    assert ints.table["x"].to_pylist() == [
        1, None, 2**63 - 1, 1582218195625938945, 1, 0, 999999999999999999,
    ]  # fmt: skip
    assert said(ints) == {"x has text that is no integer in 1 rows (row 2), allowed integer": [2]}
    assert numbers.table["x"].to_pylist()[:6] == [1e5, None, 0.0, 0.5, 5.0, None]


RIGHT: dict[str, tuple[dict[str, ColumnType], int]] = {
    "01-na-country-code/countries.csv": (
        {"city_id": "integer", "country": "string", "visitors": "integer"}, 0,
    ),
    "09-cr-line-ends/mac.csv": ({}, 100),
    "16-zero-rows/full.csv": ({}, 100),
    "18-quoted-newlines/notes.csv.gz": ({}, 40_000),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_what_was_right_stays_right(name: str) -> None:
    types, rows = RIGHT[name]
    form = detect(CASES / name)
    columns = {column: Column(type=kind) for column, kind in form.types.items()}

    batch = read_batch(CASES / name, form.source, Contract(columns=columns))

    assert {column: form.types.get(column) for column in types} == types
    assert said(batch) == {}
    assert batch.rows == rows or not rows
    if "country" in form.types:
        assert "NA" in batch.table["country"].to_pylist()


def test_16_a_file_without_rows_fails_with_a_reason() -> None:
    empty, nothing = (
        read(f"16-zero-rows/{name}.csv", id="integer", v="number") for name in ("empty", "nothing")
    )

    assert said(nothing) == {"the file: found no header, expected a csv file": []}
    assert (empty.rows, said(empty)) == (0, {})
    limits = judge(empty.rows, empty.findings, QualityPolicy())
    assert (limits.verdict, str(limits.findings[0])) == (
        "failed",
        "the batch has 0 good rows, allowed at least 1",
    )


def test_17_a_column_of_nulls_where_none_may_be() -> None:
    name = "17-all-null-column/allnull.csv"
    contract = Contract(
        columns={"id": Column(type="integer"), "v": Column(type="number", nullable=False)}
    )

    batch = read_batch(CASES / name, CSV, contract)

    (finding,) = (f for f in batch.findings if not f.holds)
    assert finding.observed.startswith("null in 100 rows (row 1, 2, 3, 4, 5 and 95 more)")


def test_local_times_in_the_form_of_the_source() -> None:
    form = CsvFormat(times=("%d.%m.%Y %H:%M", "%d.%m.%Y"))
    berlin = Source(format="csv", time_zone="Europe/Berlin", csv=form)
    cairo = berlin.model_copy(update={"time_zone": "Africa/Cairo"})

    assert of_text("25.10.2026 02:30", "timestamp", berlin) == DOUBTFUL
    assert of_text("1.7.2026 02:30", "timestamp", berlin) == datetime(2026, 7, 1, 0, 30, tzinfo=UTC)
    assert of_text("24.4.2026", "timestamp", cairo) == datetime(2026, 4, 23, 22, tzinfo=UTC)
    assert of_text("24.4.2026 00:00", "timestamp", cairo) == DOUBTFUL
    assert of_text("31.2.2026", "timestamp", cairo) == "text that is no timestamp"
