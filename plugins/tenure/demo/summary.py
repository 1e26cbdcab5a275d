"""Reads what happened so far, for the demo."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.installation import Installation
from tenure.layout import DECISIONS, OUTCOMES, log_prefix
from tenure.usecases.decisions.segments import live_keys

if TYPE_CHECKING:
    from tenure.adapters.sql.summary import (
        AnalysisStep,
        BatchVerdict,
        RequestState,
        VersionState,
        WrittenReport,
    )

__all__ = [
    "AnalysisStep",
    "BatchVerdict",
    "RequestState",
    "Summary",
    "VersionState",
    "WrittenReport",
]


@dataclass(frozen=True)
class Summary:
    """Looks at the lifecycle database and the object store; changes nothing."""

    platform: Installation

    def batches(self, dataset: str) -> "list[BatchVerdict]":
        """Every judgement of a batch, oldest first."""
        from tenure.adapters.sql import summary

        with self.platform.database.begin() as connection:
            return summary.batches(connection, dataset)

    def versions(self, model: str | None = None) -> "list[VersionState]":
        """State and evidence of each version."""
        from tenure.adapters.sql import summary

        with self.platform.database.begin() as connection:
            return summary.versions(connection, model)

    def requests(self, model: str) -> "list[RequestState]":
        """Retrain requests, oldest first."""
        from tenure.adapters.sql import summary

        with self.platform.database.begin() as connection:
            return summary.requests(connection, model)

    def analyses(self, version_id: int) -> "list[AnalysisStep]":
        """Analyses of a canary, oldest first."""
        from tenure.adapters.sql import summary

        with self.platform.database.begin() as connection:
            return summary.analyses(connection, version_id)

    def reports(self, after_id: int = 0) -> "list[WrittenReport]":
        """Reports and failure cards after a row id, oldest first."""
        from tenure.adapters.sql import summary

        with self.platform.database.begin() as connection:
            return summary.reports(connection, after_id)

    def ledger_length(self) -> int:
        """Events of the chain."""
        from tenure.adapters.sql import summary

        with self.platform.database.begin() as connection:
            return summary.ledger_length(connection)

    def decided_requests(self, model: str) -> list[str]:
        """Request id of every shipped decision, doubled ones included."""
        from tenure.adapters.decision_files import request_ids

        store = self.platform.store
        return request_ids(map(store.fetch, live_keys(store, log_prefix(DECISIONS, model))))

    def outcome_count(self, model: str) -> int:
        """Rows of every shipped outcome file."""
        from tenure.adapters.decision_files import row_count

        store = self.platform.store
        return row_count(map(store.fetch, live_keys(store, log_prefix(OUTCOMES, model))))
