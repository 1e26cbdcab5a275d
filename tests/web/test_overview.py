"""The first page says first what is wrong; a page that cannot be built says so in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from page_reader import signs
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from tenure.adapters.sql import data, health
from tenure.adapters.sql import tables as t
from tenure.adapters.sql.data import NewSnapshot, NewValidation
from tenure.installation import Installation
from tenure.lifecycle.data.sources import Rules
from tenure.verdicts import Check, Report, Severity, Verdict
from tenure.views.health import AirflowSigns, life_signs
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.airflow


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def quiet(platform: Installation) -> None:
    """Nothing waits for anybody, and maintenance was there just now."""
    with platform.database.begin() as connection:
        now = datetime.now(tz=UTC)
        closed = {"state": "closed", "closed_at": now, "remediated_at": now}
        connection.execute(update(t.incident).values(**closed))
        for name in ("maintain_platform", "mlflow"):
            health.beat(connection, name, period_seconds=300)
    _age(platform, 0, t.gateway_ack.c.alive_at)


def _age(platform: Installation, seconds: float, column: Any) -> None:
    with platform.database.begin() as connection:
        value = datetime.now(tz=UTC) - timedelta(seconds=seconds)
        connection.execute(update(column.table).values({column.name: value}))


def test_the_first_sentence_tells_what_there_is_to_do(
    client: TestClient, life: Any, platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One installation, from all well to a dead scheduler."""
    from tenure.web import app

    life.whole()
    quiet(platform)
    page = client.get("/").text
    assert "All well, checked 0 s ago" in words(page)
    assert "data-refresh" not in page
    strip = page[page.index('class="strip"') : page.index("</ul>", page.index('class="strip"'))]
    names = re.findall(r"<strong>([^<]+)</strong>", strip)
    assert names == [
        *("scheduler", "triggerer", "dag-processor", "database", "maintenance"),
        *("MLflow", "gateways", "configs", "receiver"),
    ]
    assert 'class="failed"' not in strip
    life.incident()
    assert "1 thing needs a person, checked" in words(client.get("/").text)
    _age(platform, 601, t.heartbeat.c.seen_at)
    _age(platform, 31, t.gateway_ack.c.alive_at)
    monkeypatch.setattr(app, "airflow_signs", lambda _session: signs("scheduler"))
    page = client.get("/").text
    assert (
        "Scheduler, maintenance, MLflow and gateways are silent or in trouble, and 1 thing needs"
    ) in words(page)
    assert "silent, last heard of 10 min ago" in words(page)
    assert "never heard of" in page
    assert 'data-refresh="15"' in page


LATE = Check(
    "schema", Verdict.FAILED, "no such column", "number", "temp", Severity.WARNING, ("temp",)
)


def judged(
    platform: Installation, *batches: str, lost: tuple[str, ...] = (), dataset: str = "flights"
) -> None:
    """Judgements in this order; `-` before a name: it failed."""
    with platform.database.begin() as connection:
        data.register_dataset(
            connection, name=dataset, owner="ada", steward="sam", sensitivity="public"
        )
    for number, name in enumerate(batches):
        batch, passed = name.lstrip("-"), not name.startswith("-")
        verdict = Verdict.PASSED if passed else Verdict.FAILED
        checks = (LATE,) if name in lost else ()
        facts = {"number": number}
        report = Report("quality", batch, verdict, "judged", checks, facts, enforced=True)
        run = RunRef(f"{dataset}__ingest_data", f"r{number}", "ingest")
        digest = platform.reports.save(report, model=None, dataset=dataset, run=run)
        with platform.database.begin() as connection:
            snapshot = NewSnapshot(digest, 990, "m" * 64, None, None) if passed else None
            row = NewValidation(
                batch, f"landing/{dataset}/{batch}.csv", digest, verdict,
                1_000, 990, 10, None, digest, None,
            )  # fmt: skip
            known = snapshot and data.publish(connection, dataset, batch, "s" * 64, snapshot)
            data.record(
                connection, dataset, Rules("s" * 64, "c" * 64), row, snapshot_id=known or None
            )


