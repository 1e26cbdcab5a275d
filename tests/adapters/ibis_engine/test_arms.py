"""Counts of both arms against a case small enough to count by hand."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.adapters.ibis_engine import IbisEngine
from tenure.adapters.ibis_engine.arms import CanaryWindow, arm_counts
from tenure.lifecycle.promotion.event_rates import ShareCounts

START = datetime(2013, 7, 1, tzinfo=UTC)
HORIZON = 24.0
WATERMARK = START + timedelta(hours=HORIZON + 10)
"""Events up to START + 10 hours are mature."""
MOMENT = pa.timestamp("us", tz="UTC")
DECISION = pa.schema(
    [
        ("decision_id", pa.string()),
        ("request_id", pa.string()),
        ("subject", pa.string()),
        ("arm_assigned", pa.string()),
        ("generation", pa.int32()),
        ("share_bp", pa.int32()),
        ("received_at", MOMENT),
        ("event_time", MOMENT),
        ("fallback_level", pa.string()),
        ("decision", pa.bool_()),
    ]
)
OUTCOME = pa.schema(
    [
        ("outcome_id", pa.string()),
        ("decision_id", pa.string()),
        ("request_id", pa.string()),
        ("label", pa.bool_()),
        ("received_at", MOMENT),
    ]
)


def decision(name: str, subject: str, arm: str, **changes: Any) -> dict[str, Any]:
    minute = int(name[1:])
    row = {
        "decision_id": name,
        "request_id": f"r-{name}",
        "subject": subject,
        "arm_assigned": arm,
        "generation": 7,
        "share_bp": 500,
        "received_at": START + timedelta(minutes=minute),
        "event_time": START,
        "fallback_level": "model",
        "decision": True,
    }
    return row | changes


def outcome(of: str | None, label: bool, minute: int, **changes: Any) -> dict[str, Any]:
    at = START + timedelta(days=2, minutes=minute)
    row = {"outcome_id": f"o{minute:04}", "decision_id": of, "request_id": None, "label": label}
    return row | {"received_at": at} | changes


def write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


@pytest.fixture(scope="module")
def engine() -> IbisEngine:
    return IbisEngine(threads=1)


DECISIONS = [
    decision("d01", "anna", "canary"),  # wrong label, first of anna
    decision("d02", "anna", "canary"),  # wrong again: not counted twice
    decision("d03", "bert", "champion", fallback_level="champion"),  # error, first of bert
    decision("d04", "bert", "champion", fallback_level="rule"),  # error again
    decision("d05", "carl", "champion"),  # right label
    decision("d06", "dora", "canary", fallback_level="champion"),  # error of the assigned arm
    decision("d07", "emil", "champion"),  # outcome not mature
    decision("d08", "finn", "champion"),  # no outcome
    decision("d09", "gina", "champion"),  # wrong, then corrected: newest outcome counts
    decision("d10", "hans", "champion", generation=6),  # before the canary began
    decision("d11", "ines", "champion", share_bp=0),  # the lease had ended
    decision("d12", "jack", "champion"),  # outcome by request id
    decision("d13", "bert", "canary", share_bp=5000, fallback_level="rule"),  # bert's first was d03
    decision("d14", "kate", "canary", share_bp=5000),  # wrong label at the second share
    decision("d15", "lars", "champion", share_bp=5000),  # right label
    decision("d16", "mary", "rule"),  # no arm was assigned
    decision("d17", "nora", "champion", event_time=START + timedelta(hours=10)),  # just mature
    decision("d18", "otto", "champion", event_time=START + timedelta(hours=10, seconds=1)),  # not
]
OUTCOMES = [
    outcome("d01", False, 1),
    outcome("d02", False, 2),
    outcome("d05", True, 3),
    outcome("d07", False, 4),
    outcome("d09", False, 5),
    outcome("d09", True, 6),
    outcome(None, False, 7, request_id="r-d12"),
    outcome("d14", False, 8),
    outcome("d15", True, 9),
    outcome("d10", False, 10),
    outcome("d17", False, 11),
    outcome("d18", False, 12),
    outcome("nobody", False, 13),
]
EXPECTED = [
    # subjects of the canary at 5%: anna, dora; of the champion: bert carl emil finn gina jack nora
    # otto; at 50%: bert, kate | lars
    ShareCounts("error", 500, 2, 1, 8, 1),
    ShareCounts("error", 5000, 2, 0, 1, 0),
    # mature at 5%: anna | carl gina jack nora (jack and nora wrong); at 50%: kate | lars
    ShareCounts("wrong_label", 500, 1, 1, 4, 2),
    ShareCounts("wrong_label", 5000, 1, 1, 1, 0),
]


@pytest.fixture
def files(tmp_path: Path) -> tuple[list[Path], list[Path]]:
    late = [
        row | {"event_time": WATERMARK} if row["subject"] == "emil" else row for row in DECISIONS
    ]
    first = write(tmp_path / "d1.parquet", late[:9], DECISION)
    again = write(tmp_path / "d2.parquet", [*late[9:], late[0], late[5]], DECISION)  # shipped twice
    return [first, again], [write(tmp_path / "o1.parquet", OUTCOMES, OUTCOME)]


def test_counts_are_those_counted_by_hand(
    engine: IbisEngine, files: tuple[list[Path], list[Path]]
) -> None:
    window = CanaryWindow(first_generation=7, horizon_hours=HORIZON, watermark=WATERMARK)
    assert arm_counts(engine, *files, window)[0] == EXPECTED


@pytest.mark.parametrize(
    ("ended", "errors"),
    [
        pytest.param((), (2, 3), id="both hold"),
        pytest.param(((7, START + timedelta(minutes=9)),), (2, 3), id="ended afterwards"),
        pytest.param(((7, START + timedelta(minutes=3)),), (1, 1), id="ended in between"),
        pytest.param(((6, START),), (2, 3), id="in an earlier plan"),
    ],
)
def test_without_an_authorization_neither_arm_is_counted(
    engine: IbisEngine, tmp_path: Path, ended: Any, errors: tuple[int, int]
) -> None:
    """The rule answers in a champion's place, and those errors are no merit of the canary."""
    rows = [
        decision("d01", "a", "canary", fallback_level="champion"),
        decision("d02", "b", "champion", fallback_level="rule"),
        decision("d03", "c", "champion", fallback_level="rule"),
        decision("d04", "d", "canary", fallback_level="champion"),
        decision("d05", "e", "champion", fallback_level="rule"),
    ]
    files = [write(tmp_path / "d.parquet", rows, DECISION)]
    (found,) = arm_counts(engine, files, [], CanaryWindow(7, HORIZON, None, ended))[0]
    assert (found.canary_events, found.champion_events) == errors


