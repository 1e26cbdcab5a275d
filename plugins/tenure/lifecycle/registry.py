"""What a registered version states about itself: the signed statement and its digests."""

from collections.abc import Mapping

from tenure.errors import ArtifactRefused
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


def artifact_key(digest: str) -> str:
    """Where the artifact with this digest lies in the object store."""
    return f"artifacts/{digest}.skops"


def reference_key(model: str, version: int) -> str:
    """Where the scored holdout of a version lies in the object store."""
    return f"reference/{model}/{version}.parquet"