def datasets(client: TestClient) -> tuple[str, list[str], list[str]]:
    """The row of the table in words, and of each chip of a batch its words and its title."""
    html = client.get("/").text
    table = html[html.index("Last batches, by name") :]
    row = table[table.index("<tbody>") : table.index("</tbody>")]
    chips = re.findall(r'<a class="chip ([a-z_]+)"[^>]*title="([^"]*)">([^<]*)</a>', row)
    return words(row), [f"{css}: {text}" for css, _, text in chips], [one[1] for one in chips]


def test_a_dataset_shows_its_last_batches_in_their_order(
    client: TestClient, platform: Installation
) -> None:
    """Thirteen batches, the third repaired last: twelve chips, by name."""
    months = [f"2013-{n:02}" for n in range(1, 14)]
    judged(platform, *months[:2], "-2013-03", *months[3:12], "-2013-13", "2013-03")
    row, chips, titles = datasets(client)
    assert chips == [f"passed: {name}" for name in months[1:12]] + ["failed: 2013-13 failed"]
    assert titles[0].startswith(
        "2013-02: passed, 990 of 1,000 rows published, 10 quarantined, judged "
    )
    assert titles[-1].startswith("2013-13: failed, 0 of 1,000 rows published, 10 quarantined")
    assert re.search(r"2013-03, \d s ago : 990 of 1,000 rows published", row)
    assert "1 of 1 model (2013-12)" in row


@pytest.mark.parametrize(
    ("batches", "lost", "said"),
    [
        (["a"], (), "1 of 1 model"),
        (["a", "b"], ("b",), "0 of 1 model"),
        (["b", "a"], ("a",), "1 of 1 model"),
        (["a", "-b"], ("a",), "0 of 1 model (a)"),
        (["-a"], (), "nobody none of these is published"),
    ],
)
def test_how_many_models_can_use_the_last_batch(
    client: TestClient,
    platform: Installation,
    batches: list[str],
    lost: tuple[str, ...],
    said: str,
) -> None:
    """flight_late reads temp, which a batch of `lost` lacks."""
    judged(platform, *batches, lost=lost)
    row, chips, _ = datasets(client)
    assert f"{said} " in row
    last = [one for one in sorted(batches) if one in lost]
    assert [one for one in chips if "partly" in one] == [
        f"partly_usable: {name} partly usable" for name in last
    ]


def test_a_dataset_that_no_model_reads_says_so(client: TestClient, platform: Installation) -> None:
    judged(platform, "a", dataset="orders")
    assert "no model reads it" in datasets(client)[0]


def test_alerts_that_nobody_gets_are_said(platform: Installation) -> None:
    """Never a receiver: a note; one that is gone, or takes nothing: in trouble."""
    none = AirflowSigns({})
    moments = iter(datetime.now(tz=UTC) - timedelta(minutes=n) for n in range(9, 0, -1))

    def strip_after(topic: str, error: str | None, *, ended: bool = True) -> tuple[str, str]:
        at = next(moments)
        with platform.database.begin() as connection:
            connection.execute(
                t.outbox.insert().values(
                    topic=topic,
                    body={} if topic == "alert" else {"webhook": "https://x.example"},
                    op_key=f"{at}",
                    attempts=1,
                    created_at=at,
                    delivered_at=at if ended else None,
                    last_error=error,
                )
            )
        receiver = life_signs(platform, none)[-1]
        return receiver.note, receiver.trouble

    nobody = "alerts were for nobody: no Airflow connection tenure_alerts"
    assert strip_after("alert", "no connection") == (f"1 {nobody}", "")
    assert strip_after("alert", "no connection") == (f"2 {nobody}", "")
    assert strip_after("alert", None) == ("", "")
    assert strip_after("alert", "no connection") == ("", f"1 {nobody}")
    assert strip_after("consumer_notice", None) == ("", "")
    failing = "1 of its messages cannot be delivered"
    assert strip_after("alert", "it answered 503", ended=False) == ("", failing)


