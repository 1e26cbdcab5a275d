"""The runbook as a page: each incident leads to what it says of the kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tenure.installation import Installation
from tenure.lifecycle.incidents.failure_card import TITLES
from tenure.lifecycle.incidents.kinds import KINDS
from tenure.usecases.incidents.open_incident import open_incident
from tenure.web import runbook as module
from tenure.web.runbook import runbook

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.airflow


@pytest.mark.parametrize(
    ("kind", "anchor"),
    [
        *[(kind, kind) for kind in sorted(TITLES)],
        ("artifact_refused", "artifact_refused"),
        ("log_waiting", "log_waiting"),
        ("KeyError", "any-other-kind"),
        ("drift_failed", "incidents"),
        ("of_a_newer_release", "incidents"),
    ],
)
def test_where_a_kind_is_explained(kind: str, anchor: str) -> None:
    assert runbook().anchor_of(kind) == anchor


def test_every_anchor_is_there_once_and_every_link_inside_leads_to_one() -> None:
    html = runbook().html
    ids = re.findall(r' id="([^"]+)"', html)
    assert sorted(ids) == sorted(runbook().anchors)
    assert {runbook().anchor_of(kind) for kind in KINDS} <= set(ids)
    assert all(link[1:] in ids for link in re.findall(r'href="([^"]*)"', html))
    assert "<table>" in html
    assert html.count("<span>") == html.count("</span>") > 0
    assert html.count("<a ") == html.count("</a>")


def test_without_the_document_the_pages_of_incidents_are_there_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "_FILE", tmp_path / "oncall.md")
    found = module.runbook.__wrapped__()
    assert "does not lie beside" in found.html
    assert found.anchor_of("DataRejected") == "incidents"


def test_an_incident_leads_there_and_says_when_it_was_drilled(
    client: TestClient, platform: Installation
) -> None:
    gateway = open_incident(platform, "silent:gateway", "silent", "gateway", "no sign of life")
    other = open_incident(platform, "alias:m", "alias_moved", "m", "moved")
    text = client.get(f"/incident/{gateway}").text
    assert 'href="/tenure/runbook#incidents"' in text
    assert "<code>tenure drill gateway-killed</code>: never drilled" in text
    _drilled(platform)
    text = client.get(f"/incident/{gateway}").text
    assert "last drilled 12 days ago by olga: found in 8.0 s, told in 8.2 s, back in 41 s" in text
    assert "no drill makes this kind" in client.get(f"/incident/{other}").text
    assert "# When something is red" not in client.get("/runbook").text
    assert "When something is red</h1>" in client.get("/runbook").text


def _drilled(platform: Installation) -> None:
    from datetime import timedelta

    from sqlalchemy import text

    from tenure.lifecycle.incidents.drill import DrillResult
    from tenure.usecases.operations.drills import record

    now = platform.clock.now()
    for seconds in (99.0, 8.0):  # the newest counts
        result = DrillResult(
            "gateway-killed", now + timedelta(seconds=seconds), seconds, seconds + 0.2, 41.0
        )
        record(platform, result, user="olga")
        record(platform, result, user="olga")
    with platform.database.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE ledger_event SET at = now() - interval '12 days 1 hour'"))
        assert connection.execute(text("SELECT count(*) FROM ledger_event")).scalar() == 2
