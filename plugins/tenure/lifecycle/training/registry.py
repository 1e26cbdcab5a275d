"""What a registered version states about itself: the signed statement and its digests."""

from collections.abc import Mapping
from typing import Any

from tenure.errors import ArtifactRefused
from tenure.layout import artifact_key, onnx_key
from tenure.vocabulary import canonical_json

FIELDS = (
    "model",
    "version",
    "mlflow_run_id",
    "artifact_digest",
    "data_digest",
    "suite_digest",
    "code_digest",
    "config_digest",
    "lock_digest",
)
"""Columns of the version that are signed together: a signature fits no other name or version."""


def statement(row: Mapping[str, object]) -> dict[str, object]:
    """What the trainer signs, from the version's own row.

    Raises:
        ArtifactRefused: A field is absent or empty: the version is not trained completely.
    """
    missing = [name for name in FIELDS if row.get(name) in (None, "")]
    if missing:
        raise ArtifactRefused(
            f"{row.get('model')}@{row.get('version')} states no {', '.join(missing)}; all "
            f"{len(FIELDS)} fields of its statement are needed.",
            still_safe="Nothing was loaded; the version takes no traffic.",
            next_step="Train a new version; this one cannot be completed by hand.",
        )
    return {name: row[name] for name in FIELDS}


def statement_bytes(row: Mapping[str, object]) -> bytes:
    """The exact bytes under the signature. Raises ArtifactRefused like `statement`."""
    return canonical_json(statement(row))


def onnx_statement_bytes(row: Mapping[str, object], digest: str) -> bytes:
    """The bytes under the ONNX file's own signature; it fits no other version and no other file.

    Raises ArtifactRefused like `statement`.
    """
    return canonical_json(statement(row) | {"onnx_digest": digest})


def onnx_facts(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the trainer states of the version's ONNX file; None when it has none that passed."""
    facts = (row.get("facts") or {}).get("onnx")
    if not isinstance(facts, Mapping) or facts.get("verdict") != "passed":
        return None
    return facts if isinstance(facts.get("digest"), str) else None


def file_digests(row: Mapping[str, Any]) -> list[str]:
    """SHA-256 of the files that a gateway loads for the version: the artifact, then the ONNX."""
    onnx = onnx_facts(row)
    return [str(row["artifact_digest"]), *([onnx["digest"]] if onnx else [])]


def file_keys(row: Mapping[str, Any]) -> list[str]:
    """Where these files lie in the object store."""
    keys = (artifact_key, onnx_key)
    return [key(digest) for key, digest in zip(keys, file_digests(row), strict=False)]
