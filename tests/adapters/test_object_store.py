"""One contract for the folder and for S3."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenure.adapters.local_store import LocalStore
from tenure.errors import ArtifactRefused, ServiceUnreachable
from tenure.ports import ObjectStore
from tenure.vocabulary import digest_bytes

ABSENT = "0" * 64


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A real server of the S3 protocol on a free port of loopback."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_store(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    import boto3

    from tenure.adapters.s3_store import S3Store

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bucket = f"b{tmp_path.name.replace('_', '-')}".lower()[:60].rstrip("-")
    boto3.client("s3", endpoint_url=s3_server).create_bucket(Bucket=bucket)
    return S3Store.from_url(
        f"s3://{bucket}/home?endpoint_url={s3_server}", cache=tmp_path / "cache"
    )


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


def test_an_absent_object_is_a_key_error(store: ObjectStore) -> None:
    for read in (store.get, store.fetch, store.info):
        with pytest.raises(KeyError, match="not/there"):
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
            with pytest.raises(KeyError):
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
        with pytest.raises(OSError, match="No space"):
            store.put("a", b"new")

        assert store.get("a") == b"old"
        assert list(store.list("")) == ["a"]


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