def test_an_outcome_that_was_shipped_twice_counts_once(
    engine: IbisEngine, files: tuple[list[Path], list[Path]]
) -> None:
    window = CanaryWindow(first_generation=7, horizon_hours=HORIZON, watermark=WATERMARK)
    assert arm_counts(engine, files[0], files[1] * 2, window)[0] == EXPECTED


def test_without_a_watermark_no_label_is_mature(
    engine: IbisEngine, files: tuple[list[Path], list[Path]]
) -> None:
    window = CanaryWindow(first_generation=7, horizon_hours=HORIZON, watermark=None)
    assert arm_counts(engine, *files, window)[0] == EXPECTED[:2]


def test_no_files_are_no_counts(engine: IbisEngine, files: tuple[list[Path], list[Path]]) -> None:
    window = CanaryWindow(first_generation=7, horizon_hours=HORIZON, watermark=WATERMARK)
    assert arm_counts(engine, [], [], window)[0] == []
    assert arm_counts(engine, files[0], [], window)[0] == EXPECTED[:2]


GROUPED = DECISION.append(pa.field("f_carrier", pa.string())).append(
    pa.field("f_age", pa.float64())
)
IN_GROUPS = [
    decision("d01", "anna", "canary", f_carrier="UA", f_age=24.9),  # wrong
    decision("d02", "anna", "canary", f_carrier="EV", f_age=25.0),  # of UA, her first one
    decision("d03", "bert", "champion", f_carrier="EV", f_age=25.0),  # wrong
    decision("d04", "carl", "champion", f_carrier=None, f_age=None),  # wrong, and missing
    decision("d05", "dora", "canary", f_carrier="", f_age=40.0),  # right; empty is a value
    decision("d06", "emil", "champion", f_carrier="EV", f_age=39.0),  # no label yet
]
LABELS = [
    outcome("d01", False, 1),
    outcome("d02", False, 2),
    outcome("d03", False, 3),
    outcome("d04", False, 4),
    outcome("d05", True, 5),
]


