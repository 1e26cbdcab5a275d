"""What a look into the landing folder costs, and what it trusts."""

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tenure.adapters.local_store import LocalStore
from tenure.lifecycle.data.sources import Source
from tenure.usecases.data import landing
from tenure.usecases.data.landing import Landing
from tenure.vocabulary import digest_bytes


class StillClock:
    """Always the same moment."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


@dataclass
class CountingStore(LocalStore):
    """Counts what is read."""

    root: Path
    read: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.root)

    def fetch(self, key: str, digest: str | None = None) -> Path:
        self.read.append(key)
        return super().fetch(key, digest)


def look(
    store: LocalStore, tmp_path: Path, judged: set[str], *, settle: int = 0, age: float = 0
) -> list[str]:
    clock = StillClock(datetime.now(tz=UTC) + timedelta(seconds=age))
    source = Source(settle_seconds=settle)
    folder = Landing("d", source, store=store, clock=clock, cache=tmp_path / "cache")
    return folder.unjudged(lambda _, digest: digest in judged)


def test_an_unchanged_file_is_read_once(tmp_path: Path) -> None:
    store = CountingStore(tmp_path / "store")
    digest = store.put("landing/d/a.parquet", b"one")

    for _ in range(3):
        assert look(store, tmp_path, set()) == ["landing/d/a.parquet"]
        assert look(store, tmp_path, {digest}) == []
    assert store.read == ["landing/d/a.parquet"]


def test_new_content_under_an_old_name_is_seen(tmp_path: Path) -> None:
    store = CountingStore(tmp_path / "store")
    judged = {store.put("landing/d/a.parquet", b"one")}
    assert look(store, tmp_path, judged) == []

    store.put("landing/d/a.parquet", b"two")

    assert look(store, tmp_path, judged) == ["landing/d/a.parquet"]


@pytest.mark.parametrize("memory", ["", "{", "[]", '{"landing/d/a.parquet": 1}', "null"])
def test_a_broken_memory_costs_one_reading(tmp_path: Path, memory: str) -> None:
    store = CountingStore(tmp_path / "store")
    store.put("landing/d/a.parquet", b"one")
    (tmp_path / "cache/landing").mkdir(parents=True)
    (tmp_path / "cache/landing/d.json").write_text(memory)

    assert look(store, tmp_path, {digest_bytes(b"one")}) == []
    assert look(store, tmp_path, {digest_bytes(b"one")}) == []
    assert len(store.read) == 1


@pytest.mark.parametrize(("age", "seen"), [(50, False), (70, True)])
def test_a_file_settles(tmp_path: Path, age: float, seen: bool) -> None:
    store = CountingStore(tmp_path / "store")
    store.put("landing/d/a.parquet", b"one")

    assert bool(look(store, tmp_path, set(), settle=60, age=age)) is seen


@pytest.mark.parametrize(("files", "taken"), [(2, 2), (3, 3), (4, 3)])
def test_one_run_takes_so_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int, taken: int
) -> None:
    monkeypatch.setattr(landing, "MAX_FILES", 3)
    store = CountingStore(tmp_path / "store")
    for number in range(files):
        store.put(f"landing/d/{number}.parquet", bytes([number]))

    assert look(store, tmp_path, set()) == [f"landing/d/{n}.parquet" for n in range(taken)]


def test_a_time_in_the_future_is_not_believed(tmp_path: Path) -> None:
    """Of a writer whose clock is wrong: what counts then is how long we see it unchanged."""
    store = CountingStore(tmp_path / "store")
    store.put("landing/d/a.parquet", b"one")
    path = tmp_path / "store/landing/d/a.parquet"
    os.utime(path, (4e9, 4e9))

    for age, seen in ((0, False), (59, False), (60, True)):
        assert bool(look(store, tmp_path, set(), settle=60, age=age)) is seen, age
    os.utime(path, (4e9 + 1, 4e9 + 1))
    for age, seen in ((61, False), (120, False), (121, True)):
        assert bool(look(store, tmp_path, set(), settle=60, age=age)) is seen, age


def test_a_file_that_grows_while_it_is_read_waits(tmp_path: Path) -> None:
    class Growing(CountingStore):
        def fetch(self, key: str, digest: str | None = None) -> Path:
            path = super().fetch(key, digest)
            with path.open("ab") as stream:
                stream.write(b"more")
            return path

    store = Growing(tmp_path / "store")
    store.put("landing/d/a.parquet", b"one")

    assert look(store, tmp_path, set()) == []
    assert look(CountingStore(tmp_path / "store"), tmp_path, set()) == ["landing/d/a.parquet"]
