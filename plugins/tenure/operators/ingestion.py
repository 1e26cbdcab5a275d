"""Operators of `<dataset>__ingest_data`: find what landed, judge and publish each file."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tenure.operators.base import TenureOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tenure.installation import Installation
    from tenure.vocabulary import RunRef


class DiscoverOperator(TenureOperator):
    """Returns the keys of landed files that were not judged yet; none is fine."""

    def __init__(self, *, dataset: str, **kwargs: Any) -> None:
        super().__init__(dataset=dataset, **kwargs)
        self._dataset = dataset

    def work(self, platform: Installation, run: RunRef, context: Context) -> list[str]:
        """The keys, one for each mapped `ingest`."""
        from tenure.usecases.data.ingestion import ingestion

        return ingestion(platform, self._dataset).discover()


class IngestOperator(TenureOperator):
    """Judges one landed file; publishes it and wakes who waits for the dataset, or fails.

    Args:
        source_key: Key of the file in the object store, from `discover`.
    """

    def __init__(self, *, dataset: str, source_key: str, **kwargs: Any) -> None:
        super().__init__(dataset=dataset, **kwargs)
        self._dataset = dataset
        self.source_key = source_key

    @property
    def member(self) -> str:  # type: ignore[override]
        """The file: once it is judged well, in whichever run, its red tasks are repaired."""
        return self.source_key

    def work(self, platform: Installation, run: RunRef, context: Context) -> dict[str, object]:
        """Digests and counts of the batch."""
        from tenure.usecases.data.ingestion import ingestion

        done = asdict(ingestion(platform, self._dataset).ingest(self.source_key, run))
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {n: done[n] for n in ("batch", "snapshot")}
        return done
