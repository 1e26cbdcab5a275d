"""The object store on S3 or anything that speaks its protocol, through boto3."""

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from tenure.errors import ServiceUnreachable
from tenure.ports import ObjectInfo, is_object_key, other_bytes
from tenure.vocabulary import digest_bytes

_ABSENT = {"404", "NoSuchKey", "NotFound"}
_HEALS = {"500", "502", "503", "504", "SlowDown", "InternalError", "RequestTimeout", "Throttling"}
_ONE_PUT_BYTES = 64 * 1024 * 1024
"""Larger files go up in parts; S3 shows them when the last part has arrived."""


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
    """

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str,
        cache: Path,
        endpoint_url: str | None = None,
        region: str | None = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._cache = cache
        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=region,
            config=Config(
                retries={"mode": "standard", "max_attempts": 5},
                connect_timeout=5,
                read_timeout=60,
                s3={"addressing_style": "path"} if endpoint_url else {},
            ),
        )

    @classmethod
    def from_url(cls, url: str, *, cache: Path) -> "S3Store":
        """The store of `s3://bucket/prefix?endpoint_url=…&region=…`."""
        parts = urlsplit(url)
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        unknown = sorted(set(options) - {"endpoint_url", "region"})
        if parts.scheme != "s3" or not parts.netloc or unknown:
            raise ValueError(f"{url!r} is not s3://bucket/prefix[?endpoint_url=…&region=…]")
        prefix = parts.path.strip("/")
        return cls(
            parts.netloc,
            prefix=f"{prefix}/" if prefix else "",
            cache=cache,
            endpoint_url=options.get("endpoint_url"),
            region=options.get("region"),
        )

    def put(self, key: str, data: bytes) -> str:
        """Store bytes (overwrites), returns their SHA-256."""
        digest = digest_bytes(data)
        with self._speaking(key):
            self._client.put_object(
                **self._at(key),
                Body=data,
                ChecksumSHA256=_base64(digest),
                Metadata={"sha256": digest},
            )
        return digest

    def put_file(self, key: str, source: Path) -> str:
        """Store a file of any size (overwrites), returns its SHA-256."""
        if source.stat().st_size <= _ONE_PUT_BYTES:
            return self.put(key, source.read_bytes())
        with source.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        at = self._at(key)
        with self._speaking(key):
            self._client.upload_file(
                str(source),
                at["Bucket"],
                at["Key"],
                ExtraArgs={"ChecksumAlgorithm": "SHA256", "Metadata": {"sha256": digest}},
                Config=TransferConfig(multipart_threshold=_ONE_PUT_BYTES),
            )
        return digest

    def get(self, key: str, digest: str | None = None) -> bytes:
        """Read bytes; with `digest`, raises ArtifactRefused when they differ.

        Raises:
            KeyError: There is no such object.
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
            KeyError: There is no such object.
            ArtifactRefused: Its SHA-256 is not `digest`.
            ServiceUnreachable: The store does not answer.
        """
        if digest is not None and (known := self._cached(key, digest)) is not None:
            return known
        self._cache.mkdir(parents=True, exist_ok=True)
        unfinished = self._cache / f".{secrets.token_hex(16)}"
        try:
            at = self._at(key)
            with self._speaking(key):
                self._client.download_file(at["Bucket"], at["Key"], str(unfinished))
            found = _digest_file(unfinished)
            if digest is not None and found != digest:
                raise other_bytes(key, found=found, expected=digest)
            copy = self._copy_path(key, found)
            copy.parent.mkdir(parents=True, exist_ok=True)
            return unfinished.replace(copy)
        finally:
            unfinished.unlink(missing_ok=True)

    def list(self, prefix: str) -> Iterator[str]:
        """Keys that begin with the prefix, sorted; parts of unfinished uploads are none."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        with self._speaking(prefix):
            for page in pages:
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self._prefix)
                    if is_object_key(key):
                        yield key

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        try:
            self.info(key)
        except KeyError:
            return False
        return True

    def info(self, key: str) -> ObjectInfo:
        """Size, time and ETag, without reading the content.

        Raises:
            KeyError: There is no such object.
        """
        with self._speaking(key):
            head = self._client.head_object(**self._at(key))
        stamp = f"{head['ETag']}-{head['ContentLength']}-{head['LastModified'].isoformat()}"
        return ObjectInfo(head["ContentLength"], head["LastModified"], stamp)

    def delete(self, key: str) -> None:
        """Remove the object; absent is fine."""
        with self._speaking(key):
            self._client.delete_object(**self._at(key))

    def url(self, key: str) -> str:
        """`s3://bucket/…` of the object."""
        return f"s3://{self._bucket}/{quote(self._at(key)['Key'])}"

    def _at(self, key: str) -> dict[str, str]:
        if not is_object_key(key):
            raise ValueError(f"{key[:200]!r} is not an object key: relative, no dots, no backslash")
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _copy_path(self, key: str, digest: str) -> Path:
        """Keeps the suffix, which tells some readers the format."""
        return self._cache / digest[:2] / f"{digest}{Path(key).suffix}"

    def _cached(self, key: str, digest: str) -> Path | None:
        path = self._copy_path(key, digest)
        return path if path.is_file() and _digest_file(path) == digest else None

    @contextmanager
    def _speaking(self, key: str) -> Iterator[None]:
        """Turn boto3's errors into KeyError and ServiceUnreachable; a refusal stays as it is."""
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
            if code in _ABSENT:
                raise KeyError(key) from None
            if {code, status} & _HEALS:
                raise self._unreachable(key, f"{status} {code}") from error
            raise
        except (NoConnection, HTTPClientError) as error:
            raise self._unreachable(key, type(error).__name__) from error
        except BotoCoreError as error:
            raise self._unreachable(key, str(error)) from error

    def _unreachable(self, key: str, cause: str) -> ServiceUnreachable:
        return ServiceUnreachable(
            f"The object store s3://{self._bucket} does not serve {key[:80]}: {cause[:120]}.",
            still_safe="An object is there whole or not at all; nothing was half written.",
            next_step="The task tries again by itself. If it lasts, check endpoint, credentials "
            "and bucket of the store's connection.",
        )


def _base64(digest: str) -> str:
    return b64encode(bytes.fromhex(digest)).decode()


def _digest_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
