"""Reads what happened so far, for the demo."""

from dataclasses import dataclass
from typing import Any

from tenure.installation import Installation
from tenure.layout import DECISIONS, OUTCOMES, log_prefix
from tenure.usecases.decisions.segments import live_keys


@dataclass(frozen=True)
class Summary:
    """Looks at the lifecycle database and the object store; changes nothing."""

    platform: Installation

    def batches(self, dataset: str) -> list[dict[str, Any]]:
        """Every judgement of a batch, oldest first."""
        return self._read("batches", dataset)

    def versions(self, model: str | None = None) -> list[dict[str, Any]]:
        """Model, number, state and evidence of each version."""
        return self._read("versions", model)

    def requests(self, model: str) -> list[dict[str, Any]]:
        """Retrain requests, oldest first."""
        return self._read("requests", model)

    def analyses(self, version_id: int) -> list[dict[str, Any]]:
        """Analyses of a canary, oldest first."""
        return self._read("analyses", version_id)

    def reports(self, after_id: int = 0) -> list[dict[str, Any]]:
        """Reports and failure cards after a row id, oldest first."""
        return self._read("reports", after_id)

    def ledger_length(self) -> int:
        """Events of the chain."""
        length: int = self._read("ledger_length")
        return length

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

    def _read(self, query: str, *arguments: object) -> Any:
        from tenure.adapters.sql import summary

        with self.platform.database.begin() as connection:
            return getattr(summary, query)(connection, *arguments)
