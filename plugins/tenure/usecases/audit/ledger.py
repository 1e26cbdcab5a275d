"""Checks the chain and the invariants over everything that is stored."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.errors import FileRefused, NotWitnessed
from tenure.files import digest_file
from tenure.installation import Installation
from tenure.layout import (
    ANCHORS,
    DECISIONS,
    LOGS,
    anchor_key,
    log_prefix,
    model_of,
    parse_anchor_key,
    snapshot_key,
)
from tenure.lifecycle.audit.ledger import Anchor, Broken, ChainCheck, contradiction, verify_chain
from tenure.lifecycle.decisions.segment_record import broken_seals, faults
from tenure.ports import DecisionFilter
from tenure.usecases.audit.ledger_tree import (
    SignedCheckpoint,
    checkpoint_rule,
    difference,
    verified,
    witness_client,
)
from tenure.usecases.decisions.segments import live_keys
from tenure.usecases.incidents.one_by_one import cause_of
from tenure.usecases.monitoring.window import judged_rows, segment_of
from tenure.vocabulary import canonical_json

if TYPE_CHECKING:
    from tenure.adapters.sql.invariants import Breach, StatedRow, StoredBatch
    from tenure.adapters.sql.monitoring import JudgedKind

EXAMPLES = 3
"""Breaches that an answer shows; it counts all."""
_ROWS = ".parquet"
"""Other quarantined files could not be read as rows; they are kept whole."""
_DECISIONS_FOLLOW_PLANS = (
    "I7",
    "Every decision was made by a version that the traffic plan of its generation named.",
)
_FILES_AS_RECORDED = (
    "I18",
    "Every file of decisions and outcomes is the one that was recorded, and none is missing.",
)
_STATES_HAVE_EVENTS = {"I3", "I6"}
_ROWS_HAVE_EVENTS = (
    "I19",
    "Every approval and every traffic plan is the one that its ledger event says, and is there.",
)
_APPROVERS_WERE_NAMED = (
    "I21",
    "Who approved was an approver by the platform.yaml in force then, which the ledger knows.",
)
_DECISIONS_ADD_UP = (
    "I22",
    "Each judged decision is in the log and judged once: logged = judged before + here + waiting.",
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
        anchors: Ends of earlier verifications that it was compared with, in the lifecycle database
            and in the object store.
        knows_platform: Whether the `platform.yaml` in force is that of the newest event about it.
        broken: The first event that does not hold, or None.
        invariants: Every invariant, when they were asked for; else those of states, approvals and
            traffic plans, which are compared with their events each time.
        checkpoints: Those that the events were compared with, from outside the database.
        unwitnessed: Why the witness of `platform.yaml` did not say what it saw; else empty.
    """

    events: int
    head: str
    anchors: int
    knows_platform: bool
    broken: Broken | None
    invariants: Sequence[InvariantFinding]
    checkpoints: "Sequence[SignedCheckpoint]" = ()
    unwitnessed: str = ""

    @property
    def first_fault(self) -> str:
        """What does not hold, in words; empty when everything does."""
        if self.broken is not None:
            return f"event {self.broken.seq}: {self.broken.why}"
        for one in self.invariants:
            for example in one.examples[:1]:
                said = ", ".join(f"{k} {v}" for k, v in example.items())
                return f"{one.id}, {len(one.breaches)} rows: {said}"
        return ""

    @property
    def violations(self) -> int:
        """Rows that break an invariant."""
        return sum(len(one.breaches) for one in self.invariants)

    @property
    def ok(self) -> bool:
        """Whether the chain and the invariants hold."""
        return self.broken is None and not self.violations


def verify_ledger(
    platform: Installation,
    *,
    invariants: bool = False,
    checkpoint: str | None = None,
    witness: str | None = None,
) -> LedgerVerification:
    """Verify the whole chain, and compare it with what lies outside the database.

    Args:
        platform: The installation.
        invariants: Whether every invariant is looked at.
        checkpoint: A signed checkpoint that somebody kept, besides the one that the witness holds.
        witness: Public key of the witness; that of `platform.yaml` when None.

    Raises:
        FileRefused: The checkpoint is none that the witness cosigned.
    """
    from tenure.usecases.promotion import authority

    checkpoints, unwitnessed = _checkpoints(platform, checkpoint, witness)
    found = check_chain(platform)  # later: what the checkpoints cover is there
    chain = found.chain
    for one in checkpoints:
        broken = difference(platform, one, checkpoint_rule(platform, witness))
        if broken is not None and (chain.broken is None or broken.seq < chain.broken.seq):
            chain = ChainCheck(broken.seq - 1, Anchor(), broken)
    return LedgerVerification(
        events=chain.events,
        head=chain.head.hash,
        anchors=found.anchors,
        knows_platform=authority.is_recorded(platform),
        broken=chain.broken,
        invariants=find_breaches(platform) if invariants else compare_rows(platform),
        checkpoints=checkpoints,
        unwitnessed=unwitnessed,
    )


