"""Compaction of real files: killed anywhere, run twice, at the same time as readers."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.errors import StateConflict
from tenure.installation import Installation
from tenure.lifecycle.decisions.compaction import KEPT
from tenure.lifecycle.decisions.segment_record import IN_FLIGHT
from tenure.settings import REPOSITORY
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.decisions.segments import compact, live_keys, seal
from tenure.usecases.serving.log_files import RecordedFiles

pytestmark = pytest.mark.service
OLD = "decisions/model=m/date=2026-05-01/hour=12"
FILES = 5


def put(platform: Installation, key: str, ids: list[str], **columns: list[Any]) -> None:
    table = pa.table({"decision_id": ids, **columns})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    RecordedFiles(platform, "gw").put(key, sink.getvalue().to_pybytes())


def strange(platform: Installation) -> list[str]:
    """Why files are not as they were recorded."""
    found = verify_ledger(platform, invariants=True).invariants
    return [str(b["why"]) for one in found if one.id == "I18" for b in one.breaches]


def rows(platform: Installation, prefix: str = "decisions/") -> list[str]:
    """Decision ids as every reader finds them."""
    keys = live_keys(platform.store, prefix)
    tables = [pq.read_table(platform.store.fetch(key)) for key in keys]
    return sorted(str(v) for table in tables for v in table["decision_id"].to_pylist())


@pytest.fixture
def hour(platform: Installation) -> Installation:
    for number in range(FILES):
        put(platform, f"{OLD}/gw-{number:09d}.parquet", [f"d{number}", f"e{number}"])
    return platform


class Later:
    """So late that everything that was recorded is stored."""

    def now(self) -> datetime:
        return datetime.now(tz=UTC) + IN_FLIGHT


EXPECTED = sorted(f"{letter}{number}" for letter in "de" for number in range(FILES))


def in_subprocess(platform: Installation, fail: str, at: timedelta = timedelta()) -> int:
    """Compact in a process that dies where it is told; its clock may be ahead."""
    settings = platform.settings
    script = (
        "import datetime as d\n"
        "from tenure.settings import Settings\n"
        "from tenure.installation import Installation\n"
        "from tenure.usecases.decisions import segments\n"
        "class Clock:\n"
        f"    def now(self):\n        ahead = d.timedelta(seconds={at.total_seconds()})\n"
        "        return d.datetime.now(d.UTC) + ahead\n"
        "platform = Installation(Settings.from_environment())\n"
        "platform.__dict__['clock'] = Clock()\n"
        "segments.compact(platform)\n"
    )
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("TENURE_")},
        "PYTHONPATH": str(REPOSITORY / "plugins"),
        "TENURE_HOME": str(settings.home),
        "TENURE_DATABASE_URL": settings.database_url,
        "TENURE_STORE_URL": settings.store_url,
        "TENURE_ENV": "test",
        "TENURE_FAIL": fail,
    }
    return subprocess.run([sys.executable, "-c", script], env=env, check=False).returncode


@pytest.mark.parametrize(
    ("fail", "later"),
    [
        ("segment.recorded:kill", timedelta()),
        ("compact.data:kill", timedelta()),
        pytest.param("compact.manifest:kill", timedelta(), marks=pytest.mark.exhaustive),
        pytest.param("compact.delete:kill:1", KEPT, marks=pytest.mark.exhaustive),
        ("compact.delete:kill:3", KEPT),
    ],
)
def test_killed_anywhere_every_row_is_there_once(
    hour: Installation, fail: str, later: timedelta
) -> None:
    if later:
        compact(hour)
    assert in_subprocess(hour, fail, later) == -9
    assert rows(hour) == EXPECTED
    assert strange(hour) == []
    compact(hour)
    assert rows(hour) == EXPECTED
    assert strange(hour) == []
    assert len(live_keys(hour.store, "decisions/")) == 1
    assert in_subprocess(hour, "", KEPT + timedelta(minutes=1)) == 0
    assert rows(hour) == EXPECTED
    assert strange(hour) == []
    left = sorted(key.rpartition(".")[2] for key in hour.store.list("decisions/"))
    assert left == ["json", "parquet"]


NOTHING = {"hours": 0, "files": 0, "deleted": 0, "left": 0, "strange": 0}


def test_counts_and_rests(hour: Installation) -> None:
    assert vars(compact(hour)) == {**NOTHING, "hours": 1, "files": FILES}
    assert vars(compact(hour)) == NOTHING


def test_an_hour_that_runs_is_left_alone(platform: Installation) -> None:
    now = datetime.now(tz=UTC)
    folder = f"decisions/model=m/date={now:%Y-%m-%d}/hour={now:%H}"
    for name in "ab":
        put(platform, f"{folder}/{name}.parquet", [name])
    assert compact(platform).hours == 0


def test_at_most_so_many_hours_a_run(platform: Installation) -> None:
    for hour in ("01", "02", "03"):
        for name in "ab":
            put(platform, f"decisions/model=m/date=2026-05-01/hour={hour}/{name}.parquet", [name])
    done = compact(platform, at_most=2)
    assert (done.hours, done.left) == (2, 1)
    assert len(rows(platform)) == 6


def test_columns_come_together_and_disagreeing_ones_stay_apart(platform: Installation) -> None:
    put(platform, f"{OLD}/a.parquet", ["1"], f_hour=[1.0])
    put(platform, f"{OLD}/b.parquet", ["2"], f_hour=["one"])
    put(platform, f"{OLD}/c.parquet", ["3"], f_temp=[2.0])
    put(platform, f"{OLD}/d.parquet", ["4"], f_hour=["two"])
    compact(platform)
    keys = live_keys(platform.store, "decisions/")
    tables = [pq.read_table(platform.store.fetch(key)).to_pylist() for key in keys]
    found = {row["decision_id"]: row for table in tables for row in table}
    assert found["1"] == {"decision_id": "1", "f_hour": 1.0, "f_temp": None, "segment": "a"}
    assert found["3"] == {"decision_id": "3", "f_hour": None, "f_temp": 2.0, "segment": "c"}
    assert [found[i]["f_hour"] for i in "24"] == ["one", "two"]
    assert len(keys) == 2


def test_a_spoilt_file_stays_for_the_ledger_check_to_name(hour: Installation) -> None:
    hour.store.put(f"{OLD}/spoilt.parquet", b"no parquet")
    compact(hour)
    assert f"{OLD}/spoilt.parquet" in live_keys(hour.store, "decisions/")
    assert len(live_keys(hour.store, "decisions/")) == 2


def test_what_was_edited_or_added_does_not_vanish_in_a_compaction(hour: Installation) -> None:
    """Else the compacted file, which is recorded, would make it look as if it had been shipped."""
    edited, added = f"{OLD}/gw-{0:09d}.parquet", f"{OLD}/gw-{9:09d}.parquet"
    for key in (edited, added):
        hour.store.put(key, hour.store.get(f"{OLD}/gw-{1:09d}.parquet"))
    done = compact(hour)
    assert (done.files, done.strange) == (FILES - 1, 2)
    assert {edited, added} < set(live_keys(hour.store, "decisions/"))
    first, second = sorted(strange(hour))
    assert first.startswith("has SHA-256")
    assert second == "nobody recorded it"


def test_a_compacted_file_that_is_gone_is_all_its_rows(hour: Installation) -> None:
    compact(hour)
    assert in_subprocess(hour, "", KEPT + timedelta(minutes=1)) == 0
    (data,) = live_keys(hour.store, "decisions/")
    assert strange(hour) == []
    hour.store.delete(data.replace(".parquet", ".json"))
    hour.__dict__["clock"] = Later()
    assert len(strange(hour)) == FILES


def test_only_one_compacts(hour: Installation) -> None:
    from tenure.adapters.sql.database import Database
    from tenure.adapters.sql.maintenance import try_lock

    other = Database(hour.settings.database_url)
    with other.begin() as connection:
        assert try_lock(connection, "tenure.compaction")
        assert compact(hour).hours == 0
    other.dispose()
    assert compact(hour).hours == 1


def test_invariants_count_compacted_rows_once(platform: Installation) -> None:
    """Decisions that no plan names are a breach of I7: the same number before and after."""
    from tenure.adapters.decision_tables import DECISION_FIELDS

    for number in range(3):
        values: dict[str, Any] = {name: [None] for name in DECISION_FIELDS}
        values |= {"model": ["m"], "generation": [1], "version_id": [number], "subject": ["0" * 32]}
        table = pa.table({n: pa.array(values[n], kind) for n, kind in DECISION_FIELDS.items()})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        files = RecordedFiles(platform, "gw")
        files.put(f"{OLD}/gw-{number}.parquet", sink.getvalue().to_pybytes())

    def breaches() -> int:
        found = verify_ledger(platform, invariants=True).invariants
        return next(len(one.breaches) for one in found if one.id == "I7")

    assert breaches() == 3
    assert compact(platform).hours == 1
    assert breaches() == 3


def test_nothing_there(platform: Installation) -> None:
    assert live_keys(platform.store, "decisions/model=none/") == []
    assert vars(compact(platform))["hours"] == 0


def sealed(platform: Installation) -> int:
    """Write the ledger event over what was recorded; as if ten minutes had passed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tenure.adapters.sql.log_segments.IN_FLIGHT", timedelta())
        return seal(platform, actor="maintain_platform").records


