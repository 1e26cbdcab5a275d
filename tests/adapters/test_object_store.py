"""One contract for the folder and for S3."""

import os
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tenure.adapters.confined import Limits, run_confined
from tenure.adapters.local_store import LocalStore
from tenure.errors import ArtifactRefused, ObjectMissing, ServiceUnreachable
from tenure.ports import ObjectStore
from tenure.vocabulary import digest_bytes

ABSENT = "0" * 64
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.service)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "s3":
        return request.getfixturevalue("s3_store")
    return LocalStore.from_url((tmp_path / "a store").as_uri())


def test_what_was_put_is_read(store: ObjectStore) -> None:
    digest = store.put("decisions/model=m/date=2013-03-01/a.bin", b"one")

    assert digest == digest_bytes(b"one")
    assert store.get("decisions/model=m/date=2013-03-01/a.bin", digest) == b"one"
    assert store.fetch("decisions/model=m/date=2013-03-01/a.bin", digest).read_bytes() == b"one"
    assert store.exists("decisions/model=m/date=2013-03-01/a.bin")
    assert not store.exists("decisions/model=m")


def test_the_second_put_wins(store: ObjectStore) -> None:
    store.put("a", b"one")
    before = store.info("a").stamp
    store.put("a", b"two!")

    assert store.get("a") == b"two!"
    assert store.info("a").size == 4
    assert store.info("a").stamp != before


def test_a_file_keeps_its_digest_and_suffix(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "big.bin"
    source.write_bytes(os.urandom(3 * 1024 * 1024 + 17))

    digest = store.put_file("snapshots/d/data.parquet", source)

    assert digest == digest_bytes(source.read_bytes())
    fetched = store.fetch("snapshots/d/data.parquet", digest)
    assert fetched.read_bytes() == source.read_bytes()
    assert fetched.suffix == ".parquet"


def test_what_was_borrowed_leaves_no_copy(store: ObjectStore, tmp_path: Path) -> None:
    digest = store.put("landing/d/a.csv", b"one")

    with store.borrow("landing/d/a.csv", digest) as path:
        assert path.read_bytes() == b"one"
    assert store.get("landing/d/a.csv") == b"one"
    with pytest.raises(ArtifactRefused), store.borrow("landing/d/a.csv", ABSENT):
        raise AssertionError
    with pytest.raises(ObjectMissing), store.borrow("landing/d/none.csv"):
        raise AssertionError
    left = [p for p in tmp_path.rglob("*") if p.is_file() and p.read_bytes() == b"one"]
    assert [p for p in left if p.name != "a.csv"] == []


def test_what_never_changes_is_stored_once(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"one")
    digest = store.put_once("snapshots/d/a", source)
    before = store.info("snapshots/d/a").stamp

    assert digest == store.put_once("snapshots/d/a", source) == digest_bytes(b"one")
    assert store.info("snapshots/d/a").stamp == before
    source.write_bytes(b"two")
    with pytest.raises(ArtifactRefused, match="snapshots/d/a has SHA-256"):
        store.put_once("snapshots/d/a", source)
    assert store.get("snapshots/d/a") == b"one"


def test_an_absent_object_is_missing(store: ObjectStore) -> None:
    for read in (store.get, store.fetch, store.info):
        with pytest.raises(ObjectMissing, match="not/there"):
            read("not/there")
    assert not store.exists("not/there")


def test_other_bytes_are_refused(store: ObjectStore) -> None:
    store.put("a/b", b"one")

    for read in (store.get, store.fetch):
        with pytest.raises(ArtifactRefused, match=r"a/b has SHA-256 .* expected 000000000000…"):
            read("a/b", ABSENT)


def test_listing_is_sorted_and_by_prefix(store: ObjectStore) -> None:
    for key in ("a/c", "a/b/2", "a/b-1", "a/b/1", "b/1"):
        store.put(key, b"")

    assert list(store.list("a/b")) == ["a/b-1", "a/b/1", "a/b/2"]
    assert list(store.list("a/b/")) == ["a/b/1", "a/b/2"]
    assert list(store.list("")) == ["a/b-1", "a/b/1", "a/b/2", "a/c", "b/1"]
    assert list(store.list("nothing/")) == []


def test_delete_twice_is_fine(store: ObjectStore) -> None:
    store.put("a/b", b"one")
    store.delete("a/b")
    store.delete("a/b")

    assert not store.exists("a/b")
    assert list(store.list("")) == []


def test_the_url_ends_with_the_key(store: ObjectStore) -> None:
    assert store.url("a/b c.html").endswith("/a/b%20c.html")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/etc/passwd",
        "..",
        "a/../../b",
        "a//b",
        "a/",
        "./a",
        ".tmp/a",
        "a/.b",
        "a\\b",
        "a\0b",
        "a\nb",
        "x" * 1025,
    ],
)
def test_a_key_that_leads_elsewhere_is_refused(store: ObjectStore, key: str) -> None:
    for act in (store.get, store.fetch, store.exists, store.info, store.delete, store.url):
        with pytest.raises(ValueError, match="is not an object key"):
            act(key)
    with pytest.raises(ValueError, match="is not an object key"):
        store.put(key, b"")


