"""Checks the chain and the invariants over everything that is stored."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tenure.installation import Installation
from tenure.layout import DECISIONS, log_prefix, snapshot_key
from tenure.lifecycle.audit.ledger import Anchor, ChainCheck, verify_chain
from tenure.usecases.decisions.segments import live_keys

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

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
    breaches: Sequence[Mapping[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """JSON form: id, number of rows, meaning, the first breaches."""
        shown = [{k: str(v) for k, v in one.items()} for one in self.breaches[:EXAMPLES]]
        return {
            "id": self.id,
            "rows": len(self.breaches),
            "meaning": self.meaning,
            "examples": shown,
        }


def verify_ledger(platform: Installation, *, invariants: bool = False) -> dict[str, Any]:
    """Verify the whole chain, and the invariants if asked.

    Returns:
        `events`, `head` (hash), `ok`, `broken` (seq and why, or None) and `invariants`: one entry
        each with `id`, `rows`, `meaning`. `ok` is about the chain and the invariants together.
    """
    with platform.database.begin() as connection:
        found = check_chain(connection)
    findings = find_breaches(platform) if invariants else []
    return {
        "events": found.events,
        "head": found.head.hash,
        "ok": found.ok and not any(one.breaches for one in findings),
        "broken": vars(found.broken) if found.broken else None,
        "invariants": [one.to_dict() for one in findings],
    }


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
        batches = invariants.published(connection)
    decisions = [
        platform.store.fetch(key) for key in live_keys(platform.store, log_prefix(DECISIONS))
    ]
    broken = evidence_scan.unreadable(decisions)
    sound = [path for path in decisions if path not in broken]
    lost = [{"unreadable": path.name} for path in broken]
    found["I7"] = InvariantFinding(*_DECISIONS_FOLLOW_PLANS, [*_unplanned(sound, arms), *lost])
    more = {
        "I9": list(_leaked(platform, batches)),
        "I10": list(_lost(platform, batches)),
        "I15": evidence_scan.plain_subjects(sound),
    }
    for number, breaches in more.items():
        known = found[number]
        found[number] = InvariantFinding(number, known.meaning, [*known.breaches, *breaches])
    return sorted(found.values(), key=lambda one: int(one.id[1:]))


def _unplanned(
    decisions: "Sequence[Path]", arms: Mapping[tuple[str, int], frozenset[int]]
) -> list[dict[str, Any]]:
    from tenure.adapters import evidence_scan

    return [
        row
        for row in evidence_scan.answers(decisions)
        if row["version_id"] not in arms.get((row["model"], row["generation"]), frozenset())
    ]


def _leaked(
    platform: Installation, batches: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Snapshots that were trained on and hold rows which were put into quarantine."""
    from tenure.adapters import evidence_scan

    for batch in batches:
        if not (batch["trained"] and batch["quarantine_key"]):
            continue
        snapshot, quarantine = _files(platform, batch)
        if snapshot is not None and quarantine is not None:
            rows = evidence_scan.quarantined_in(snapshot, quarantine)
            if rows != 0:
                yield {**_named(batch), "quarantined_rows_in_snapshot": rows}


def _lost(platform: Installation, batches: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Batches whose files do not hold the rows that the database counts."""
    from tenure.adapters import evidence_scan

    for batch in batches:
        snapshot, quarantine = _files(platform, batch)
        counted = {
            "published": (batch["rows"], snapshot, batch["digest"] is not None),
            "quarantined": (
                batch["rows_quarantined"],
                quarantine,
                str(batch["quarantine_key"]).endswith(_ROWS),
            ),
        }
        for what, (rows, path, expected) in counted.items():
            if not expected:
                continue
            held = evidence_scan.row_count(path) if path is not None else None
            if held != rows:
                yield {**_named(batch), what: rows, "in_file": held}


def _files(platform: Installation, batch: Mapping[str, Any]) -> "tuple[Path | None, Path | None]":
    """Local paths of snapshot and quarantine file; None for one that is not there."""
    digest = batch["digest"]
    quarantine = batch["quarantine_key"]
    keys = (
        snapshot_key(batch["dataset"], digest) if digest else None,
        quarantine if quarantine and quarantine.endswith(_ROWS) else None,
    )
    found = [
        platform.store.fetch(key) if key and platform.store.exists(key) else None for key in keys
    ]
    return found[0], found[1]


def _named(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {"dataset": batch["dataset"], "batch": batch["batch"]}
