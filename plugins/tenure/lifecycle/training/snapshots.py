"""Which published snapshots a training run takes, and the digests that name them together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tenure.errors import GateInconclusive
from tenure.vocabulary import digest_json

NOTHING_CHANGED = "No version was made; whatever serves now keeps serving."


@dataclass(frozen=True)
class Published:
    """A snapshot that the data gate published."""

    id: int
    batch: str
    digest: str
    suite_digest: str
    rows: int
    time_max: datetime | None


def choose_snapshots(
    published: Iterable[Published], *, dataset: str, window_batches: int
) -> tuple[Published, ...]:
    """The newest batches by the time of their last row, oldest first.

    A batch that was published again counts once, with its latest snapshot.

    Raises:
        GateInconclusive: Fewer batches are published than the window needs.
    """
    latest: dict[str, Published] = {}
    for snapshot in sorted(published, key=lambda s: s.id):
        latest[snapshot.batch] = snapshot
    if len(latest) < window_batches:
        names = ", ".join(sorted(latest)) or "none"
        raise GateInconclusive(
            f"{dataset}: {len(latest)} of the {window_batches} batches that training needs are "
            f"published ({names}).",
            still_safe=NOTHING_CHANGED,
            next_step=f"Drop more batches into landing/{dataset}/ and clear this task when they "
            "are published, or lower training.window_batches.",
        )
    beginning = datetime.min.replace(tzinfo=UTC)
    newest = sorted(latest.values(), key=lambda s: (s.time_max or beginning, s.batch))
    return tuple(newest[-window_batches:])


def data_digest(snapshots: Sequence[Published]) -> str:
    """One digest for the data of a run: of the snapshots' digests in their order."""
    return digest_json([s.digest for s in snapshots])


def suite_digest(snapshots: Sequence[Published]) -> str:
    """The suite that passed the data; a digest of the list where suites differ."""
    digests = sorted({s.suite_digest for s in snapshots})
    return digests[0] if len(digests) == 1 else digest_json(digests)