class TestLocal:
    """What only a folder can get wrong."""

    def test_links_and_pipes_are_no_objects(self, tmp_path: Path) -> None:
        store = LocalStore(tmp_path / "store")
        store.put("real/a", b"x")
        (tmp_path / "secret").write_bytes(b"secret")
        (tmp_path / "store/link").symlink_to(tmp_path / "secret")
        (tmp_path / "store/folder").symlink_to(tmp_path)
        os.mkfifo(tmp_path / "store/pipe")

        assert list(store.list("")) == ["real/a"]
        for key in ("link", "folder/secret", "pipe", "real"):
            with pytest.raises(ObjectMissing):
                store.get(key)
        with pytest.raises(ValueError, match="leads through a link"):
            store.put("folder/planted", b"x")
        assert not (tmp_path / "planted").exists()

    def test_a_write_that_breaks_leaves_the_old_object(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = LocalStore(tmp_path / "store")
        store.put("a", b"old")

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(ServiceUnreachable, match=r"store cannot be written: No space left"):
            store.put("a", b"new")

        assert store.get("a") == b"old"
        assert list(store.list("")) == ["a"]
        assert list((tmp_path / "store/.tmp").iterdir()) == []

    def test_a_disk_that_is_full_leaves_nothing(self, tmp_path: Path) -> None:
        store = LocalStore(tmp_path / "store")
        store.put("a", b"old")
        source = tmp_path / "big"
        source.write_bytes(b"x" * 100_000)

        def write() -> bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
            store.put_file("a", source)
            return b""

        with pytest.raises(ServiceUnreachable, match=r"store cannot be written: File too large\."):
            run_confined(write, Limits(memory_bytes=1 << 30, cpu_seconds=10))

        assert store.get("a") == b"old"
        assert list((tmp_path / "store/.tmp").iterdir()) == []

    def test_what_killed_writers_left_is_swept(self, tmp_path: Path) -> None:
        store = LocalStore(tmp_path / "store")
        assert store.sweep(NOW) == 0
        store.put("a", b"x")
        for name, age in (("old", 7200), ("young", 60)):
            draft = tmp_path / "store/.tmp" / name
            draft.write_bytes(b"half")
            os.utime(draft, (NOW.timestamp() - age,) * 2)

        assert store.sweep(NOW - timedelta(hours=1)) == 1
        assert [path.name for path in (tmp_path / "store/.tmp").iterdir()] == ["young"]
        assert store.get("a") == b"x"

    def test_what_cannot_be_swept_is_said_and_holds_up_no_other(self, tmp_path: Path) -> None:
        store = LocalStore(tmp_path / "store")
        store.put("a", b"x")
        for name in ("1", "3"):
            (tmp_path / "store/.tmp" / name).write_bytes(b"half")
        (tmp_path / "store/.tmp/2").mkdir()
        with pytest.raises(OSError, match=r"\.tmp/2"):
            store.sweep(datetime.now(tz=UTC) + timedelta(hours=1))
        assert [path.name for path in (tmp_path / "store/.tmp").iterdir()] == ["2"]


@pytest.mark.service
class TestS3:
    """What only a network store can get wrong."""

    def test_a_server_that_is_gone_may_be_tried_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tenure.adapters.s3_store import S3Store

        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        store = S3Store.from_url(
            "s3://b?endpoint_url=http://127.0.0.1:9&region=us-east-1", cache=tmp_path
        )

        with pytest.raises(ServiceUnreachable, match="does not serve a"):
            store.get("a")
        assert ServiceUnreachable.retryable

    def test_a_changed_copy_in_the_cache_is_not_served(self, s3_store: ObjectStore) -> None:
        digest = s3_store.put("a.txt", b"one")
        s3_store.fetch("a.txt").write_bytes(b"tampered")

        assert s3_store.fetch("a.txt", digest).read_bytes() == b"one"

    def test_an_unknown_option_of_the_url_is_refused(self, tmp_path: Path) -> None:
        from tenure.adapters.s3_store import S3Store

        with pytest.raises(ValueError, match="is not s3://"):
            S3Store.from_url("s3://b/p?endpoint=http://x", cache=tmp_path)


def test_nothing_is_taken_for_encrypted_that_is_not_known_to_be(store: ObjectStore) -> None:
    assert store.encryption() is None


def test_a_folder_is_encrypted_when_the_settings_say_why(tmp_path: Path) -> None:
    url = f"{(tmp_path / 'a store').as_uri()}?encrypted=LUKS+volume+vg0"
    assert LocalStore.from_url(url).encryption() == "LUKS volume vg0"
    assert LocalStore.from_url(f"{tmp_path.as_uri()}?encrypted=").encryption() is None
    assert LocalStore.from_url(f"{tmp_path.as_uri()}?encrypted=+").encryption() is None
    with pytest.raises(ValueError, match="encrypted=reason"):
        LocalStore.from_url(f"{tmp_path.as_uri()}?encrypt=yes")


@pytest.mark.service
def test_a_bucket_says_how_it_encrypts(s3_server: str, s3_store: ObjectStore) -> None:
    import boto3

    bucket = s3_store.url("a").removeprefix("s3://").partition("/")[0]
    boto3.client("s3", endpoint_url=s3_server).put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
        },
    )
    assert s3_store.encryption() == "aws:kms by default of the bucket"