def test_a_page_refreshes_itself_while_something_runs(
    client: TestClient, life: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tenure.web import app

    life.whole()
    asked: list[object] = []

    def running(_session: object, owner: str | None = None) -> bool:
        asked.append(owner)
        return owner == "flight_late"

    monkeypatch.setattr(app, "is_running", running)
    for path, live in {"/model/flight_late": True, "/dataset/flights": False}.items():
        page = client.get(path).text
        assert ('data-refresh="15"' in page) is live
        assert "Refreshed 0 s ago" in words(page)
    assert asked == ["flight_late", "flights"]


@pytest.fixture
def lost(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from tenure.web import app

    gone = Installation(replace(settings, database_url="postgresql+psycopg://x@127.0.0.1:9/x"))
    monkeypatch.setattr(app, "platform", lambda: gone)
    yield
    gone.database.dispose()


@pytest.mark.parametrize("path", ["/", "/reviews", "/model/m", "/dataset/d", "/model/m/version/1"])
@pytest.mark.parametrize("answer", ["", "ConnectError"], ids=["gateway lives", "gateway is gone"])
def test_without_postgresql_a_page_says_what_still_serves(
    client: TestClient,
    lost: None,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    answer: str,
) -> None:
    from tenure.adapters import health_probe

    monkeypatch.setattr(health_probe, "answers", lambda _url, timeout_seconds: answer)
    page = client.get(path)
    assert page.status_code == 503
    said = words(page.text)
    assert "A service does not answer" in said
    assert ("it serves by the traffic plans that it knew last" in said) is (not answer)
    assert ("does not answer either: ConnectError." in said) is bool(answer)
    assert "Traceback" not in said
    assert "comes back by itself" in said
    assert "gateways keep serving" not in said
    assert 'data-refresh="15"' in page.text


def test_without_the_database_of_airflow_a_page_says_so(
    client: TestClient, life: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tenure.web import app

    def down(_session: object) -> None:
        raise OperationalError("SELECT secret", {}, Exception("connection refused"))

    monkeypatch.setattr(app, "airflow_signs", down)
    answer = client.get("/")
    assert answer.status_code == 503
    assert "Airflow's database does not answer" in words(answer.text).replace("&#39;", "'")
    assert "secret" not in answer.text


def test_a_bug_is_a_card_and_no_traceback(
    client: TestClient, life: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastapi.testclient import TestClient

    from tenure.web import app

    def broken(_platform: object) -> None:
        raise ZeroDivisionError("a very secret number")

    monkeypatch.setattr(app.models, "overview", broken)
    with TestClient(client.app, root_path="/tenure", raise_server_exceptions=False) as http:
        answer = http.get("/")
    assert answer.status_code == 500
    assert "This page could not be built" in answer.text
    assert "Traceback" not in answer.text


def test_maintenance_leaves_a_sign_of_life(platform: Installation) -> None:
    """A second one is later than the first, whatever clock the process has."""
    seen = []
    for _ in range(2):
        with platform.database.begin() as connection:
            health.beat(connection, "maintain_platform", period_seconds=300)
        with platform.database.begin() as connection:
            seen.append(connection.scalar(select(t.heartbeat.c.seen_at)))
    assert seen[0] < seen[1]


def test_airflow_is_asked_for_its_own_signs_of_life() -> None:
    """Over Airflow's own tables: the newest heartbeat of each process, dead or not."""
    from airflow.jobs.job import Job
    from airflow.models.base import Base
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.models.errors import ParseImportError
    from sqlalchemy import create_engine, insert
    from sqlalchemy.orm import Session

    from tenure.web.security import airflow_signs, is_running

    engine = create_engine("sqlite://")
    kinds: list[Any] = [Job, DagModel, DagRun, ParseImportError]
    Base.metadata.create_all(engine, tables=[kind.__table__ for kind in kinds])
    first, last = (datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (1, 2))
    with Session(engine) as session:
        assert airflow_signs(session) == AirflowSigns({})
        assert not is_running(session)
        jobs = [("SchedulerJob", first), ("SchedulerJob", last), ("LocalTaskJob", last)]
        for kind, at in jobs:
            values = {"job_type": kind, "latest_heartbeat": at, "state": "failed"}
            session.execute(insert(Job.__table__).values(**values))
        session.execute(insert(ParseImportError.__table__).values(filename="broken.py"))
        session.execute(
            insert(DagRun.__table__).values(
                dag_id="m__train_model",
                run_id="r",
                run_type="manual",
                state="running",
                run_after=first,
                log_template_id=None,
            )
        )
        found = airflow_signs(session)
        assert (found.heartbeats, found.import_errors) == ({"scheduler": last}, 1)
        asked = {name: is_running(session, name) for name in ("m", "m2", "_")}
        assert asked == {"m": True, "m2": False, "_": False}
        assert is_running(session)
    engine.dispose()
