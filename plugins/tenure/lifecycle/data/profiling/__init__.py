"""What batches look like in numbers, and which expectations those numbers would justify.

Profiles come from an engine (`adapters.arrow_tables.profile`); everything here is arithmetic.
Nothing is applied by itself: a proposal is read, and signed, by the dataset's steward.
"""

from tenure.lifecycle.data.profiling.batches import (
    MAX_JUDGEMENTS,
    PERIODS,
    BatchCut,
    BatchKind,
    OwnBatch,
    SuiteProof,
    number_of_slices,
    spread_out,
    tolerated,
)
from tenure.lifecycle.data.profiling.profile import (
    FORMS,
    MAX_CATEGORIES,
    MAX_TOP,
    BatchProfile,
    ColumnProfile,
)
from tenure.lifecycle.data.profiling.proposals import (
    ENOUGH_ROWS,
    Proposal,
    most_telling,
    propose,
    row_count,
    rows_of,
)

__all__ = [
    "ENOUGH_ROWS",
    "FORMS",
    "MAX_CATEGORIES",
    "MAX_JUDGEMENTS",
    "MAX_TOP",
    "PERIODS",
    "BatchCut",
    "BatchKind",
    "BatchProfile",
    "ColumnProfile",
    "OwnBatch",
    "Proposal",
    "SuiteProof",
    "most_telling",
    "number_of_slices",
    "propose",
    "row_count",
    "rows_of",
    "spread_out",
    "tolerated",
]
