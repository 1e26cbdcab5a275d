"""What is shipped or labelled of a version after another took its place: judged or counted."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest

from tenure.adapters.sql.monitoring import JudgedWindow
from tenure.adapters.sql.tables import model_version
from tenure.errors import StateConflict
from tenure.layout import report_key
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.monitoring import monitor as module
from tenure.usecases.monitoring.monitor import monitor

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
KINDS = ("drift", "quality", "performance", "fairness")


def found(rows: list[JudgedWindow]) -> list[tuple[str, str, int]]:
    return [(row.kind, str(row.verdict), row.decisions) for row in rows]


def facts(life: Any, row: JudgedWindow) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(life.platform.store.get(report_key(row.report_digest)))
    return body["facts"]  # type: ignore[no-any-return]


def sum_closes(life: Any) -> bool:
    breaches = verify_ledger(life.platform, invariants=True).invariants
    return not next(one for one in breaches if one.id == "I22").breaches


@pytest.fixture
def replaced(life: Any) -> Any:
    """A champion whose first window was judged, then 400 decisions more, then a successor."""
    first = life.champion()
    end = life.ship(first, 2000)
    life.watermark(end + DAY)
    monitor(life.platform, "late", life.run())
    life.last = life.ship(first, 400, start=end + MINUTE)
    life.fresh = life.succeed(first)
    life.first = first
    return life


def test_what_it_decided_before_it_was_replaced_is_judged_once(replaced: Any) -> None:
    seen = monitor(replaced.platform, "late", replaced.run("run-2"))
    assert found(seen.former) == [("drift", "passed", 400), ("quality", "passed", 400)]
    assert seen.results == []
    assert "late@1: drift passed; quality passed" in seen.sentence
    assert "late@1 performance: 400 decisions left, 400 of them wait for labels" in seen.sentence
    replaced.watermark(replaced.last + DAY)
    seen = monitor(replaced.platform, "late", replaced.run("run-3"))
    assert found(seen.former) == [("performance", "passed", 400), ("fairness", "passed", 400)]
    assert monitor(replaced.platform, "late", replaced.run("run-4")).former == []
    assert sum_closes(replaced)
    by_version = {row["model_version_id"] for row in replaced.rows("monitoring_result")}
    assert by_version == {replaced.first.id}


@pytest.mark.exhaustive
def test_what_is_shipped_after_it_was_replaced_is_judged_and_too_little_is_counted(
    replaced: Any,
) -> None:
    monitor(replaced.platform, "late", replaced.run("run-2"))
    replaced.ship(replaced.first, 120)  # a gateway that was cut off for a day
    replaced.ship(replaced.fresh, 500, start=replaced.last + MINUTE)
    seen = monitor(replaced.platform, "late", replaced.run("run-3"))
    assert found(seen.results) == [("drift", "passed", 500), ("quality", "passed", 500)]
    counted = [row for row in seen.former if row.verdict == "inconclusive"]
    assert [(row.kind, row.decisions) for row in counted] == [("drift", 120), ("quality", 120)]
    said = "120 decisions are left of late@1, which serves no more; 300 are needed to judge them."
    assert all(said in str(row.facts["summary"]) for row in counted)
    assert "were shipped after their time was judged" in str(counted[0].facts["remarks"])
    assert facts(replaced, counted[0])["sum"] == {
        "logged": 2520,
        "judged_before": 2400,
        "judged_here": 120,
        "waiting": 0,
        "late": 120,
        "missing": 0,
    }
    assert monitor(replaced.platform, "late", replaced.run("run-4")).former == []
    replaced.ship(replaced.first, 200)
    seen = monitor(replaced.platform, "late", replaced.run("run-5"))
    assert found(seen.former) == [(kind, "passed", 320) for kind in KINDS]  # all are mature
    assert sum_closes(replaced)


@pytest.mark.exhaustive
def test_a_failure_of_a_former_version_is_an_incident_of_its_own(replaced: Any) -> None:
    replaced.ship(replaced.first, 400, warmer=40.0)
    replaced.ship(replaced.fresh, 500, start=replaced.last + MINUTE)
    seen = monitor(replaced.platform, "late", replaced.run("run-2"))
    assert ("drift", "failed", 800) in found(seen.former)
    assert ("drift", "passed", 500) in found(seen.results)
    (told,) = [row for row in replaced.rows("incident") if row["kind"] == "drift_failed"]
    assert (told["dedupe_key"], told["state"]) == ("monitoring:late:drift:1", "open")
    assert told["summary"].startswith("Of a version that serves no more, shipped or labelled later")


@pytest.mark.exhaustive
def test_a_deleted_version_has_no_reference_and_is_counted(replaced: Any) -> None:
    with replaced.platform.database.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.execute(
            model_version.update()
            .where(model_version.c.id == replaced.first.id)
            .values(state="deleted")
        )
    replaced.ship(replaced.fresh, 10, start=replaced.last + MINUTE)
    seen = monitor(replaced.platform, "late", replaced.run("run-2"))
    assert found(seen.former)[:2] == [
        ("drift", "inconclusive", 400),
        ("quality", "inconclusive", 400),
    ]
    assert "its reference was deleted" in str(seen.former[0].facts["summary"])


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "place",
    [pytest.param("monitoring.judged", marks=pytest.mark.exhaustive), "monitoring.recorded"],
)
def test_killed_between_judged_and_recorded(replaced: Any, place: str) -> None:
    """By the kernel, in a process of its own: afterwards each decision is judged once."""
    code = (
        "from tenure.installation import Installation\n"
        "from tenure.settings import Settings\n"
        "from tenure.usecases.monitoring.monitor import monitor\n"
        "from tenure.vocabulary import RunRef\n"
        "import json, pathlib, sys\n"
        "values = json.loads(sys.argv[1])\n"
        "values |= {k: pathlib.Path(values[k]) for k in ('home', 'include')}\n"
        "monitor(Installation(Settings(**values)), 'late', RunRef('d', 'run-2', 'monitor'))\n"
    )
    values = json.dumps(vars(replaced.platform.settings), default=str)
    env = os.environ | {"TENURE_ENV": "test", "TENURE_FAIL": f"{place}:kill"}
    done = subprocess.run([sys.executable, "-c", code, values], env=env, check=False)
    assert done.returncode == -9
    monitor(replaced.platform, "late", replaced.run("run-2"))
    rows = [r for r in replaced.rows("monitoring_result") if r["kind"] == "drift"]
    assert [(r["verdict"], r["decisions"]) for r in rows] == [("passed", 2000), ("passed", 400)]
    assert sum_closes(replaced)


@pytest.mark.exhaustive
def test_a_run_that_looked_before_another_one_stored_stores_nothing(
    replaced: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that was thought dead, and its next try, saw different files."""
    look_at = module._look_at
    is_first = iter([True])

    def slow(*args: Any, **kwargs: Any) -> Any:
        seen = look_at(*args, **kwargs)
        if seen[0] is not None and next(is_first, False):
            replaced.ship(replaced.first, 50)
            monitor(replaced.platform, "late", replaced.run("other"))
        return seen

    monkeypatch.setattr(module, "_look_at", slow)
    monitor(replaced.platform, "late", replaced.run("run-2"))
    rows = [r for r in replaced.rows("monitoring_result") if r["kind"] == "drift"]
    assert [r["decisions"] for r in rows] == [2000, 450]
    assert sum_closes(replaced)