def counted(path: Path, schema: pa.Schema = GROUPED, **attributes: tuple[float, ...]) -> Any:
    known = set(schema.names)
    rows = [{k: v for k, v in row.items() if k in known} for row in IN_GROUPS]
    window = CanaryWindow(7, HORIZON, WATERMARK, attributes=attributes)
    files = [write(path / "d.parquet", rows, schema)], [write(path / "o.parquet", LABELS, OUTCOME)]
    return arm_counts(IbisEngine(threads=1), *files, window)


def test_a_subject_is_of_the_group_of_its_first_decision(tmp_path: Path) -> None:
    _, found = counted(tmp_path, carrier=())
    wrong = {one.value: one.shares for one in found.groups}
    assert wrong == {
        "": (ShareCounts("wrong_label", 500, 1, 0, 0, 0),),
        "EV": (ShareCounts("wrong_label", 500, 0, 0, 1, 1),),
        "UA": (ShareCounts("wrong_label", 500, 1, 1, 0, 0),),
        None: (ShareCounts("wrong_label", 500, 0, 0, 1, 1),),
    }
    asked = {one.name: one.asked for one in found.groups}
    assert asked["carrier EV"] == ((500, 0, 2),)
    assert asked["carrier missing"] == ((500, 0, 1),)
    assert [one.first_at for one in found.groups if one.value == "UA"] == [
        START + timedelta(minutes=1)
    ]


def test_bands_of_a_number_begin_with_their_lower_edge(tmp_path: Path) -> None:
    _, found = counted(tmp_path, age=(25.0, 40.0))
    assert [one.name for one in found.groups] == [
        "age 25 to under 40",
        "age 40 and over",
        "age under 25",
        "age missing",
    ]


@pytest.mark.parametrize("attributes", [{}, {"carrier": ()}, {"carrier": (), "age": (25.0,)}])
def test_groups_of_an_attribute_add_up_to_everybody(
    tmp_path: Path, attributes: dict[str, tuple[float, ...]]
) -> None:
    total, found = counted(tmp_path, **attributes)
    assert total == [
        ShareCounts("error", 500, 2, 0, 3, 0),
        ShareCounts("wrong_label", 500, 2, 1, 2, 2),
    ]
    for attribute in attributes:
        rows = [one for one in found.groups if one.attribute == attribute]
        for name in ("canary_subjects", "canary_events", "champion_subjects", "champion_events"):
            parts = sum(getattr(share, name) for one in rows for share in one.shares)
            assert parts == getattr(total[1], name), (attribute, name)


def test_what_cannot_be_seen_is_named_with_the_reason(tmp_path: Path) -> None:
    _, found = counted(tmp_path, carrier=(), age=(), race=())
    assert found.unseen == {
        "age": "it is a number, and `bias.edges` has no bands of it",
        "race": "it is no feature, so the decision log does not hold it",
    }
    sealed = DECISION.append(pa.field("sealed", pa.binary()))
    _, found = counted(tmp_path, sealed, carrier=())
    assert found.groups == ()
    assert "sealed" in found.unseen["carrier"]
