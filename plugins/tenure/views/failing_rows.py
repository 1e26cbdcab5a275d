"""The first rows that a batch lost, as far as people may see them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.config import DatasetConfig
from tenure.installation import Installation
from tenure.lifecycle.data.quality import Reason

if TYPE_CHECKING:
    from tenure.adapters.arrow_tables.peeking import QuarantinedRow

FIRST = 20
"""Rows that a page shows."""
MAX_BYTES = 64 * 1024**2
"""Size of a quarantine file that a page still opens."""
MAX_COLUMNS = 8
MASK = "••••"
_LONGEST = 60


@dataclass(frozen=True)
class Visibility:
    """Which values of a dataset may be shown: the strictest of then and now.

    `known` are the contract's columns; a column that no contract knows may hold anything, so it is
    hidden as well.
    """

    restricted: bool
    known: frozenset[str]
    personal: frozenset[str]

    @classmethod
    def of(cls, configs: Iterable[DatasetConfig]) -> "Visibility":
        """Of every revision that is at hand; without any nothing is shown."""
        found = list(configs)
        columns = [item for config in found for item in config.contract.columns.items()]
        return cls(
            restricted=not found or any(c.sensitivity == "restricted" for c in found),
            known=frozenset(name for name, _ in columns),
            personal=frozenset(n for n, column in columns if column.sensitivity == "personal"),
        )

    def shows(self, column: str) -> bool:
        """Whether values of the column may be shown."""
        return not self.restricted and column in self.known and column not in self.personal

    def shows_all(self, columns: Iterable[str]) -> bool:
        """Whether values of a rule's columns may be shown; a rule about the table names none."""
        return not self.restricted and not self.personal.intersection(columns)


@dataclass(frozen=True)
class Cell:
    """One value as text; `blamed` when a reason names its column."""

    text: str
    masked: bool
    blamed: bool


@dataclass(frozen=True)
class FailingRow:
    """Row number in the file (from 1), why it was set aside, and its cells."""

    number: int
    reasons: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class FailingRows:
    """The first rows of a quarantine file; `trouble` says why there are none to show."""

    columns: tuple[str, ...] = ()
    rows: tuple[FailingRow, ...] = ()
    masked: bool = False
    trouble: str = ""


def failing_rows(
    platform: Installation,
    key: str | None,
    visibility: Visibility,
    *,
    keys: Sequence[str],
    words: Mapping[Reason, str],
) -> FailingRows:
    """Read the first rows of a quarantine file; what cannot be read is said, never raised.

    Args:
        platform: The installation.
        key: Of the file in the object store; None when no row was set aside.
        visibility: What may be shown.
        keys: Columns that identify a row; they come first.
        words: Reason to the sentence that people read.
    """
    if key is None:
        return FailingRows()
    if not key.endswith(".parquet"):
        return FailingRows(trouble="The file could not be read, so it was kept as it came.")
    try:
        size = platform.store.info(key).size
        if size > MAX_BYTES:
            return FailingRows(trouble=f"{size:,} bytes are too many to show here.")
        return _shown(_peek(platform, key, visibility), visibility, keys, words)
    except Exception as error:  # the verdict is worth more than its examples
        return FailingRows(trouble=f"The rows cannot be read now ({type(error).__name__}).")


def _blamed(row: "QuarantinedRow") -> set[str]:
    """Columns that the reasons of a row are about."""
    return {name for reason in row.reasons for name in reason.columns}


def _peek(platform: Installation, key: str, visibility: Visibility) -> "list[QuarantinedRow]":
    from tenure.adapters.arrow_tables.peeking import first_rows

    return list(first_rows(platform.store.fetch(key), FIRST, visibility.known))


def _shown(
    rows: "Sequence[QuarantinedRow]",
    visibility: Visibility,
    keys: Sequence[str],
    words: Mapping[Reason, str],
) -> FailingRows:
    if not rows:
        return FailingRows()
    named = set().union(*map(_blamed, rows))
    present = [name for name in rows[0].cells if name in visibility.known]
    chosen = [n for n in present if n in keys] + [
        n for n in present if n in named and n not in keys
    ]
    columns = tuple((chosen or present)[:MAX_COLUMNS])
    return FailingRows(
        columns=columns,
        rows=tuple(_row(row, columns, visibility, words) for row in rows),
        masked=any(not visibility.shows(name) for name in columns),
    )


def _row(
    row: "QuarantinedRow",
    columns: Sequence[str],
    visibility: Visibility,
    words: Mapping[Reason, str],
) -> FailingRow:
    guilty = _blamed(row)
    return FailingRow(
        number=row.number,
        reasons=tuple(words.get(reason, str(reason)) for reason in row.reasons),
        cells=tuple(
            Cell(
                text=_text(row.cells[name]) if visibility.shows(name) else MASK,
                masked=not visibility.shows(name),
                blamed=name in guilty,
            )
            for name in columns
        ),
    )


def _text(value: object) -> str:
    if value is None:
        return "missing"
    plain = "".join(c if c.isprintable() else " " for c in str(value)[: _LONGEST + 1])
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}…"
