"""In what two shapes differ."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence

from tenure.lifecycle.data.schema.shape import UNKNOWN, Change, ColumnShape, Kind, Shape

_LIKENESS = 0.5
"""From here on two names are similar enough to ask whether one column was renamed."""


def changes(
    expected: Shape,
    found: Shape,
    *,
    renamed: Mapping[str, str] | None = None,
    lapsed: Mapping[str, str] | None = None,
) -> tuple[Change, ...]:
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
        kind = Kind.KEY_CHANGED if expected.key and found.key else Kind.KEY_SET
        found_changes.append(Change(kind, "", _key_said(expected.key, found.key)))
    if _names([expected.time], renamed) != _names([found.time], renamed):
        said = f"the time column is {found.time}, was {expected.time}"
        found_changes.append(Change(Kind.TIME_CHANGED, "", said))
    if [n for n in before if n in after] != [n for n in after if n in before]:
        found_changes.append(Change(Kind.REORDERED, "", "the columns have another order"))
    return tuple(found_changes)


def _canonical(shape: Shape, renamed: Mapping[str, str]) -> dict[str, ColumnShape]:
    """Columns under their new names; where both names are there, the new one counts."""
    return {
        renamed.get(name, name): column
        for name, column in shape.columns.items()
        if renamed.get(name, name) == name or renamed[name] not in shape.columns
    }


def _mapped(expected: Shape, found: Shape, renamed: Mapping[str, str]) -> Iterator[Change]:
    for old, new in renamed.items():
        if (old in expected.columns) != (old in found.columns):
            yield Change(Kind.MAPPED, new, f"{old} is called {new}", old)


def _gone_and_new(
    before: Mapping[str, ColumnShape],
    after: Mapping[str, ColumnShape],
    lapsed: Mapping[str, str],
) -> Iterator[Change]:
    gone = [name for name in before if name not in after]
    new = [name for name in after if name not in before]
    old_names = {name: old for old, name in lapsed.items() if old in new and name in gone}
    pairs = _similar([n for n in gone if n not in old_names], new, before, after)
    for name in gone:
        if name in old_names:
            said = f"{name} is not there; the time to call it {old_names[name]} is over"
            yield Change(Kind.LAPSED, name, said, old_names[name])
        elif name in pairs:
            said = f"{name} is not there, {pairs[name]} is new"
            yield Change(Kind.RENAMED, name, said, pairs[name])
        else:
            yield Change(Kind.DROPPED, name, f"{name} is not there")
    for name in new:
        yield Change(Kind.ADDED, name, f"{name} is new")


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


def _same(name: str, before: ColumnShape, after: ColumnShape) -> Iterator[Change]:
    """What is different in a column that is there on both sides."""
    if before.token != after.token:
        yield _of_token(name, before, after)
    elif before.type != after.type:
        widths = {("integer", "number"): Kind.WIDENED, ("number", "integer"): Kind.NARROWED}
        kind = widths.get((before.type, after.type), Kind.RETYPED)
        yield Change(kind, name, f"{name} is {after.type}, not {before.type}", after.type)
    if before.nullable != after.nullable:
        kind = Kind.NULLS_ALLOWED if after.nullable else Kind.NULLS_FORBIDDEN
        yield Change(kind, name, f"{name} may {'' if after.nullable else 'not '}be null")


def _of_token(name: str, before: ColumnShape, after: ColumnShape) -> Change:
    if before.token is None:
        return Change(Kind.PSEUDONYMISED, name, f"{name} holds pseudonyms, not values")
    if after.token is None:
        return Change(Kind.REVEALED, name, f"{name} holds values in clear, not pseudonyms")
    return Change(Kind.REKEYED, name, f"{name} holds pseudonyms of another key")


def _names(columns: Collection[str], renamed: Mapping[str, str]) -> frozenset[str]:
    return frozenset(renamed.get(name, name) for name in columns)


def _key_said(before: Collection[str], after: Collection[str]) -> str:
    return f"a row is identified by {_listed(after)}, was by {_listed(before)}"


def _listed(columns: Collection[str]) -> str:
    return " and ".join(columns) or "nothing"