def _checkpoints(
    platform: Installation, given: str | None, witness: str | None
) -> "tuple[list[SignedCheckpoint], str]":
    """The one that was given and the one that the witness holds; else why it does not say so."""
    found = [] if given is None else [verified(given, checkpoint_rule(platform, witness))]
    client = witness_client(platform)
    if client is None:
        return found, ""
    try:
        text = client.newest()
        if text is None:
            return found, "The witness has seen nothing of this ledger yet."
        return [*found, verified(text, checkpoint_rule(platform, witness))], ""
    except (NotWitnessed, FileRefused) as error:
        return found, error.what


def compare_rows(platform: Installation) -> list[InvariantFinding]:
    """States, approvals and traffic plans, row by row, with what their ledger events say."""
    from tenure.adapters.sql import chain, invariants

    now = platform.clock.now()
    with platform.database.begin() as connection:
        chain.at_one_moment(connection)
        found = [
            InvariantFinding(one.id, one.meaning, invariants.breaches(connection, one, now))
            for one in invariants.INVARIANTS
            if one.id in _STATES_HAVE_EVENTS
        ]
        rows, events = invariants.rows_with_events(connection)
    return [*found, InvariantFinding(*_ROWS_HAVE_EVENTS, _unmatched(rows, events))]


@dataclass(frozen=True)
class AnchoredChain:
    """What a check of the chain found.

    Args:
        chain: Whether every hash follows, and every anchor agrees.
        anchors: How many ends of earlier verifications it was compared with.
        newest: The last of them that the lifecycle database keeps; genesis before the first.
    """

    chain: ChainCheck
    anchors: int
    newest: Anchor


def check_chain(platform: Installation, *, whole_up_to: int | None = None) -> AnchoredChain:
    """Recompute the chain up to its head row, and compare it with the anchors in both places.

    Who rewrites the chain in the database, with every hash right, contradicts the anchors that
    `maintain_platform` put into the object store.

    Args:
        platform: The installation.
        whole_up_to: A longer chain is recomputed from the newest anchor on only.
    """
    from tenure.adapters.sql import chain, maintenance

    stored = set(stored_anchors(platform))  # first: their events are in what is read next
    with platform.database.begin() as connection:
        chain.at_one_moment(connection)
        kept = maintenance.kept_anchors(connection)
        stored |= {one for one in {*kept} - stored if _is_stored(platform, one)}  # put just now
        newest = kept[-1] if kept else Anchor()
        hashes = chain.hashes_at(connection, {one.seq for one in (*kept, *stored)})
        broken = contradiction(kept, stored, hashes)
        is_long = whole_up_to is not None and newest.seq > whole_up_to and broken is None
        start = newest if is_long else Anchor()
        head = chain.head(connection)
        with closing(chain.events(connection, after=start.seq)) as events:
            found = verify_chain(events, after=start, head=head)
    number = len({*kept, *stored})
    if broken is not None and (found.broken is None or broken.seq <= found.broken.seq):
        found = ChainCheck(broken.seq - 1, Anchor(), broken)
    return AnchoredChain(found, number, newest)


def stored_anchors(platform: Installation) -> list[Anchor]:
    """The anchors in the object store."""
    keys = platform.store.list(ANCHORS)
    return [Anchor(*parts) for key in keys if (parts := parse_anchor_key(key)) is not None]


def _is_stored(platform: Installation, anchor: Anchor) -> bool:
    return platform.store.exists(anchor_key(anchor.seq, anchor.hash))


def put_anchor(platform: Installation, anchor: Anchor) -> None:
    """Put an anchor where the database's owner cannot change it; the same again is fine.

    Raises:
        ArtifactRefused: Something else lies in its place.
    """
    with tempfile.TemporaryDirectory(prefix="tenure-anchor-") as folder:
        draft = Path(folder) / "anchor.json"
        draft.write_bytes(canonical_json(asdict(anchor)))
        platform.store.put_once(anchor_key(anchor.seq, anchor.hash), draft)


