"""A row of the database as a frozen dataclass: what leaves `adapters/sql` has named, typed fields.

The fields of the dataclass and the columns of the query are the same names, no more and no fewer,
so a renamed column is an error at the first read and mypy sees every reader of the field.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from sqlalchemy import ColumnElement, Row, RowMapping, Table

T = TypeVar("T")


def columns_of(kind: type, table: Table) -> list[ColumnElement[Any]]:
    """The columns of the table that the dataclass has fields for; `x_json` is the column `x`.

    Raises:
        KeyError: The table has no such column.
    """
    return [table.c[f.name.removesuffix("_json")].label(f.name) for f in fields(kind)]


def as_row(kind: type[T], row: RowMapping | Row[Any], *, skip: str = "") -> T:
    """The row as this dataclass.

    Text becomes the enum that its field names, a list a tuple, JSON what its class reads with
    `from_dict`. A column to skip is another class's.

    Raises:
        TypeError: The query gives more columns than the dataclass has fields, or fewer.
        ValueError: A text is no member of its enum.
    """
    convert = _converters(kind)  # type: ignore[arg-type]  # mypy doubts that a class is hashable
    found = {k: v for k, v in _mapping_of(row).items() if k != skip}
    differ = convert.keys() ^ found.keys()
    if differ:
        names = ", ".join(sorted(differ))
        raise TypeError(f"{kind.__name__} and its query differ in {names}")
    return kind(**{name: convert[name](found[name]) for name in convert})


def _mapping_of(row: RowMapping | Row[Any]) -> RowMapping:
    return row._mapping if isinstance(row, Row) else row


@cache
def _converters(kind: type[object]) -> Mapping[str, Callable[[object], object]]:
    hints = get_type_hints(kind)
    return {field.name: _converter(hints[field.name]) for field in fields(kind)}  # type: ignore[arg-type]


def _converter(hint: object) -> Callable[[object], object]:
    if get_origin(hint) in {Union, UnionType}:
        inner = [one for one in get_args(hint) if one is not NoneType]
        return _optional(_converter(inner[0])) if len(inner) == 1 else _as_it_is
    if get_origin(hint) is tuple:
        return _tuple_of(_converter(get_args(hint)[0]))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    from_dict: Callable[[object], object] = getattr(hint, "from_dict", _as_it_is)
    return from_dict


def _optional(convert: Callable[[object], object]) -> Callable[[object], object]:
    return lambda value: None if value is None else convert(value)


def _as_it_is(value: object) -> object:
    return value


def _tuple_of(convert: Callable[[object], object]) -> Callable[[object], object]:
    def listed(values: object) -> object:
        return tuple(map(convert, values)) if isinstance(values, Iterable) else values

    return listed
