"""However decisions are shipped and judged, each is judged once and the sum closes."""

import itertools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.adapters import sealed_files, segment_files
from tenure.adapters.ibis_engine import IbisEngine
from tenure.adapters.ibis_engine.selection import of_version
from tenure.lifecycle.monitoring.window import Window, next_window
from tenure.ports import DecisionFilter, JudgedRows

CASE = Path(__file__).parents[2] / "cases" / "40-late-decisions"
START = datetime(2026, 5, 1, 11, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TIME = pa.timestamp("us", tz="UTC")


@dataclass
class Desk:
    """Files of decisions and the windows that were judged, as the monitoring keeps them."""

    folder: Path
    engine: IbisEngine = field(default_factory=lambda: IbisEngine(threads=1))
    segments: dict[Path, str] = field(default_factory=dict)
    lists: list[Path] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    judged: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def ship(self, hour: int, minutes: Sequence[int], version: int = 1) -> list[str]:
        """One segment with a decision a minute; ids of them."""
        number = next(self.numbers)
        ids = [f"{number}-{i}" for i in range(len(minutes))]
        times = [START + minute * MINUTE for minute in minutes]
        table = pa.table(
            {
                "decision_id": ids,
                "version_id": [version] * len(ids),
                "event_time": pa.array(times, TIME),
            }
        )
        path = self.folder / f"{number}.parquet"
        pq.write_table(table, path)
        self.segments[path] = f"hour={hour}/s{number}"
        return ids

    def compact(self, hour: int) -> None:
        """All files of an hour become one, as maintenance makes it."""
        going = {p: n for p, n in self.segments.items() if n.startswith(f"hour={hour}/")}
        if len(going) < 2:
            return
        target = self.folder / f"{next(self.numbers)}.parquet"
        segment_files.merge({n.partition("/")[2]: p for p, n in going.items()}, target)
        for path in going:
            del self.segments[path]
        self.segments[target] = f"hour={hour}/compacted-{target.stem}"

    def filter(self, until: datetime) -> DecisionFilter:
        end = self.windows[-1].until if self.windows else None
        judged = JudgedRows(end, tuple(self.lists)) if end else None
        return DecisionFilter(
            tuple(self.segments), 1, until=until, segments=self.segments, judged=judged
        )

    def judge(self, until: datetime, minimum: int = 1) -> Window | None:
        decisions = self.filter(until)
        counts = self.engine.tally(decisions)
        assert counts.waiting >= 0
        before = sum(window.decisions for window in self.windows)
        assert counts.judged == before
        end = self.windows[-1].until if self.windows else None
        window = next_window(end, counts, minimum, judged=before)
        if window is None:
            return None
        rows = of_version(self.engine, decisions).to_pyarrow()
        opened = sealed_files.opened(decisions, lambda _: [])
        assert sorted(rows["decision_id"].to_pylist()) == sorted(opened["decision_id"].to_pylist())
        names = self.engine.segments(decisions)
        assert sum(names.values()) == window.decisions == len(rows)
        target = self.folder / f"list-{len(self.windows)}.parquet"
        target.write_bytes(segment_files.segment_list(names))
        self.lists.append(target)
        self.windows.append(window)
        self.judged += rows["decision_id"].to_pylist()
        return window


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_what_a_gateway_ships_later_is_judged_once(desk: Desk) -> None:
    desk.segments[CASE / "gateway-a.parquet"] = "hour=11/gateway-a"
    first = desk.judge(START + 60 * MINUTE)
    desk.segments[CASE / "gateway-b-shipped-later.parquet"] = "hour=11/gateway-b"
    late = desk.judge(START + 60 * MINUTE)
    assert first is not None
    assert late is not None
    assert (first.decisions, late.decisions) == (3600, 1200)
    assert late.until == first.until
    assert late.remarks() == (
        "Of its 1,200 decisions 1,200, of 2026-05-01 11:10 to 2026-05-01 11:29, were shipped after "
        "their time was judged."
    )
    assert late.sums()["logged"] == 4800
    assert desk.judge(START + 60 * MINUTE) is None


def test_a_segment_that_is_partly_of_the_future_is_judged_in_two_windows(desk: Desk) -> None:
    desk.ship(11, [0, 5, 90])
    assert desk.judge(START + 60 * MINUTE).decisions == 2  # type: ignore[union-attr]
    later = desk.judge(START + 100 * MINUTE)
    assert later is not None
    assert (later.decisions, later.tally.late.rows) == (1, 0)


def test_judged_decisions_that_are_gone_are_missed(desk: Desk) -> None:
    desk.ship(11, [0, 1, 2])
    desk.ship(11, [3])
    desk.judge(START + 60 * MINUTE)
    gone = next(iter(desk.segments))
    del desk.segments[gone]
    desk.ship(12, [70])
    counts = desk.engine.tally(desk.filter(START + 99 * MINUTE))
    window = next_window(desk.windows[-1].until, counts, 1, judged=4)
    assert window is not None
    assert window.missing == 3
    assert "3 decisions that were judged are no longer in the store." in window.remarks()


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("ship"),
            st.integers(0, 2),
            st.lists(st.integers(0, 300), min_size=1, max_size=4),
        ),
        st.tuples(st.just("ship of another"), st.integers(0, 2), st.just([1, 100])),
        st.tuples(st.just("judge"), st.integers(0, 300), st.integers(1, 4)),
        st.tuples(st.just("compact"), st.integers(0, 2), st.none()),
    ),
    min_size=2,
    max_size=14,
)


@settings(max_examples=25, deadline=None)
@given(steps)
def test_in_any_order_each_decision_is_judged_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, object]]
) -> None:
    folder = tmp_path_factory.mktemp("desk")
    desk = Desk(folder)
    logged: list[str] = []
    clock = 0
    for what, where, more in steps:
        match what, more:
            case "ship", list():
                logged += desk.ship(where, more)
            case "ship of another", list():
                desk.ship(where, more, version=2)
            case "compact", _:
                desk.compact(where)
            case "judge", int() if desk.segments:
                clock = max(clock, where)
                desk.judge(START + clock * MINUTE, minimum=more)
    if desk.segments:
        desk.judge(START + 300 * MINUTE)
    assert sorted(desk.judged) == sorted(logged)
    assert sum(window.decisions for window in desk.windows) == len(logged)
    shutil.rmtree(folder)
