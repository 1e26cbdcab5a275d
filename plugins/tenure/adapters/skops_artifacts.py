"""Models as skops files: written with the same bytes each time, loaded only after three checks.

Digest first, then signature, then *our* allow-list; nothing is parsed before the first two hold.
"""

import base64
import binascii
import io
import json
import re
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tenure.errors import ArtifactRefused, ObjectMissing
from tenure.layout import artifact_key, onnx_key
from tenure.lifecycle.model_version import VersionRecord
from tenure.lifecycle.training.registry import (
    differing,
    onnx_statement_bytes,
    statement,
)
from tenure.ports import ObjectStore
from tenure.vocabulary import canonical_json, digest_bytes

TRUSTED = (
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "tenure.lifecycle.serving.date_parts.date_parts",
    "tenure.adapters.group_thresholds.GroupThresholdClassifier",
)
"""Beyond the types that skops itself trusts; found to be all that our estimators need."""

MAX_UNPACKED = 1024**3
"""Bytes that an artifact may unpack to."""

_MEMBER = re.compile(r"(schema\.json|[0-9a-f-]{1,40}\.(npy|npz|bin))\Z")
"""Names of what skops writes; no folder, no other kind of file."""

_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)
_EPOCH = (1980, 1, 1, 0, 0, 0)
_SAFE = "Nothing was loaded; gateways keep what they serve."


def dump(estimator: Any, *, name: str) -> bytes:
    """The estimator as skops bytes that depend on its content alone.

    Args:
        estimator: A fitted scikit-learn estimator.
        name: `model@version`, for the message.

    Raises:
        ArtifactRefused: It holds a type that is not on the allow-list.
    """
    import skops.io

    data = skops.io.dumps(estimator)
    _refuse_types(data, name)
    return _canonical(data)


def load_verified(store: ObjectStore, row: VersionRecord, public_key: Path) -> Any:
    """The estimator of a version, from bytes whose digest and signature hold.

    Args:
        store: Where the artifact lies.
        row: Every column of the version.
        public_key: PEM file of the trainer's public key.

    Raises:
        ArtifactRefused: The artifact is absent or other bytes, the signature does not fit this
            row, or the file holds a type that is not on the allow-list.
    """
    return load_bytes(verified_bytes(store, row, public_key), row, _read(public_key))


def load_bytes(data: bytes, row: VersionRecord, public_key: bytes) -> Any:
    """The estimator of a version from bytes that came from anywhere.

    Args:
        data: What is said to be the artifact.
        row: The version.
        public_key: The trainer's public key as PEM.

    Raises:
        ArtifactRefused: As for `load_verified`.
    """
    import skops.io

    name = row.name
    found = digest_bytes(data)
    if found != row.artifact_digest:
        raise _refused(
            f"{name}: the artifact has SHA-256 {found[:12]}…, not "
            f"{str(row.artifact_digest)[:12]}… as registered"
        )
    _check(row, public_key)
    _refuse_types(data, name)
    return skops.io.loads(data, trusted=list(TRUSTED))


def verified_bytes(store: ObjectStore, row: VersionRecord, public_key: Path) -> bytes:
    """The artifact's bytes after the checks of digest and signature; nothing is parsed.

    Raises:
        ArtifactRefused: As for `load_verified`.
    """
    check_signature(row, public_key)
    digest = str(row.artifact_digest)
    try:
        return store.get(artifact_key(digest), digest)
    except ObjectMissing:
        raise _refused(f"{row.name}: the artifact {digest[:12]} is not in the store") from None


def check_signature(row: VersionRecord, public_key: Path) -> None:
    """Whether the trainer signed exactly this row's statement.

    Raises:
        ArtifactRefused: It did not, or the public key cannot be read.
    """
    _check(row, _read(public_key))


def _read(public_key: Path) -> bytes:
    try:
        return public_key.read_bytes()
    except OSError as error:
        raise _refused(
            f"the public key {public_key.name} cannot be read: {error.strerror}"
        ) from None


def verified_onnx(store: ObjectStore, row: VersionRecord, public_key: Path) -> bytes:
    """The bytes of the version's ONNX file after both checks; nothing is parsed.

    Raises:
        ArtifactRefused: As for `check_onnx`, or the version has no such file.
    """
    name, file = row.name, row.facts.onnx_file
    if file is None:
        raise _refused(f"{name}: the version states no ONNX file")
    try:
        data = store.get(onnx_key(file.digest), file.digest)
    except ObjectMissing:
        raise _refused(f"{name}: the ONNX file {file.digest[:12]} is not in the store") from None
    check_onnx(data, row, _read(public_key))
    return data


