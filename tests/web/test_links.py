"""Whatever a page links to opens: nobody is sent to a 404, an auditor least of all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import pytest
from sqlalchemy import insert, select, update

from tenure.adapters.sql import tables as t
from tenure.errors import GateFailed
from tenure.installation import Installation
from tenure.layout import anchor_key, drawn_key, parse_dag_id
from tenure.lifecycle.incidents.failure_card import describe
from tenure.usecases.audit.ledger import check_chain, put_anchor
from tenure.usecases.incidents import failure_cards
from tenure.verdicts import Report, Verdict
from tenure.views.tasks import TaskStatus
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.airflow

RUN = RunRef("flight_late__train_model", "manual__1", "evaluate")
CARD = "/tenure/card?dag=flight_late__train_model&run=manual__1&task=evaluate"
_LINK = re.compile(r"""(?:href|src)=["']([^"'#][^"']*)["']""")
_FRAGMENT = re.compile(r"""href=["']#([^"']+)["']""")


@pytest.fixture
def installation(life: Any, platform: Installation, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A life, and what an auditor comes for: batches, cards, a verified ledger, a drawn report."""
    from tenure.web import app

    life.whole()
    evidence = life.report("evaluation", Verdict.FAILED, "AUC 0.58")
    platform.store.put(drawn_key(evidence), b"<p>drawn</p>")
    error = GateFailed("AUC 0.58", still_safe="The champion.", next_step="Wait.", evidence=evidence)
    failure_cards.save(platform, describe(error, owner="ada"), RUN)
    monkeypatch.setattr(app, "task_status", lambda *_: TaskStatus("failed", 1))
    _good_batch(life)
    _verify_ledger(platform)
    return life


def _good_batch(life: Any) -> None:
    """Published, and what version 2 learned from."""
    batch = life.report("quality", Verdict.PASSED, "all 14 checks hold", subject="flights 2013-04")
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("data", "suite", "cfg")}
    with life.platform.database.begin() as connection:
        version = connection.scalar(
            select(t.model_version.c.id).where(t.model_version.c.version == 2)
        )
        published = {"dataset": "flights", "batch": "2013-04", "suite_digest": digests["suite"]}
        snapshot = connection.scalar(
            insert(t.snapshot)
            .values(**published, digest=digests["data"], rows=9, manifest_digest=digests["data"])
            .returning(t.snapshot.c.id)
        )
        connection.execute(
            insert(t.training_snapshot).values(model_version_id=version, snapshot_id=snapshot)
        )
        connection.execute(
            insert(t.validation).values(
                **published,
                source_key="landing/flights/2013-04.parquet",
                source_digest=digests["data"],
                config_digest=digests["cfg"],
                verdict="passed",
                rows_in=9,
                rows_ok=9,
                rows_quarantined=0,
                snapshot_id=snapshot,
                report_digest=batch,
            )
        )


def _verify_ledger(platform: Installation) -> None:
    """As maintenance does."""
    head = check_chain(platform).chain.head
    put_anchor(platform, head)
    assert platform.store.exists(anchor_key(head.seq, head.hash))
    facts = {"seq": head.seq, "hash": head.hash}
    said = Report("ledger", "ledger", Verdict.PASSED, "it holds", facts=facts, enforced=False)
    run = RunRef("maintain_platform", "scheduled__1", "maintain")
    platform.reports.save(said, model=None, dataset=None, run=run)


def crawl(client: TestClient, *starts: str) -> Iterator[tuple[str, str, int]]:
    """Every link of every page that can be reached, once: (page, link, status)."""
    seen, waiting = set(starts), list(starts)
    while waiting:
        page = waiting.pop()
        answer = client.get(page.removeprefix("/tenure"))
        assert answer.status_code == 200, page
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        ids = set(re.findall(r'id="([^"]+)"', answer.text))
        assert {*_FRAGMENT.findall(answer.text)} <= ids, page
        for raw in _LINK.findall(answer.text):
            link = urljoin(f"http://testserver{page}", unescape(raw))
            parts = urlsplit(link)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            if parts.netloc != "testserver" or path in seen:
                continue
            seen.add(path)
            if not parts.path.startswith("/tenure"):
                yield page, path, 200 if _is_airflow(parts.path) else 404
                continue
            status = client.get(path.removeprefix("/tenure")).status_code
            yield page, path, status
            waiting += [path] if status == 200 else []


def _is_airflow(path: str) -> bool:
    """Whether a link into Airflow's own pages names a DAG as we build them."""
    begin, _, rest = path.removeprefix("/").partition("/")
    return begin == "dags" and bool(parse_dag_id(rest.split("/")[0]).stage)


def test_every_link_of_every_page_opens(client: TestClient, installation: Any) -> None:
    found = list(crawl(client, "/tenure/", "/tenure/reviews", CARD))
    assert [one for one in found if one[2] != 200] == []
    reached = {path for _, path, _ in found}
    for begin, least in {
        "/tenure/report/": 60,
        "/tenure/model/flight_late/version/": 6,
        "/tenure/dataset/": 1,
        "/tenure/card?": 10,
        "/dags/": 4,
    }.items():
        assert sum(path.startswith(begin) for path in reached) >= least, begin


@pytest.mark.exhaustive
def test_a_link_to_nothing_would_be_found(client: TestClient, installation: Any) -> None:
    with installation.platform.database.begin() as connection:
        connection.execute(update(t.decommission).values(record_digest="0" * 64))
    found = list(crawl(client, "/tenure/model/flight_late/version/1"))
    assert {one[2] for one in found if "0" * 64 in one[1]} == {404}


def test_the_evidence_of_an_approval_leads_to_its_version(
    client: TestClient, installation: Any
) -> None:
    with installation.platform.database.begin() as connection:
        digests = connection.scalars(select(t.approval.c.evidence_digest).order_by("id")).all()
    answer = client.get(f"/report/{digests[1]}", follow_redirects=False)
    assert answer.status_code == 307
    assert answer.headers["location"] == "/tenure/model/flight_late/version/2#evidence"
    page = client.get("/model/flight_late/version/2").text
    for digest in digests:
        assert (digest in page) is (digest == digests[1])


def _unsaid(_life: Any) -> None:
    """Nothing happens."""


def _other_report(life: Any) -> None:
    other = life.report("bias", Verdict.PASSED, "another audit")
    with life.platform.database.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE model_version DISABLE TRIGGER USER")
        number = t.model_version.c.version == 2
        connection.execute(update(t.model_version).where(number).values(bias_report=other))


def _rewritten(life: Any) -> None:
    """Somebody who owns the database."""
    with life.platform.database.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE ledger_event DISABLE TRIGGER USER")
        connection.exec_driver_sql(
            "UPDATE ledger_event SET actor = 'mallory' WHERE dst = 'champion'"
        )


@pytest.mark.parametrize(
    ("what", "says", "never"),
    [
        (_unsaid, ["grace", "1 of 1", "as it is now", "head", "hashes of all"], "not what it"),
        (_other_report, ["not what it is now"], "as it is now</span>"),
        (_rewritten, ["is not that of its content", "mallory"], "hashes of all"),
    ],
    ids=["sound", "another report", "rewritten ledger"],
)
def test_the_page_of_a_version_says_what_holds(
    client: TestClient,
    installation: Any,
    what: Callable[[Any], None],
    says: list[str],
    never: str,
) -> None:
    what(installation)
    text = client.get("/model/flight_late/version/2").text
    for words in says:
        assert words in text
    assert never not in text


def test_the_evidence_is_taken_along_in_full(client: TestClient, installation: Any) -> None:
    answer = client.get("/model/flight_late/version/2/evidence.json")
    disposition = answer.headers["content-disposition"]
    assert disposition == 'attachment; filename="flight_late-2-evidence.json"'
    body = answer.json()
    (approval,) = body["approvals"]
    assert (approval["approver"], approval["seat"]) == ("grace", 1)
    assert approval["evidence_digest"] == body["evidence_digest"]
    assert {body["evidence"]["evaluation"], body["evidence"]["bias audit"]} <= set(body["reports"])
    for digest, report in body["reports"].items():
        assert Report.from_dict(report).digest == digest
    assert body["ledger"][-1]["dst"] == "champion"
    assert body["ledger_verification"]["seq"] >= body["ledger"][-1]["seq"]


def test_a_version_before_any_verification_says_so(client: TestClient, life: Any) -> None:
    life.whole()
    text = client.get("/model/flight_late/version/3").text
    assert "The ledger was not verified yet" in text
    expired = life.now - timedelta(days=1)
    with life.platform.database.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE approval DISABLE TRIGGER USER")
        connection.execute(update(t.approval).values(expires_at=expired))
    assert "expired" in client.get("/model/flight_late/version/3").text
