"""What a look into the landing folder costs, and what it trusts."""

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tenure.adapters.local_store import LocalStore
from tenure.lifecycle.data.sources import Source, UnreadFile, unread_summary
from tenure.ports import ObjectInfo, ObjectStore
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


# ---------------------------------------------------------------- what is no batch


def unread(store: ObjectStore, tmp_path: Path, *, age: float = 0) -> dict[str, bool]:
    """Name to whether it is waited for."""
    clock = StillClock(datetime.now(tz=UTC) + timedelta(seconds=age))
    folder = Landing("d", Source(), store=store, clock=clock, cache=tmp_path / "cache")
    return {one.name: one.may_be_written for one in folder.unread()}


def put(store: LocalStore, tmp_path: Path, name: bytes) -> None:
    """A file under any name that the file system takes, past the store."""
    path = os.fsencode(tmp_path / "store/landing/d") + b"/" + name
    Path(os.fsdecode(path)).parent.mkdir(parents=True, exist_ok=True)
    Path(os.fsdecode(path)).write_bytes(b"rows")


@pytest.mark.parametrize(
    ("name", "shown", "waits"),
    [
        (b"sub/a.parquet", "sub/a.parquet", False),
        (b"year=2026/month=01/part-0.parquet", "year=2026/month=01/part-0.parquet", False),
        (b"a.parquet/part-0.parquet", "a.parquet/part-0.parquet", False),
        (b"_odd.parquet", "_odd.parquet", False),
        (b"_temporary/0/part-0.parquet", "_temporary/0/part-0.parquet", True),
        (b"a.parquet.tmp", "a.parquet.tmp", True),
        (b"a.parquet.PART", "a.parquet.PART", True),
        (b".a.parquet", ".a.parquet", True),
        (b".hidden/a.parquet", ".hidden", True),
        (b"a\nb.parquet", "a\\nb.parquet", False),
        (b"a\x1b[31m.parquet", "a\\x1b[31m.parquet", False),
        (b"a\xff.parquet", "a\\xff.parquet", False),
        ("a\u202e.parquet".encode(), "a\\u202e.parquet", False),
        (b"a\\b.parquet", "a\\b.parquet", False),
    ],
    ids=repr,
)
def test_a_name_that_is_no_batch_is_reported(
    tmp_path: Path, name: bytes, shown: str, waits: bool
) -> None:
    store = LocalStore(tmp_path / "store")
    put(store, tmp_path, name)
    put(store, tmp_path, b"good.parquet")
    assert unread(store, tmp_path) == {shown: waits}
    assert unread(store, tmp_path, age=3601) == {shown: False}
    assert look(store, tmp_path, set(), age=100) == ["landing/d/good.parquet"]


@pytest.mark.parametrize(
    "name", [b"_SUCCESS", b"._SUCCESS.crc", b".part-0.parquet.crc", b"_committed_12", b"_metadata"]
)
def test_a_marker_of_spark_is_no_loss(tmp_path: Path, name: bytes) -> None:
    store = LocalStore(tmp_path / "store")
    put(store, tmp_path, name)
    assert unread(store, tmp_path, age=7200) == {}
    assert look(store, tmp_path, set(), age=7200) == []


def test_links_pipes_and_locked_folders_are_reported(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    put(store, tmp_path, b"good.parquet")
    folder = tmp_path / "store/landing/d"
    (folder / "link.parquet").symlink_to(folder / "good.parquet")
    os.mkfifo(folder / "pipe.parquet")
    (folder / "empty.parquet").mkdir()
    assert unread(store, tmp_path) == {
        "empty.parquet": False,
        "link.parquet": False,
        "pipe.parquet": False,
    }
    assert look(store, tmp_path, set(), age=100) == ["landing/d/good.parquet"]


def test_a_packed_file_beside_the_same_unpacked_is_reported(tmp_path: Path) -> None:
    """Both would be one batch: the second would replace the first, whatever rows they hold."""
    store = LocalStore(tmp_path / "store")
    put(store, tmp_path, b"a.csv")
    put(store, tmp_path, b"a.csv.gz")
    put(store, tmp_path, b"b.csv.gz")

    assert look(store, tmp_path, set(), age=100) == ["landing/d/a.csv", "landing/d/b.csv.gz"]
    assert unread(store, tmp_path) == {"a.csv.gz": False}

    store.delete("landing/d/a.csv")

    assert [*unread(store, tmp_path)] == []
    assert len(look(store, tmp_path, set(), age=100)) == 2


def test_a_landing_folder_that_is_a_link_is_reported(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    (tmp_path / "store/landing").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store/landing/d").symlink_to(tmp_path / "elsewhere")
    assert [*unread(store, tmp_path)] == ["landing/d/"]


@pytest.mark.service
def test_a_bucket_reports_the_same(s3_store: Any, tmp_path: Path) -> None:
    client, at = s3_store._client, {"Bucket": s3_store._bucket}
    prefix = s3_store._prefix + "landing/d/"
    for name in (
        "good.parquet",
        "sub/a.parquet",
        ".a.parquet",
        "a\u202eb.parquet",
        "_SUCCESS",
        "",
        "e/",
    ):
        client.put_object(**at, Key=prefix + name, Body=b"rows")
    assert unread(s3_store, tmp_path) == {
        "sub/a.parquet": False,
        ".a.parquet": True,
        "a\\u202eb.parquet": False,
    }
    assert unread(s3_store, tmp_path, age=3700)[".a.parquet"] is False


def test_the_words_name_five_and_count_the_rest() -> None:
    found = [UnreadFile(f"y={n}/a.parquet", "lies in a folder") for n in range(7)]
    said = unread_summary("d", found)
    assert said.startswith(
        "7 things in landing/d/ are not read: 'y=0/a.parquet' lies in a folder; "
    )
    assert "'y=4/a.parquet'" in said
    assert "'y=5/a.parquet'" not in said
    assert "; and 2 more." in said


@pytest.mark.parametrize("bad", ["a", "b", "c"])
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("odd")])
def test_a_file_that_cannot_be_read_holds_up_no_other(
    tmp_path: Path, bad: str, error: Exception
) -> None:
    class Failing(LocalStore):
        def info(self, key: str) -> ObjectInfo:
            if key == f"landing/d/{bad}.parquet":
                raise error
            return super().info(key)

    store = Failing(tmp_path / "store")
    for name in "abc":
        store.put(f"landing/d/{name}.parquet", name.encode())
    clock = StillClock(datetime.now(tz=UTC) + timedelta(seconds=100))
    folder = Landing("d", Source(), store=store, clock=clock, cache=tmp_path / "cache")
    seen = folder.unjudged(lambda _, digest: False)
    assert seen == [f"landing/d/{name}.parquet" for name in "abc" if name != bad]
    (said,) = folder.unread()
    assert said.name == f"{bad}.parquet"
    assert said.why.startswith("cannot be read (")
