"""Checks the chain and the invariants over everything that is stored."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tenure.installation import Installation
from tenure.layout import DECISIONS, log_prefix, snapshot_key
from tenure.lifecycle.audit.ledger import Anchor, Broken, ChainCheck, verify_chain
from tenure.usecases.decisions.segments import live_keys

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from tenure.adapters.sql.invariants import Breach, StoredBatch

EXAMPLES = 3
"""Breaches that an answer shows; it counts all."""
_ROWS = ".parquet"
"""Other quarantined files could not be read as rows; they are kept whole."""
_DECISIONS_FOLLOW_PLANS = (
    "I7",
    "Every decision was made by a version that the traffic plan of its generation named.",
)


@dataclass(frozen=True)
class InvariantFinding:
    """What was found for one invariant."""

    id: str
    meaning: str
    breaches: "Sequence[Breach]"

    @property
    def examples(self) -> list[dict[str, str]]:
        """The first breaches in words."""
        return [{k: str(v) for k, v in one.items()} for one in self.breaches[:EXAMPLES]]


@dataclass(frozen=True)
class LedgerVerification:
    """What a verification found.

    Args:
        events: Number of events that hold.
        head: Hash of the last of them.
        broken: The first event that does not hold, or None.
        invariants: Every invariant, when they were asked for.
    """

    events: int
    head: str
    broken: Broken | None
    invariants: Sequence[InvariantFinding]

    @property
    def violations(self) -> int:
        """Rows that break an invariant."""
        return sum(len(one.breaches) for one in self.invariants)

    @property
    def ok(self) -> bool:
        """Whether the chain and the invariants hold."""
        return self.broken is None and not self.violations


def verify_ledger(platform: Installation, *, invariants: bool = False) -> LedgerVerification:
    """Verify the whole chain, and the invariants if asked."""
    with platform.database.begin() as connection:
        found = check_chain(connection)
    findings = find_breaches(platform) if invariants else []
    return LedgerVerification(found.events, found.head.hash, found.broken, findings)


def check_chain(connection: "Connection", after: Anchor | None = None) -> ChainCheck:
    """Verify the chain from an anchor (by default from the first event) to its head row."""
    from tenure.adapters.sql import chain

    start = after or Anchor()
    head = chain.head(connection)
    with closing(chain.events(connection, after=start.seq)) as events:
        return verify_chain(events, after=start, head=head)


def find_breaches(platform: Installation) -> list[InvariantFinding]:
    """Every invariant with what breaks it, I1 to I17."""
    from tenure.adapters import evidence_scan
    from tenure.adapters.sql import invariants

    now = platform.clock.now()
    with platform.database.begin() as connection:
        found = {
            one.id: InvariantFinding(one.id, one.meaning, invariants.breaches(connection, one, now))
            for one in invariants.INVARIANTS
        }
        arms = invariants.plan_arms(connection)
        batches = invariants.stored_batches(connection)
    decisions = [
        platform.store.fetch(key) for key in live_keys(platform.store, log_prefix(DECISIONS))
    ]
    broken = evidence_scan.unreadable(decisions)
    sound = [path for path in decisions if path not in broken]
    lost: list[Breach] = [{"unreadable": path.name} for path in broken]
    found["I7"] = InvariantFinding(*_DECISIONS_FOLLOW_PLANS, [*_unplanned(sound, arms), *lost])
    plain = evidence_scan.plain_subjects(sound)
    more: dict[str, list[Breach]] = {
        "I9": list(_leaked(platform, batches)),
        "I10": list(_lost(platform, batches)),
        "I15": [{"model": model, "decisions": number} for model, number in plain.items()],
    }
    for number, breaches in more.items():
        known = found[number]
        found[number] = InvariantFinding(number, known.meaning, [*known.breaches, *breaches])
    return sorted(found.values(), key=lambda one: int(one.id[1:]))


def _unplanned(
    decisions: "Sequence[Path]", arms: Mapping[tuple[str, int], frozenset[int]]
) -> "list[Breach]":
    from tenure.adapters import evidence_scan

    return [
        asdict(one)
        for one in evidence_scan.answers(decisions)
        if one.version_id not in arms.get((one.model, one.generation), frozenset())
    ]


def _leaked(platform: Installation, batches: "Sequence[StoredBatch]") -> "Iterator[Breach]":
    """Snapshots that were trained on and hold rows which were put into quarantine."""
    from tenure.adapters import evidence_scan

    for batch in batches:
        if not (batch.trained and batch.quarantine_key):
            continue
        snapshot, quarantine = _files(platform, batch)
        if snapshot is not None and quarantine is not None:
            rows = evidence_scan.quarantined_in(snapshot, quarantine)
            if rows != 0:
                yield {**_named(batch), "quarantined_rows_in_snapshot": rows}


def _lost(platform: Installation, batches: "Sequence[StoredBatch]") -> "Iterator[Breach]":
    """Batches whose files do not hold the rows that the database counts."""
    from tenure.adapters import evidence_scan

    for batch in batches:
        snapshot, quarantine = _files(platform, batch)
        counted = {
            "published": (batch.rows, snapshot, batch.digest is not None),
            "quarantined": (
                batch.rows_quarantined,
                quarantine,
                (batch.quarantine_key or "").endswith(_ROWS),
            ),
        }
        for what, (rows, path, expected) in counted.items():
            if not expected:
                continue
            held = evidence_scan.row_count(path) if path is not None else None
            if held != rows:
                yield {**_named(batch), what: rows, "in_file": held}


def _files(platform: Installation, batch: "StoredBatch") -> "tuple[Path | None, Path | None]":
    """Local paths of snapshot and quarantine file; None for one that is not there."""
    digest, quarantine = batch.digest, batch.quarantine_key
    keys = (
        snapshot_key(batch.dataset, digest) if digest else None,
        quarantine if quarantine and quarantine.endswith(_ROWS) else None,
    )
    found = [
        platform.store.fetch(key) if key and platform.store.exists(key) else None for key in keys
    ]
    return found[0], found[1]


def _named(batch: "StoredBatch") -> dict[str, object]:
    return {"dataset": batch.dataset, "batch": batch.batch}
