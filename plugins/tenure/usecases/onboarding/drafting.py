"""What one file suggests: its time, its key, its contract, and the expectations it would pass."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tenure.lifecycle.data.personal import guess_personal, guess_protected, of_people
from tenure.lifecycle.data.profiling import (
    ENOUGH_ROWS,
    BatchCut,
    BatchKind,
    BatchProfile,
    Proposal,
    propose,
    rows_of,
    spread_out,
)
from tenure.lifecycle.data.profiling.remarks import likenesses, remarks
from tenure.lifecycle.data.profiling.repetition import RARE, no_repetition, telling_columns
from tenure.lifecycle.data.sensitivity import personal_columns
from tenure.lifecycle.data.sources import Column, ColumnType, Contract

if TYPE_CHECKING:
    import pyarrow as pa

Cut = Literal["month", "week", "day", "file"]
"""What one file holds."""
_MOST_CELLS = 20_000
"""Columns times batches that are profiled one by one."""
_LEAST_ROWS_OF_KEY = 20
_NULLS_OF_TIME = 0.05
"""A column of times with more nulls tells of something that happened to some rows only."""
_KEY_NAME = r"(^|[^a-z])(id|key|uuid|code|number|no|nr|reference|ref)([^a-z]|\Z)|[a-z]Id\Z"


@dataclass(frozen=True)
class FirstRules:
    """The rules that a file suggests.

    Args:
        contract: Types, nulls, key and personal columns.
        time: When what a row tells happened, if there is such a column.
        personal: Column to the kind of personal data that it seems to hold.
        protected: Column to the characteristic that it seems to hold, which the law protects.
        proposals: Of the suite.
        cut: Into which batches the file was cut to see how they differ.
        remarks: What a person should know of the columns.
    """

    contract: Contract
    time: str | None
    personal: Mapping[str, str]
    protected: Mapping[str, str]
    proposals: tuple[Proposal, ...]
    cut: BatchCut
    remarks: tuple[str, ...]


def first_rules(
    table: "pa.Table",
    types: Mapping[str, ColumnType],
    *,
    time: str | None,
    entity: str | None,
    cut: Cut,
) -> FirstRules:
    """The rules that the rows suggest.

    Args:
        table: The sound rows, typed.
        types: Of its columns.
        time: As the person said; None takes the only column of times.
        entity: Whom or what a row is about.
        cut: What one file holds: rules come from each such period that is in the table.
    """
    from tenure.adapters.arrow_tables import profile_table
    from tenure.adapters.arrow_tables.likeness import like_pairs
    from tenure.adapters.arrow_tables.slicing import find_cut

    profile = profile_table("file", table, types)
    personal = of_people(_guessed(table, profile, guess_personal), profile.columns)
    moments = [
        c.name
        for c in profile.columns
        if c.type == "timestamp" and c.name not in personal and c.null_share <= _NULLS_OF_TIME
    ]
    if time is None and len(moments) == 1:
        time = moments[0]
    if time is not None:
        personal.pop(time, None)
    contract = Contract(
        key=_key(table, profile, time, entity, set(personal)),
        columns={
            c.name: Column(
                type=c.type,
                nullable=c.nulls > 0 or c.rows < ENOUGH_ROWS,
                sensitivity="personal" if c.name in personal else "internal",
            )
            for c in profile.columns
        },
    )
    kinds: tuple[BatchKind, ...] = ("month", "day") if cut == "file" else (cut,)
    cut_by = find_cut(table, profile, hidden=personal, time=time, kinds=kinds)
    proposals = _proposals(table, profile, contract, time=time, cut=cut_by, spoken=cut)
    said = (*remarks(profile, contract.key), *likenesses(like_pairs(table, profile)))
    protected = _guessed(table, profile, guess_protected)
    return FirstRules(contract, time, personal, protected, proposals, cut_by, said)


def _guessed(
    table: "pa.Table", profile: BatchProfile, guess: Callable[[str, Sequence[str]], str | None]
) -> dict[str, str]:
    """Columns of which a guess says something, by their names and some of their values."""
    found = {}
    for column in profile.columns:
        some = table.column(column.name).drop_null().slice(0, 200)
        kind = guess(column.name, some.to_pylist() if column.type == "string" else [])
        if kind is not None:
            found[column.name] = kind
    return found


def _key(
    table: "pa.Table",
    profile: BatchProfile,
    time: str | None,
    entity: str | None,
    personal: set[str],
) -> tuple[str, ...]:
    """Columns that name a row: the entity, an identifier, the entity with the time, the first."""
    if profile.rows < _LEAST_ROWS_OF_KEY:
        return ()
    exact = {c.name for c in profile.columns if c.type != "number" and not c.nulls}
    unique = [c.name for c in profile.columns if c.is_unique and c.name in exact]
    if entity in unique:
        return (str(entity),)
    texts = [c.name for c in profile.columns if c.type in {"string", "integer"}]
    names = [n for n in texts if n in unique and n not in personal]
    called = [n for n in names if re.search(_KEY_NAME, n, re.IGNORECASE)]
    if called:
        return (called[0],)
    if entity and time and {entity, time} <= exact and _is_unique(table, (entity, time)):
        return (entity, time)
    return tuple(n for n in names if n == profile.columns[0].name and entity is None)


def _is_unique(table: "pa.Table", columns: Sequence[str]) -> bool:
    from tenure.adapters.arrow_tables.profile import count_distinct

    return count_distinct(table, columns) == table.num_rows


def _proposals(
    table: "pa.Table",
    profile: BatchProfile,
    contract: Contract,
    *,
    time: str | None,
    cut: BatchCut,
    spoken: Cut,
) -> tuple[Proposal, ...]:
    """Rules that every batch of the file passes, and the file itself."""
    from tenure.adapters.arrow_tables import profile_table
    from tenure.adapters.arrow_tables.slicing import slices_of

    types = {name: column.type for name, column in contract.columns.items()}
    slices = slices_of(table, cut)
    sizes = {name: len(positions) for name, positions in slices.items()}
    chosen = spread_out(sizes, _most_profiles(len(types)))
    seen = [profile_table(name, table.take(slices[name]), types) for name in chosen]
    if sum(part.rows for part in seen) < profile.rows:
        seen.insert(len(seen) // 2, profile)
    found = propose(seen, contract.columns, key=contract.key, time_column=time)
    if sizes:
        found = (rows_of([*sizes.values()], profile.rows, cut, spoken), *found[1:])
    if contract.key:
        return found
    parts = [table, *(table.take(slices[name]) for name in chosen)]
    return (*found[:1], *_of_whole_rows(parts, profile, personal_columns(contract)), *found[1:])


def _of_whole_rows(
    parts: "Sequence[pa.Table]", profile: BatchProfile, hidden: Collection[str]
) -> tuple[Proposal, ...]:
    """That rows do not come twice, by as few columns as tell them apart."""
    from tenure.adapters.arrow_tables.profile import repeated_share

    columns = telling_columns(profile, hidden)
    for number in range(2, len(columns) + 1):
        repeated = [repeated_share(part, columns[:number]) for part in parts]
        if max(repeated) <= RARE or number == len(columns):
            return no_repetition(columns[:number], repeated, [part.num_rows for part in parts])
    return ()


def _most_profiles(columns: int) -> int:
    """Batches that are looked at one by one; the others by the profile of the whole."""
    return max(12, min(60, _MOST_CELLS // columns))
