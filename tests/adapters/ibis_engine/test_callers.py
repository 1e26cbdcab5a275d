"""Outcomes by request id are those of the caller who asked; what is ambiguous does not count."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.adapters.ibis_engine import IbisEngine
from tenure.adapters.ibis_engine.arms import CanaryWindow, arm_counts
from tenure.ports import DecisionFilter, OutcomeCounts

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
MOMENT = pa.timestamp("us", tz="UTC")
SHOP, BANK = "s" * 32, "b" * 32
OLD = "no column"
"""A file of before callers were logged."""


@pytest.fixture(scope="module")
def engine() -> IbisEngine:
    return IbisEngine(threads=1)


def decision(name: str, caller: str | None, **changes: Any) -> dict[str, Any]:
    row = {
        "decision_id": name,
        "request_id": "order-1",
        "caller": caller,
        "subject": name,
        "f_name": name,
        "version_id": 1,
        "arm_assigned": "canary" if name.startswith("c") else "champion",
        "generation": 1,
        "share_bp": 500,
        "received_at": NOON,
        "event_time": NOON,
        "fallback_level": "model",
        "decision": True,
        "score": 0.9,
    }
    return row | changes


def outcome(caller: str | None, *, label: bool = False, **changes: Any) -> dict[str, Any]:
    row = {
        "outcome_id": f"o-{caller}-{label}",
        "decision_id": None,
        "request_id": "order-1",
        "caller": caller,
        "label": label,
        "received_at": NOON + timedelta(hours=1),
    }
    return row | changes


def write(folder: Path, kind: str, rows: list[dict[str, Any]]) -> list[Path]:
    """One file of rows with callers, one of rows without, each where there are any."""
    strings = ("decision_id", "request_id", "caller")
    paths = []
    for is_old in (False, True):
        group = [row for row in rows if (row["caller"] == OLD) is is_old]
        if not group:
            continue
        table = pa.Table.from_pylist(group)
        for place, field in enumerate(table.schema):
            kind_of = pa.string() if field.name in strings else field.type
            kind_of = MOMENT if pa.types.is_timestamp(field.type) else kind_of
            table = table.set_column(place, field.name, table[field.name].cast(kind_of))
        paths.append(folder / f"{kind}-{is_old}.parquet")
        pq.write_table(table.drop_columns(["caller"]) if is_old else table, paths[-1])
    return paths


CASES = {
    "each of two labels its own": (
        [decision("d1", SHOP), decision("d2", BANK)],
        [outcome(SHOP, label=True), outcome(BANK)],
        {"d1": True, "d2": False},
        0,
    ),
    "what one tells does not label the other": (
        [decision("d1", SHOP), decision("d2", BANK)],
        [outcome(SHOP)],
        {"d1": False},
        0,
    ),
    "who never asked labels nothing": ([decision("d2", BANK)], [outcome(SHOP)], {}, 1),
    "each decision of a request of several rows": (
        [decision("d1", SHOP), decision("d2", SHOP), decision("d3", BANK)],
        [outcome(SHOP)],
        {"d1": False, "d2": False},
        0,
    ),
    "nobody is named and one asked": ([decision("d1", SHOP)], [outcome(None)], {"d1": False}, 0),
    "nobody is named and two asked": (
        [decision("d1", SHOP), decision("d2", BANK)],
        [outcome(None)],
        {},
        1,
    ),
    "nobody is named and the other asked another version": (
        [decision("d1", SHOP), decision("d2", BANK, version_id=2)],
        [outcome(None)],
        {},
        1,
    ),
    "nobody is named and the other asked at another time": (
        [decision("d1", SHOP), decision("d2", BANK, event_time=NOON - timedelta(days=9))],
        [outcome(None)],
        {},
        1,
    ),
    "a decision id needs no caller": (
        [decision("d1", SHOP), decision("d2", BANK)],
        [outcome(None, decision_id="d2", request_id=None)],
        {"d2": False},
        0,
    ),
    "decisions from before callers were logged": (
        [decision("d1", OLD)],
        [outcome(SHOP, label=True)],
        {"d1": True},
        0,
    ),
    "outcomes from before callers were logged": (
        [decision("d1", SHOP)],
        [outcome(OLD, label=True)],
        {"d1": True},
        0,
    ),
}


def in_case(case: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with ids of this case only, so that one scan has all cases."""
    ids = ("decision_id", "request_id", "outcome_id", "f_name")
    return [{k: f"{case}:{v}" if k in ids and v else v for k, v in row.items()} for row in rows]


def counted(
    engine: IbisEngine, folder: Path, rows: list[dict[str, Any]], truth: list[dict[str, Any]]
) -> OutcomeCounts:
    day = {"after": NOON - timedelta(days=1), "until": NOON}
    return engine.outcomes(
        DecisionFilter(tuple(write(folder, "d", rows)), 1, **day),
        write(folder, "o", truth),
        attributes=["f_name"],
        bins=10,
    )


@pytest.fixture(scope="module")
def counts(engine: IbisEngine, tmp_path_factory: pytest.TempPathFactory) -> OutcomeCounts:
    rows = [row for case, (asked, *_) in CASES.items() for row in in_case(case, asked)]
    truth = [row for case, (_, told, *_) in CASES.items() for row in in_case(case, told)]
    return counted(engine, tmp_path_factory.mktemp("rows"), rows, truth)


@pytest.mark.parametrize("case", CASES)
def test_labels_of_a_window(counts: OutcomeCounts, case: str) -> None:
    found = {
        name.removeprefix(f"{case}:"): cell == (1, 0, 0, 0)
        for (name,), cell in counts.cells.items()
        if name.startswith(f"{case}:")
    }
    assert found == CASES[case][2]


def test_what_is_ambiguous_is_counted(counts: OutcomeCounts) -> None:
    assert counts.ambiguous == sum(case[3] for case in CASES.values()) == 4


def test_files_of_which_none_knows_callers(engine: IbisEngine, tmp_path: Path) -> None:
    counts = counted(engine, tmp_path, [decision("d1", OLD)], [outcome(OLD)])
    assert (counts.cells, counts.ambiguous) == ({("d1",): (0, 1, 0, 0)}, 0)


def test_the_judge_of_canaries_takes_no_label_of_another_caller(
    engine: IbisEngine, tmp_path: Path
) -> None:
    """Both used `order-1`; the shop's wrong label must not be the bank's as well."""
    rows = [decision("c1", SHOP), decision("d2", BANK), decision("c3", BANK, request_id="x")]
    window = CanaryWindow(first_generation=1, horizon_hours=0, watermark=NOON)
    decisions, truth = write(tmp_path, "d", rows), write(tmp_path, "o", [outcome(SHOP)])
    wrong = [c for c in arm_counts(engine, decisions, truth, window)[0] if c.event == "wrong_label"]
    assert [(c.canary_subjects, c.canary_events) for c in wrong] == [(1, 1)]
    assert [(c.champion_subjects, c.champion_events) for c in wrong] == [(0, 0)]
