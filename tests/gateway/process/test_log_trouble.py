"""A real gateway whose log cannot be stored, or whose disk hangs; each ends with the same sum."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from asking import CLIENTS, Asking, settle, soon
from sqlalchemy import text

from tenure.gateway.log import wal
from tenure.gateway.log.records import DecisionRecord, encode
from tenure.installation import Installation
from tenure.lifecycle.decisions.decision_log import micros
from tenure.lifecycle.serving import pseudonym
from tenure.usecases.serving.api_keys import create_key
from tenure.vocabulary import VersionRef

pytestmark = [pytest.mark.service, pytest.mark.fault]
MODEL = "flight_late"
POISON = "no queue takes this"


@pytest.fixture
def asking(life: Any, process: Any, keys: dict[str, str]) -> Asking:
    process.env["TENURE_GATEWAY_ID"] = "gw-a"
    return Asking(process.url, life, keys)


def for_people(champion: VersionRef, number: int, *, rows: int, reason: str) -> DecisionRecord:
    """A request of which a person has to look at every row."""
    now = micros(datetime.now(tz=UTC))
    return DecisionRecord(
        model=MODEL,
        version=champion.version,
        version_id=champion.id,
        request_id=f"left-{number}",
        subject=pseudonym(b"k" * 32, f"s{number}"),
        arm_assigned="champion",
        arm_answered="rule",
        generation=1,
        share_bp=0,
        received_at=now,
        event_time=now,
        fallback_level="review",
        reason=reason,
        latency_ms=1.0,
        decision_ids=[f"left-{number}-{row}" for row in range(rows)],
        scores=[0.0] * rows,
        decisions=[False] * rows,
        confidences=[0.0] * rows,
        numeric={"n0": [0.5] * rows},
        review=[True] * rows,
        variant=None,
    )


def leave(folder: Path, name: str, records: list[DecisionRecord], asking: Asking) -> None:
    """A segment of an earlier life, all of it answered."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = b"".join(wal.frame(encode(record)) for record in records)
    (folder / f"{name}.wal").write_bytes(wal.MAGIC + frames)
    asking.answered += [(one, "rule") for record in records for one in record.decision_ids]


def test_what_no_queue_takes_holds_up_nothing_and_is_stored_once_repaired(
    platform: Installation, life: Any, process: Any, asking: Asking
) -> None:
    """Among it a second with 7,000 decisions for people, which is no trouble at all."""
    champion = life.champion()
    key = create_key(platform, "watch", ["metrics"])
    folder = platform.settings.home / "gateway" / "gw-a" / "wal" / "decisions"
    leave(folder, "000000001-a", [for_people(champion, 0, rows=2, reason=POISON)], asking)
    many = [for_people(champion, n, rows=1_000, reason="timeout") for n in range(1, 8)]
    leave(folder, "000000002-b", many, asking)
    with platform.database.begin() as c:
        c.execute(text(f"ALTER TABLE review ADD CONSTRAINT own CHECK (reason <> '{POISON}')"))
    process.start()
    with asking:
        soon((folder / "unshippable" / "000000001-a.wal").is_file)
        soon(lambda: _reviews(platform) == 7_000)
        soon(lambda: _incidents(platform) == [("log_unshippable", "open")])
        asking.wait(20)
        assert process.get("/v2/health/ready") == 200
        soon(lambda: _aside(process, key) == 1.0)
    assert asking.refused == {}
    process.kill()
    with platform.database.begin() as c:
        c.execute(text("ALTER TABLE review DROP CONSTRAINT own"))
    process.start()
    soon(lambda: _incidents(platform) == [("log_unshippable", "closed")])
    assert _reviews(platform) == 7_002
    assert process.stop() in {0, -15}
    assert list(folder.rglob("*.wal")) == []
    settle(platform, asking)


def _reviews(platform: Installation) -> int:
    with platform.database.begin() as c:
        return int(c.execute(text("SELECT count(*) FROM review")).scalar_one())


def _incidents(platform: Installation) -> list[tuple[str, str]]:
    with platform.database.begin() as c:
        query = "SELECT kind, state FROM incident WHERE subject = 'gw-a' ORDER BY id"
        return [(row.kind, row.state) for row in c.execute(text(query))]


def _aside(process: Any, key: str) -> float:
    headers = {"Authorization": f"Bearer {key}"}
    body = httpx.get(f"{process.url}/metrics", headers=headers, timeout=5).text
    line = 'tenure_aside_segments{folder="unshippable",log="decisions"} '
    values = [one.removeprefix(line) for one in body.splitlines() if one.startswith(line)]
    return float(values[0]) if values else -1.0


def test_a_disk_that_hangs(platform: Installation, life: Any, process: Any, asking: Asking) -> None:
    """Refused with 503, not ready, ends when told to; nothing that was answered is lost."""
    life.champion()
    process.env |= {"TENURE_ENV": "test", "TENURE_FAIL": "log.sync:hang:40"}
    process.start()
    with asking:
        soon(lambda: asking.refused[503] >= 20)
        assert process.get("/v2/health/ready") == 503
        assert process.get("/v2/health/live") == 200
    assert set(asking.refused) == {503}
    assert process.stop() in {0, -15}
    del process.env["TENURE_FAIL"]
    process.start()
    again = Asking(process.url, life, asking.keys)
    with again:
        again.wait(20)
    assert again.refused == {}
    assert process.stop() in {0, -15}
    again.answered += asking.answered
    settle(platform, again, unanswered=CLIENTS)
