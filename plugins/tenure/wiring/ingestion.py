"""Ingestion of a dataset: find what landed, judge it, set bad rows aside, publish a snapshot."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenure.config import DatasetConfig, load_dataset
from tenure.config.suites import load_suite
from tenure.errors import DataRejected
from tenure.lifecycle.expectations import Severity, Suite
from tenure.lifecycle.quality import CONTRACT, Finding, Judgement, judge, report
from tenure.lifecycle.sources import batch_of, broken_name
from tenure.ports import Clock, ObjectStore, Reports
from tenure.verdicts import Verdict
from tenure.vocabulary import RunRef, digest_json
from tenure.wiring.base import Platform
from tenure.wiring.landing import Landing
from tenure.wiring.publication import Publisher, snapshot_key

if TYPE_CHECKING:
    from tenure.adapters.arrow_tables import Batch
    from tenure.adapters.sql.data import Rules
    from tenure.adapters.sql.database import Database


@dataclass(frozen=True)
class Ingested:
    """A published batch, as XCom carries it: ids, digests and counts."""

    batch: str
    snapshot: str
    report: str
    rows_ok: int
    rows_quarantined: int


@dataclass(frozen=True)
class Ingestion:
    """Ingestion of one dataset under one state of its rules.

    May be stopped anywhere and run again: objects are named by content, and validation, snapshot
    row and ledger event stand in one transaction at the end.
    """

    dataset: DatasetConfig
    suite: Suite
    rules: "Rules"
    publisher: Publisher
    store: ObjectStore
    database: "Database"
    reports: Reports
    clock: Clock
    cache: Path

    def discover(self) -> list[str]:
        """Keys of landed files that were not judged by the present rules, in order of name."""
        from tenure.adapters.sql import data

        with self.database.begin() as connection:
            judged = data.judged(connection, self.dataset.name, self.rules)
        landing = Landing(
            self.dataset.name,
            self.dataset.source,
            store=self.store,
            clock=self.clock,
            cache=self.cache,
        )
        return landing.unjudged(judged)

    def ingest(self, source_key: str, run: RunRef) -> Ingested:
        """Judge a landed file and publish it, once; the same file again gives the same answer.

        Raises:
            DataRejected: The batch failed, now or when it was judged before; or it is gone.
        """
        with tempfile.TemporaryDirectory(prefix="tenure-ingest-") as folder:
            pinned = Path(folder) / "source"
            source_digest = self._pin(source_key, pinned)
            known = self._known(source_digest)
            if known is None:
                self._judge(source_key, pinned, source_digest, run)
                known = self._known(source_digest)
        assert known is not None
        return self._answer(known)

    def _pin(self, source_key: str, copy: Path) -> str:
        """Copy the file, so that what is hashed is what is read, whoever writes to it meanwhile."""
        try:
            shutil.copyfile(self.store.fetch(source_key), copy)
        except (KeyError, FileNotFoundError):
            raise DataRejected(
                f"{source_key} is gone: it was there when the run began.",
                still_safe="Nothing of it was published; all snapshots stand.",
                next_step="If it was taken away on purpose, nothing is to be done. Otherwise drop "
                "it again; the next run takes it.",
            ) from None
        with copy.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def _judge(self, source_key: str, pinned: Path, source_digest: str, run: RunRef) -> None:
        from tenure.adapters.arrow_tables import read_batch

        source = self.dataset.source
        named = broken_name(source_key, source)
        batch = read_batch(pinned, source, self.dataset.contract)
        findings = [*batch.findings]
        if named:
            findings.append(_broken_file_name(named, source.format, batch.rows))
        elif batch.is_sound:
            findings += self._expectations(batch)
        judgement = judge(batch.rows, findings, self.dataset.quality)
        name = batch_of(source_key)
        quarantine_key = self._quarantine(name, source_digest, pinned, batch, judgement)
        snapshot = self._snapshot(batch, judgement, pinned.with_name("snapshot"))
        facts: dict[str, object] = {
            "source_key": source_key,
            "source_digest": source_digest,
            "suite": self.suite.name,
            **asdict(self.rules),
            "quarantine_key": quarantine_key,
            "snapshot": snapshot["digest"] if snapshot else None,
        }
        evidence = report(self.dataset.name, name, judgement, facts)
        self.reports.save(evidence, model=None, dataset=self.dataset.name, run=run)
        self.publisher.commit(name, evidence, snapshot, run)

    def _expectations(self, batch: "Batch") -> list[Finding]:
        from tenure.adapters.gx_validator import validate

        columns = self.dataset.contract.columns
        personal = frozenset(n for n, c in columns.items() if c.sensitivity == "personal")
        return validate(batch.table, self.suite, hidden=personal)

    def _quarantine(
        self, name: str, source_digest: str, pinned: Path, batch: "Batch", judgement: Judgement
    ) -> str | None:
        """Store the bad rows with their reasons; of a file that cannot be read, the file."""
        from tenure.adapters.arrow_tables import write_quarantine

        rules = digest_json(asdict(self.rules))[:12]
        key = f"quarantine/{self.dataset.name}/{name}/{source_digest}-{rules}"
        if batch.original is None:
            self.store.put_file(f"{key}.rejected", pinned)
            return f"{key}.rejected"
        if not judgement.reasons:
            return None
        rows = pinned.with_name("quarantine")
        write_quarantine(batch.original, judgement.reasons, rows)
        self.store.put_file(f"{key}.parquet", rows)
        return f"{key}.parquet"

    def _snapshot(self, batch: "Batch", judgement: Judgement, draft: Path) -> dict[str, Any] | None:
        """Store the good rows under the digest of their file, when the batch passed."""
        from tenure.adapters.arrow_tables import time_range, write_snapshot

        if judgement.verdict is not Verdict.PASSED:
            return None
        rows = write_snapshot(batch.table, judgement.reasons, draft)
        digest = _digest(draft)
        self.store.put_file(snapshot_key(self.dataset.name, digest, "data.parquet"), draft)
        earliest, latest = time_range(batch.table, self.dataset.time_column)
        return {"digest": digest, "rows": rows, "time_min": earliest, "time_max": latest}

    def _known(self, source_digest: str) -> dict[str, Any] | None:
        from tenure.adapters.sql import data

        with self.database.begin() as connection:
            return data.validation_of(connection, self.dataset.name, source_digest, self.rules)

    def _answer(self, known: Mapping[str, Any]) -> Ingested:
        if known["verdict"] == Verdict.PASSED:
            return Ingested(
                batch=known["batch"],
                snapshot=known["digest"],
                report=known["report_digest"],
                rows_ok=known["rows_ok"],
                rows_quarantined=known["rows_quarantined"],
            )
        from tenure.adapters.sql.reports import by_digest

        with self.database.begin() as connection:
            evidence = by_digest(connection, known["report_digest"])
        what = evidence["summary"] if evidence else f"{self.dataset.name} {known['batch']} failed."
        raise DataRejected(
            what,
            still_safe="Nothing of this batch was published; other snapshots and all models in "
            f"service are not affected.{_kept(known)}",
            next_step="Open the report in the tab Tenure. If the source is wrong, ask "
            f"{self.dataset.owner} to drop the repaired file under the same name; the next run "
            f"takes it. If a rule is wrong, the steward {self.dataset.steward} edits "
            f"include/expectations/{self.suite.name}.json and runs `tenure suite lint "
            f"{self.suite.name}`.",
            evidence=known["report_digest"],
        )


def ingestion(platform: Platform, dataset: str) -> Ingestion:
    """Ingestion of the dataset as its files say now. Raises ConfigInvalid."""
    from tenure.adapters.sql.data import Rules

    include = platform.settings.include
    config, digest = load_dataset(include, dataset)
    suite = load_suite(include, config.suite, config.contract)
    rules = Rules(suite_digest=suite.digest, config_digest=digest)
    text = (include / "configs" / "datasets" / f"{dataset}.yaml").read_text("utf-8")
    return Ingestion(
        dataset=config,
        suite=suite,
        rules=rules,
        publisher=Publisher(
            config, text, suite, rules, platform.store, platform.database, platform.ledger
        ),
        store=platform.store,
        database=platform.database,
        reports=platform.reports,
        clock=platform.clock,
        cache=platform.settings.home / "cache",
    )


def _kept(known: Mapping[str, Any]) -> str:
    rows, key = known["rows_quarantined"], known["quarantine_key"]
    if key is None:
        return ""
    what = f"{rows:,} rows with their reasons lie" if rows else "The file as it came lies"
    return f" {what} in {key.rpartition('/')[0]}/."


def _broken_file_name(found: str, suffix: str, rows: int) -> Finding:
    return Finding(
        CONTRACT, "the name", Severity.CRITICAL, False, found, f"NAME.{suffix}", range(rows)
    )


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
