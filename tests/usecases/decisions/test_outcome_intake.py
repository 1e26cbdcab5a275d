"""Snapshots of outcomes are taken once, whenever the taker dies, and join as posted ones do."""

import io
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import insert, text

from tenure.adapters.sql import tables, versions
from tenure.installation import Installation
from tenure.installation.keys import SUBJECTS
from tenure.layout import snapshot_key
from tenure.lifecycle.serving import caller_digest
from tenure.settings import Settings
from tenure.usecases.decisions.outcome_intake import IntakeCounts, take_outcomes
from tenure.usecases.decisions.segments import live_keys
from tenure.vocabulary import RunRef, digest_bytes

pytestmark = pytest.mark.service
MODEL, DATASET = "flight_late", "arrivals"
RUN = RunRef("maintain_platform", "r1", "maintain")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def platform(settings: Settings, tmp_path: Path) -> Iterator[Installation]:
    """The installation, its model told that outcomes land as a dataset."""
    include = tmp_path / "include"
    shutil.copytree(settings.include, include)
    path = include / "configs" / "models" / f"{MODEL}.yaml"
    with path.open("a") as stream:
        stream.write(f"outcomes: {{dataset: {DATASET}}}\n")
    made = Installation(Settings(**{**vars(settings), "include": include}))
    with made.database.begin() as c:
        versions.register_model(c, name=MODEL, owner="ada", risk_tier="limited", purpose="t")
        c.execute(
            insert(tables.dataset).values(
                name=DATASET, owner="ada", steward="sam", sensitivity="internal"
            )
        )
    yield made
    made.database.dispose()


def publish(platform: Installation, batch: str, **columns: Any) -> str:
    """A snapshot, as ingestion leaves it."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    digest = digest_bytes(sink.getvalue())
    platform.store.put(snapshot_key(DATASET, digest, "data.parquet"), sink.getvalue())
    with platform.database.begin() as c:
        c.execute(
            insert(tables.snapshot).values(
                dataset=DATASET,
                batch=batch,
                digest=digest,
                rows=1,
                manifest_digest="m" * 64,
                suite_digest="s" * 64,
            )
        )
    return digest


def labels(platform: Installation) -> list[tuple[str, bool]]:
    keys = live_keys(platform.store, f"outcomes/model={MODEL}/")
    rows = [row for key in keys for row in pq.read_table(platform.store.fetch(key)).to_pylist()]
    return sorted((row["request_id"], row["label"]) for row in rows)


def told(platform: Installation) -> str:
    """The words of the one open incident."""
    with platform.database.begin() as c:
        query = text("SELECT summary FROM incident WHERE state = 'open'")
        return str(c.execute(query).scalar_one())


def watermark(platform: Installation) -> datetime | None:
    with platform.database.begin() as c:
        return c.execute(text("SELECT watermark FROM model")).scalar_one()


def test_each_snapshot_once(platform: Installation) -> None:
    publish(platform, "one", request_id=["a", "b"], label=[True, False], observed_at=[NOON] * 2)
    assert take_outcomes(platform, RUN) == IntakeCounts(1, 2, 0)
    assert take_outcomes(platform, RUN) == IntakeCounts(0, 0, 0)
    later = NOON + timedelta(hours=1)
    publish(platform, "two", request_id=["c", "d"], label=[True, None], observed_at=[later] * 2)
    assert take_outcomes(platform, RUN) == IntakeCounts(1, 1, 1)
    assert labels(platform) == [("a", True), ("b", False), ("c", True)]
    assert watermark(platform) == later


def test_killed_between_storing_and_remembering(
    platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(platform, "one", request_id=["a"], label=[True], observed_at=[NOON])
    monkeypatch.setenv("TENURE_ENV", "test")
    monkeypatch.setenv("TENURE_FAIL", "outcomes.stored:raise")
    assert take_outcomes(platform, RUN) == IntakeCounts(0, 0, 0, aside=1)
    assert labels(platform) == [("a", True)]
    assert watermark(platform) is None
    monkeypatch.delenv("TENURE_FAIL")
    assert take_outcomes(platform, RUN).rows == 1
    assert labels(platform) == [("a", True)]
    assert watermark(platform) == NOON


def test_whose_request_ids_a_file_means(platform: Installation) -> None:
    """As the gateways log it, so that the two can be compared."""
    callers = pa.array(["shop", None, "shop"], pa.string())
    publish(
        platform,
        "one",
        request_id=["a", "b", "c"],
        caller=callers,
        label=[True] * 3,
        observed_at=[NOON] * 3,
    )
    publish(platform, "two", request_id=["d"], label=[True], observed_at=[NOON])
    take_outcomes(platform, RUN)
    keys = live_keys(platform.store, f"outcomes/model={MODEL}/")
    tables = [pq.read_table(platform.store.fetch(key)) for key in keys]
    found = {r["request_id"]: r.get("caller") for t in tables for r in t.to_pylist()}
    shop = caller_digest(SUBJECTS.read(platform.settings.home), "shop")
    assert found == {"a": shop, "b": None, "c": shop, "d": None}


def test_another_shape_is_said_and_holds_nobody_up(platform: Installation) -> None:
    publish(platform, "bad", request_id=["a"], truth=[True], observed_at=[NOON])
    publish(platform, "good", request_id=["b"], label=[True], observed_at=[NOON])
    assert take_outcomes(platform, RUN) == IntakeCounts(1, 1, 0, aside=1)
    assert "is no file of outcomes" in told(platform)
    assert labels(platform) == [("b", True)]


def test_no_watermark_beyond_the_publication(platform: Installation) -> None:
    ahead = datetime.now(tz=UTC) + timedelta(minutes=4)
    publish(platform, "one", request_id=["a"], label=[True], observed_at=[ahead])
    take_outcomes(platform, RUN)
    reached = watermark(platform)
    assert reached is not None
    assert reached <= datetime.now(tz=UTC)


def test_a_value_that_is_no_label_is_named_and_holds_nobody_up(platform: Installation) -> None:
    publish(platform, "bad", request_id=["a", "b"], label=[0, 2], observed_at=[NOON] * 2)
    publish(platform, "good", request_id=["c"], label=["1"], observed_at=[NOON])
    assert take_outcomes(platform, RUN).aside == 1
    assert "label is no label in 1 of 2 rows: '2' (1 row)" in told(platform)
    assert labels(platform) == [("c", True)]


def test_the_label_that_the_model_declares(platform: Installation) -> None:
    path = platform.settings.configs / "models" / f"{MODEL}.yaml"
    before = path.read_text()
    assert "label: {column: late," in before
    path.write_text(before.replace("column: late,", "column: late, positive: 2,"))
    publish(platform, "one", request_id=["a", "b"], label=[1, 2], observed_at=[NOON] * 2)
    assert take_outcomes(platform, RUN).rows == 2
    assert labels(platform) == [("a", False), ("b", True)]
