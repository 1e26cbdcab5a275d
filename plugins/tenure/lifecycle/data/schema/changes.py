"""In what two shapes differ."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence

from tenure.lifecycle.data.schema.shape import (
    UNKNOWN,
    ColumnShape,
    SchemaChange,
    SchemaChangeKind,
    Shape,
)

_LIKENESS = 0.5
"""From here on two names are similar enough to ask whether one column was renamed."""


def changes(
    expected: Shape,
    found: Shape,
    *,
    renamed: Mapping[str, str] | None = None,
    lapsed: Mapping[str, str] | None = None,
) -> tuple[SchemaChange, ...]:
    """Everything in which `found` differs from `expected`.

    Args:
        expected: What a reader relies on.
        found: What is there.
        renamed: Old to new name, where a mapping is in force: on either side the old name counts
            as the new one.
        lapsed: The same, where the window has closed.
    """
    renamed = renamed or {}
    before, after = _canonical(expected, renamed), _canonical(found, renamed)
    found_changes = [
        *_mapped(expected, found, renamed),
        *_gone_and_new(before, after, lapsed or {}),
        *(c for name in before if name in after for c in _same(name, before[name], after[name])),
    ]
    if _names(expected.key, renamed) != _names(found.key, renamed):
        kind = (
            SchemaChangeKind.KEY_CHANGED if expected.key and found.key else SchemaChangeKind.KEY_SET
        )
        found_changes.append(SchemaChange(kind, "", _key_text(expected.key, found.key)))
    if _names([expected.time], renamed) != _names([found.time], renamed):
        said = f"the time column is {found.time}, was {expected.time}"
        found_changes.append(SchemaChange(SchemaChangeKind.TIME_CHANGED, "", said))
    if [n for n in before if n in after] != [n for n in after if n in before]:
        found_changes.append(
            SchemaChange(SchemaChangeKind.REORDERED, "", "the columns have another order")
        )
    return tuple(found_changes)


def _canonical(shape: Shape, renamed: Mapping[str, str]) -> dict[str, ColumnShape]:
    """Columns under their new names; where both names are there, the new one counts."""
    return {
        renamed.get(name, name): column
        for name, column in shape.columns.items()
        if renamed.get(name, name) == name or renamed[name] not in shape.columns
    }


def _mapped(expected: Shape, found: Shape, renamed: Mapping[str, str]) -> Iterator[SchemaChange]:
    for old, new in renamed.items():
        if (old in expected.columns) != (old in found.columns):
            yield SchemaChange(SchemaChangeKind.MAPPED, new, f"{old} is called {new}", old)


def _gone_and_new(
    before: Mapping[str, ColumnShape],
    after: Mapping[str, ColumnShape],
    lapsed: Mapping[str, str],
) -> Iterator[SchemaChange]:
    gone = [name for name in before if name not in after]
    new = [name for name in after if name not in before]
    old_names = {name: old for old, name in lapsed.items() if old in new and name in gone}
    pairs = _similar([n for n in gone if n not in old_names], new, before, after)
    for name in gone:
        if name in old_names:
            said = f"{name} is not there; the time to call it {old_names[name]} is over"
            yield SchemaChange(SchemaChangeKind.LAPSED, name, said, old_names[name])
        elif name in pairs:
            said = f"{name} is not there, {pairs[name]} is new"
            yield SchemaChange(SchemaChangeKind.RENAMED, name, said, pairs[name])
        else:
            yield SchemaChange(SchemaChangeKind.DROPPED, name, f"{name} is not there")
    for name in new:
        yield SchemaChange(SchemaChangeKind.ADDED, name, f"{name} is new")


def _similar(
    gone: Sequence[str],
    new: Sequence[str],
    before: Mapping[str, ColumnShape],
    after: Mapping[str, ColumnShape],
) -> dict[str, str]:
    """Gone names to the new name that may be the same column: one to one, of a like type."""
    pairs: dict[str, str] = {}
    for name in gone:
        free = [
            n
            for n in new
            if n not in pairs.values() and after[n].type in (UNKNOWN, before[name].type)
        ]
        close = difflib.get_close_matches(name, free, n=1, cutoff=_LIKENESS)
        if close or (len(gone) == len(new) == 1 and free):
            pairs[name] = (close or free)[0]
    return pairs


def _same(name: str, before: ColumnShape, after: ColumnShape) -> Iterator[SchemaChange]:
    """What is different in a column that is there on both sides."""
    if before.token != after.token:
        yield _of_token(name, before, after)
    elif before.type != after.type:
        widths = {
            ("integer", "number"): SchemaChangeKind.WIDENED,
            ("number", "integer"): SchemaChangeKind.NARROWED,
        }
        kind = widths.get((before.type, after.type), SchemaChangeKind.RETYPED)
        yield SchemaChange(kind, name, f"{name} is {after.type}, not {before.type}", after.type)
    if before.nullable != after.nullable:
        kind = (
            SchemaChangeKind.NULLS_ALLOWED if after.nullable else SchemaChangeKind.NULLS_FORBIDDEN
        )
        yield SchemaChange(kind, name, f"{name} may {'' if after.nullable else 'not '}be null")


def _of_token(name: str, before: ColumnShape, after: ColumnShape) -> SchemaChange:
    if before.token is None:
        return SchemaChange(
            SchemaChangeKind.PSEUDONYMISED, name, f"{name} holds pseudonyms, not values"
        )
    if after.token is None:
        return SchemaChange(
            SchemaChangeKind.REVEALED, name, f"{name} holds values in clear, not pseudonyms"
        )
    return SchemaChange(SchemaChangeKind.REKEYED, name, f"{name} holds pseudonyms of another key")


def _names(columns: Collection[str], renamed: Mapping[str, str]) -> frozenset[str]:
    return frozenset(renamed.get(name, name) for name in columns)


def _key_text(before: Collection[str], after: Collection[str]) -> str:
    return f"a row is identified by {_listed(after)}, was by {_listed(before)}"


def _listed(columns: Collection[str]) -> str:
    return " and ".join(columns) or "nothing"
