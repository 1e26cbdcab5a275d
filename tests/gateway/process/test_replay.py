"""Decisions of a real gateway, shown and scored again by the command."""

import io
import json
import os
import subprocess
import sys
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from tenure.adapters.archive import Archive, ArchiveSource
from tenure.installation import Installation
from tenure.installation.identity import login_name
from tenure.layout import artifact_key
from tenure.lifecycle.retirement.decommission import Manifest
from tenure.settings import REPOSITORY
from tenure.usecases.decisions import replay
from tenure.usecases.decisions.replay import ReplayVerdict
from tenure.usecases.decisions.segments import compact, live_keys
from tenure.usecases.retirement import archive

pytestmark = pytest.mark.service
MODEL = "flight_late"
ASKED = 40


@pytest.fixture
def decided(platform: Installation, life: Any, process: Any, keys: dict[str, str]) -> Any:
    """Ids of what a gateway decided and shipped; the version's digest beside them."""
    champion = life.champion()
    process.start()
    ids: list[str] = []
    with httpx.Client(base_url=process.url, headers={"Authorization": keys["score"]}) as client:
        for number in range(ASKED):
            answer = client.post(f"/v2/models/{MODEL}/infer", json=life.example(number), timeout=9)
            assert answer.status_code == 200, answer.text
            ids += answer.json()["parameters"]["decision_ids"]
        client.headers["Authorization"] = keys["outcome"]
        truth = {"outcomes": [{"decision_id": ids[0], "label": False}]}
        assert client.post(f"/v2/models/{MODEL}/outcomes", json=truth).status_code == 200
        truth = {"outcomes": [{"request_id": "r0", "label": True}]}
        assert client.post(f"/v2/models/{MODEL}/outcomes", json=truth).status_code == 200
    process.stop()
    return ids, artifact_key(digest_of(platform, champion.id))


def digest_of(platform: Installation, version_id: int) -> str:
    from tenure.adapters.sql import versions

    with platform.database.begin() as c:
        return str(versions.row_by_id(c, version_id).artifact_digest)


def command(platform: Installation, *arguments: str) -> "subprocess.CompletedProcess[str]":
    settings = platform.settings
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("TENURE_")},
        "PYTHONPATH": str(REPOSITORY / "plugins"),
        "TENURE_HOME": str(settings.home),
        "TENURE_DATABASE_URL": settings.database_url,
        "TENURE_STORE_URL": settings.store_url,
    }
    main = "from tenure.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", main, "decision", *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def reads(platform: Installation) -> list[dict[str, Any]]:
    """What the ledger says of those who looked, oldest first."""
    query = "SELECT actor, body FROM ledger_event WHERE subject = 'decisions' ORDER BY seq"
    with platform.database.begin() as c:
        rows = c.execute(text(query)).all()
    assert {row.actor for row in rows} <= {login_name()}
    return [row.body for row in rows]


def kinds(found: list[Any]) -> set[ReplayVerdict]:
    return {one.found for one in found}


def change(platform: Installation, decision_id: str, column: str, value: Any) -> None:
    """Somebody rewrites one cell of the log."""
    for key in live_keys(platform.store, "decisions/"):
        table = pq.read_table(platform.store.fetch(key))
        rows = table.to_pylist()
        for row in rows:
            if row["decision_id"] == decision_id:
                row[column] = value
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), sink)
        platform.store.put(key, sink.getvalue())


@pytest.mark.exhaustive
def test_the_whole_life_of_a_replay(
    platform: Installation, decided: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, key = decided
    shown = command(platform, "show", ids[0], "--json")
    assert shown.returncode == 0, shown.stderr
    row = json.loads(shown.stdout)
    assert (row["decision_id"], row["request_id"], row["model"]) == (ids[0], "r0", MODEL)
    assert row["features"] == {"n0": 0.0, "n1": 0.11, "carrier": "AA"}
    assert row["threshold"] == 0.5
    assert row["outcome"]["label"] is True  # of two, the one received last
    assert "features" not in command(platform, "show", ids[0]).stderr

    answer = command(platform, "replay", *ids, "--json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found = json.loads(answer.stdout)
    assert (found["ok"], found["found"]) == (True, {"identical": ASKED})
    assert found["largest_difference"] == 0.0
    assert [(e["how"], e["decisions"], e["ids"]) for e in reads(platform)] == [
        ("show", 1, ids[:1]),
        ("show", 1, ids[:1]),
        ("replay", ASKED, ids[:20]),
    ]

    # A sample is the same for the same seed, and found in compacted files as well.
    first = replay.chosen(platform, rows=10, seed=1, model=MODEL)
    assert set(first) < set(ids)
    assert replay.chosen(platform, rows=10, seed=2, model=None) != first
    monkeypatch.setattr("tenure.lifecycle.decisions.compaction.Folder.is_settled", lambda *_: True)
    compact(platform)
    assert replay.chosen(platform, rows=10, seed=1, model=MODEL) == first
    assert kinds(replay.replay(platform, first)) == {ReplayVerdict.IDENTICAL}

    # Somebody changed a score, a feature, a level.
    change(platform, ids[1], "score", 0.123)
    change(platform, ids[2], "f_n0", 0.999)
    change(platform, ids[3], "arm_answered", "rule")
    found_ = replay.replay(platform, ids[1:4])
    assert [one.found for one in found_] == [
        ReplayVerdict.DIFFERENT,
        ReplayVerdict.DIFFERENT,
        ReplayVerdict.NO_MODEL,
    ]
    answer = command(platform, "replay", ids[1])
    assert answer.returncode == 1
    assert "1 decisions replayed: 1 different" in answer.stdout

    # The artifact has other bytes, is gone, is in the archive only.
    data = platform.store.get(key)
    platform.store.put(key, data[:-1] + bytes([data[-1] ^ 1]))
    assert kinds(replay.replay(platform, ids[:1])) == {ReplayVerdict.REFUSED}
    platform.store.delete(key)
    (gone,) = replay.replay(platform, ids[:1])
    assert gone.found is ReplayVerdict.GONE
    assert "has no archive" in gone.why
    platform.store.put(key, data)
    keeper = Archive(platform.store)
    item = keeper.copy(ArchiveSource("artifact", key, f"archive/{MODEL}/1/artifact.skops", None))
    manifest = Manifest(MODEL, 1, {}, (item,))
    digest = keeper.write_manifest(manifest, f"archive/{MODEL}/1/manifest.json")
    platform.store.delete(key)
    place = (f"archive/{MODEL}/1/manifest.json", digest)
    monkeypatch.setattr(archive, "_place", lambda *_: place)
    assert kinds(replay.replay(platform, ids[:1])) == {ReplayVerdict.IDENTICAL}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["show", "no-uuid"], 2),
        (["show", "00000000-0000-4000-8000-000000000000"], 1),
        (["replay"], 2),
        (["replay", "--sample", "3"], 1),
        (["replay", "00000000-0000-4000-8000-000000000000"], 1),
    ],
)
def test_exit_codes(platform: Installation, arguments: list[str], code: int) -> None:
    done = command(platform, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_unreachable(platform: Installation) -> None:
    from dataclasses import replace

    away = Installation(
        replace(platform.settings, database_url="postgresql+psycopg://x@127.0.0.1:9/none")
    )
    done = command(away, "replay", "00000000-0000-4000-8000-000000000000")
    assert done.returncode == 3
