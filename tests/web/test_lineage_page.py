"""Lineage as pages: back from a version, forward from a snapshot, and what is not for everybody."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filled_site import FilledSite
from page_reader import FakeGuard
from shop import Shop

from tenure.adapters.sql import reads
from tenure.installation import Installation
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.airflow


@pytest.fixture
def paths(life: Any, platform: Installation, tmp_path: Path) -> dict[str, str]:
    return FilledSite(life, Shop(platform, tmp_path)).fill()


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_back_from_a_version(
    client: TestClient,
    platform: Installation,
    paths: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with platform.database.begin() as connection:
        for _ in range(2):
            reads.note_read(
                connection,
                "flights",
                paths["lineage-snapshot"].rpartition("/")[2],
                purpose="training",
                model="flight_late",
                run=RunRef("flight_late__train_model", "manual__1", "train", user="ada"),
            )
    html = client.get(paths["lineage-version"]).text
    text = words(html)
    assert "Where flight_late@2 came from" in text
    assert "made of 3 snapshots" in text
    for batch in ("2013-01", "2013-02", "2013-03"):
        assert f"landing/flights/{batch}.parquet" in text
    assert "2013-04" not in text
    assert "ada for training of flight_late, 2 times" in text
    assert re.search(r"champion up to \d+% from", text)
    assert paths["lineage-snapshot"] in html
    monkeypatch.setattr(FakeGuard, "hidden", frozenset({"flights__ingest_data"}))
    unseen = words(client.get(paths["lineage-version"]).text)
    assert "ada for training" not in unseen
    assert "1 that you may not see" in unseen
    monkeypatch.setattr(FakeGuard, "hidden", frozenset())
    assert paths["lineage-version"] in client.get(paths["version-champion"]).text


def test_forward_from_a_snapshot_without_what_one_may_not_see(
    client: TestClient, paths: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = words(client.get(paths["lineage-snapshot"]).text)
    assert "What flights 2013-03 reached" in text
    for number in (2, 3, 4, 5):
        assert f"flight_late@{number}" in text
    assert "flight_late@1 " not in text
    assert "left out" not in text
    assert paths["lineage-snapshot"] in client.get("/dataset/flights").text
    monkeypatch.setattr(FakeGuard, "hidden", frozenset({"flight_late__train_model"}))
    hidden = words(client.get(paths["lineage-snapshot"]).text)
    assert "flight_late@" not in hidden
    assert "0 versions learned from it" in hidden
    assert "4 of models that you may not see are left out" in hidden
    monkeypatch.setattr(FakeGuard, "hidden", frozenset({"flights__ingest_data"}))
    assert client.get(paths["lineage-snapshot"]).status_code == 403
