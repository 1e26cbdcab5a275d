"""Reads what was judged and published, for people."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.config import load_all
from tenure.installation import Installation
from tenure.lifecycle.data.sensitivity import codeowners
from tenure.verdicts import Report, Verdict

if TYPE_CHECKING:
    from tenure.adapters.sql.data import DatasetRow, ValidationRow
    from tenure.adapters.sql.reads import SnapshotRead


@dataclass(frozen=True)
class BatchLine:
    """One judgement, and who answers for its dataset; `quarantine` is a URL."""

    dataset: str
    batch: str
    verdict: Verdict
    rows_in: int
    rows_ok: int
    rows_quarantined: int
    source_key: str
    report_digest: str
    snapshot: str | None
    quarantine: str | None
    judged_at: datetime
    sensitivity: str
    owner: str
    steward: str
    is_partly_usable: bool
    """Whether it is published and a model that reads it cannot train on it."""


@dataclass(frozen=True)
class BatchJudgement:
    """The newest judgement of a batch, its evidence, and who opened its snapshot."""

    line: BatchLine
    report: Report | None
    reads: "list[SnapshotRead]"


def batches(platform: Installation, dataset: str | None = None) -> list[BatchLine]:
    """Judgements of one or all datasets, newest first."""
    from tenure.adapters.sql import data, validations

    with platform.database.begin() as connection:
        known = data.registered(connection)
        names = list(known) if dataset is None else [dataset]
        rows = [row for name in names for row in data.validations(connection, name)]
        partly = validations.partly_usable(connection, [row.report_digest for row in rows])
    return [_line(platform, row, known[row.dataset], partly) for row in rows]


def judgement(platform: Installation, dataset: str, batch: str) -> BatchJudgement | None:
    """The newest judgement of a batch, or None."""
    from tenure.adapters.sql import data, reads, validations
    from tenure.adapters.sql.reports import by_digest

    with platform.database.begin() as connection:
        rows = data.validations(connection, dataset, batch, limit=1)
        if not rows:
            return None
        evidence = by_digest(connection, rows[0].report_digest)
        opened = reads.reads_of(connection, dataset, rows[0].digest or "")
        known = data.registered(connection)[dataset]
        partly = validations.partly_usable(connection, [rows[0].report_digest])
    line = _line(platform, rows[0], known, partly)
    return BatchJudgement(line, evidence.report if evidence else None, opened)


def _line(
    platform: Installation, row: "ValidationRow", about: "DatasetRow", partly: frozenset[str]
) -> BatchLine:
    key = row.quarantine_key
    return BatchLine(
        dataset=row.dataset,
        batch=row.batch,
        verdict=row.verdict,
        rows_in=row.rows_in,
        rows_ok=row.rows_ok,
        rows_quarantined=row.rows_quarantined,
        source_key=row.source_key,
        report_digest=row.report_digest,
        snapshot=row.digest,
        quarantine=platform.store.url(key) if key else None,
        judged_at=row.created_at,
        sensitivity=about.sensitivity,
        owner=about.owner,
        steward=about.steward,
        is_partly_usable=row.report_digest in partly,
    )


def code_owners(include: Path) -> str:
    """The CODEOWNERS file that the datasets' YAML asks for."""
    found = load_all(include).datasets
    return codeowners({name: (c.suite, c.owner, c.steward) for name, c in found.items()})
