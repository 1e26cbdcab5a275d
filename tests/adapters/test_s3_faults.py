"""An S3 server that fails, loses and alters, behind a proxy that does it on command."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.endpoint
import pytest
from http_proxy import Fault, HttpProxy, http_proxy

from tenure.adapters import s3_store
from tenure.adapters.s3_store import S3Store
from tenure.errors import ArtifactRefused, NotPermitted, ServiceUnreachable
from tenure.vocabulary import digest_bytes

BUCKET = "faults"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between tries, in seconds; nobody waits for them."""
    waited: list[float] = []

    class Time:
        sleep = staticmethod(waited.append)

    monkeypatch.setattr(botocore.endpoint, "time", Time)
    return waited


@pytest.fixture
def proxy(
    s3_server: str, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> Iterator[HttpProxy]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3", endpoint_url=s3_server)
    client.create_bucket(Bucket=BUCKET)
    with http_proxy(s3_server) as found:
        yield found
    for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        client.delete_object(Bucket=BUCKET, Key=item["Key"])


@pytest.fixture
def store(proxy: HttpProxy, tmp_path: Path) -> S3Store:
    return S3Store.from_url(
        f"s3://{BUCKET}/home?endpoint_url={proxy.url}", cache=tmp_path / "cache"
    )


def uploads(proxy: HttpProxy) -> list[dict[str, Any]]:
    client = boto3.client("s3", endpoint_url=proxy.url)
    found: list[dict[str, Any]] = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return found


class TestBursts:
    """F39: errors of the server heal by themselves, within bounds."""

    @pytest.mark.parametrize("status", [500, 503])
    def test_a_short_one_is_not_noticed(
        self, store: S3Store, proxy: HttpProxy, pauses: list[float], status: int
    ) -> None:
        proxy.faults = [Fault("PUT", status, "SlowDown")] * 4

        store.put("a", b"one")

        assert store.get("a") == b"one"
        assert proxy.count("PUT") == 5
        assert len(pauses) == 4
        assert all(pause <= 20 for pause in pauses)

    @pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "DELETE"])
    def test_a_long_one_may_be_tried_again(
        self, store: S3Store, proxy: HttpProxy, method: str
    ) -> None:
        acts = {
            "PUT": lambda: store.put("a", b"two"),
            "GET": lambda: store.get("a"),
            "HEAD": lambda: store.info("a"),
            "DELETE": lambda: store.delete("a"),
        }
        store.put("a", b"one")
        proxy.requests.clear()
        proxy.faults = [Fault(method, 503, "SlowDown")] * 10

        with pytest.raises(ServiceUnreachable, match="s3://faults does not serve a: 503"):
            acts[method]()

        assert proxy.count(method) == 5
        proxy.faults = []
        assert store.get("a") == b"one"


class TestLostReplies:
    """F40: the server did it, the client does not know."""

    def test_a_put_is_done_once_more(self, store: S3Store, proxy: HttpProxy) -> None:
        proxy.faults = [Fault("PUT", loses_reply=True)]

        assert store.put("a", b"one") == digest_bytes(b"one")
        assert store.get("a") == b"one"

    def test_a_conditional_put_finds_its_own_object(
        self, store: S3Store, proxy: HttpProxy, tmp_path: Path
    ) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"one")
        proxy.faults = [Fault("PUT", loses_reply=True)]

        assert store.put_once("a", source) == digest_bytes(b"one")

        assert proxy.count("PUT") == 2
        assert list(store.list("")) == ["a"]
        assert store.get("a") == b"one"

    def test_a_conditional_put_never_replaces(
        self, store: S3Store, proxy: HttpProxy, tmp_path: Path
    ) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"mine")
        store.put("a", b"theirs")

        with pytest.raises(ArtifactRefused, match="The object a has SHA-256"):
            store.put_once("a", source)

        assert store.get("a") == b"theirs"

    def test_a_delete_is_done_once_more(self, store: S3Store, proxy: HttpProxy) -> None:
        store.put("a", b"one")
        proxy.faults = [Fault("DELETE", loses_reply=True)]

        store.delete("a")

        assert not store.exists("a")


class TestReads:
    """F42: what arrives is not what was stored."""

    def test_half_an_answer(self, store: S3Store, proxy: HttpProxy) -> None:
        digest = store.put("a", b"x" * 1000)
        for read in (store.get, store.fetch):
            proxy.faults = [Fault("GET", keeps_bytes=500)] * 10
            with pytest.raises(ServiceUnreachable, match="does not serve a"):
                read("a", digest)
            proxy.faults = []

        assert store.fetch("a", digest).read_bytes() == b"x" * 1000

    def test_other_bytes(self, store: S3Store, proxy: HttpProxy, tmp_path: Path) -> None:
        digest = store.put("a", b"one")
        for read in (store.get, store.fetch):
            proxy.faults = [Fault("GET", flips=True)] * 10
            with pytest.raises((ArtifactRefused, ServiceUnreachable)) as error:
                read("a", digest)
            assert re.search(r"\ba\b", error.value.what)
            proxy.faults = []

        assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []
        assert store.get("a", digest) == b"one"

    def test_other_bytes_at_rest(self, store: S3Store, proxy: HttpProxy) -> None:
        digest = store.put("a", b"one")
        client = boto3.client("s3", endpoint_url=proxy.url)
        client.put_object(Bucket=BUCKET, Key="home/a", Body=b"bad")

        for read in (store.get, store.fetch):
            with pytest.raises(ArtifactRefused, match=r"The object a has SHA-256 .* expected"):
                read("a", digest)


