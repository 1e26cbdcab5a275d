"""Personal features: sealed from the first byte on disk, and gone with the subject's key."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from tenure.adapters.decision_tables import decisions_to_parquet
from tenure.errors import ConfigInvalid
from tenure.failpoints import InjectedFault
from tenure.files import made_once
from tenure.gateway.log import wal
from tenure.gateway.log.records import (
    DecisionDelivery,
    DecisionRecord,
    Table,
    decode_decision,
    encode,
)
from tenure.gateway.log.sealing import sealed_for_good, sealed_for_now
from tenure.installation import Installation
from tenure.lifecycle.decisions.decision_log import micros
from tenure.lifecycle.serving import pseudonym
from tenure.ports import DecisionFilter
from tenure.settings import Settings
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.decisions.segments import compact, live_keys
from tenure.usecases.serving import subject_keys
from tenure.usecases.serving.log_files import RecordedFiles
from tenure.usecases.serving.subject_keys import LOCAL_KEY_SECONDS, LocalKeys, SubjectVault

pytestmark = pytest.mark.service
MODEL = "flight_late"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECRET = "Zebra-Crossing-7"
ADA, BOB = (pseudonym(b"k" * 32, name) for name in ("ada", "bob"))


@pytest.fixture
def personal(settings: Settings, tmp_path: Path) -> Settings:
    """The installation with one personal column among the features."""
    include = tmp_path / "include"
    shutil.copytree(settings.include, include)
    path = include / "configs" / "datasets" / "flights.yaml"
    text_ = path.read_text()
    changed = text_.replace(
        "carrier: {type: string,", "carrier: {type: string, sensitivity: personal,"
    )
    assert changed != text_
    path.write_text(changed)
    return Settings(**{**vars(settings), "include": include})


@pytest.fixture
def platform(personal: Settings) -> Iterator[Installation]:
    made = Installation(personal)
    yield made
    made.database.dispose()


@pytest.fixture
def vault(platform: Installation) -> SubjectVault:
    return vault_of(platform, "gw")


def vault_of(platform: Installation, gateway: str) -> SubjectVault:
    return SubjectVault(platform, platform.settings.home / "gateway" / gateway / "wal" / "keys")


def record(number: int, subject: str = ADA) -> DecisionRecord:
    moment = micros(NOON + timedelta(seconds=number))
    return DecisionRecord(
        model=MODEL,
        version=1,
        version_id=11,
        request_id=f"r{number}",
        subject=subject,
        arm_assigned="champion",
        arm_answered="champion",
        generation=1,
        share_bp=0,
        received_at=moment,
        event_time=moment,
        fallback_level="model",
        reason="",
        latency_ms=1.0,
        decision_ids=[f"d{number}a", f"d{number}b"],
        scores=[0.25, 0.5],
        decisions=[False, True],
        confidences=[0.75, 0.5],
        numeric={"hour": [9.0, None]},
        categorical={"carrier": [SECRET, "AA"]},
    )


def segment(platform: Installation, vault: SubjectVault, *records: DecisionRecord) -> Path:
    """A segment as the log writes it."""
    folder = platform.settings.home / "gateway" / "gw" / "wal" / "decisions"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{records[0].request_id}.wal"
    payloads = [encode(sealed_for_now(vault, one)) for one in records]
    path.write_bytes(wal.MAGIC + b"".join(map(wal.frame, payloads)))
    return path


def ship(platform: Installation, vault: SubjectVault, path: Path, gateway: str = "gw") -> None:
    def to_parquet(table: Table) -> bytes:
        return decisions_to_parquet(
            table.columns, numeric=table.numeric, categorical=table.categorical
        )

    files = RecordedFiles(platform, gateway)
    delivery = DecisionDelivery(
        files, gateway, to_parquet, lambda records: sealed_for_good(vault, records)
    )
    delivery(path.stem, wal.read_frames(path.read_bytes())[0])


def opened(platform: Installation) -> dict[str, Any]:
    """Decision id to carrier, of everything shipped; the rows that can be opened only."""
    from tenure.adapters import sealed_files

    paths = [platform.store.fetch(key) for key in live_keys(platform.store, "decisions/")]
    table = sealed_files.opened(DecisionFilter(paths, 11), subject_keys.opener(platform))
    return {row["decision_id"]: row["f_carrier"] for row in table.to_pylist() if row["opened"]}


def destroy(platform: Installation, *subjects: str) -> None:
    subject_keys.destroy_keys(
        platform, subjects, model=MODEL, reason="she asked for it", actor="dora"
    )


def found_in(folder: Path, needle: str) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and needle.encode() in p.read_bytes()]


def test_a_plain_model_is_left_alone(settings: Settings, vault: SubjectVault) -> None:
    assert vault.is_personal(MODEL)
    assert vault.is_personal("a_model_without_yaml")
    assert not subject_keys.PersonalModels(settings)(MODEL)


def test_a_restricted_dataset_is_personal_as_a_whole(settings: Settings, tmp_path: Path) -> None:
    include = tmp_path / "include"
    shutil.copytree(settings.include, include)
    path = include / "configs" / "datasets" / "flights.yaml"
    path.write_text(path.read_text().replace("sensitivity: public", "sensitivity: restricted"))
    assert subject_keys.PersonalModels(Settings(**{**vars(settings), "include": include}))(MODEL)


def test_sealed_from_the_first_byte_and_opened_by_who_may(
    platform: Installation, vault: SubjectVault
) -> None:
    path = segment(platform, vault, record(1), record(2, BOB))
    ship(platform, vault, path)
    assert found_in(platform.settings.home, SECRET) == []
    (key,) = live_keys(platform.store, "decisions/")
    rows = pq.read_table(platform.store.fetch(key)).to_pylist()
    assert [row["score"] for row in rows] == [0.25, 0.5] * 2
    assert not [name for name in rows[0] if name.startswith("f_")]
    assert opened(platform) == {"d1a": SECRET, "d1b": "AA", "d2a": SECRET, "d2b": "AA"}


def test_shipped_twice_is_the_same_bytes(platform: Installation, vault: SubjectVault) -> None:
    path = segment(platform, vault, record(1))
    ship(platform, vault, path)
    (key,) = live_keys(platform.store, "decisions/")
    first = platform.store.get(key)
    ship(platform, vault, path)
    assert platform.store.get(key) == first


def test_two_gateways_share_the_key_of_a_subject(
    platform: Installation, vault: SubjectVault
) -> None:
    other = vault_of(platform, "gw2")
    ship(platform, vault, segment(platform, vault, record(1)))
    ship(platform, other, segment(platform, other, record(2)), "gw2")
    with platform.database.begin() as c:
        assert c.execute(text("SELECT count(*) FROM subject_key")).scalar_one() == 1
    assert len(opened(platform)) == 4


def test_destroying_the_key_row_is_enough(
    platform: Installation, vault: SubjectVault, tmp_path: Path
) -> None:
    """Decrypting fails, the chain holds, and nothing anywhere has the value in clear."""
    path = segment(platform, vault, record(1), record(2, BOB))
    taken = tmp_path / "stolen.wal"
    shutil.copy(path, taken)
    ship(platform, vault, path)
    before = subject_keys.subject_keys(platform, {ADA})[ADA]
    destroy(platform, ADA)
    destroy(platform, ADA)
    assert opened(platform) == {"d2a": SECRET, "d2b": "AA"}
    assert subject_keys.subject_keys(platform, {ADA}, make=True) == {ADA: None}
    with platform.database.begin() as c:
        dump = str(c.execute(text("SELECT * FROM subject_key")).all())
        dump += str(c.execute(text("SELECT * FROM ledger_event")).all())
    assert before is not None
    assert SECRET not in dump
    assert verify_ledger(platform).ok
    assert found_in(platform.settings.home, SECRET) == []
    # What comes later about the same subject, or is shipped once more, comes without features.
    ship(platform, vault, segment(platform, vault, record(3)))
    ship(platform, vault, path)
    assert sorted(opened(platform)) == ["d2a", "d2b"]
    # A copy of the segment is of no use once this gateway has forgotten its local key.
    vault._local._monotonic = lambda: 10.0**9
    vault.forget()
    (payload, _) = wal.read_frames(taken.read_bytes())[0]
    left = decode_decision(payload)
    assert left.seal_key
    assert vault.open(left.seal_key, left.sealed_values, about="d1a") is None


def test_two_names_of_a_person_are_destroyed_together_or_not_at_all(
    platform: Installation, vault: SubjectVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(platform, vault, segment(platform, vault, record(1), record(2, BOB)))
    monkeypatch.setenv("TENURE_ENV", "test")
    monkeypatch.setenv("TENURE_FAIL", "erase.destroyed:raise")
    with pytest.raises(InjectedFault):
        destroy(platform, ADA, BOB)
    monkeypatch.delenv("TENURE_FAIL")
    assert len(opened(platform)) == 4
    destroy(platform, ADA, BOB)
    assert opened(platform) == {}
    with platform.database.begin() as c:
        told = c.execute(text("SELECT count(*) FROM ledger_event WHERE subject LIKE 'subject:%'"))
        assert told.scalar_one() == 2


def test_compaction_keeps_what_is_sealed(platform: Installation, vault: SubjectVault) -> None:
    for number in (1, 2, 3):
        ship(platform, vault, segment(platform, vault, record(number)))
    before = opened(platform)
    assert compact(platform).files == 3
    assert opened(platform) == before
    assert len(before) == 6


def test_drift_counts_what_can_be_opened(platform: Installation, vault: SubjectVault) -> None:
    ship(platform, vault, segment(platform, vault, record(1), record(2, BOB)))
    paths = [platform.store.fetch(key) for key in live_keys(platform.store, "decisions/")]
    reference = platform.settings.home / "reference.parquet"
    pq.write_table(
        pa.table({"f_hour": [1.0, 2.0], "f_carrier": ["AA", "UA"], "score": [0.1, 0.9]}), reference
    )

    def counts() -> Any:
        engine = subject_keys.scanner(platform, paths)
        _, current = engine.features(
            [reference],
            DecisionFilter(paths, 11, NOON - timedelta(hours=1), NOON + timedelta(hours=1)),
            edges={"f_hour": [0.0, 12.0, 24.0]},
            categorical=["f_carrier"],
        )
        return current

    both = counts()
    assert both.rows == 4
    assert both.categories["f_carrier"] == {SECRET: 2, "AA": 2}
    assert both.nulls["f_hour"] == 2
    destroy(platform, ADA)
    one = counts()
    assert one.rows == 2
    assert one.categories["f_carrier"] == {SECRET: 1, "AA": 1}


def test_plain_and_sealed_files_read_together(platform: Installation, vault: SubjectVault) -> None:
    """The dataset became personal while the model served."""
    plain = [encode(record(1))]
    platform.settings.home.mkdir()
    path = platform.settings.home / "r0.wal"
    path.write_bytes(wal.MAGIC + b"".join(map(wal.frame, plain)))
    ship(platform, vault, path)
    ship(platform, vault, segment(platform, vault, record(2)))
    assert opened(platform) == {"d1a": SECRET, "d1b": "AA", "d2a": SECRET, "d2b": "AA"}


@pytest.mark.parametrize("left", [None, b"", b"00", b"\xff" * 64, b"z" * 64])
def test_lost_local_key_costs_the_features_only(
    platform: Installation,
    vault: SubjectVault,
    caplog: pytest.LogCaptureFixture,
    left: bytes | None,
) -> None:
    """Gone, or corrupt: the decision itself goes on its way."""
    path = segment(platform, vault, record(1))
    folder = platform.settings.home / "gateway" / "gw" / "wal" / "keys"
    if left is None:
        shutil.rmtree(folder)
    for key in folder.glob("*.key"):
        key.write_bytes(left or b"")
    ship(platform, vault_of(platform, "gw"), path)
    (key,) = live_keys(platform.store, "decisions/")
    assert pq.read_table(platform.store.fetch(key))["sealed"].to_pylist() == [b"", b""]
    assert "features=lost decision=d1a" in caplog.text


def test_a_key_that_is_being_made_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipper's thread forgets while a request makes the next key."""
    keys = LocalKeys(tmp_path, lambda: "a", lambda: 0.0)
    shippers: list[Thread] = []

    def made_meanwhile(path: Path, make: Callable[[], str]) -> str:
        text_ = made_once(path, make)
        shippers.append(Thread(target=keys.forget))
        shippers[0].start()
        shippers[0].join(0.2)
        return text_

    monkeypatch.setattr(subject_keys, "made_once", made_meanwhile)
    assert keys.current()[0] == "a"
    shippers[0].join()
    assert (tmp_path / "a.key").exists()