def check_onnx(data: bytes, row: VersionRecord, public_key: bytes) -> None:
    """Whether these are the ONNX bytes that the trainer signed for exactly this version.

    Args:
        data: What is said to be the ONNX file; nothing of it is parsed.
        row: The version, whose facts state digest and signature of the file.
        public_key: The trainer's public key as PEM.

    Raises:
        ArtifactRefused: They are not, or the version has no such file.
    """
    name, file, found = row.name, row.facts.onnx_file, digest_bytes(data)
    if file is None:
        raise _refused(f"{name}: the version states no ONNX file")
    if found != file.digest:
        raise _refused(
            f"{name}: the ONNX file has SHA-256 {found[:12]}…, not "
            f"{file.digest[:12]}… as registered"
        )
    signed = _signed(file.signature, public_key)
    if signed != onnx_statement_bytes(row, found):
        raise _refused(f"{name}: the ONNX file's signature does not fit it and its version")


def _check(row: VersionRecord, public_key: bytes) -> None:
    stated = statement(row)
    signed = _signed(row.signature, public_key)
    if signed is None:
        raise _refused(
            f"{row.name}: the signature does not fit its statement (model, version, run, digests "
            "and facts)"
        )
    if signed != canonical_json(stated):
        names = ", ".join(differing(json.loads(signed), stated))
        raise _refused(
            f"{row.name}: the signature does not fit its {names}: the trainer signed another value"
        )


def _signed(signature: object, public_key: bytes) -> bytes | None:
    """The statement that was signed, or None where the signature is not the trainer's.

    One of the keys of the file signed it: those of before a rotation stand behind the newest.
    """
    try:
        keys = [load_pem_public_key(one) for one in _PEM.findall(public_key) or [public_key]]
        parts = (base64.b64decode(part, validate=True) for part in str(signature).split("."))
        signed, seal = parts
    except (binascii.Error, ValueError):
        return None
    for key in keys:
        if not isinstance(key, Ed25519PublicKey):
            raise _refused("the public key is not an Ed25519 key")
        with suppress(InvalidSignature):
            key.verify(seal, signed)
            return signed
    return None


def _refuse_types(data: bytes, name: str) -> None:
    import skops.io

    try:
        unpacked = _unpacked(data)
        small = unpacked <= MAX_UNPACKED
        found = set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED) if small else set()
    except MemoryError:  # says nothing about the file
        raise
    except Exception as error:  # whatever a broken file makes the parser do
        why = str(error) if type(error) is ValueError else type(error).__name__
        raise _refused(f"{name}: the artifact is no skops file ({why[:120]})") from error
    if not small:
        raise _refused(f"{name}: the artifact unpacks to {unpacked:,} bytes")
    if found:
        raise _refused(f"{name}: types that are not allowed: {', '.join(sorted(found))}")


def _unpacked(data: bytes) -> int:
    """Bytes that it unpacks to. Raises ValueError when it holds what skops does not write."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
    for entry in entries:
        if not _MEMBER.match(entry.filename):
            raise ValueError(f"it holds {entry.filename[:80]!r}")
    return sum(entry.file_size for entry in entries)


def _refused(what: str) -> ArtifactRefused:
    return ArtifactRefused(
        f"{what}.",
        still_safe=_SAFE,
        next_step="Do not serve this version. Train a new one; if nobody changed the file on "
        "purpose, treat it as an incident and compare with the archive.",
    )


def _canonical(data: bytes) -> bytes:
    """The same content with counted names instead of memory addresses, and without clock times.

    skops names arrays and objects by `id()`. Constants (JSON nodes) share an id or not by the
    interpreter's whim, so each gets one of its own; shared arrays and objects stay shared.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        schema = json.loads(source.read("schema.json"))
        files: dict[str, str] = {}
        _rename(schema, {}, files)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
            for old, new in files.items():
                target.writestr(zipfile.ZipInfo(new, _EPOCH), source.read(old))
            text = json.dumps(schema, sort_keys=True, separators=(",", ":"))
            target.writestr(zipfile.ZipInfo("schema.json", _EPOCH), text)
    return buffer.getvalue()


def _rename(node: Any, ids: dict[Any, int], files: dict[str, str]) -> None:
    """Walk the schema depth first and replace ids and file names in place."""
    if isinstance(node, list):
        for child in node:
            _rename(child, ids, files)
    if not isinstance(node, dict):
        return
    if "__loader__" in node and "__id__" in node:
        constant = node["__loader__"] == "JsonNode"
        key = ("constant", len(ids)) if constant else node["__id__"]
        node["__id__"] = ids.setdefault(key, len(ids) + 1)
        if isinstance(node.get("file"), str):
            old = node["file"]
            suffix = Path(old).suffix
            node["file"] = files.setdefault(old, f"{len(files) + 1:06d}{suffix}")
    for child in node.values():
        _rename(child, ids, files)
