"""How the shape of data changes, and what each change means to whoever reads it.

A change is found by comparing what is expected with what is there: the contract with a landed file,
an earlier contract with the present one, the present contract with a snapshot. It is then judged
for each reader alone, so that a break stops only those who read that column.
"""

from tenure.lifecycle.data.schema.changes import changes
from tenure.lifecycle.data.schema.findings import (
    LandedColumns,
    landed_changes,
    schema_findings,
    unjudged,
)
from tenure.lifecycle.data.schema.shape import (
    UNKNOWN,
    ColumnShape,
    Compatibility,
    Reader,
    SchemaChange,
    SchemaChangeKind,
    Shape,
    judge,
    stopped,
    worst,
)

__all__ = [
    "UNKNOWN",
    "ColumnShape",
    "Compatibility",
    "LandedColumns",
    "Reader",
    "SchemaChange",
    "SchemaChangeKind",
    "Shape",
    "changes",
    "judge",
    "landed_changes",
    "schema_findings",
    "stopped",
    "unjudged",
    "worst",
]
