"""What a registered version states about itself: the signed statement and its digests."""

from collections.abc import Mapping

from tenure.errors import ArtifactRefused
from tenure.layout import artifact_key, onnx_key
from tenure.lifecycle.model_version import VersionRecord
from tenure.vocabulary import as_stored, canonical_json, digest_json


def statement(row: VersionRecord) -> dict[str, object]:
    """What the trainer signs: which version it is, and the digest of every fact that it decides by.

    It comes from the version's own row, so it fits no other name, version or evidence.

    Raises:
        ArtifactRefused: A field is absent or empty, or a fact is: it is not trained completely.
    """
    facts = row.facts.to_json()
    digests = {name: digest_json(as_stored(value)) for name, value in facts.items()}
    return _identity(row) | {"facts": digests}


def _identity(row: VersionRecord) -> dict[str, object]:
    """All but its facts, of which one is the ONNX file's signature. Raises like `statement`."""
    found: dict[str, object] = {
        "model": row.model,
        "version": row.version,
        "trained_by": row.trained_by,
        "mlflow_run_id": row.mlflow_run_id,
        "artifact_digest": row.artifact_digest,
        "data_digest": row.data_digest,
        "suite_digest": row.suite_digest,
        "code_digest": row.code_digest,
        "config_digest": row.config_digest,
        "lock_digest": row.lock_digest,
    }
    missing = [name for name, value in found.items() if value in (None, "")]
    if missing:
        raise ArtifactRefused(
            f"{row.name} states no {', '.join(missing)}; all {len(found)} fields of its "
            "statement are needed.",
            still_safe="Nothing was loaded; the version takes no traffic.",
            next_step="Train a new version; this one cannot be completed by hand.",
        )
    return found


def statement_bytes(row: VersionRecord) -> bytes:
    """The exact bytes under the signature. Raises ArtifactRefused like `statement`."""
    return canonical_json(statement(row))


def onnx_statement_bytes(row: VersionRecord, digest: str) -> bytes:
    """The bytes under the ONNX file's own signature; it fits no other version and no other file.

    Raises ArtifactRefused like `statement`.
    """
    return canonical_json(_identity(row) | {"onnx_digest": digest})


def differing(signed: Mapping[str, object], stated: Mapping[str, object]) -> list[str]:
    """Names of the fields and facts in which two statements differ, sorted.

    >>> differing({"model": "m", "facts": {"seed": "a"}}, {"model": "n", "facts": {"seed": "b"}})
    ['model', 'seed']
    """
    one, other = _flat(signed), _flat(stated)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _flat(statement: Mapping[str, object]) -> dict[str, object]:
    facts = statement.get("facts")
    fields = {name: value for name, value in statement.items() if name != "facts"}
    return fields | (dict(facts) if isinstance(facts, Mapping) else {})


def file_digests(row: VersionRecord) -> list[str]:
    """SHA-256 of the files that a gateway loads for the version: the artifact, then the ONNX.

    Raises:
        ArtifactRefused: The version's facts cannot be read.
    """
    onnx = row.facts.onnx_file
    return [str(row.artifact_digest), *([onnx.digest] if onnx else [])]


def file_keys(row: VersionRecord) -> list[str]:
    """Where these files lie in the object store. Raises ArtifactRefused like `file_digests`."""
    keys = (artifact_key, onnx_key)
    return [key(digest) for key, digest in zip(keys, file_digests(row), strict=False)]
