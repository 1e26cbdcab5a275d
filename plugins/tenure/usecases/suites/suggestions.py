"""Proposals for a suite from the batches that were published.

Import it inside functions: it loads SQLAlchemy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.adapters.sql import suites as rows
from tenure.config import DatasetConfig, load_dataset
from tenure.errors import DataRejected
from tenure.installation import Installation
from tenure.installation.identity import as_command
from tenure.installation.suite_in_force import suite_in_force
from tenure.lifecycle.data.expectations import Suite
from tenure.lifecycle.data.profiling import propose
from tenure.lifecycle.data.suggestions import Suggestion, beside
from tenure.usecases.data.snapshots import open_snapshot

if TYPE_CHECKING:
    from tenure.lifecycle.data.profiling import BatchProfile


@dataclass(frozen=True)
class History:
    """The published batches of a dataset that proposals rest on, oldest first."""

    dataset: DatasetConfig
    suite: Suite
    snapshots: Sequence[tuple[str, str]]
    """(batch, digest)."""


def history(platform: Installation, name: str, last: int) -> History:
    """What is there to learn from; batches that were never published are left out.

    Raises:
        ConfigInvalid: The dataset or its suite is not valid.
        DataRejected: No batch was published.
    """
    dataset, _ = load_dataset(platform.settings.include, name)
    suite = suite_in_force(platform, dataset.suite, [dataset]).suite
    with platform.database.begin() as connection:
        batches = rows.last_batches(connection, name, last)
        known = [(b, rows.publication(connection, name, b.source_digest)) for b in batches]
    snapshots = [(batch.batch, found.digest) for batch, found in known if found]
    if not snapshots:
        raise DataRejected(
            f"No batch of {name} was published: there is no history to learn from.",
            still_safe="Nothing was changed.",
            next_step=f"Let a good file land in landing/{name}/ and be ingested first.",
        )
    return History(dataset, suite, snapshots)


def suggest(platform: Installation, found: History, done: Callable[[], None]) -> list[Suggestion]:
    """Proposals beside what the suite asks; each snapshot is read once, and the read recorded."""
    columns = found.dataset.contract.columns
    profiles = []
    for batch, digest in found.snapshots:
        profiles.append(_profile(platform, found.dataset, batch, digest))
        done()
    proposals = propose(
        profiles,
        columns,
        key=found.dataset.contract.key,
        time_column=found.dataset.time_column,
    )
    return beside(proposals, found.suite)


def _profile(
    platform: Installation, dataset: DatasetConfig, batch: str, digest: str
) -> "BatchProfile":
    from tenure.adapters.arrow_tables import profile_file

    run = as_command("suite suggest")
    path = open_snapshot(platform, dataset.name, digest, purpose="suggest", run=run)
    types = {n: c.type for n, c in dataset.contract.columns.items() if c.sensitivity != "personal"}
    return profile_file(batch, path, types)
