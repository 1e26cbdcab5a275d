"""The data gate: contract, expectations, quarantine, publish."""

from pydantic import Field

from tenure.lifecycle.policy import Policy


class QualityPolicy(Policy):
    """When a batch is stopped as a whole."""

    max_quarantined: float = Field(default=0.05, ge=0.0, le=1.0)
    """Share of rows that may be quarantined before the batch fails."""
    min_rows: int = Field(default=1, ge=0)