def find_breaches(platform: Installation) -> list[InvariantFinding]:
    """Every invariant with what breaks it, I1 to I22."""
    from tenure.adapters import evidence_scan
    from tenure.adapters.sql import chain, invariants, monitoring
    from tenure.usecases.promotion import authority

    now = platform.clock.now()
    with platform.database.begin() as connection:
        chain.at_one_moment(connection)
        found = {
            one.id: InvariantFinding(one.id, one.meaning, invariants.breaches(connection, one, now))
            for one in invariants.INVARIANTS
        }
        arms = invariants.plan_arms(connection)
        rows, events = invariants.rows_with_events(connection)
        unauthorized = authority.breaches(connection)
        batches = invariants.stored_batches(connection)
        judged = monitoring.every_judged(connection)
    files = {key: platform.store.fetch(key) for kind in LOGS for key in _live(platform, kind)}
    decisions = [path for key, path in files.items() if key.startswith(log_prefix(DECISIONS))]
    broken = evidence_scan.without_decisions(decisions)
    sound = [path for path in decisions if path not in broken]
    lost: list[Breach] = [{"unreadable": path.name} for path in broken]
    found["I7"] = InvariantFinding(*_DECISIONS_FOLLOW_PLANS, [*_unplanned(sound, arms), *lost])
    found["I18"] = InvariantFinding(*_FILES_AS_RECORDED, _bent(platform, files, now))
    found["I19"] = InvariantFinding(*_ROWS_HAVE_EVENTS, _unmatched(rows, events))
    found["I21"] = InvariantFinding(*_APPROVERS_WERE_NAMED, unauthorized)
    whole = {key: path for key, path in files.items() if path in {*sound}}
    found["I22"] = InvariantFinding(*_DECISIONS_ADD_UP, [*_miscounted(platform, whole, judged)])
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


def _unmatched(rows: "Sequence[StatedRow]", events: "Sequence[StatedRow]") -> "list[Breach]":
    """Rows that no event speaks of as they are, and events whose row is gone or another."""
    said = {(one.subject, one.row) for one in events}
    held = {(one.subject, one.row) for one in rows}
    return [
        *(
            {"subject": one.subject, "row": one.about, "why": "no ledger event says so"}
            for one in rows
            if (one.subject, one.row) not in said
        ),
        *(
            {"subject": one.subject, "event": one.about, "why": "its row is gone or changed"}
            for one in events
            if (one.subject, one.row) not in held
        ),
    ]


def _live(platform: Installation, kind: str) -> list[str]:
    return live_keys(platform.store, log_prefix(kind))


def _bent(platform: Installation, files: "Mapping[str, Path]", now: datetime) -> "list[Breach]":
    """Files that differ from their records; these are read last, so that none is too young."""
    from tenure.adapters.sql import log_segments

    digests = {key: digest_file(path) for key, path in files.items()}
    with platform.database.begin() as connection:
        records = [one for kind in LOGS for one in log_segments.below(connection, log_prefix(kind))]
        seals = log_segments.seals(connection)
    return [asdict(one) for one in (*faults(records, digests, now), *broken_seals(records, seals))]


def _unplanned(
    decisions: "Sequence[Path]", arms: Mapping[tuple[str, int], frozenset[int]]
) -> "list[Breach]":
    from tenure.adapters import evidence_scan

    return [
        asdict(one)
        for one in evidence_scan.answers(decisions)
        if one.version_id not in arms.get((one.model, one.generation), frozenset())
    ]


def _miscounted(
    platform: Installation, files: "Mapping[str, Path]", judged: "Sequence[JudgedKind]"
) -> "Iterator[Breach]":
    """Versions of which the log does not hold, once each, the decisions that windows judged."""
    from tenure.adapters.ibis_engine import IbisEngine

    engine = IbisEngine()
    for one in judged:
        mine = {path: segment_of(key) for key, path in files.items() if model_of(key) == one.model}
        try:
            rows = judged_rows(platform, one.model, one.judged)
            decisions = DecisionFilter(tuple(mine), one.version_id, segments=mine, judged=rows)
            found = engine.tally(decisions).judged if mine else 0
        except Exception as error:  # anything may lie in the store: it must hide nothing else
            yield {**_of_kind(one), "why": f"cannot be counted: {cause_of(error)}"[:200]}
            continue
        if found != one.judged.decisions:
            yield {**_of_kind(one), "judged": one.judged.decisions, "found_once": found}


def _of_kind(one: "JudgedKind") -> dict[str, object]:
    return {"model": one.model, "version_id": one.version_id, "kind": one.kind}


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
