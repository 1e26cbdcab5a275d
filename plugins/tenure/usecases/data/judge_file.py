"""One landed file, read and judged in a process of its own, without database or store."""

import logging
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter

from tenure.config import DatasetConfig
from tenure.failpoints import failpoint
from tenure.files import digest_file, disk_errors
from tenure.lifecycle.data.expectations import Suite
from tenure.lifecycle.data.quality import CONTRACT, Finding, Judgement, judge, report
from tenure.lifecycle.data.schema import Shape, unjudged
from tenure.lifecycle.data.sensitivity import hidden_columns
from tenure.lifecycle.data.sources import batch_of, broken_name
from tenure.usecases.data.data_docs import DOCS, draw_docs
from tenure.usecases.data.landing import PinnedFile
from tenure.usecases.data.privacy import (
    DatasetContext,
    masked,
    may_keep_file,
    pseudonymised,
    published_shape,
    shape_findings,
)
from tenure.verdicts import Report, Severity, Verdict

if TYPE_CHECKING:
    from tenure.adapters.arrow_tables import Batch

SNAPSHOT, QUARANTINE = "snapshot", "quarantine"
"""Names, beside the pinned file, of what was written."""


@dataclass(frozen=True)
class Draft:
    """The good rows, written but not yet published."""

    digest: str
    rows: int
    time_min: datetime | None
    time_max: datetime | None


@dataclass(frozen=True)
class JudgedFile:
    """What is known of a file once it was judged; goes from the judging process to the ingesting.

    Args:
        report: Verdict, checks and counts.
        draft: The snapshot to publish, when the batch passed.
        kept: What goes into quarantine: the bad rows, the whole file as it came, or nothing.
        rows_in: Rows of the file; 0 when it was not read.
        rows_quarantined: Rows that break a rule.
        shape: Of the draft.
    """

    report: Report
    draft: Draft | None
    kept: Literal["rows", "file", "nothing"]
    rows_in: int = 0
    rows_quarantined: int = 0
    shape: Shape | None = None

    @property
    def rows_ok(self) -> int:
        """Rows that break none."""
        return self.rows_in - self.rows_quarantined


logger = logging.getLogger(__name__)
_JUDGED = TypeAdapter(JudgedFile)
"""Judged as JSON and back."""
CPU_SECONDS = 600
"""Processor time for one file: 100 times what half a million rows with 25 expectations take."""


def judge_confined(
    pinned: PinnedFile, source_key: str, dataset: DatasetConfig, suite: Suite, how: DatasetContext
) -> JudgedFile:
    """Judge the file in a child process, within the memory and time of its source.

    A hostile file may crash its reader, or keep it busy for ever: both are findings.

    Raises:
        ServiceUnreachable: The child was killed from outside, or the disk is full.
    """
    from tenure.adapters.confined import LimitReached, Limits, run_confined

    budget = dataset.source.memory_mb
    if pinned.copy is None:
        return _judge_unread(f"{pinned.size:,} bytes", _allowed(budget), source_key, dataset)
    _import_libraries()
    work = partial(_answer, pinned.copy, source_key, dataset, suite, how)
    try:
        answer = run_confined(work, Limits(budget * 1024 * 1024, CPU_SECONDS))
    except LimitReached as limit:
        return _judge_unread(*_cause_and_step(limit.cause, budget), source_key, dataset)
    return _JUDGED.validate_json(answer)


def _import_libraries() -> None:
    """Before the fork, so that a process that judges many files imports them once."""
    from tenure.adapters import arrow_tables, gx_docs, gx_validator

    assert arrow_tables
    assert gx_docs
    assert gx_validator


def _answer(
    pinned: Path, source_key: str, dataset: DatasetConfig, suite: Suite, how: DatasetContext
) -> bytes:
    from tenure.adapters.model_process.system_calls import only_files

    if missing := only_files():
        logger.warning("confinement=incomplete file=%s calls=%s", source_key, missing)
    with disk_errors(pinned.parent.parent):
        return _JUDGED.dump_json(judge_file(pinned, source_key, dataset, suite, how))


def _cause_and_step(cause: str, budget: int) -> tuple[str, str]:
    """What a judgement that did not end found, and what is allowed."""
    if cause == "memory":
        return f"more than {budget:,} MiB of memory needed to judge it", _allowed(budget)
    if cause == "time":
        found = f"more than {CPU_SECONDS} s of processor time needed to judge it"
        return found, f"at most {CPU_SECONDS} s (split the file)"
    return f"bytes that made its reader crash ({cause})", "a sound file"


def _allowed(budget: int) -> str:
    return f"at most {budget:,} MiB (split the file, or raise source.memory_mb)"


