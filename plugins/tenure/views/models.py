"""The first page and the page of one model; reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.installation import Installation

if TYPE_CHECKING:
    from tenure.adapters.sql.incidents import Incident
    from tenure.adapters.sql.model_page import AnalysisLine, ModelPage, WindowLine
    from tenure.adapters.sql.overview import DatasetOverview, ModelOverview

__all__ = ["AnalysisLine", "Overview", "WindowLine", "model_page", "overview"]


@dataclass(frozen=True)
class Overview:
    """All models, datasets and open incidents; `partly_usable` are digests of batches' reports."""

    models: "Sequence[ModelOverview]"
    datasets: "Sequence[DatasetOverview]"
    incidents: "Sequence[Incident]"
    partly_usable: frozenset[str]


def overview(platform: Installation) -> Overview:
    """Everything at a glance."""
    from tenure.adapters.sql import incidents, validations
    from tenure.adapters.sql import overview as sql

    with platform.database.begin() as connection:
        datasets = sql.datasets(connection)
        judged = [one.newest.report_digest for one in datasets if one.newest]
        return Overview(
            models=sql.models(connection),
            datasets=datasets,
            incidents=incidents.unclosed(connection),
            partly_usable=validations.partly_usable(connection, judged),
        )


def model_page(platform: Installation, name: str) -> "ModelPage | None":
    """One model in full, or None."""
    from tenure.adapters.sql import model_page as sql

    with platform.database.begin() as connection:
        return sql.model_page(connection, name)
