"""Where batches come from and what shape they must have: source, contract, schedule."""

from typing import Literal

from pydantic import Field

from tenure.lifecycle.policy import Policy
from tenure.vocabulary import Id

ColumnType = Literal["string", "integer", "number", "boolean", "timestamp"]


class Column(Policy):
    """One column of the contract."""

    type: ColumnType
    nullable: bool = True
    sensitivity: Literal["public", "internal", "personal"] = "internal"
    description: str = ""


class Contract(Policy):
    """The shape that every batch must have; anything else stops it."""

    columns: dict[str, Column] = Field(min_length=1)
    key: tuple[str, ...] = ()
    """Columns that together identify a row; a second row with the same key is quarantined."""
    allow_extra_columns: bool = False


class Source(Policy):
    """Files land in `landing/<dataset>/` of the object store."""

    format: Literal["parquet", "csv"] = "parquet"
    settle_seconds: int = Field(default=0, ge=0)
    """A file younger than this may still be written and is left alone."""
