"""What an archive of a version is made of, and the proof that it can be brought back."""

import json
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.errors import StateConflict
from tenure.installation import Installation
from tenure.layout import DECOMMISSION_MODEL, archive_prefix, dag_id, reference_key, report_key
from tenure.lifecycle.model_version import VersionRecord, record_from_json
from tenure.lifecycle.retirement.decommission import Manifest, Progress
from tenure.lifecycle.training.registry import file_digests, file_keys
from tenure.settings import REPOSITORY
from tenure.vocabulary import State, canonical_json, digest_bytes

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tenure.adapters.archive import ArchiveSource

SAMPLES = 50
"""Predictions that an archive keeps to prove a restored artifact."""
TOLERANCE = 1e-9
"""Scores may differ by so much between machines."""


def manifest_key(model: str, version: int) -> str:
    """Where the manifest lies."""
    return f"{archive_prefix(model, version)}manifest.json"


def row_of(platform: Installation, progress: Progress) -> VersionRecord:
    """What the version is: identity, digests, signature, facts."""
    from tenure.adapters.sql import versions

    with platform.database.begin() as connection:
        return versions.row_by_id(connection, progress.version_id)


def planned_deletions(connection: "Connection", progress: Progress) -> list[str]:
    """Keys of the originals that will be deleted in the end."""
    from tenure.adapters.sql import decommissions, versions

    row = versions.row_by_id(connection, progress.version_id)
    shared = decommissions.shared_artifact_keys(connection, progress.version_id)
    keys = [reference_key(progress.model, progress.version)]
    if row.is_trained:
        keys = [*file_keys(row), *keys]
    return [key for key in keys if key not in shared]


def collect(platform: Installation, progress: Progress) -> list["ArchiveSource"]:
    """Everything that belongs into the archive of a version; the same each time it is asked."""
    from tenure.adapters.sql import chain, decommissions, versions

    with platform.database.begin() as connection:
        row = versions.row_by_id(connection, progress.version_id)
        events = chain.of_version(connection, progress.version_id, up_to=State.RETIRING)
        wanted = (row.config_digest, row.suite_digest, row.lock_digest)
        texts = decommissions.texts(connection, [digest for digest in wanted if digest])
        shared = decommissions.shared_artifact_keys(connection, progress.version_id)
    lines = b"".join(canonical_json(vars(event)) + b"\n" for event in events)
    return [
        *_stored(platform, progress, row, shared),
        *_texts(progress, row, texts),
        _row(progress, "ledger", "ledger.jsonl", lines),
        _row(progress, "version", "version.json", canonical_json(row.to_json())),
    ]


@dataclass(frozen=True)
class ArchiveCheck:
    """An archive that was brought back: what was read, and how exactly its artifact predicts."""

    archive: str
    manifest: str
    items: int
    bytes: int
    predictions: int
    largest_difference: float


def verify(platform: Installation, model: str, version: int) -> ArchiveCheck:
    """Bring an archive back into an empty folder and let its artifact predict the samples.

    Raises:
        StateConflict: The version has no archive.
        ArchiveIncomplete: An item, or a prediction, is not what was archived.
    """
    with tempfile.TemporaryDirectory(prefix="tenure-archive-") as folder:
        manifest, digest = restore(platform, model, version, Path(folder))
        has_model = manifest.has("artifact") and manifest.has("samples")
        compared, difference = _replay(platform, Path(folder)) if has_model else (0, 0.0)
    return ArchiveCheck(
        archive=f"{model}@{version}",
        manifest=digest,
        items=len(manifest.items),
        bytes=sum(item.size for item in manifest.items),
        predictions=compared,
        largest_difference=difference,
    )


def restore(platform: Installation, model: str, version: int, folder: Path) -> tuple[Manifest, str]:
    """Bring an archive back into an empty folder; returns its manifest and that one's digest.

    Raises:
        StateConflict: The version has no archive.
        ArchiveIncomplete: An item is not what was archived.
    """
    from tenure.adapters.archive import Archive

    archive = Archive(platform.store)
    key, digest = _place(platform, model, version)
    manifest = archive.manifest(key, digest)
    archive.restore(manifest, folder)
    return manifest, digest


