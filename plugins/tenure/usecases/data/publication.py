"""The end of an ingestion: one transaction that makes a judgement, and a snapshot, a fact."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.config import DatasetConfig
from tenure.failpoints import failpoint
from tenure.layout import SNAPSHOT_MANIFEST, snapshot_key
from tenure.lifecycle.data.expectations import Suite
from tenure.lifecycle.data.schema import Shape
from tenure.lifecycle.data.sources import FileJudgement, Rules
from tenure.ports import ObjectStore
from tenure.usecases.data.judge_file import Draft, JudgedFile
from tenure.verdicts import Report
from tenure.vocabulary import RunRef, canonical_json, op_key

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tenure.adapters.sql.data import NewValidation
    from tenure.adapters.sql.database import Database
    from tenure.adapters.sql.ledger import SqlLedger


@dataclass(frozen=True)
class Publisher:
    """Records judgements of one dataset; doing it twice changes nothing."""

    config: DatasetConfig
    text: str
    """Of the dataset's YAML."""
    suite: Suite
    rules: Rules
    store: ObjectStore
    database: "Database"
    ledger: "SqlLedger"

    def commit(
        self, new: "NewValidation", evidence: Report, judged: JudgedFile, run: RunRef
    ) -> None:
        """Validation, snapshot row and ledger event together; holds the dataset's row meanwhile."""
        from tenure.adapters.sql import data

        with self.database.begin() as connection:
            self._describe(connection)
            judged_before = data.judged(connection, self.config.name)
            standing = FileJudgement(judged_before, self.rules, self.config.source)
            if standing.of(new.source_key, new.source_digest):
                return
            published = None
            if judged.draft is not None:
                published = self._publish(connection, new.batch, evidence, judged)
            data.record(connection, self.config.name, self.rules, new, snapshot_id=published)
            last = max((row.id for row in judged_before), default=None)
            self._note(connection, new, evidence, run, after=last)
            failpoint("ingest.committing")

    def _describe(self, connection: "Connection") -> None:
        """The dataset and the texts of its rules; locks the dataset's row."""
        from tenure.adapters.sql import data, versions

        config, suite = self.config, self.suite
        data.register_dataset(
            connection,
            name=config.name,
            owner=config.owner,
            steward=config.steward,
            sensitivity=config.sensitivity,
        )
        data.remember_suite(connection, digest=suite.digest, name=suite.name, body=suite.body)
        versions.remember_config(
            connection,
            digest=self.rules.config_digest,
            kind="dataset",
            name=config.name,
            body=self.text,
        )

    def _publish(
        self, connection: "Connection", name: str, evidence: Report, judged: JudgedFile
    ) -> int:
        """The snapshot's row; the same content published before keeps its row and manifest."""
        from tenure.adapters.sql import data

        dataset, snapshot = self.config.name, judged.draft
        assert snapshot is not None
        known = data.snapshot_of(connection, dataset, snapshot.digest)
        manifest = known.manifest_digest if known else self._manifest(name, evidence, judged)
        failpoint("ingest.manifested")
        new = data.NewSnapshot(**vars(snapshot), manifest_digest=manifest)
        return data.publish(connection, dataset, name, self.suite.digest, new)

    def _note(
        self,
        connection: "Connection",
        new: "NewValidation",
        evidence: Report,
        run: RunRef,
        *,
        after: int | None,
    ) -> None:
        """`after` is the last judgement before: what comes back is another event."""
        intent = {"source_digest": new.source_digest, **vars(self.rules), "after": after}
        subject = f"dataset:{self.config.name}"
        self.ledger.note(
            connection,
            subject=subject,
            actor=run.user or run.dag_id,
            body={
                "batch": new.batch,
                "verdict": str(evidence.verdict),
                "report": evidence.digest,
                **evidence.facts,
            },
            op_key=op_key("ingest", subject, intent),
        )

    def _manifest(self, name: str, evidence: Report, judged: JudgedFile) -> str:
        snapshot, shape = judged.draft, judged.shape
        assert snapshot is not None
        assert shape is not None
        return put_manifest(self.store, self.config.name, name, evidence, snapshot, shape)


def put_manifest(  # noqa: PLR0917 -- what a manifest says
    store: ObjectStore, dataset: str, batch: str, evidence: Report, snapshot: Draft, shape: Shape
) -> str:
    """Written under the lock of the dataset's row, so that it is the one the row names."""
    return store.put(
        snapshot_key(dataset, snapshot.digest, SNAPSHOT_MANIFEST),
        canonical_json(
            {
                "dataset": dataset,
                "batch": batch,
                "columns": {name: column.type for name, column in shape.columns.items()},
                "shape": shape.to_dict(),
                "report": evidence.digest,
                **evidence.facts,
                **vars(snapshot),
            }
        ),
    )