def test_local_keys_turn_over(tmp_path: Path) -> None:
    now = [0.0]
    names = iter("abc")
    keys = LocalKeys(tmp_path, lambda: next(names), lambda: now[0])
    first = keys.current()
    now[0] = LOCAL_KEY_SECONDS - 0.1
    assert keys.current() == first
    now[0] = LOCAL_KEY_SECONDS
    assert keys.current()[0] == "b"
    keys.forget()
    assert keys.get("a") == first[1]
    now[0] = 2 * LOCAL_KEY_SECONDS
    keys.forget()
    assert keys.get("a") is None
    assert [path.name for path in tmp_path.iterdir()] == []
    assert keys.current()[0] == "c"
    assert LocalKeys(tmp_path, lambda: "x", lambda: 0.0).get("c") is not None
    assert (tmp_path / "c.key").stat().st_mode & 0o777 == 0o600


def test_what_an_earlier_master_key_wrapped_opens_after_a_rotation(
    platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new key wraps, both open; without the old one it is said which key is missing."""
    old, new = "ab" * 32, "cd" * 32
    monkeypatch.setenv("TENURE_MASTER_KEY", old)
    before = subject_keys.subject_keys(platform, {ADA}, make=True)
    monkeypatch.setenv("TENURE_MASTER_KEY", f"{new},{old}")
    both = subject_keys.subject_keys(platform, {ADA, BOB}, make=True)
    assert both[ADA] == before[ADA]
    monkeypatch.setenv("TENURE_MASTER_KEY", new)
    assert subject_keys.subject_keys(platform, {BOB}) == {BOB: both[BOB]}
    with pytest.raises(ConfigInvalid, match="is not the one that wrapped the keys of subjects"):
        subject_keys.subject_keys(platform, {ADA})
    monkeypatch.setenv("TENURE_MASTER_KEY", f"{new},")
    with pytest.raises(ConfigInvalid, match="is not 32 bytes in hexadecimal"):
        subject_keys.subject_keys(platform, {BOB})
