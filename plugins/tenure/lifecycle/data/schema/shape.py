"""Shapes, readers, and what a change of shape means to a reader."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

UNKNOWN = "?"
"""Type of a column that was not looked at: it might be any."""


class Compatibility(StrEnum):
    """What a change means to one reader."""

    COMPATIBLE = "compatible"
    NEEDS_MAPPING = "needs_mapping"
    """Nothing is lost if a person says that the new name is the old column."""
    BREAKING = "breaking"


_ORDER = tuple(Compatibility)


class SchemaChangeKind(StrEnum):
    """What happened to a column, or to the rows as a whole."""

    ADDED = "added"
    DROPPED = "dropped"
    RENAMED = "renamed"
    """One column gone, a similar one new, and no mapping says that they are the same."""
    MAPPED = "mapped"
    LAPSED = "lapsed"
    """The old name of a rename whose window has closed."""
    WIDENED = "widened"
    NARROWED = "narrowed"
    RETYPED = "retyped"
    NULLS_ALLOWED = "nulls_allowed"
    NULLS_FORBIDDEN = "nulls_forbidden"
    PSEUDONYMISED = "pseudonymised"
    REVEALED = "revealed"
    REKEYED = "rekeyed"
    KEY_SET = "key_set"
    """A key where none was, or none where one was: the rows mean what they meant."""
    KEY_CHANGED = "key_changed"
    TIME_CHANGED = "time_changed"
    REORDERED = "reordered"


@dataclass(frozen=True)
class ColumnShape:
    """One column: a type of the contract, or the type that was found instead of it.

    `token` names the key whose pseudonyms stand for the values; None means values in clear.
    """

    type: str
    nullable: bool = True
    token: str | None = None


@dataclass(frozen=True)
class Shape:
    """Columns in their order, what identifies a row, and when it happened."""

    columns: Mapping[str, ColumnShape]
    key: tuple[str, ...] = ()
    time: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON form; a list of columns, because JSON objects have no order in the database."""
        columns = [{"name": name, **asdict(shape)} for name, shape in self.columns.items()]
        return {"columns": columns, "key": list(self.key), "time": self.time}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Shape":
        """The inverse of `to_dict`."""
        columns = {
            c["name"]: ColumnShape(c["type"], c["nullable"], c["token"]) for c in value["columns"]
        }
        return cls(columns, tuple(value["key"]), value["time"])

    def without(self, columns: Collection[str]) -> "Shape":
        """The same shape when these columns are not there."""
        kept = {name: shape for name, shape in self.columns.items() if name not in columns}
        return Shape(kept, self.key, self.time)


@dataclass(frozen=True)
class SchemaChange:
    """One difference; `column` has the name that is expected, `said` is for people."""

    kind: SchemaChangeKind
    column: str
    said: str
    other: str = ""
    """The name on the other side of a rename; the type that was found."""


@dataclass(frozen=True)
class Reader:
    """A model, and what it takes from a dataset.

    Args:
        name: Of the model.
        numbers: Columns read as numbers or as yes and no: numeric features, the label.
        texts: Columns read as they are written: categorical features and groups.
        subject: Names whom a decision is about; training only needs it to be there.
        time: The time column of the dataset, empty when it has none.
        clear: Personal columns that it reads in clear, each with the reason.
    """

    name: str
    numbers: frozenset[str]
    texts: frozenset[str]
    subject: str = ""
    time: str = ""
    clear: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> frozenset[str]:
        """All that it reads."""
        return (self.numbers | self.texts | {self.subject, self.time}) - {""}

    def mapped(self, renamed: Mapping[str, str]) -> "Reader":
        """The same reader under the new names."""
        return Reader(
            self.name,
            numbers=frozenset(renamed.get(c, c) for c in self.numbers),
            texts=frozenset(renamed.get(c, c) for c in self.texts),
            subject=renamed.get(self.subject, self.subject),
            time=renamed.get(self.time, self.time),
            clear={renamed.get(c, c): why for c, why in self.clear.items()},
        )


def judge(change: SchemaChange, reader: Reader) -> Compatibility:
    """What the change means to this reader.

    Columns are read by name, so their order means nothing. A number is read as a number whatever
    its width, but as text a fraction is a category of its own. Rows without a time have no order.
    """
    if change.kind in _OF_ALL_ROWS:
        return Compatibility.BREAKING
    if change.column not in reader.columns or _is_of_no_matter(change, reader):
        return Compatibility.COMPATIBLE
    if (
        change.kind in (SchemaChangeKind.WIDENED, SchemaChangeKind.NARROWED)
        and change.column in reader.texts
    ):
        return Compatibility.BREAKING
    if change.kind is SchemaChangeKind.NULLS_ALLOWED and change.column == reader.time:
        return Compatibility.BREAKING
    return _OF_A_COLUMN.get(change.kind, Compatibility.COMPATIBLE)


def _is_of_no_matter(change: SchemaChange, reader: Reader) -> bool:
    """A subject is only named: as a pseudonym or in clear."""
    values_read = reader.numbers | reader.texts | {reader.time}
    return change.kind in _OF_VALUES and change.column not in values_read


_OF_VALUES = {SchemaChangeKind.PSEUDONYMISED, SchemaChangeKind.REVEALED, SchemaChangeKind.REKEYED}
_OF_ALL_ROWS = {SchemaChangeKind.KEY_CHANGED, SchemaChangeKind.TIME_CHANGED}
_OF_A_COLUMN = {
    SchemaChangeKind.DROPPED: Compatibility.BREAKING,
    SchemaChangeKind.RENAMED: Compatibility.NEEDS_MAPPING,
    SchemaChangeKind.LAPSED: Compatibility.BREAKING,
    SchemaChangeKind.RETYPED: Compatibility.BREAKING,
    SchemaChangeKind.PSEUDONYMISED: Compatibility.BREAKING,
    SchemaChangeKind.REVEALED: Compatibility.BREAKING,
    SchemaChangeKind.REKEYED: Compatibility.BREAKING,
}


def worst(judged: Collection[Compatibility]) -> Compatibility:
    """The gravest; nothing at all is compatible.

    >>> worst([]).value, worst([Compatibility.NEEDS_MAPPING, Compatibility.COMPATIBLE]).value
    ('compatible', 'needs_mapping')
    """
    return max(judged, key=_ORDER.index, default=Compatibility.COMPATIBLE)


def stopped(
    found: Sequence[SchemaChange], readers: Sequence[Reader]
) -> dict[str, tuple[tuple[SchemaChange, Compatibility], ...]]:
    """Name of each reader who cannot go on, with the changes that stop it."""
    hit = {
        reader.name: tuple(
            (change, verdict)
            for change in found
            if (verdict := judge(change, reader)) is not Compatibility.COMPATIBLE
        )
        for reader in readers
    }
    return {name: hits for name, hits in hit.items() if hits}
