"""From a version back to its landed files, and from a file forward to versions; reads only.

Everything is read off what ingestion, training, scoring and gateways recorded while they worked:
nothing is guessed from names or times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tenure.installation import Installation
from tenure.lifecycle.model_version import VersionRow

if TYPE_CHECKING:
    from tenure.adapters.sql.lineage import (
        Learner,
        Origin,
        PlanStep,
        ScoredBatch,
        SnapshotReader,
        TrainingRun,
    )


@dataclass(frozen=True)
class Serving:
    """How long a version had one part of the traffic.

    Args:
        part: `champion` or `canary`.
        share_bp: The largest share that it had, in basis points; of a champion all that is left.
        since: When the first plan of this stretch was published.
        until: When the first plan after it was; None while it goes on.
    """

    part: str
    share_bp: int
    since: datetime
    until: datetime | None


@dataclass(frozen=True)
class SourceLineage:
    """A snapshot, its file, and who opened it; `hidden` readers are counted and not named."""

    origin: "Origin"
    readers: "Sequence[SnapshotReader]"
    hidden: int = 0


@dataclass(frozen=True)
class VersionLineage:
    """What a version was made of, and when it answered."""

    row: VersionRow
    run: "TrainingRun"
    sources: Sequence[SourceLineage]
    serving: Sequence[Serving]
    scored: "Sequence[ScoredBatch]"


@dataclass(frozen=True)
class Reached:
    """A version that learned from a snapshot, and when it answered since."""

    learner: "Learner"
    serving: Sequence[Serving]


@dataclass(frozen=True)
class SnapshotLineage:
    """A snapshot with its file, and everything that it reached."""

    source: SourceLineage
    reached: Sequence[Reached]
    scored: "Sequence[ScoredBatch]"


def of_version(platform: Installation, model: str, number: int) -> VersionLineage | None:
    """Back to the files and forward to the traffic; None when there is no such version."""
    from tenure.adapters.sql import lineage, version_page

    with platform.database.begin() as connection:
        row = version_page.row_of(connection, model, number)
        if row is None:
            return None
        origins = lineage.origins_of_version(connection, row.id)
        return VersionLineage(
            row=row,
            run=lineage.training_run(connection, row.id),
            sources=[
                SourceLineage(one, lineage.readers(connection, one.dataset, one.digest))
                for one in origins
            ],
            serving=_stretches(lineage.plan_steps(connection, [row.id])),
            scored=lineage.scored(connection, version=row.id),
        )


def of_snapshot(platform: Installation, snapshot: int) -> SnapshotLineage:
    """Forward from a snapshot, by its id, and back to its file."""
    from tenure.adapters.sql import lineage

    with platform.database.begin() as connection:
        origin = lineage.origin(connection, snapshot)
        learners = lineage.learners(connection, origin.snapshot_id)
        steps = lineage.plan_steps(connection, [one.version_id for one in learners])
        return SnapshotLineage(
            source=SourceLineage(
                origin, lineage.readers(connection, origin.dataset, origin.digest)
            ),
            reached=[
                Reached(one, _stretches([s for s in steps if s.version_id == one.version_id]))
                for one in learners
            ],
            scored=lineage.scored(connection, snapshot=origin.snapshot_id),
        )


def of_published(platform: Installation, dataset: str, digest: str) -> SnapshotLineage | None:
    """As `of_snapshot`, by the whole digest; None when the dataset has no such snapshot."""
    from tenure.adapters.sql import data

    with platform.database.begin() as connection:
        found = data.snapshot_of(connection, dataset, digest)
    return of_snapshot(platform, found.id) if found else None


def _stretches(steps: "Sequence[PlanStep]") -> list[Serving]:
    """Plans that follow each other with the same part are one stretch."""
    found: list[Serving] = []
    for step in steps:
        part = "canary" if step.is_canary else "champion"
        share = step.share_bp if step.is_canary else 10_000 - step.share_bp
        last = found[-1] if found else None
        if last is not None and last.part == part and last.until == step.created_at:
            found[-1] = Serving(part, max(last.share_bp, share), last.since, step.until)
        else:
            found.append(Serving(part, share, step.created_at, step.until))
    return found
