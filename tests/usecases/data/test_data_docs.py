"""Data Docs of a real ingestion: there, harmless, discreet about what is hidden, never decisive."""

import html
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tenure.failpoints
from tenure.errors import DataRejected
from tenure.installation import Installation
from tenure.settings import Settings
from tenure.usecases.data.ingestion import ingestion
from tenure.views.tasks import drawing, report_page
from tenure.views.validations import validation_page
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.service

RUN = RunRef("orders__ingest_data", "r1", "ingest", 0, "ada")
NASTY = '<script>document.title="owned"</script>'
SUITE = [
    ("expect_column_values_to_be_in_set", {"column": NASTY, "value_set": ["a", "b"]}, "warning"),
    ("expect_column_values_to_be_between",
     {"column": "at", "min_value": "2014-01-01T00:00:00Z"}, "critical"),
    ("expect_column_values_to_be_in_set", {"column": "email", "value_set": ["?"]}, "info"),
    ("expect_column_distinct_values_to_be_in_set", {"column": "x", "value_set": [1, 2]}, "info"),
    ("expect_column_mean_to_be_between", {"column": "x", "max_value": 10}, "warning"),
]  # fmt: skip


YAML = f"""\
name: orders
description: Orders
owner: ada
steward: sam
sensitivity: internal
time_column: at
suite: orders
source: {{settle_seconds: 0}}
quality: {{max_quarantined: 0.5, min_rows: 1}}
contract:
  columns:
    at: {{type: timestamp, nullable: false}}
    x: {{type: integer}}
    email: {{type: string, sensitivity: personal}}
    '{NASTY}': {{type: string}}
"""


@pytest.fixture
def orders(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., Installation]]:
    """An installation with one dataset that has something to hide, and one file that landed."""
    import great_expectations as gx

    assert gx.__version__  # loaded here once, not in each judging process
    made: list[Installation] = []

    def make() -> Installation:
        include = tmp_path / "include"
        (include / "configs/datasets").mkdir(parents=True)
        (include / "configs/datasets/orders.yaml").write_text(YAML)
        (include / "expectations").mkdir()
        listed = [
            {"type": kind, "kwargs": kwargs, "severity": severity, "notes": "because 1 < 2"}
            for kind, kwargs, severity in SUITE
        ]
        suite = {"name": "orders", "expectations": listed}
        (include / "expectations/orders.json").write_text(json.dumps(suite))
        rows = 40
        at = [1_400_000_000_000_000 + i for i in range(rows)]
        table = {
            "at": pa.array(at, pa.timestamp("us", "UTC")),
            "x": list(range(rows)),
            "email": [f"ada{i}@example.org" for i in range(rows)],
            NASTY: [f"{NASTY}!"] * 3 + ["a"] * (rows - 3),
        }
        landing = settings.home / "store/landing/orders"
        landing.mkdir(parents=True)
        pq.write_table(pa.table(table), landing / "2014-01.parquet")
        made.append(Installation(replace(settings, include=include)))
        return made[0]

    yield make
    made[0].database.dispose()


def ingest(platform: Installation) -> str:
    """Digest of the report."""
    found = ingestion(platform, "orders")
    return found.ingest("landing/orders/2014-01.parquet", RUN).report


def text(page: bytes | None) -> str:
    assert page is not None
    assert b"<script" not in page
    return html.unescape(re.sub(r"<[^>]*>", "", page.decode()))


def test_an_ingested_batch_has_data_docs_beside_its_report(
    orders: Callable[..., Installation],
) -> None:
    platform = orders()
    digest = ingest(platform)
    page = text(drawing(platform, digest))
    assert f"{NASTY}!" in page
    assert "Data asset: 2014-01" in re.sub(r"\s+", " ", page)
    assert "19.5" in page  # the mean
    assert "2014-01-01" in page
    assert "example.org" not in page
    assert "because" not in page
    row = report_page(platform, digest)
    assert row is not None
    assert row.drawn
    ours = validation_page(platform, row)
    assert ours is not None
    assert ours.drawn
    assert "example.org" not in repr(ours)
    assert len(ours.failing.rows) == 3
    assert {line.notes for line in ours.broken if "column" in line.rule} == {"because 1 < 2"}


def test_a_batch_that_failed_has_them_too(orders: Callable[..., Installation]) -> None:
    platform = orders()
    suite = platform.settings.include / "expectations/orders.json"
    suite.write_text(suite.read_text().replace('"warning"', '"critical"'))
    with pytest.raises(DataRejected) as refused:
        ingest(platform)
    assert refused.value.evidence is not None
    assert "Failed" in text(drawing(platform, refused.value.evidence))


@pytest.mark.parametrize("place", ["ingest.drawing", "ingest.drawn"])
def test_a_drawing_that_fails_changes_nothing(
    orders: Callable[..., Installation], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = orders()
    monkeypatch.setenv("TENURE_ENV", "test")
    monkeypatch.setenv("TENURE_FAIL", f"{place}:raise")
    monkeypatch.setattr(tenure.failpoints, "_passed", type(tenure.failpoints._passed)())
    digest = ingest(platform)
    assert drawing(platform, digest) is None
    page = report_page(platform, digest)
    assert page is not None
    assert (page.row.verdict, page.drawn) == ("passed", False)


def test_what_gx_cannot_draw_changes_nothing(
    orders: Callable[..., Installation], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tenure.adapters import gx_docs

    def broken(*_: Any, **__: Any) -> bytes:
        raise MemoryError

    monkeypatch.setattr(gx_docs, "draw", broken)
    platform = orders()
    assert drawing(platform, ingest(platform)) is None
