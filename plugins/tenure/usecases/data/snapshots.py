"""The one door to published data: each opening of a snapshot is recorded, then checked.

Import it inside functions: it loads SQLAlchemy.
"""

from pathlib import Path
from typing import Literal

from tenure.adapters.sql import reads
from tenure.installation import Installation
from tenure.layout import snapshot_key
from tenure.vocabulary import RunRef

Purpose = Literal[
    "training",
    "evaluation",
    "scoring",
    "monitoring",
    "preview",
    "suggest",
    "show",
    "diff",
    "outcomes",
    "check",
    "reproduce",
    "release",
]


def open_snapshot(
    platform: Installation,
    dataset: str,
    digest: str,
    *,
    purpose: Purpose,
    run: RunRef,
    model: str | None = None,
) -> Path:
    """A local path with the snapshot's rows; read it, never write to it.

    The record comes first: who cannot be recorded reads nothing.

    Raises:
        ObjectMissing: The store has no such object.
        ArtifactRefused: Its bytes are not those that were published.
    """
    with platform.database.begin() as connection:
        reads.note_read(connection, dataset, digest, purpose=purpose, model=model, run=run)
    return platform.store.fetch(snapshot_key(dataset, digest), digest)
