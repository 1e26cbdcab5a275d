"""Ingestion on a real database and store: one life of a batch, and death at every step."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from tenure.demo.upstream import write_month
from tenure.errors import DataRejected
from tenure.installation import Installation
from tenure.settings import Settings
from tenure.usecases.data.ingestion import Ingestion, ingestion
from tenure.vocabulary import RunRef, digest_bytes

pytestmark = pytest.mark.service

RUN = RunRef("flights__ingest_data", "r1", "ingest", 0, "ada")

YAML = """\
name: tiny
description: Numbers for tests.
owner: ada
steward: sam
time_column: at
suite: tiny
source: {settle_seconds: 0}
quality: {max_quarantined: 0.5, min_rows: 1}
contract:
  key: [id]
  columns:
    id: {type: string, nullable: false}
    at: {type: timestamp, nullable: false}
    x: {type: number}
"""
SUITE = {
    "name": "tiny",
    "expectations": [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "x", "min_value": 0, "max_value": 10},
            "severity": "warning",
        },
        {
            "type": "expect_column_values_to_not_be_null",
            "kwargs": {"column": "x", "mostly": 0.5},
            "severity": "critical",
        },
    ],
}


@pytest.fixture
def tiny(settings: Settings, tmp_path: Path) -> Iterator[Installation]:
    """An installation with one small dataset."""
    include = tmp_path / "include"
    (include / "configs/datasets").mkdir(parents=True)
    (include / "configs/datasets/tiny.yaml").write_text(YAML)
    (include / "expectations").mkdir()
    (include / "expectations/tiny.json").write_text(json.dumps(SUITE))
    platform = Installation(replace(settings, include=include))
    yield platform
    platform.database.dispose()


def drop(platform: Installation, xs: list[float | None], name: str = "a.parquet") -> str:
    """Land one batch of the tiny dataset; returns its key."""
    path = platform.settings.home / "store/landing/tiny" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    at = pa.array([1_400_000_000_000_000 + i for i in range(len(xs))], pa.timestamp("us", "UTC"))
    ids = [f"r{i}" for i in range(len(xs))]
    pq.write_table(pa.table({"x": pa.array(xs, pa.float64()), "at": at, "id": ids}), path)
    return f"landing/tiny/{name}"


def rows(platform: Installation, query: str) -> list[dict[str, Any]]:
    with platform.database.begin() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


def quarantined(platform: Installation) -> list[dict[str, Any]]:
    (key,) = platform.store.list("quarantine/")
    table = pq.read_table(platform.store.fetch(key))
    return table.to_pylist()


class TestMonthOfFlights:
    """The story of issue 2, step 1."""

    @pytest.mark.exhaustive
    def test_broken_then_repaired(self, platform: Installation) -> None:
        landing = platform.settings.home / "store/landing/flights"
        write_month(landing, 3, damage="broken")
        flights = ingestion(platform, "flights")
        (key,) = flights.discover()

        with pytest.raises(DataRejected) as first:
            flights.ingest(key, RUN)

        assert first.value.what == (
            "flights batch 2013-03: 2 of 15 expectations failed; temp has 3,460 of 28,834 nulls "
            "(12.0%), allowed at most 2%; month has 150 of 28,834 values out of range (0.5%), such "
            "as 13, allowed 1…12; the batch has 3,610 of 28,834 rows in quarantine (12.52%), "
            "allowed at most 2%."
        )
        assert "Nothing of this batch was published" in first.value.still_safe
        assert "3,610 rows with their reasons lie in quarantine/flights/2013-03/" in (
            first.value.still_safe
        )
        assert list(platform.store.list("snapshots/")) == []
        assert flights.discover() == []
        found = quarantined(platform)
        assert len(found) == 3610
        assert sum(row["month"] == 13 for row in found) == 150
        assert sum(row["temp"] is None for row in found) == 3460
        assert all(row["_reasons"] and row["_row"] >= 1 for row in found)
        with pytest.raises(DataRejected) as again:
            ingestion(platform, "flights").ingest(key, RUN)
        assert again.value.lines() == first.value.lines()

        write_month(landing, 3)
        assert flights.discover() == [key]
        done = flights.ingest(key, RUN)

        assert (done.batch, done.rows_ok, done.rows_quarantined) == ("2013-03", 28_834, 0)
        assert flights.discover() == []
        kept = [row["verdict"] for row in rows(platform, "SELECT * FROM validation ORDER BY id")]
        assert kept == ["failed", "passed"]
        data = platform.store.fetch(
            f"snapshots/flights/{done.snapshot}/data.parquet", done.snapshot
        )
        assert pq.read_metadata(data).num_rows == 28_834

    @pytest.mark.exhaustive
    @pytest.mark.parametrize(
        "month",
        [1, 5, 8, 10, 11],
    )
    def test_real_months_pass_whole(self, platform: Installation, month: int) -> None:
        write_month(platform.settings.home / "store/landing/flights", month)
        flights = ingestion(platform, "flights")

        done = flights.ingest(flights.discover()[0], RUN)

        assert done.rows_quarantined == 0

    @pytest.mark.exhaustive
    def test_december_lacks_its_weather(self, platform: Installation) -> None:
        write_month(platform.settings.home / "store/landing/flights", 12)
        flights = ingestion(platform, "flights")

        with pytest.raises(DataRejected, match=r"temp has 932 of 28,135 nulls \(3.3%\)"):
            flights.ingest(flights.discover()[0], RUN)


class TestPublishing:
    """What stands after a batch that passed."""

    def test_bad_rows_are_set_aside_and_the_rest_is_published(self, tiny: Installation) -> None:
        key = drop(tiny, [1.0, 99.0, None, 3.0])

        done = ingestion(tiny, "tiny").ingest(key, RUN)

        data = tiny.store.fetch(f"snapshots/tiny/{done.snapshot}/data.parquet")
        assert pq.read_table(data).column("id").to_pylist() == ["r0", "r2", "r3"]
        assert pq.read_table(data).column_names == ["id", "at", "x"]
        (bad,) = quarantined(tiny)
        assert (bad["id"], bad["_row"]) == ("r1", 2)
        assert bad["_reasons"] == [
            {
                "rule": "expect_column_values_to_be_between",
                "subject": "x",
                "columns": ["x"],
                "allowed": "0…10",
            }
        ]
        assert_stands_once(tiny, rows_in=4, rows_quarantined=1)

    def test_the_manifest_is_what_the_row_names(self, tiny: Installation) -> None:
        done = ingestion(tiny, "tiny").ingest(drop(tiny, [1.0, 2.0]), RUN)

        (row,) = rows(tiny, "SELECT * FROM snapshot")
        body = tiny.store.get(
            f"snapshots/tiny/{done.snapshot}/manifest.json", row["manifest_digest"]
        )
        manifest = json.loads(body)
        assert (manifest["rows_in"], manifest["rows_ok"], manifest["rows_quarantined"]) == (2, 2, 0)
        assert manifest["columns"] == {"id": "string", "at": "timestamp", "x": "number"}
        assert (row["time_max"] - row["time_min"]).microseconds == 1

    def test_the_same_file_under_other_names_is_one_snapshot(self, tiny: Installation) -> None:
        service = ingestion(tiny, "tiny")
        first = service.ingest(drop(tiny, [1.0], "a.parquet"), RUN)
        second = service.ingest(drop(tiny, [1.0], "b.parquet"), RUN)

        assert first == second
        assert_stands_once(tiny, rows_in=1, rows_quarantined=0)

    def test_a_file_that_gets_a_right_name_is_judged_by_it(self, tiny: Installation) -> None:
        """Its bytes are the same, so nothing but the name could be repaired."""
        key = drop(tiny, [1.0, 2.0], "March 2014.parquet")
        with pytest.raises(DataRejected, match=r"the file is called 'March 2014\.parquet'"):
            ingestion(tiny, "tiny").ingest(key, RUN)
        landing = tiny.settings.home / "store/landing/tiny"

        (landing / "March 2014.parquet").rename(landing / "2014-03.parquet")

        assert ingestion(tiny, "tiny").discover() == ["landing/tiny/2014-03.parquet"]
        found = ingestion(tiny, "tiny").ingest("landing/tiny/2014-03.parquet", RUN)
        assert (found.batch, found.rows_ok) == ("2014-03", 2)
        assert ingestion(tiny, "tiny").discover() == []

    def test_new_rules_judge_again_and_keep_the_snapshot(self, tiny: Installation) -> None:
        service = ingestion(tiny, "tiny")
        before = service.ingest(drop(tiny, [1.0, 2.0]), RUN)
        suite = tiny.settings.suites / "tiny.json"
        suite.write_text(suite.read_text().replace("0.5", "0.9"))
        (row,) = rows(tiny, "SELECT * FROM snapshot")

        service = ingestion(tiny, "tiny")
        (key,) = service.discover()
        after = service.ingest(key, RUN)

        assert after.snapshot == before.snapshot
        assert after.report != before.report
        assert len(rows(tiny, "SELECT * FROM validation")) == 2
        assert rows(tiny, "SELECT * FROM snapshot") == [row]
        tiny.store.get(f"snapshots/tiny/{after.snapshot}/manifest.json", row["manifest_digest"])

    def test_what_was_judged_by_is_kept(self, tiny: Installation) -> None:
        ingestion(tiny, "tiny").ingest(drop(tiny, [1.0]), RUN)

        (suite,) = rows(tiny, "SELECT digest, body FROM suite_revision")
        (config,) = rows(tiny, "SELECT digest, body FROM config_revision")
        assert digest_bytes(suite["body"].encode()) == suite["digest"]
        assert digest_bytes(config["body"].encode()) == config["digest"]
        (event,) = rows(tiny, "SELECT * FROM ledger_event")
        assert (event["subject"], event["actor"]) == ("dataset:tiny", "ada")
        assert event["body"]["verdict"] == "passed"


class TestRefusing:
    """Nothing is published, everything is accounted for."""

    def test_limits_of_quarantine(self, tiny: Installation) -> None:
        service = ingestion(tiny, "tiny")

        assert service.ingest(drop(tiny, [1.0, 99.0]), RUN).rows_quarantined == 1
        with pytest.raises(DataRejected, match=r"2 of 3 rows in quarantine \(66.67%\)"):
            service.ingest(drop(tiny, [1.0, 99.0, 99.0]), RUN)

    def test_garbage_is_kept_as_it_came(self, tiny: Installation) -> None:
        key = drop(tiny, [1.0])
        (tiny.settings.home / "store" / key).write_bytes(b"PAR1 no parquet PAR1")

        with pytest.raises(DataRejected, match="the contract is broken; the file: found") as error:
            ingestion(tiny, "tiny").ingest(key, RUN)

        assert "The file as it came lies in quarantine/tiny/a/" in error.value.still_safe
        (kept,) = tiny.store.list("quarantine/")
        assert tiny.store.get(kept) == b"PAR1 no parquet PAR1"
        (row,) = rows(tiny, "SELECT * FROM validation")
        assert (row["verdict"], row["rows_in"], row["snapshot_id"]) == ("failed", 0, None)

    def test_a_wrong_column_sets_every_row_aside(self, tiny: Installation) -> None:
        path = tiny.settings.home / "store/landing/tiny/a.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"id": ["a", "b"], "x": ["1", "2"], "why": [1, 2]}), path)

        with pytest.raises(DataRejected) as error:
            ingestion(tiny, "tiny").ingest("landing/tiny/a.parquet", RUN)

        assert error.value.what == (
            "tiny batch a: the contract is broken; at: found no such column, expected timestamp."
        )
        assert [row["_row"] for row in quarantined(tiny)] == [1, 2]
        (row,) = rows(tiny, "SELECT * FROM validation")
        assert (row["rows_in"], row["rows_ok"], row["rows_quarantined"]) == (2, 0, 2)

    def test_a_file_of_another_kind_is_refused_not_ignored(self, tiny: Installation) -> None:
        drop(tiny, [1.0], "a b.csv")
        service = ingestion(tiny, "tiny")

        (key,) = service.discover()
        with pytest.raises(DataRejected, match=r"'a b.csv', expected the suffix .parquet"):
            service.ingest(key, RUN)
        assert service.discover() == []

    def test_a_file_that_is_gone(self, tiny: Installation) -> None:
        with pytest.raises(DataRejected, match=r"landing/tiny/a.parquet is gone"):
            ingestion(tiny, "tiny").ingest("landing/tiny/a.parquet", RUN)


class TestDiscovering:
    """What is there and what is not a batch."""

    def test_markers_and_parts_are_left_alone(self, tiny: Installation) -> None:
        drop(tiny, [1.0])
        for name in ("_SUCCESS", "b.parquet.tmp", ".hidden.parquet", "sub/c.parquet"):
            path = tiny.settings.home / "store/landing/tiny" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")

        assert ingestion(tiny, "tiny").discover() == ["landing/tiny/a.parquet"]

    def test_what_is_no_batch_opens_one_incident_until_it_is_gone(
        self, tiny: Installation, caplog: pytest.LogCaptureFixture
    ) -> None:
        key = drop(tiny, [1.0])
        folder = tiny.store.fetch(key).parent
        nested = folder / "year=2026/month=01"
        nested.mkdir(parents=True)
        odd = folder / "a\nb.parquet"
        for path in (nested / "part-0.parquet", odd):
            path.write_bytes(b"rows")
        for _ in range(3):
            assert ingestion(tiny, "tiny").discover() == [key]
        query = "SELECT kind, subject, seen, summary, state FROM incident ORDER BY id"
        (said,) = rows(tiny, query)
        assert (said["kind"], said["subject"], said["seen"]) == ("landing_not_read", "tiny", 1)
        assert "columns (year, month) would be lost" in said["summary"]
        assert "landing=not_read name='a\\\\nb.parquet'" in caplog.text
        odd.unlink()
        ingestion(tiny, "tiny").discover()
        (said,) = rows(tiny, query)
        assert (said["seen"], said["summary"][:8]) == (2, "1 things")
        (nested / "part-0.parquet").unlink()
        nested.rmdir()
        nested.parent.rmdir()
        ingestion(tiny, "tiny").discover()
        assert [row["state"] for row in rows(tiny, query)] == ["closed"]

    def test_a_file_that_may_still_grow_waits(self, tiny: Installation) -> None:
        drop(tiny, [1.0])
        yaml = tiny.settings.configs / "datasets/tiny.yaml"
        yaml.write_text(yaml.read_text().replace("settle_seconds: 0", "settle_seconds: 3600"))

        assert ingestion(tiny, "tiny").discover() == []

    def test_it_reads_a_file_once_and_imports_nothing_heavy(self, tiny: Installation) -> None:
        drop(tiny, [1.0])
        code = (
            "import sys, pathlib\n"
            "from tenure.settings import Settings\n"
            "from tenure.installation import Installation\n"
            "from tenure.usecases.data.ingestion import ingestion\n"
            "service = ingestion(Installation(Settings.from_environment()), 'tiny')\n"
            "assert service.discover() == ['landing/tiny/a.parquet'], service.discover()\n"
            "heavy = {'pandas', 'pyarrow', 'great_expectations', 'sklearn'}\n"
            "print(sorted(heavy & set(sys.modules)))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(tiny),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

        assert done.stdout.strip() == "[]"
        memory = tiny.settings.home / "cache/landing/tiny.json"
        (stamp, _, since), *_ = json.loads(memory.read_text()).values()
        memory.write_text(json.dumps({"landing/tiny/a.parquet": [stamp, "remembered", since]}))
        service = ingestion(tiny, "tiny")
        landing = service.discover()
        assert landing == ["landing/tiny/a.parquet"]
        assert "remembered" in memory.read_text()


class Crash(Exception):
    """The process is gone."""


@dataclass
class Fuse:
    """Blows at the n-th step that changes something."""

    left: int

    def burn(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash


class FusedStore:
    """A store that dies before or after a write."""

    def __init__(self, store: Any, fuse: Fuse) -> None:
        self._store, self._fuse = store, fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, key: str, data: bytes) -> str:
        return self._around(lambda: self._store.put(key, data))

    def put_file(self, key: str, source: Path) -> str:
        return self._around(lambda: self._store.put_file(key, source))

    def _around(self, write: Callable[[], str]) -> str:
        self._fuse.burn()
        digest = write()
        self._fuse.burn()
        return digest


class FusedDatabase:
    """A database that dies before a transaction, before its commit, or after it."""

    def __init__(self, database: Any, fuse: Fuse) -> None:
        self._database, self._fuse = database, fuse

    @contextmanager
    def begin(self) -> Iterator[Any]:
        self._fuse.burn()
        with self._database.begin() as connection:
            yield connection
            self._fuse.burn()
        self._fuse.burn()


class TestDeath:
    """Killed anywhere, then run again: as if nothing had happened."""

    @pytest.mark.parametrize(
        "xs",
        [
            pytest.param([1.0, 99.0, 2.0], id="passes"),
            pytest.param([99.0, 99.0], id="fails", marks=pytest.mark.exhaustive),
        ],
    )
    def test_at_every_step(self, tiny: Installation, xs: list[float | None]) -> None:
        key = drop(tiny, xs)
        steps = 0
        for step in range(1, 100):
            steps = step
            if survives(fused(tiny, Fuse(step)), key):
                break
            verdicts = {row["verdict"] for row in rows(tiny, "SELECT verdict FROM validation")}
            assert verdicts <= {"passed", "failed"}

        assert 12 < steps < 99
        survives(ingestion(tiny, "tiny"), key)
        passed = len(xs) == 3
        assert_stands_once(
            tiny, rows_in=len(xs), rows_quarantined=1 if passed else 2, passed=passed
        )

    def test_a_child_that_is_killed(self, tiny: Installation) -> None:
        key = drop(tiny, [1.0, 99.0])
        code = (
            "import os, signal\n"
            "from tenure.settings import Settings\n"
            "from tenure.vocabulary import RunRef\n"
            "from tenure.installation import Installation\n"
            "from tenure.usecases.data.publication import Publisher\n"
            "from tenure.usecases.data.ingestion import ingestion\n"
            "Publisher._note = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
            "service = ingestion(Installation(Settings.from_environment()), 'tiny')\n"
            f"service.ingest({key!r}, {RUN!r})\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment(tiny), timeout=120, check=False
        )
        assert done.returncode == -signal.SIGKILL
        assert rows(tiny, "SELECT * FROM validation") == []
        assert rows(tiny, "SELECT * FROM snapshot") == []

        ingestion(tiny, "tiny").ingest(key, RUN)

        assert_stands_once(tiny, rows_in=2, rows_quarantined=1)


def environment(platform: Installation) -> dict[str, str]:
    settings = platform.settings
    return os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[3] / "plugins"),
        "TENURE_HOME": str(settings.home),
        "TENURE_INCLUDE": str(settings.include),
        "TENURE_DATABASE_URL": settings.database_url,
        "TENURE_STORE_URL": settings.store_url,
    }


def fused(platform: Installation, fuse: Fuse) -> Ingestion:
    from tenure.adapters.sql.reports import SqlReports

    sound = ingestion(platform, "tiny")
    store: Any = FusedStore(platform.store, fuse)
    database: Any = FusedDatabase(platform.database, fuse)
    return replace(
        sound,
        store=store,
        database=database,
        reports=SqlReports(database, store),
        publisher=replace(sound.publisher, store=store, database=database),
    )


def survives(service: Ingestion, key: str) -> bool:
    try:
        service.ingest(key, RUN)
    except Crash:
        return False
    except DataRejected:
        return True
    return True


def assert_stands_once(
    platform: Installation, *, rows_in: int, rows_quarantined: int, passed: bool = True
) -> None:
    (row,) = rows(platform, "SELECT * FROM validation")
    assert row["rows_in"] == rows_in == row["rows_ok"] + row["rows_quarantined"]
    assert row["rows_quarantined"] == rows_quarantined
    assert len(rows(platform, "SELECT * FROM snapshot")) == passed
    assert len(rows(platform, "SELECT * FROM ledger_event")) == 1
    assert len(rows(platform, "SELECT * FROM report")) == 1
    assert len(list(platform.store.list("snapshots/"))) == 2 * passed
    if rows_quarantined:
        assert len(quarantined(platform)) == rows_quarantined