def judge_file(
    pinned: Path, source_key: str, dataset: DatasetConfig, suite: Suite, how: DatasetContext
) -> JudgedFile:
    """Read the file, judge it, and write snapshot and quarantine rows beside it.

    Personal columns are judged in clear, in memory, and leave it as pseudonyms only.
    """
    batch = read_landed(pinned, dataset, how.today)
    failpoint("ingest.read")
    drawn: list[dict[str, Any]] = []
    found = findings(batch, source_key, dataset, suite, drawn)
    if batch.is_sound:
        found = [*shape_findings(batch, dataset, how), *found]
    judgement = judge(batch.rows, masked(found, dataset), dataset.quality)
    batch = pseudonymised(batch, dataset, how)
    judged = JudgedFile(
        report(dataset.name, batch_of(source_key), judgement, {}),
        draft=_write_snapshot(batch, judgement, dataset, pinned),
        kept=_write_quarantine(batch, judgement, dataset, pinned),
        rows_in=judgement.rows_in,
        rows_quarantined=judgement.rows_quarantined,
        shape=published_shape(batch, dataset, how),
    )
    draw_docs(dataset, batch_of(source_key), drawn, pinned.with_name(DOCS))
    return judged


def read_landed(path: Path, dataset: DatasetConfig, today: date | None = None) -> "Batch":
    """The file as it is judged; ingestion and `tenure suite preview` see the same batch.

    Args:
        path: The file.
        dataset: Its contract; columns beyond its time and key may be missing. Where it has
            neither, nothing tells its files from others, and the contract holds to the letter.
        today: After the window of a rename its old name is not taken; None takes all.
    """
    from tenure.adapters.arrow_tables import read_batch

    contract = dataset.contract
    return read_batch(
        path,
        dataset.source,
        contract,
        required=dataset.structure or None,
        renamed=contract.renamed(today),
    )


def findings(
    batch: "Batch",
    source_key: str,
    dataset: DatasetConfig,
    suite: Suite,
    drawn: list[dict[str, Any]] | None = None,
) -> list[Finding]:
    """What contract and suite say of a batch: the suite only when the contract holds.

    `drawn` takes what Data Docs need.
    """
    found = contract_findings(batch, source_key, dataset)
    if batch.is_sound and not any(finding.is_fatal for finding in found):
        found += expectation_findings(batch, dataset, suite, drawn)
    return found


def contract_findings(batch: "Batch", source_key: str, dataset: DatasetConfig) -> list[Finding]:
    """What the contract, and the name of the file, say of a batch."""
    named = broken_name(source_key, dataset.source)
    broken = [_broken_file_name(named, dataset.source.format, batch.rows)] if named else []
    return [*batch.findings, *broken]


def _judge_unread(found: str, expected: str, source_key: str, dataset: DatasetConfig) -> JudgedFile:
    finding = Finding(CONTRACT, "the file", Severity.CRITICAL, False, found, expected)
    judgement = judge(0, [finding], dataset.quality)
    said = report(dataset.name, batch_of(source_key), judgement, {})
    return JudgedFile(said, draft=None, kept="file" if may_keep_file(dataset) else "nothing")


def expectation_findings(
    batch: "Batch",
    dataset: DatasetConfig,
    suite: Suite,
    drawn: list[dict[str, Any]] | None = None,
) -> list[Finding]:
    """One finding for each expectation, in the order of the suite; `drawn` as above."""
    from tenure.adapters.gx_validator import validate

    lost = unjudged(suite, batch.set_aside)
    left = [e for position, e in enumerate(suite.expectations) if position not in lost]
    hidden = hidden_columns(dataset.contract, dataset.sensitivity)
    asked = replace(suite, expectations=tuple(left))
    said = iter(validate(batch.table, asked, hidden=hidden, drawn=drawn))
    return [lost.get(position) or next(said) for position in range(len(suite.expectations))]


def _write_quarantine(
    batch: "Batch", judgement: Judgement, dataset: DatasetConfig, pinned: Path
) -> Literal["rows", "file", "nothing"]:
    """The bad rows with their reasons; of a file that cannot be read, the file itself is kept."""
    from tenure.adapters.arrow_tables import write_quarantine

    if batch.original is None:
        return "file" if may_keep_file(dataset) else "nothing"
    if not judgement.reasons:
        return "nothing"
    write_quarantine(batch.original, judgement.reasons, pinned.with_name(QUARANTINE))
    return "rows"


def _write_snapshot(
    batch: "Batch", judgement: Judgement, dataset: DatasetConfig, pinned: Path
) -> Draft | None:
    """The good rows under the digest of their file, when the batch passed."""
    from tenure.adapters.arrow_tables import time_range, write_snapshot

    if judgement.verdict is not Verdict.PASSED:
        return None
    path = pinned.with_name(SNAPSHOT)
    rows = write_snapshot(batch.table, judgement.reasons, path)
    return Draft(digest_file(path), rows, *time_range(batch.table, dataset.time_column))


def _broken_file_name(found: str, suffix: str, rows: int) -> Finding:
    return Finding(
        CONTRACT, "the name", Severity.CRITICAL, False, found, f"NAME.{suffix}", range(rows)
    )
