"""The first page and the page of one model; reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.config import load_all
from tenure.installation import Installation
from tenure.verdicts import Verdict
from tenure.views.datasets import DatasetReader, readers_by_dataset

if TYPE_CHECKING:
    from tenure.adapters.sql.incidents import Incident
    from tenure.adapters.sql.model_page import AnalysisLine, ModelPage, WindowLine
    from tenure.adapters.sql.overview import DatasetOverview, ModelOverview, OverviewBatch

__all__ = ["AnalysisLine", "Overview", "WindowLine", "model_page", "overview"]


LAST_BATCHES = 12
"""Batches of each dataset on the first page."""


@dataclass(frozen=True)
class DatasetGlance:
    """One dataset on the first page.

    Args:
        about: Its name, its steward, and its last batches in the order of their names.
        readers: Models that read it, by their YAML.
        stopped: Those that cannot use the last batch that is published.
    """

    about: "DatasetOverview"
    readers: Sequence[DatasetReader]
    stopped: Sequence[DatasetReader]

    @property
    def name(self) -> str:
        """Of the dataset."""
        return self.about.name

    @property
    def published(self) -> "OverviewBatch | None":
        """The last batch that is published, of those that are shown."""
        return _published(self.about)

    @property
    def judged_last(self) -> "OverviewBatch | None":
        """That which was judged last, of those that are shown."""
        return max(self.about.batches, key=lambda one: one.id, default=None)


@dataclass(frozen=True)
class Overview:
    """All models, datasets and open incidents; `partly_usable` are digests of batches' reports."""

    models: "Sequence[ModelOverview]"
    datasets: Sequence[DatasetGlance]
    incidents: "Sequence[Incident]"
    partly_usable: frozenset[str]


def overview(platform: Installation) -> Overview:
    """Everything at a glance."""
    from tenure.adapters.sql import incidents, validations
    from tenure.adapters.sql import overview as sql

    with platform.database.begin() as connection:
        datasets = sql.datasets(connection, LAST_BATCHES)
        judged = [batch.report_digest for one in datasets for batch in one.batches]
        lost = validations.lost(connection, judged)
        models = sql.models(connection)
        found = incidents.unclosed(connection)
    readers = readers_by_dataset(load_all(platform.settings.include))
    glances = []
    for one in datasets:
        mine, last = readers.get(one.name, []), _published(one)
        gone = lost.get(last.report_digest, frozenset()) if last else frozenset()
        stopped = [reader for reader in mine if reader.columns & gone]
        glances.append(DatasetGlance(one, mine, stopped))
    return Overview(models, glances, found, frozenset(lost))


def _published(dataset: "DatasetOverview") -> "OverviewBatch | None":
    passed = [one for one in dataset.batches if one.verdict is Verdict.PASSED]
    return passed[-1] if passed else None


def model_page(platform: Installation, name: str) -> "ModelPage | None":
    """One model in full, or None."""
    from tenure.adapters.sql import model_page as sql

    with platform.database.begin() as connection:
        return sql.model_page(connection, name)
