"""What differs between the files of a log and their records."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from tenure.lifecycle.decisions.segment_record import IN_FLIGHT, SegmentRecord, faults

NOW = datetime(2026, 5, 1, 14, tzinfo=UTC)
HOUR = "decisions/model=m/date=2026-05-01/hour=12"
A, B, C = (f"{HOUR}/gw-{n}.parquet" for n in (1, 2, 3))
AB = f"{HOUR}/compacted-1.parquet"
ABC = f"{HOUR}/compacted-2.parquet"


def record(
    key: str,
    digest: str,
    rows: int = 2,
    replaces: tuple[str, ...] | None = None,
    age: timedelta = IN_FLIGHT,
) -> SegmentRecord:
    return SegmentRecord(key, digest, rows, replaces, NOW - age)


def names(*keys: str) -> tuple[str, ...]:
    return tuple(key.rpartition("/")[2] for key in keys)


SHIPPED = [record(A, "a"), record(B, "b")]
MERGED = [*SHIPPED, record(AB, "ab", 4, names(A, B))]
AGAIN = [*MERGED, record(C, "c"), record(ABC, "abc", 6, names(A, B, C, AB))]


@pytest.mark.parametrize(
    ("records", "found", "expected"),
    [
        pytest.param([], {}, {}, id="nothing"),
        pytest.param(SHIPPED, {A: "a", B: "b"}, {}, id="as shipped"),
        pytest.param(SHIPPED, {A: "a"}, {B: "is missing; 2 rows"}, id="missing"),
        pytest.param(
            [record(A, "a"), record(B, "b", age=IN_FLIGHT - timedelta(seconds=1))],
            {A: "a"},
            {},
            id="on its way",
        ),
        pytest.param(SHIPPED, {A: "a", B: "x"}, {B: "has SHA-256 x"}, id="edited"),
        pytest.param(SHIPPED[:1], {A: "a", B: "b"}, {B: "nobody recorded it"}, id="added"),
        pytest.param(
            [*SHIPPED, record(B, "again")], {A: "a", B: "again"}, {}, id="shipped once more"
        ),
        pytest.param(MERGED, {A: "a", B: "b"}, {}, id="recorded, and killed before it counted"),
        pytest.param(MERGED, {AB: "ab"}, {}, id="compacted"),
        pytest.param(MERGED, {AB: "x"}, {AB: "has SHA-256 x"}, id="compacted, then edited"),
        pytest.param(MERGED, {}, {A: "is missing", B: "is missing"}, id="compacted, then gone"),
        pytest.param(MERGED, {A: "a", AB: "ab"}, {A: "is read 2 times"}, id="read twice"),
        pytest.param(AGAIN, {ABC: "abc"}, {}, id="compacted twice"),
        pytest.param(
            AGAIN, {ABC: "abc", AB: "ab"}, {A: "is read 2 times", B: "is read 2"}, id="both count"
        ),
        pytest.param(
            [*SHIPPED, record(AB, "ab", 3, names(A, B))],
            {AB: "ab"},
            {AB: "holds 3 rows in place of 4"},
            id="a row lost",
        ),
        pytest.param(
            [*SHIPPED, record(AB, "ab", 4, names(A, B, C))],
            {AB: "ab"},
            {AB: f"replaces {C}, which nobody recorded"},
            id="a stranger within",
        ),
        pytest.param(
            [*SHIPPED, record(AB, "ab", 2, names(A))],
            {AB: "ab"},
            {B: "is missing"},
            id="hidden by a manifest of the store",
        ),
    ],
)
def test_what_differs(
    records: list[SegmentRecord], found: Mapping[str, str], expected: Mapping[str, str]
) -> None:
    told = {one.key: one.why for one in faults(records, found, NOW)}
    assert told.keys() == expected.keys()
    assert all(told[key].startswith(why) for key, why in expected.items())
