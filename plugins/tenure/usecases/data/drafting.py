"""What one file suggests: its time, its key, its contract, and the expectations it would pass."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tenure.config.suite_arguments import broken_arguments
from tenure.lifecycle.data.personal import guess_personal
from tenure.lifecycle.data.profiling import ENOUGH_ROWS, BatchProfile, Proposal, propose, row_count
from tenure.lifecycle.data.sources import Column, ColumnType, Contract

if TYPE_CHECKING:
    import pyarrow as pa

Cut = Literal["month", "week", "day", "file"]
"""What one file holds."""
_PERIODS: Mapping[Cut, str] = {"month": "%Y-%m", "week": "%G-W%V", "day": "%Y-%m-%d"}
_MOST_PERIODS = 36
_FULL_PERIOD = 0.5
"""A period with fewer rows than this share of the largest is cut off at an end of the file."""
_LEAST_ROWS_OF_KEY = 20
_KEY_NAME = r"(^|[^a-z])(id|key|uuid|code|number|no|nr|reference|ref)([^a-z]|\Z)|[a-z]Id\Z"


@dataclass(frozen=True)
class FirstRules:
    """The rules that a file suggests.

    Args:
        contract: Types, nulls, key and personal columns.
        time: When what a row tells happened, if there is such a column.
        personal: Column to the kind of personal data that it seems to hold.
        proposals: Of the suite.
    """

    contract: Contract
    time: str | None
    personal: Mapping[str, str]
    proposals: tuple[Proposal, ...]


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
        cut: What one file holds: rules come from each period that is in the table.
    """
    from tenure.adapters.arrow_tables import profile_table

    profile = profile_table("file", table, types)
    personal = _personal(table, profile)
    moments = [n for n, kind in types.items() if kind == "timestamp" and n not in personal]
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
    proposals = _proposals(table, profile, contract, time, cut)
    return FirstRules(contract, time, personal, proposals)


def _personal(table: "pa.Table", profile: BatchProfile) -> dict[str, str]:
    """Columns that seem to hold personal data, and of which kind."""
    found = {}
    for column in profile.columns:
        some = table.column(column.name).drop_null().slice(0, 200)
        texts = some.to_pylist() if column.type == "string" else []
        kind = guess_personal(column.name, texts)
        if kind is not None and column.type not in {"boolean", "number"}:
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
    table: "pa.Table", profile: BatchProfile, contract: Contract, time: str | None, cut: Cut
) -> tuple[Proposal, ...]:
    """Rules that the whole file passes; how they vary is seen on its periods, if it has some."""
    parts = _periods(table, profile, contract, time, cut)
    covered = sum(part.rows for part in parts) == profile.rows
    seen = parts if covered else [*parts, profile]
    found = propose(seen, contract.columns, key=contract.key, time_column=time)
    if parts:
        found = (_rows_of(parts, profile.rows, cut), *found[1:])
    return tuple(p for p in found if not list(broken_arguments(p.type, dict(p.kwargs), contract)))


def _periods(
    table: "pa.Table", profile: BatchProfile, contract: Contract, time: str | None, cut: Cut
) -> list[BatchProfile]:
    """A profile of each period that is whole, when there are several."""
    from tenure.adapters.arrow_tables import profile_table
    from tenure.adapters.arrow_tables.profile import periods

    if cut == "file" or time is None:
        return []
    types = {name: column.type for name, column in contract.columns.items()}
    found = periods(table, time, _PERIODS[cut], most=_MOST_PERIODS)
    largest = max((part.num_rows for part in found.values()), default=0)
    whole = {n: part for n, part in found.items() if part.num_rows >= _FULL_PERIOD * largest}
    if len(whole) < 2:
        return []
    return [profile_table(name, part, types) for name, part in whole.items()]


def _rows_of(parts: Sequence[BatchProfile], rows: int, cut: Cut) -> Proposal:
    """The rows of one period; the file itself, which holds them all, passes too."""
    one = row_count([part.rows for part in parts])
    most = one.kwargs["max_value"]
    assert isinstance(most, int)
    return Proposal(
        one.type,
        {**one.kwargs, "max_value": max(most, rows)},
        one.severity,
        f"{one.evidence} One batch is a {cut}; the file this began with had {rows:,} rows.",
    )
