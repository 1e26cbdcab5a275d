"""The object store on S3 or anything that speaks its protocol, through boto3."""

import secrets
from base64 import b64encode
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from tenure.adapters.s3_store.answers import speaking
from tenure.errors import ObjectMissing
from tenure.files import digest_file, disk_errors
from tenure.ports import ObjectInfo, Stranger, is_object_key, no_object_key, other_bytes
from tenure.vocabulary import digest_bytes

_NO_ENCRYPTION = {"ServerSideEncryptionConfigurationNotFoundError", "NotImplemented"}
ONE_PUT_BYTES = 64 * 1024 * 1024
"""Larger files go up in parts; S3 shows them when the last part has arrived."""
PART = 8 * 1024 * 1024
"""Bytes of a part; S3 takes none below 5 MiB but the last, and at most 10,000."""


class S3Store:
    """Implements `tenure.ports.ObjectStore` on a bucket and prefix.

    Each put carries its SHA-256, so the server refuses bytes that changed on the way; each is
    tried up to five times with back-off. Credentials come from boto3's own chain.

    Args:
        bucket: Must exist.
        prefix: Put before every key; empty or ending with `/`.
        cache: Folder for fetched copies, one file a content; safe to delete.
        endpoint_url: Of a server that is not AWS.
        region: Where the client's own configuration names none.
        sse: Server-side encryption that every put asks for (`AES256`, `aws:kms`).
    """

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str,
        cache: Path,
        endpoint_url: str | None = None,
        region: str | None = None,
        sse: str | None = None,
    ) -> None:
        self._bucket = bucket
        self._sse = {"ServerSideEncryption": sse} if sse else {}
        self._prefix = prefix
        self._cache = cache
        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=region,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": 5},
                connect_timeout=5,
                read_timeout=60,
                s3={"addressing_style": "path"} if endpoint_url else {},
            ),
        )

    @classmethod
    def from_url(cls, url: str, *, cache: Path) -> "S3Store":
        """The store of `s3://bucket/prefix?endpoint_url=…&region=…&sse=…`."""
        parts = urlsplit(url)
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        unknown = sorted(set(options) - {"endpoint_url", "region", "sse"})
        if parts.scheme != "s3" or not parts.netloc or unknown:
            raise ValueError(f"{url!r} is not s3://bucket/prefix[?endpoint_url=…&region=…&sse=…]")
        prefix = parts.path.strip("/")
        return cls(
            parts.netloc,
            prefix=f"{prefix}/" if prefix else "",
            cache=cache,
            endpoint_url=options.get("endpoint_url"),
            region=options.get("region"),
            sse=options.get("sse"),
        )

    def put(self, key: str, data: bytes) -> str:
        """Store bytes (overwrites), returns their SHA-256."""
        return self._put(key, data)

    def put_file(self, key: str, source: Path) -> str:
        """Store a file of any size (overwrites), returns its SHA-256."""
        if source.stat().st_size <= ONE_PUT_BYTES:
            return self._put(key, source.read_bytes())
        return self._put_in_parts(key, source)

    def put_once(self, key: str, source: Path) -> str:
        """Store a file that never changes, returns its SHA-256; the same bytes again are fine.

        The put is conditional, so that a repetition whose first answer was lost finds its own
        object. A file in parts is looked for first: S3 takes no condition from this client there.

        Raises:
            ArtifactRefused: Other bytes lie there; they stay.
        """
        if source.stat().st_size > ONE_PUT_BYTES:
            return self._same(key, source) if self.exists(key) else self._put_in_parts(key, source)
        try:
            return self._put(key, source.read_bytes(), IfNoneMatch="*")
        except FileExistsError:
            return self._same(key, source)

    def _put(self, key: str, data: bytes, **condition: str) -> str:
        digest = digest_bytes(data)
        with self._speaking(key):
            self._client.put_object(
                **self._at(key),
                Body=data,
                ChecksumSHA256=b64encode(bytes.fromhex(digest)).decode(),
                Metadata={"sha256": digest},
                **self._sse,
                **condition,
            )
        return digest

    def _put_in_parts(self, key: str, source: Path) -> str:
        digest = digest_file(source)
        at = self._at(key)
        with self._speaking(key):
            self._client.upload_file(
                str(source),
                at["Bucket"],
                at["Key"],
                ExtraArgs={
                    "ChecksumAlgorithm": "SHA256",
                    "Metadata": {"sha256": digest},
                    **self._sse,
                },
                Config=TransferConfig(multipart_threshold=ONE_PUT_BYTES, multipart_chunksize=PART),
            )
        return digest

    def _same(self, key: str, source: Path) -> str:
        """The digest, when the stored object holds the same bytes as the file."""
        digest = digest_file(source)
        self.fetch(key, digest)
        return digest

    def get(self, key: str, digest: str | None = None) -> bytes:
        """Read bytes; with `digest`, raises ArtifactRefused when they differ.

        Raises:
            ObjectMissing: There is no such object.
            ServiceUnreachable: The store does not answer.
        """
        with self._speaking(key):
            data: bytes = self._client.get_object(**self._at(key))["Body"].read()
        if digest is not None and digest_bytes(data) != digest:
            raise other_bytes(key, found=digest_bytes(data), expected=digest)
        return data

    def fetch(self, key: str, digest: str | None = None) -> Path:
        """A copy in the cache folder, named by its content: it never changes under a reader.

        Raises:
            ObjectMissing: There is no such object.
            ArtifactRefused: Its SHA-256 is not `digest`.
            ServiceUnreachable: The store does not answer.
        """
        if digest is not None and (known := self._cached(key, digest)) is not None:
            return known
        with self.borrow(key, digest) as unfinished:
            copy = self._copy_path(key, digest or digest_file(unfinished))
            copy.parent.mkdir(parents=True, exist_ok=True)
            return unfinished.replace(copy)

    @contextmanager
    def borrow(self, key: str, digest: str | None = None) -> Iterator[Path]:
        """A copy that is removed after the block, for what must not stay; raises as `fetch`."""
        self._cache.mkdir(parents=True, exist_ok=True)
        copy = self._cache / f".{secrets.token_hex(16)}"
        try:
            at = self._at(key)
            with disk_errors(self._cache), self._speaking(key):
                self._client.download_file(at["Bucket"], at["Key"], str(copy))
            if digest is not None and (found := digest_file(copy)) != digest:
                raise other_bytes(key, found=found, expected=digest)
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    def list(self, prefix: str) -> Iterator[str]:
        """Keys that begin with the prefix, sorted; parts of unfinished uploads are none."""
        for key, _ in self._listed(prefix):
            if is_object_key(key):
                yield key

    def strangers(self, prefix: str) -> Iterator[Stranger]:
        """Keys below the prefix that name no object; the empty ones of folders are none of them."""
        for key, modified in self._listed(prefix):
            name = key.removeprefix(prefix)
            if name and not key.endswith("/") and not is_object_key(key):
                yield Stranger(
                    name.encode("unicode_escape").decode(), no_object_key(name), modified
                )

    def _listed(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        with self._speaking(prefix):
            for page in pages:
                for item in page.get("Contents", ()):
                    yield item["Key"].removeprefix(self._prefix), item["LastModified"]

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        try:
            self.info(key)
        except ObjectMissing:
            return False
        return True

    def info(self, key: str) -> ObjectInfo:
        """Size, time and ETag, without reading the content.

        Raises:
            ObjectMissing: There is no such object.
        """
        with self._speaking(key):
            head = self._client.head_object(**self._at(key))
        stamp = f"{head['ETag']}-{head['ContentLength']}-{head['LastModified'].isoformat()}"
        return ObjectInfo(head["ContentLength"], head["LastModified"], stamp)

    def delete(self, key: str) -> None:
        """Remove the object; absent is fine."""
        with self._speaking(key):
            self._client.delete_object(**self._at(key))

    def sweep(self, before: datetime) -> int:
        """End uploads in parts and remove copies that are older than the moment; returns how many.

        Parts of an upload that nobody ends are not seen by anybody, but they are paid for.
        """
        at: dict[str, str] = {"Bucket": self._bucket}
        with self._speaking(self._prefix):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                **at, Prefix=self._prefix
            )
            old = [u for page in pages for u in page.get("Uploads", ()) if u["Initiated"] < before]
            for upload in old:
                self._client.abort_multipart_upload(
                    **at, Key=upload["Key"], UploadId=upload["UploadId"]
                )
        unfinished = "." + 32 * "?" + "*"  # boto3 adds an ending until a download is whole
        copies = [*self._cache.glob("??/*"), *self._cache.glob(unfinished)]
        stale = [path for path in copies if _modified(path) < before.timestamp()]
        failures = []
        for path in stale:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:  # about this one: the others go
                failures.append(error)
        if failures:
            raise failures[0]
        return len(old) + len(stale)

    def url(self, key: str) -> str:
        """`s3://bucket/…` of the object."""
        return f"s3://{self._bucket}/{quote(self._at(key)['Key'])}"

    def encryption(self) -> str | None:
        """What the bucket does by default, or what each put asks for, if the server does it."""
        if self._sse:
            return self._tried_encryption()
        with self._speaking("its encryption"):
            try:
                found = self._client.get_bucket_encryption(Bucket=self._bucket)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in _NO_ENCRYPTION:
                    return None
                raise
        rules = found["ServerSideEncryptionConfiguration"]["Rules"]
        names = [r.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for r in rules]
        return next((f"{name} by default of the bucket" for name in names if name), None)

    def _tried_encryption(self) -> str | None:
        """One small put, because some servers take the header and store in clear."""
        at = self._at("encryption-probe")
        with self._speaking("encryption-probe"):
            answer = self._client.put_object(**at, Body=b"", **self._sse)
            self._client.delete_object(**at)
        done = answer.get("ServerSideEncryption")
        return f"{done} on every put" if done == self._sse["ServerSideEncryption"] else None

    def _at(self, key: str) -> dict[str, str]:
        if not is_object_key(key):
            raise ValueError(f"{key[:200]!r} is not an object key: relative, no dots, no backslash")
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _copy_path(self, key: str, digest: str) -> Path:
        """Keeps the suffix, which tells some readers the format."""
        return self._cache / digest[:2] / f"{digest}{Path(key).suffix}"

    def _cached(self, key: str, digest: str) -> Path | None:
        path = self._copy_path(key, digest)
        return path if path.is_file() and digest_file(path) == digest else None

    def _speaking(self, key: str) -> AbstractContextManager[None]:
        return speaking(self._bucket, key)


def _modified(path: Path) -> float:
    """Of a file that somebody else removed meanwhile: now."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
