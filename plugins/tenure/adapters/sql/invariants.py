"""What must never be found in the lifecycle database: each query returns no row, always.

I7, I9, I10, I15 and I22 have a half over Parquet files: `tenure.adapters.evidence_scan`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from tenure.adapters.sql import approvals, plans
from tenure.adapters.sql.rows import as_row
from tenure.lifecycle.audit.ledger import row_digest
from tenure.lifecycle.retirement.decommission import RETIRABLE
from tenure.vocabulary import LEGAL_MOVES, State

LEASE_GRACE = timedelta(seconds=5)
"""A gateway's clock and the database's may differ by so much."""
OUTBOX_PATIENCE = timedelta(days=1)
"""A promised message that is older is stuck."""


@dataclass(frozen=True)
class Invariant:
    """One rule: its number in the fault plan, what it means, and the query that finds breaches."""

    id: str
    meaning: str
    query: str


@dataclass(frozen=True)
class StoredBatch:
    """A judged batch: its counts, its files, and whether a version was trained on its snapshot."""

    dataset: str
    batch: str
    rows_quarantined: int
    quarantine_key: str | None
    digest: str | None
    rows: int | None
    trained: bool


Breach = Mapping[str, object]
"""What breaks a rule, as the query of the rule names it: for people, never for code."""


def breaches(connection: Connection, invariant: Invariant, now: datetime) -> list[Breach]:
    """Rows that break the rule."""
    values: dict[str, object] = {"grace": LEASE_GRACE, "stuck_before": now - OUTBOX_PATIENCE}
    values |= {name: [str(state) for state in states] for name, states in _STATES.items()}
    values["legal_moves"] = [f"{src} {dst}" for src, dst in LEGAL_MOVES]
    used = {name: value for name, value in values.items() if f":{name}" in invariant.query}
    found = connection.execute(text(invariant.query), used)
    return [dict(row) for row in found.mappings()]


def plan_arms(connection: Connection) -> Mapping[tuple[str, int], frozenset[int]]:
    """Versions that each generation of each model's traffic plan names."""
    rows = connection.execute(
        text("SELECT model, generation, champion_id, canary_id FROM traffic_plan")
    )
    return {
        (row.model, row.generation): frozenset(
            {row.champion_id} | ({row.canary_id} if row.canary_id else set())
        )
        for row in rows
    }


@dataclass(frozen=True)
class StatedRow:
    """A row that has, or should have, a ledger event: whose, and the digest of its columns."""

    subject: str
    row: str
    about: str


def rows_with_events(connection: Connection) -> tuple[list[StatedRow], list[StatedRow]]:
    """Approvals and traffic plans as they are, and as their ledger events say they were."""
    given = [
        StatedRow(one.subject, one.digest, f"{one.approver} {one.answer}")
        for one in approvals.every(connection)
    ]
    published = [
        StatedRow(
            plans.ledger_subject(one), row_digest(asdict(one)), f"generation {one.generation}"
        )
        for one in plans.every(connection)
    ]
    events = connection.execute(
        text(
            """
            SELECT subject, COALESCE(body->>'row', '') AS row,
                   'ledger event ' || seq || ' by ' || actor AS about FROM ledger_event
            WHERE starts_with(subject, 'approval:') OR starts_with(subject, 'plan:') ORDER BY seq
            """
        )
    )
    return [*given, *published], [as_row(StatedRow, row) for row in events.mappings()]


def stored_batches(connection: Connection) -> list[StoredBatch]:
    """Every judged batch, oldest first."""
    rows = connection.execute(
        text(
            """
            SELECT v.dataset, v.batch, v.rows_quarantined, v.quarantine_key, s.digest, s.rows,
                   EXISTS (SELECT 1 FROM training_snapshot t WHERE t.snapshot_id = s.id) AS trained
            FROM validation v LEFT JOIN snapshot s ON s.id = v.snapshot_id ORDER BY v.id
            """
        )
    )
    return [as_row(StoredBatch, row) for row in rows.mappings()]