def _place(platform: Installation, model: str, version: int) -> tuple[str, str]:
    """Key and digest of the manifest, as the lifecycle database says."""
    from tenure.adapters.sql import decommissions, versions

    with platform.database.begin() as connection:
        ref = versions.get(connection, model, version)
        progress = decommissions.get(connection, ref.id) if ref else None
    if progress is None or progress.archive_key is None or progress.archive_digest is None:
        raise StateConflict(
            f"{model}@{version} has no archive: it is {ref.state if ref else 'not known'}.",
            still_safe="Nothing was changed.",
            next_step=f"Retire it with {dag_id(model, DECOMMISSION_MODEL)} first.",
        )
    return progress.archive_key, progress.archive_digest


def _replay(platform: Installation, folder: Path) -> tuple[int, float]:
    """Load the restored artifact as the gateway would, from restored files alone."""
    from tenure.adapters.archive import incomplete, largest_difference
    from tenure.adapters.local_store import LocalStore
    from tenure.adapters.serving_frame import scorer
    from tenure.adapters.skops_artifacts import load_verified
    from tenure.lifecycle.class_answers import answered_class
    from tenure.lifecycle.serving import score_of

    row = record_from_json(json.loads((folder / "version.json").read_bytes()))
    samples = json.loads((folder / "samples.json").read_bytes())
    if not samples:
        return 0, 0.0
    public_key = platform.settings.signing_key.with_suffix(".pub")
    estimator = load_verified(LocalStore(folder), row, public_key)
    names = row.facts.features
    features = [*names.numeric, *names.categorical]
    rows = [[one["features"][name] for name in features] for one in samples]
    score = scorer(estimator, numeric=names.numeric, categorical=names.categorical, examples=rows)
    answers = score(rows)
    # Of several classes samples hold the probability of the answered one.
    costs, several = row.facts.class_costs, bool(row.facts.classes)
    scores = [
        a[answered_class(a, costs)] if several and not isinstance(a, float) else score_of(a)
        for a in answers
    ]
    difference = largest_difference(scores, [one["score"] for one in samples])
    if not difference <= TOLERANCE:
        raise incomplete([f"artifact: predictions differ by up to {difference:.3g}"])
    return len(samples), difference


def _stored(
    platform: Installation, progress: Progress, row: VersionRecord, shared: Collection[str]
) -> list["ArchiveSource"]:
    """Objects of the store; the serving copy of the artifact and the reference go later."""
    from tenure.adapters.archive import ArchiveSource, sample_predictions

    prefix = archive_prefix(progress.model, progress.version)
    found = []
    if row.is_trained:
        copies = (("artifact", "artifact.skops"), ("onnx", "artifact.onnx"))
        files = zip(copies, file_keys(row), file_digests(row), strict=False)
        found += [
            ArchiveSource(name, key, f"{prefix}{file}", digest, delete_after=key not in shared)
            for (name, file), key, digest in files
        ]
    reference = reference_key(progress.model, progress.version)
    if platform.store.exists(reference):
        found.append(
            ArchiveSource("reference", reference, f"{prefix}reference.parquet", delete_after=True)
        )
        samples = sample_predictions(platform.store.fetch(reference), SAMPLES)
        found.append(_row(progress, "samples", "samples.json", samples))
    for name, digest in (("evaluation", row.evaluation_report), ("bias", row.bias_report)):
        if digest:
            key = report_key(digest)
            found.append(ArchiveSource(name, key, f"{prefix}{name}.json", digest))
    return found


def _texts(
    progress: Progress, row: VersionRecord, texts: dict[str, tuple[str, str]]
) -> list["ArchiveSource"]:
    """Config, suite and lock, as far as they were kept under the digests that the row names."""
    found = []
    kept = (
        ("config", "config.yaml", row.config_digest),
        ("suite", "suite.json", row.suite_digest),
    )
    for name, file, digest in kept:
        known = texts.get(digest or "")
        if known:
            found.append(_row(progress, name, file, known[1].encode()))
    lock = _lock(row.lock_digest, texts)
    if lock is not None:
        found.append(_row(progress, "lock", "requirements.txt", lock))
    return found


def _lock(digest: str | None, texts: dict[str, tuple[str, str]]) -> bytes | None:
    """The lock that the version was trained with, while it is still the one installed."""
    if digest in texts:
        return texts[digest][1].encode()
    path = REPOSITORY / "requirements.txt"
    data = path.read_bytes() if path.is_file() else b""
    return data if digest_bytes(data) == digest else None


def _row(progress: Progress, name: str, file: str, data: bytes) -> "ArchiveSource":
    from tenure.adapters.archive import ArchiveSource

    key = f"{archive_prefix(progress.model, progress.version)}{file}"
    return ArchiveSource(name, f"database:{file}", key, digest_bytes(data), data)