def test_records_are_sealed_once(hour: Installation) -> None:
    assert seal(hour, actor="maintain_platform").records == 0  # they are too young
    assert [sealed(hour), sealed(hour)] == [FILES, 0]
    compact(hour)
    assert [sealed(hour), sealed(hour)] == [1, 0]
    assert strange(hour) == []
    assert verify_ledger(hour).events == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log_segment SET digest = repeat('f', 64) WHERE id = 2",
        "UPDATE log_segment SET rows = rows + 1 WHERE id = 2",
        "DELETE FROM log_segment WHERE id = 2",
        "UPDATE log_segment SET recorded_at = now() WHERE id = 2",
        "INSERT INTO log_segment (key, model, digest, rows, writer, recorded_at) "
        "SELECT key || 'x', model, digest, rows, writer, recorded_at FROM log_segment",
    ],
)
def test_who_changes_a_record_with_its_file_contradicts_the_ledger(
    hour: Installation, statement: str
) -> None:
    assert sealed(hour) == FILES
    with hour.database.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql(statement)
    assert any("are not those sealed" in why for why in strange(hour))


def test_a_record_that_comes_too_late_is_refused(platform: Installation) -> None:
    """It would be older than what was sealed meanwhile; its writer does it again."""
    statement = (
        "INSERT INTO log_segment (key, model, digest, rows, writer, recorded_at) "
        "VALUES ('k', 'm', 'd', 1, 'w', now() - interval '1 hour') RETURNING recorded_at = now()"
    )
    with platform.database.begin() as connection:
        assert connection.exec_driver_sql(statement).scalar_one()
    with pytest.raises(StateConflict, match="the record of k comes too late"):
        _insert_without_its_moment(platform, statement.replace("'d'", "'e'"))


def _insert_without_its_moment(platform: Installation, statement: str) -> None:
    with platform.database.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE log_segment DISABLE TRIGGER segment_insert")
        connection.exec_driver_sql(statement)