_STATES = {
    "lived": [
        State.APPROVED,
        State.CANARY,
        State.CHAMPION,
        State.SUPERSEDED,
        State.ROLLED_BACK,
    ],
    "gone": [State.RETIRING, State.ARCHIVED, State.DELETED],
    "retirable": list(RETIRABLE),
}

INVARIANTS = (
    Invariant(
        "I1",
        "A model has at most one champion.",
        """
        SELECT model, count(*) AS champions FROM model_version WHERE state = 'champion'
        GROUP BY model HAVING count(*) > 1
        """,
    ),
    Invariant(
        "I2",
        "The newest traffic plan names only live versions of its own model.",
        """
        SELECT p.model, p.generation
        FROM (SELECT DISTINCT ON (model) * FROM traffic_plan ORDER BY model, generation DESC) p
        LEFT JOIN model_version a ON a.id = p.champion_id
        LEFT JOIN model_version b ON b.id = p.canary_id
        WHERE a.id IS NULL OR a.state <> 'champion' OR a.model <> p.model
           OR (p.canary_id IS NOT NULL
               AND (b.id IS NULL OR b.state <> 'canary' OR b.model <> p.model))
        """,
    ),
    Invariant(
        "I3",
        "Every change of state has exactly one ledger event.",
        """
        SELECT v.model, v.version, v.generation,
               (SELECT count(*) FROM ledger_event x WHERE x.subject = 'mv:' || v.id) AS events
        FROM model_version v WHERE v.generation <>
               (SELECT count(*) FROM ledger_event x WHERE x.subject = 'mv:' || v.id)
        UNION ALL
        SELECT x.subject, NULL, x.generation, 1 FROM ledger_event x
        WHERE starts_with(x.subject, 'mv:')
          AND NOT EXISTS (SELECT 1 FROM model_version v WHERE x.subject = 'mv:' || v.id)
        """,
    ),
    Invariant(
        "I4",
        "The chain has no gap, and its head row is its last event.",
        """
        SELECT x.seq FROM ledger_event x LEFT JOIN ledger_event y ON y.seq = x.seq - 1
        WHERE x.seq > 1 AND (y.seq IS NULL OR y.hash <> x.prev_hash)
        UNION ALL
        SELECT h.seq FROM ledger_head h LEFT JOIN ledger_event e ON e.seq = h.seq
        WHERE e.hash IS DISTINCT FROM h.hash OR h.seq <> (SELECT max(seq) FROM ledger_event)
        """,
    ),
    Invariant(
        "I5",
        "What is or was live has its approvals, of exactly its artifact, by other people.",
        """
        SELECT v.model, v.version, v.state FROM model_version v JOIN model m ON m.name = v.model
        WHERE v.state = ANY(:lived) AND
              (SELECT count(DISTINCT lower(a.approver)) FROM approval a
               WHERE a.model_version_id = v.id AND a.answer = 'approve'
                 AND a.artifact_digest = v.artifact_digest
                 AND lower(a.approver) <> lower(v.trained_by))
              < CASE WHEN m.risk_tier = 'high' THEN 2 ELSE 1 END
        """,
    ),
    Invariant(
        "I6",
        "The state of a version is the one that its last ledger event says.",
        """
        SELECT v.model, v.version, v.state FROM model_version v
        WHERE v.state IS DISTINCT FROM COALESCE(
              (SELECT x.dst FROM ledger_event x WHERE x.subject = 'mv:' || v.id
               ORDER BY x.generation DESC LIMIT 1), 'draft')
        """,
    ),
    Invariant(
        "I8",
        "Nothing is deleted before its archive copy was verified.",
        """
        SELECT i.decommission_id, i.key FROM archive_item i
        WHERE i.deleted_at IS NOT NULL
          AND (i.verified_at IS NULL OR i.verified_at > i.deleted_at OR NOT i.delete_after)
        UNION ALL
        SELECT d.id, 'decommission' FROM decommission d
        JOIN model_version v ON v.id = d.model_version_id
        WHERE v.state IN ('archived', 'deleted')
          AND (d.verified_at IS NULL OR d.archive_digest IS NULL OR d.verified_at > d.deleted_at)
        """,
    ),
    Invariant(
        "I9",
        "A version is trained only on snapshots that passed validation, free of quarantined rows.",
        """
        SELECT v.model, v.version, t.snapshot_id FROM training_snapshot t
        JOIN model_version v ON v.id = t.model_version_id
        WHERE NOT EXISTS (SELECT 1 FROM validation d
                          WHERE d.snapshot_id = t.snapshot_id AND d.verdict = 'passed')
        """,
    ),
    Invariant(
        "I10",
        "Rows are conserved: rows in = published + quarantined, in rows and in files.",
        """
        SELECT v.id, v.dataset, v.batch
        FROM validation v LEFT JOIN snapshot s ON s.id = v.snapshot_id
        WHERE v.rows_in <> v.rows_ok + v.rows_quarantined
           OR (s.id IS NOT NULL AND s.rows <> v.rows_ok)
        """,
    ),
    Invariant(
        "I11",
        "A model has at most one open retrain request.",
        """
        SELECT model, count(*) AS requests FROM retrain_request WHERE state IN ('open', 'running')
        GROUP BY model HAVING count(*) > 1
        """,
    ),
    Invariant(
        "I12",
        "A live plan names no version whose access was revoked; only what may retire retires.",
        """
        SELECT p.model, p.generation
        FROM (SELECT DISTINCT ON (model) * FROM traffic_plan ORDER BY model, generation DESC) p
        JOIN model_version v ON v.id IN (p.champion_id, p.canary_id)
        LEFT JOIN decommission d ON d.model_version_id = v.id
        WHERE v.state = ANY(:gone) OR d.revoked_at IS NOT NULL
        UNION ALL
        SELECT x.subject, x.generation FROM ledger_event x
        WHERE x.dst = 'retiring' AND x.src <> ALL(:retirable)
        """,
    ),
    Invariant(
        "I13",
        "No gateway takes up a canary plan after its lease ended.",
        """
        SELECT k.gateway_id, k.model, k.generation FROM gateway_ack k
        JOIN traffic_plan p ON p.model = k.model AND p.generation = k.generation
        WHERE p.canary_id IS NOT NULL AND k.seen_at > p.lease_until + :grace
        """,
    ),
    Invariant(
        "I14",
        "No promised message waits for more than a day.",
        """
        SELECT id, topic, attempts, last_error FROM outbox
        WHERE delivered_at IS NULL AND created_at < :stuck_before
        """,
    ),
    Invariant(
        "I15",
        "A destroyed subject key is gone, and decisions name subjects by pseudonym only.",
        """
        SELECT id FROM subject_key WHERE (wrapped_key IS NULL) <> (destroyed_at IS NOT NULL)
        """,
    ),
    Invariant(
        "I16",
        "Nobody decides her own appeal.",
        """
        SELECT id FROM appeal WHERE lower(decided_by) = lower(opened_by)
        """,
    ),
    Invariant(
        "I17",
        "Generations of a traffic plan have no gap.",
        """
        SELECT p.model, p.generation FROM traffic_plan p
        WHERE p.generation > 1 AND NOT EXISTS (
              SELECT 1 FROM traffic_plan q
              WHERE q.model = p.model AND q.generation = p.generation - 1)
        """,
    ),
    Invariant(
        "I20",
        "Every move of a version is a legal one, from where the move before had led.",
        """
        SELECT x.seq, x.subject, x.src, x.dst FROM ledger_event x
        LEFT JOIN ledger_event y ON y.subject = x.subject AND y.generation = x.generation - 1
        WHERE starts_with(x.subject, 'mv:')
          AND (x.src IS DISTINCT FROM COALESCE(y.dst, 'draft')
               OR (x.src || ' ' || x.dst) <> ALL(:legal_moves))
        """,
    ),
)
"""Those with a half in SQL; I7 and I18 are about files alone, I19 about digests of rows.

I22 compares results with files.
"""