@pytest.mark.service
def test_every_put_asks_for_encryption_when_the_url_says_so(
    s3_server: str, s3_store: ObjectStore, tmp_path: Path
) -> None:
    import boto3

    from tenure.adapters.s3_store import S3Store

    bucket = s3_store.url("a").removeprefix("s3://").partition("/")[0]
    url = f"s3://{bucket}/home?endpoint_url={s3_server}&sse=AES256"
    store = S3Store.from_url(url, cache=tmp_path / "other")
    assert store.encryption() == "AES256 on every put"
    store.put("a", b"one")
    client = boto3.client("s3", endpoint_url=s3_server)
    head = client.head_object(Bucket=bucket, Key="home/a")
    assert head["ServerSideEncryption"] == "AES256"
    assert list(store.list("")) == ["a"]


def test_only_the_owner_may_enter_what_it_makes(tmp_path: Path) -> None:
    """Whatever the umask; a folder that somebody made before stays as it is."""
    opened = tmp_path / "store" / "landing"
    opened.mkdir(parents=True)
    opened.chmod(0o777)
    before = os.umask(0)
    try:
        store = LocalStore(tmp_path / "store")
        store.put("reports/a/b.json", b"{}")
        store.put("landing/flights/x.csv", b"a")
        store.put_file("artifacts/ab/model", opened / "flights" / "x.csv")
    finally:
        os.umask(before)
    made = [path for path in (tmp_path / "store").rglob("*") if path != opened]
    modes = {(path.is_dir(), path.stat().st_mode & 0o777) for path in made}
    assert modes == {(True, 0o700), (False, 0o600)}
    assert opened.stat().st_mode & 0o777 == 0o777