ERRORS: list[Exception | str] = [
    StateConflict("late", still_safe="all", next_step="look"),
    ValueError("a\x00b"),
    OSError(5, "Input/output error"),
    "SELECT 1 / 0",
]


@pytest.mark.exhaustive
@pytest.mark.parametrize("bad", ["late@1", "late@2"])
def test_what_cannot_be_judged_of_one_version_holds_up_no_other(
    replaced: Any, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    """The champion's failure makes the task red, when the others are done."""
    look_at, errors = module._look_at, list(ERRORS)

    def explode(platform: Any, engine: Any, watched: Any, *args: Any, **kwargs: Any) -> Any:
        if watched.name == bad and isinstance(errors[0], Exception):
            raise errors[0]
        if watched.name == bad:
            with platform.database.begin() as connection:
                connection.exec_driver_sql(str(errors[0]))
        return look_at(platform, engine, watched, *args, **kwargs)

    replaced.ship(replaced.fresh, 500, start=replaced.last + MINUTE)
    other = replaced.first.id if bad == "late@2" else replaced.fresh.id
    with monkeypatch.context() as patch:
        patch.setattr(module, "_look_at", explode)
        for number in range(len(ERRORS)):
            with pytest.raises(Exception) if bad == "late@2" else nullcontext():  # noqa: PT011
                monitor(replaced.platform, "late", replaced.run(f"run-{number}"))
            errors.pop(0)
            judged = {row["model_version_id"] for row in replaced.rows("monitoring_result")[4:]}
            assert judged == {other}
            told = [r["subject"] for r in replaced.rows("incident") if r["state"] == "open"]
            assert told == [f"{bad} drift and quality", f"{bad} performance and fairness"]
    monitor(replaced.platform, "late", replaced.run("last"))
    judged = {row["model_version_id"] for row in replaced.rows("monitoring_result")[4:]}
    assert judged == {replaced.first.id, replaced.fresh.id}
    assert [r for r in replaced.rows("incident") if r["state"] == "open"] == []
    assert sum_closes(replaced)
