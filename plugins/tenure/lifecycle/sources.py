"""Where batches come from and what shape they must have: source, contract, schedule."""

import re
from typing import Literal

from pydantic import Field

from tenure.lifecycle.policy import Policy

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


BATCH_NAME = r"[A-Za-z0-9][A-Za-z0-9._=-]{0,99}"
"""What the file of a batch may be called, without its suffix."""
_UNFINISHED = (".tmp", ".part", ".partial", ".crc", ".filepart", ".crdownload", ".inprogress")


def landing_prefix(dataset: str) -> str:
    """Where the files of a dataset land in the object store."""
    return f"landing/{dataset}/"


def is_candidate(dataset: str, key: str) -> bool:
    """Whether the object is a batch to judge, not a marker, a part or a file of a subfolder.

    >>> is_candidate("flights", "landing/flights/2013-03.parquet")
    True
    >>> is_candidate("flights", "landing/flights/_SUCCESS")
    False
    """
    name = key.removeprefix(landing_prefix(dataset))
    return (
        name != key
        and "/" not in name
        and not name.startswith(("_", "."))
        and not name.lower().endswith(_UNFINISHED)
    )


def batch_of(key: str) -> str:
    """The batch of a landing file: its stem, with characters that a path cannot bear replaced.

    >>> batch_of("landing/flights/2013-03.parquet"), batch_of("landing/flights/a b.csv")
    ('2013-03', 'a_b')
    """
    stem = key.rpartition("/")[2].rpartition(".")[0] or key.rpartition("/")[2]
    safe = re.sub(r"[^A-Za-z0-9._=-]", "_", stem)[:100]
    return safe if re.fullmatch(BATCH_NAME, safe) else f"x{safe}"[:100]


def broken_name(key: str, source: Source) -> str | None:
    """What is wrong with the name of a landing file, or None."""
    name = key.rpartition("/")[2]
    stem, _, suffix = name.rpartition(".")
    if suffix != source.format:
        return f"the file is called {name[:80]!r}, expected the suffix .{source.format}"
    if not re.fullmatch(BATCH_NAME, stem):
        return f"the file is called {name[:80]!r}, expected letters, digits, '.', '_', '=' and '-'"
    return None
