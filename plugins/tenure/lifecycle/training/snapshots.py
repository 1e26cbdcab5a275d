"""Which published snapshots a training run takes, and the digests that name them together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tenure.errors import GateInconclusive
from tenure.vocabulary import digest_json

NOTHING_CHANGED = "No version was made; whatever serves now keeps serving."


@dataclass(frozen=True)
class PublishedSnapshot:
    """A snapshot that the data gate published."""

    id: int
    batch: str
    digest: str
    suite_digest: str
    rows: int
    time_max: datetime | None


def choose_snapshots(
    published: Iterable[PublishedSnapshot], *, dataset: str, window_batches: int
) -> tuple[PublishedSnapshot, ...]:
    """The newest batches by the time of their last row, oldest first.

    A batch that was published again counts once, with the snapshot in force; so do two batches
    with the same rows.

    Args:
        published: Snapshots in the order in which they came into force.
        dataset: Its name.
        window_batches: How many batches to take.

    Raises:
        GateInconclusive: Fewer batches are published than the window needs.
    """
    latest = in_force(published)
    if len(latest) < window_batches:
        names = ", ".join(sorted(s.batch for s in latest)) or "none"
        raise GateInconclusive(
            f"{dataset}: {len(latest)} of the {window_batches} batches that training needs are "
            f"published ({names}).",
            still_safe=NOTHING_CHANGED,
            next_step=f"Drop more batches into landing/{dataset}/ and clear this task when they "
            "are published, or lower training.window_batches.",
        )
    return latest[-window_batches:]


def in_force(published: Iterable[PublishedSnapshot]) -> tuple[PublishedSnapshot, ...]:
    """The snapshot of each batch, by the time of its last row, oldest first.

    `published` in the order in which they came into force; two batches with the same rows are one.
    """
    of_batch = {snapshot.batch: snapshot for snapshot in published}
    latest = {s.id: s for s in reversed(of_batch.values())}
    beginning = datetime.min.replace(tzinfo=UTC)
    return tuple(sorted(latest.values(), key=lambda s: (s.time_max or beginning, s.batch)))


def data_digest(snapshots: Sequence[PublishedSnapshot]) -> str:
    """One digest for the data of a run: of the snapshots' digests in their order."""
    return digest_json([s.digest for s in snapshots])


def suite_digest(snapshots: Sequence[PublishedSnapshot]) -> str:
    """The suite that passed the data; a digest of the list where suites differ."""
    digests = sorted({s.suite_digest for s in snapshots})
    return digests[0] if len(digests) == 1 else digest_json(digests)