class TestRefusals:
    """F43: credentials without the right."""

    @pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId"])
    def test_nothing_is_tried_twice(self, store: S3Store, proxy: HttpProxy, code: str) -> None:
        proxy.faults = [Fault("PUT", 403, code)] * 10

        with pytest.raises(NotPermitted) as error:
            store.put("a/b", b"one")

        assert error.value.what == f"The object store s3://faults refuses a/b: 403 {code}."
        assert proxy.count("PUT") == 1
        assert not error.value.retryable

    def test_a_bucket_that_is_not_there(self, proxy: HttpProxy, tmp_path: Path) -> None:
        store = S3Store.from_url(f"s3://nowhere?endpoint_url={proxy.url}", cache=tmp_path)

        for act in (
            lambda: list(store.list("")),
            lambda: store.put("a", b""),
            lambda: store.get("a"),
        ):
            with pytest.raises(ServiceUnreachable, match="404 NoSuchBucket"):
                act()


class TestParts:
    """F41: a file that goes up in parts is there when the last has arrived."""

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(s3_store, "ONE_PUT_BYTES", 5 * 1024 * 1024)
        monkeypatch.setattr(s3_store, "PART", 5 * 1024 * 1024)

    @pytest.fixture
    def big(self, tmp_path: Path) -> Path:
        path = tmp_path / "big.bin"
        path.write_bytes(os.urandom(12 * 1024 * 1024))
        return path

    def test_it_arrives_whole(self, store: S3Store, proxy: HttpProxy, big: Path) -> None:
        proxy.faults = [
            Fault("PUT", 500, query="partNumber=2"),
            Fault("PUT", loses_reply=True, query="partNumber=3"),
        ]

        digest = store.put_once("a", big)

        assert digest == digest_bytes(big.read_bytes())
        assert store.fetch("a", digest).read_bytes() == big.read_bytes()
        assert len({p for m, p in proxy.requests if "partNumber" in p and m == "PUT"}) == 3
        proxy.requests.clear()
        assert store.put_once("a", big) == digest
        assert proxy.count("PUT") == 0

    def test_parts_of_a_failed_upload_are_removed(
        self, store: S3Store, proxy: HttpProxy, big: Path
    ) -> None:
        proxy.faults = [Fault("PUT", 503, "SlowDown", query="partNumber=2")] * 10

        with pytest.raises(ServiceUnreachable, match="does not serve a"):
            store.put_file("a", big)

        proxy.faults = []
        assert not store.exists("a")
        assert uploads(proxy) == []

    def test_a_refusal_in_the_middle(self, store: S3Store, proxy: HttpProxy, big: Path) -> None:
        proxy.faults = [Fault("PUT", 403, "AccessDenied", query="partNumber=2")]

        with pytest.raises(NotPermitted, match="refuses a: 403 AccessDenied"):
            store.put_file("a", big)

        assert uploads(proxy) == []

    def test_parts_of_a_killed_upload_are_swept(
        self, store: S3Store, proxy: HttpProxy, big: Path, tmp_path: Path
    ) -> None:
        code = (
            "import os, sys, pathlib\n"
            "from tenure.adapters import s3_store\n"
            "s3_store.ONE_PUT_BYTES = s3_store.PART = 5 * 1024 * 1024\n"
            "store = s3_store.S3Store.from_url(sys.argv[1], cache=pathlib.Path(sys.argv[2]))\n"
            "event = 'before-call.s3.CompleteMultipartUpload'\n"
            "store._client.meta.events.register(event, lambda **_: os.kill(os.getpid(), 9))\n"
            "store.put_file('a', pathlib.Path(sys.argv[3]))\n"
        )
        url = f"s3://{BUCKET}/home?endpoint_url={proxy.url}"
        done = subprocess.run(
            [sys.executable, "-c", code, url, str(tmp_path), str(big)],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "plugins")},
            timeout=60,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL
        assert not store.exists("a")
        assert list(store.list("")) == []
        (left,) = uploads(proxy)

        assert store.sweep(left["Initiated"]) == 0
        assert store.sweep(datetime.now(tz=UTC) + timedelta(days=1)) == 1
        assert uploads(proxy) == []


def test_old_copies_are_swept(store: S3Store, tmp_path: Path) -> None:
    store.put("a.txt", b"one")
    store.put("b.txt", b"two")
    old, young = store.fetch("a.txt"), store.fetch("b.txt")
    unfinished = tmp_path / "cache" / f".{'0' * 32}"
    of_a_killed_one = unfinished.with_name(f"{unfinished.name}.Ab12Cd34")  # as boto3 names them
    memory = tmp_path / "cache/landing/d.json"
    memory.parent.mkdir()
    for path in (unfinished, of_a_killed_one, memory):
        path.write_bytes(b"x")
    now = datetime.now(tz=UTC)
    for path in (old, unfinished, of_a_killed_one, memory):
        os.utime(path, (now.timestamp() - 7200,) * 2)

    assert store.sweep(now - timedelta(hours=1)) == 3

    assert [p.exists() for p in (old, young, unfinished, memory)] == [False, True, False, True]
