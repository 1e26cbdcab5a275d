"""Whether the files of the decision log are those that were recorded when they were shipped.

What wrote a file said so in the lifecycle database before: its key, digest and rows, and of a
compacted file which files it replaces. A file that is gone, cut, edited or added differs from that.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tenure.lifecycle.decisions.compaction import is_compacted
from tenure.vocabulary import digest_json

IN_FLIGHT = timedelta(minutes=10)
"""From the record to the object; who ships does it within seconds, or says that it cannot."""


@dataclass(frozen=True)
class SegmentRecord:
    """One file of a log as its writer recorded it.

    Args:
        key: Its key in the store.
        digest: SHA-256 of its bytes. A file that is shipped twice may have two records.
        rows: Decisions or outcomes in it.
        replaces: Names of files of the same folder that it was made from; None as shipped.
        recorded_at: When, by the database's clock.
    """

    key: str
    digest: str
    rows: int
    replaces: tuple[str, ...] | None
    recorded_at: datetime


@dataclass(frozen=True)
class SegmentFault:
    """A file that is not as it was recorded, and why."""

    key: str
    why: str


def faults(
    records: Iterable[SegmentRecord], found: Mapping[str, str], now: datetime
) -> list[SegmentFault]:
    """What differs between the records and the files that readers read.

    Every recorded file must be read exactly once: itself, or within the one that replaces it.

    Args:
        records: All of them.
        found: SHA-256 of every file that counts, by key; None of those that were replaced.
        now: What was recorded just now need not be stored yet.
    """
    known: dict[str, list[SegmentRecord]] = {}
    for one in records:
        known.setdefault(one.key, []).append(one)
    return [*_strange(known, found), *_unread(known, found, now)]


@dataclass(frozen=True)
class SegmentSeal:
    """The ledger event over the records since the one before: up to when, and their digest."""

    seq: int
    until: datetime
    digest: str


def seal_digest(records: Iterable[SegmentRecord]) -> str:
    """SHA-256 over key, digest, rows and replaced files of records, by key and digest."""
    return digest_json(
        sorted([one.key, one.digest, one.rows, list(one.replaces or ())] for one in records)
    )


def broken_seals(
    records: Sequence[SegmentRecord], seals: Sequence[SegmentSeal]
) -> list[SegmentFault]:
    """Seals, oldest first, under which records were changed, removed or added since."""
    ordered = sorted(records, key=lambda one: one.recorded_at)
    moments = [one.recorded_at for one in ordered]
    found, start = [], 0
    for seal in seals:
        end = bisect_right(moments, seal.until)
        mine, start = ordered[start:end], end
        if seal_digest(mine) != seal.digest:
            why = (
                f"{len(mine):,} records up to {seal.until:%Y-%m-%d %H:%M} UTC are not those sealed"
            )
            found.append(SegmentFault(f"ledger event {seal.seq}", why))
    return found


def _strange(
    known: Mapping[str, Sequence[SegmentRecord]], found: Mapping[str, str]
) -> Iterator[SegmentFault]:
    for key, digest in sorted(found.items()):
        mine = [one for one in known.get(key, ()) if one.digest == digest]
        if key not in known:
            yield SegmentFault(key, "nobody recorded it")
        elif not mine:
            wanted = known[key][-1].digest[:12]
            yield SegmentFault(key, f"has SHA-256 {digest[:12]}, recorded is {wanted}")
        elif mine[0].replaces is not None:
            yield from _sum(mine[0], mine[0].replaces, known)


def _sum(
    merged: SegmentRecord, replaces: Sequence[str], known: Mapping[str, Sequence[SegmentRecord]]
) -> Iterator[SegmentFault]:
    """A compacted file holds exactly the rows of the shipped files that it replaces."""
    shipped = [key for key in _beside(merged.key, replaces) if not is_compacted(key)]
    strangers = [key for key in shipped if key not in known]
    rows = sum(known[key][-1].rows for key in shipped if key in known)
    if strangers:
        yield SegmentFault(merged.key, f"replaces {strangers[0]}, which nobody recorded")
    elif rows != merged.rows:
        yield SegmentFault(merged.key, f"holds {merged.rows:,} rows in place of {rows:,}")


def _unread(
    known: Mapping[str, Sequence[SegmentRecord]], found: Mapping[str, str], now: datetime
) -> Iterator[SegmentFault]:
    read = Counter(found.keys())
    for key in found:
        for one in known.get(key, ())[:1]:
            read.update(_beside(key, one.replaces or ()))
    for key, mine in sorted(known.items()):
        if mine[0].replaces is not None:
            continue
        if not read[key] and mine[-1].recorded_at + IN_FLIGHT <= now:
            at = f"{mine[-1].recorded_at:%Y-%m-%d %H:%M}"
            yield SegmentFault(key, f"is missing; {mine[-1].rows:,} rows, recorded {at} UTC")
        elif read[key] > 1:
            yield SegmentFault(key, f"is read {read[key]} times")


def _beside(key: str, names: Iterable[str]) -> list[str]:
    folder = key.rpartition("/")[0]
    return [f"{folder}/{name}" for name in names]
