"""Ingestion of a dataset: find what landed, judge it, set bad rows aside, publish a snapshot."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.config import DatasetConfig, load_dataset
from tenure.errors import DataRejected
from tenure.failpoints import failpoint
from tenure.installation import Installation
from tenure.installation.suite_in_force import suite_in_force
from tenure.layout import quarantine_key, snapshot_key
from tenure.lifecycle.data.expectations import Suite
from tenure.lifecycle.data.sources import (
    FileJudgement,
    Rules,
    UnreadFile,
    batch_of,
    unread_summary,
)
from tenure.ports import Clock, ObjectStore, Reports
from tenure.usecases.data.data_docs import DOCS, store_docs
from tenure.usecases.data.judge_file import QUARANTINE, SNAPSHOT, JudgedFile, judge_confined
from tenure.usecases.data.landing import Landing, PinnedFile, work_folder
from tenure.usecases.data.privacy import DatasetContext, dataset_context, require_safe_store
from tenure.usecases.data.publication import Publisher
from tenure.usecases.data.refused_files import keep_refused
from tenure.verdicts import Report
from tenure.vocabulary import RunRef, digest_bytes, digest_json

if TYPE_CHECKING:
    from tenure.adapters.sql.data import SnapshotRow, ValidationRow
    from tenure.adapters.sql.database import Database

_log = logging.getLogger("tenure.ingestion")
_NAMED = 20
"""Names in the log of one look; the incident counts all."""


@dataclass(frozen=True)
class IngestResult:
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
    rules: Rules
    publisher: Publisher
    store: ObjectStore
    database: "Database"
    reports: Reports
    clock: Clock
    cache: Path
    handling: DatasetContext

    def discover(self) -> list[str]:
        """Keys of landed files whose judgement is not the one that stands, in order of name.

        What lies there and is no batch is named in the log, and in one incident until it is gone.
        """
        standing, landing = self._standing(), self._landing()
        found = landing.unjudged(lambda key, digest: standing.of(key, digest) is not None)
        self._report_unread(landing.unread())
        return found

    def ingest(self, source_key: str, run: RunRef) -> IngestResult:
        """Judge a landed file and publish it, once; the same file again gives the same answer.

        Raises:
            DataRejected: The batch failed, now or when it was judged before; or it is gone.
            ServiceUnreachable: It is still being written, or the judging process was killed.
        """
        with work_folder(self.cache / "work", self.clock.now()) as folder:
            pinned = self._landing().pin(source_key, folder / "source")
            failpoint("ingest.pinned")
            known = self._standing().of(source_key, pinned.digest)
            if known is None:
                self._judge(source_key, pinned, run)
                known = self._standing().of(source_key, pinned.digest)
        assert known is not None
        if known.digest is not None:
            from tenure.usecases.data.usability import report_usability

            report_usability(self.database, self.dataset, known, self.clock.now())
        return self._answer(known)

    def _report_unread(self, found: Sequence[UnreadFile]) -> None:
        from tenure.adapters.sql import incidents

        for one in found[:_NAMED]:
            state = "waited_for" if one.may_be_written else "not_read"
            _log.warning("landing=%s name=%r why=%s", state, one.name[:200], one.why)
        unread = [one for one in found if not one.may_be_written]
        key, now = f"landing:{self.dataset.name}", self.clock.now()
        with self.database.begin() as connection:
            if not unread:
                incidents.close_incident(connection, dedupe_key=key, at=now)
                return
            summary = unread_summary(self.dataset.name, unread)
            if incidents.open_summary(connection, key) == summary:
                return
            incidents.open_incident(
                connection,
                dedupe_key=key,
                kind="landing_not_read",
                subject=self.dataset.name,
                summary=summary,
                facts={
                    "dataset": self.dataset.name,
                    "owner": self.dataset.steward,
                    "number": len(unread),
                },
                at=now,
            )

    def _landing(self) -> Landing:
        return Landing(
            self.dataset.name,
            self.dataset.source,
            store=self.store,
            clock=self.clock,
            cache=self.cache,
        )

    def _judge(self, source_key: str, pinned: PinnedFile, run: RunRef) -> None:
        from tenure.adapters.sql.data import NewValidation

        name = batch_of(source_key)
        judged = judge_confined(pinned, source_key, self.dataset, self.suite, self.handling)
        failpoint("ingest.judged")
        quarantine_key = self._quarantine(name, pinned, judged)
        failpoint("ingest.quarantined")
        refused = keep_refused(self.store, self.dataset, pinned, judged)
        failpoint("ingest.kept")
        if judged.draft is not None and pinned.copy is not None:
            key = snapshot_key(self.dataset.name, judged.draft.digest)
            self.store.put_once(key, pinned.copy.with_name(SNAPSHOT))
            failpoint("ingest.stored")
        facts: dict[str, object] = {
            "source_key": source_key,
            "source_digest": pinned.digest,
            "suite": self.suite.name,
            **asdict(self.rules),
            "quarantine_key": quarantine_key,
            "refused_key": refused,
            "snapshot": judged.draft.digest if judged.draft else None,
        }
        evidence = self._compared(name, pinned.digest, judged.report, facts)
        self.reports.save(evidence, model=None, dataset=self.dataset.name, run=run)
        failpoint("ingest.reported")
        new = NewValidation(
            batch=name,
            source_key=source_key,
            source_digest=pinned.digest,
            verdict=evidence.verdict,
            rows_in=judged.rows_in,
            rows_ok=judged.rows_ok,
            rows_quarantined=judged.rows_quarantined,
            quarantine_key=quarantine_key,
            report_digest=evidence.digest,
            shape=judged.shape if judged.draft else None,
        )
        self.publisher.commit(new, evidence, judged, run)
        failpoint("ingest.committed")
        if pinned.copy is not None:
            store_docs(self.store, evidence.digest, pinned.copy.with_name(DOCS))

    def _compared(
        self, name: str, source_digest: str, said: Report, facts: Mapping[str, object]
    ) -> Report:
        """The report, which says so when another file came under the same name before."""
        from tenure.adapters.sql import data

        with self.database.begin() as connection:
            before = data.previous(connection, self.dataset.name, name, source_digest)
        if before is None:
            return replace(said, facts={**said.facts, **facts, "replaces": None})
        replaced = {
            "source_digest": before.source_digest,
            "verdict": str(before.verdict),
            "snapshot": before.digest,
        }
        then = f"published as snapshot {before.digest[:12]}" if before.digest else "refused"
        return replace(
            said,
            summary=f"{said.summary} A changed file: the one before it under this name was {then}.",
            facts={**said.facts, **facts, "replaces": replaced},
        )

    def _quarantine(self, name: str, pinned: PinnedFile, judged: JudgedFile) -> str | None:
        """Store the bad rows with their reasons; of a file that cannot be read, the file.

        A file that is too large to be read stays where it landed, and nowhere else.
        """
        if judged.kept == "nothing" or pinned.copy is None:
            return None
        kind, path = (
            ("parquet", pinned.copy.with_name(QUARANTINE))
            if judged.kept == "rows"
            else ("rejected", pinned.copy)
        )
        rules = digest_json(asdict(self.rules))[:12]
        key = quarantine_key(self.dataset.name, name, source=pinned.digest, rules=rules, kind=kind)
        self.store.put_file(key, path)
        return key

    def _standing(self) -> "FileJudgement[ValidationRow]":
        from tenure.adapters.sql import data

        with self.database.begin() as connection:
            judged = data.judged(connection, self.dataset.name)
            return FileJudgement(judged, self.rules, self.dataset.source)

    def _answer(self, known: "ValidationRow") -> IngestResult:
        if known.digest is not None:
            return IngestResult(
                batch=known.batch,
                snapshot=known.digest,
                report=known.report_digest,
                rows_ok=known.rows_ok,
                rows_quarantined=known.rows_quarantined,
            )
        from tenure.adapters.sql import data
        from tenure.adapters.sql.reports import by_digest

        with self.database.begin() as connection:
            evidence = by_digest(connection, known.report_digest)
            newest = data.newest(connection, self.dataset.name)
        what = evidence.summary if evidence else f"{self.dataset.name} {known.batch} failed."
        raise DataRejected(
            what,
            still_safe=f"Nothing of this batch was published; {_in_force(newest)}. Models in "
            f"service and other batches are not affected.{_kept(known)}",
            next_step="Open the report. If the source is wrong, ask "
            f"{self.dataset.owner} to drop the repaired file under the same name; the next run "
            f"takes it. If a limit is wrong, the steward {self.dataset.steward} moves it on the "
            f"workbench of {self.dataset.name}; another rule is edited in "
            f"include/expectations/{self.suite.name}.json, after `tenure suite preview "
            f"{self.suite.name}`.",
            evidence=known.report_digest,
        )


def ingestion(platform: Installation, dataset: str) -> Ingestion:
    """Ingestion of the dataset by the config and the suite in force. Raises ConfigInvalid."""
    include = platform.settings.include
    config, digest = load_dataset(include, dataset)
    suite = suite_in_force(platform, config.suite, [config]).suite
    require_safe_store(platform.store, config)
    how = dataset_context(platform.settings, config, platform.clock.now().date())
    text = (include / "configs" / "datasets" / f"{dataset}.yaml").read_text("utf-8")
    rules_text = how.rules_text(config, text)
    if rules_text != text:
        digest = digest_bytes(rules_text.encode())
    rules = Rules(suite_digest=suite.digest, config_digest=digest)
    return Ingestion(
        dataset=config,
        suite=suite,
        rules=rules,
        publisher=Publisher(
            config, rules_text, suite, rules, platform.store, platform.database, platform.ledger
        ),
        store=platform.store,
        database=platform.database,
        reports=platform.reports,
        clock=platform.clock,
        cache=platform.settings.home / "cache",
        handling=how,
    )


def _in_force(newest: "SnapshotRow | None") -> str:
    if newest is None:
        return "there is no snapshot yet"
    return f"snapshot {newest.digest[:12]} of batch {newest.batch} stays the newest"


def _kept(known: "ValidationRow") -> str:
    rows, key = known.rows_quarantined, known.quarantine_key
    if key is None:
        return ""
    what = f"{rows:,} rows with their reasons lie" if rows else "The file as it came lies"
    return f" {what} in {key.rpartition('/')[0]}/."
