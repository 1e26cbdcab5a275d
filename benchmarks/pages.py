"""What a page costs: each page of a filled installation against the smallest page of the same app.

Run: `.venv/bin/python benchmarks/pages.py [ROUNDS] [MODELS] [DATASETS]`

A real server and a real PostgreSQL; the login is left out, since Airflow's is not ours. The rows
are those of the browser tests, and MODELS more models and DATASETS more datasets, each with a
history of its own.
"""

import importlib.util
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "builders"))


def main(rounds: int, models: int, datasets: int) -> None:
    """Print the table of benchmarks/RESULTS.md."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["AIRFLOW_HOME"] = str(home / "airflow")
        os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "True"
        with _database(home) as url, _served(home, url, (models, datasets)) as (address, paths):
            _report(*_measure(address, paths, rounds))


@contextmanager
def _database(home: Path) -> Iterator[str]:
    from tenure.migrations import upgrade
    from tenure.stack import postgres

    server = postgres.start(home)
    try:
        import psycopg

        with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE pages")
        upgrade(server.url("pages"))
        yield server.url("pages")
    finally:
        postgres.stop(server)


@contextmanager
def _served(home: Path, url: str, more: tuple[int, int]) -> Iterator[tuple[str, dict[str, str]]]:
    import uvicorn
    from airflow.api_fastapi.common.db.common import _get_session
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import FastAPI
    from filled_site import FilledSite, window
    from flight_configs import flight_configs
    from page_reader import FakeGuard, signs
    from shop import Shop

    from tenure.installation import Installation
    from tenure.settings import Settings
    from tenure.web import app, security

    nowhere = "http://127.0.0.1:9"
    include, store = flight_configs(home / "include"), (home / "store").as_uri()
    settings = Settings(home, include, url, store, nowhere, nowhere, nowhere)
    platform = Installation(settings)
    life = _life(platform)
    filled = FilledSite(life, Shop(platform, home))
    paths = filled.fill() | filled.fill_more()
    _more_models(life, more[0])
    _more_datasets(life, more[1])
    with platform.database.begin() as connection:
        connection.exec_driver_sql("ANALYZE")
    replaced: dict[str, Any] = {
        "settings_from_airflow": lambda: settings,
        "airflow_signs": lambda _session: signs(),
        "is_running": lambda *_: False,
        "open_windows": lambda *_: [window(life.now)],
        "task_status": filled.tasks,
    }
    for name, value in replaced.items():
        setattr(app, name, value)
    built = app.build()
    built.dependency_overrides |= {
        get_user: lambda: "reader",
        security.Guard: FakeGuard,
        _get_session: lambda: None,
    }
    outer = FastAPI()
    outer.mount("/tenure", built)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(outer, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/tenure", paths
        server.should_exit = True
        thread.join(20)
    platform.database.engine.dispose()


def _life(platform: Any) -> Any:
    place = HERE.parent / "tests" / "web" / "conftest.py"
    spec = importlib.util.spec_from_file_location("life_of_the_tests", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Life(platform)


def _more_models(life: Any, models: int) -> None:
    """Each with a monitored window of four kinds, as the overview shows them."""
    from tenure.adapters.sql import versions
    from tenure.verdicts import Report, Verdict
    from tenure.vocabulary import RunRef

    for number in range(models):
        name = f"model_{number:03d}"
        with life.platform.database.begin() as connection:
            versions.register_model(
                connection, name=name, owner="ada", risk_tier="limited", purpose="A benchmark."
            )
        for stage in ("training", "evaluation", "bias", "monitoring"):
            report = Report(
                stage, f"{name}@1", Verdict.PASSED, "fine", facts={"kind": "drift"}, enforced=False
            )
            run = RunRef(f"{name}__train_model", "r", stage)
            life.platform.reports.save(report, model=name, dataset=None, run=run)


def _more_datasets(life: Any, datasets: int) -> None:
    """Each with 40 batches, of which every seventh failed and every tenth came twice."""
    from sqlalchemy import insert

    from tenure.adapters.sql import tables as t
    from tenure.verdicts import Check, Report, Verdict
    from tenure.vocabulary import RunRef

    checks = tuple(Check(f"rule {n}", Verdict.PASSED, "0", "none") for n in range(25))
    for number in range(datasets):
        name = f"dataset_{number:03d}"
        about = {"owner": "ada", "steward": "sam", "sensitivity": "public"}
        with life.platform.database.begin() as connection:
            connection.execute(insert(t.dataset).values(name=name, **about))
        for n in range(40):
            verdict = Verdict.FAILED if n % 7 == 0 else Verdict.PASSED
            said = f"judged {n}"
            report = Report("quality", name, verdict, said, checks, {}, enforced=True)
            run = RunRef(f"{name}__ingest_data", f"r{n}", "ingest")
            digest = life.platform.reports.save(report, model=None, dataset=name, run=run)
            same = {"dataset": name, "batch": f"b{n - n % 10 // 9:02d}", "suite_digest": digest}
            with life.platform.database.begin() as connection:
                snapshot = None
                if verdict is Verdict.PASSED:
                    snapshot = connection.scalar(
                        insert(t.snapshot)
                        .values(**same, digest=digest, rows=990, manifest_digest=digest)
                        .returning(t.snapshot.c.id)
                    )
                connection.execute(
                    insert(t.validation).values(
                        **same,
                        source_key=f"landing/{name}/{n}.parquet",
                        source_digest=digest,
                        config_digest=digest,
                        verdict=str(verdict),
                        rows_in=1_000,
                        rows_ok=990,
                        rows_quarantined=10,
                        snapshot_id=snapshot,
                        report_digest=digest,
                    )
                )


def _measure(
    address: str, paths: dict[str, str], rounds: int
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Seconds of each request, all pages in turn, and bytes; the smallest page is among them."""
    import httpx

    work = {"(smallest: a style sheet)": "/static/tenure.css"} | dict(sorted(paths.items()))
    taken: dict[str, list[float]] = {name: [] for name in work}
    sizes: dict[str, int] = {}
    with httpx.Client(timeout=60) as http:
        for turn in range(rounds + 1):
            for name, path in work.items():
                begin = time.perf_counter()
                answer = http.get(address + path)
                spent = time.perf_counter() - begin
                assert answer.status_code in {200, 404}, (name, answer.status_code)
                sizes[name] = len(answer.content)
                if turn:  # the first one fills caches
                    taken[name].append(spent)
    return taken, sizes


def _report(taken: dict[str, list[float]], sizes: dict[str, int]) -> None:
    smallest = median(next(iter(taken.values())))
    print("| page | median ms | p95 ms | median / smallest page | KB |")
    print("|---|---|---|---|---|")
    for name, seconds in sorted(taken.items(), key=lambda one: -median(one[1])):
        ordered = sorted(seconds)
        p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        mid = median(seconds)
        times = f"{1000 * mid:.0f} | {1000 * p95:.0f} | {mid / smallest:.1f}"
        print(f"| {name} | {times} | {sizes[name] / 1000:.0f} |")


if __name__ == "__main__":
    main(*(int(one) for one in (sys.argv[1:] + ["40", "10", "10"][len(sys.argv) - 1 :])))
