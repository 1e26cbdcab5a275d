"""What batches look like in numbers, and which expectations those numbers would justify.

Profiles come from an engine (`adapters.arrow_tables.profile`); everything here is arithmetic.
Nothing is applied by itself: a proposal is read, and signed, by the dataset's steward.
"""

from tenure.lifecycle.data.profiling.profile import (
    FORMS,
    MAX_CATEGORIES,
    MAX_TOP,
    BatchProfile,
    ColumnProfile,
)
from tenure.lifecycle.data.profiling.proposals import ENOUGH_ROWS, Proposal, propose, row_count

__all__ = [
    "ENOUGH_ROWS",
    "FORMS",
    "MAX_CATEGORIES",
    "MAX_TOP",
    "BatchProfile",
    "ColumnProfile",
    "Proposal",
    "propose",
    "row_count",
]
