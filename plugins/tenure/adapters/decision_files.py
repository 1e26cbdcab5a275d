"""Counts, finds and samples what was shipped: decision and outcome Parquet files."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tenure.lifecycle.serving import Value

_PREFIX = "f_"


@dataclass(frozen=True)
class LoggedDecision:
    """One row of a decision file.

    Args:
        answer: The class that was answered; None unless the model is multiclass.
        variant: What scored; None in files from before there was a choice.
        caller: Digest of who asked; None in files from before it was kept.
        lower: Lower end of a regression's interval; None where the answer has none.
        upper: Upper end.
        sealed: The features under the key of the subject; None where they stand in clear.
        features: Those in clear, by name.
    """

    decision_id: str
    request_id: str
    model: str
    version: int
    version_id: int
    arm_assigned: str
    arm_answered: str
    generation: int
    share_bp: int
    subject: str
    received_at: datetime
    event_time: datetime
    score: float
    decision: bool | None
    """None unless the model is binary."""
    confidence: float | None
    fallback_level: str
    reason: str
    latency_ms: float
    answer: str | None
    variant: str | None
    caller: str | None
    lower: float | None
    upper: float | None
    sealed: bytes | None
    features: Mapping[str, Value]


@dataclass(frozen=True)
class LoggedOutcome:
    """One row of an outcome file; it names its decision by id, or by request id and caller."""

    outcome_id: str
    decision_id: str | None
    request_id: str | None
    label: bool | str | float
    observed_at: datetime
    received_at: datetime
    caller: str | None


_LATER = frozenset({"answer", "variant", "caller", "lower", "upper", "sealed"})
"""Columns that not every file has."""
_OF_DECISION = tuple(one.name for one in fields(LoggedDecision) if one.name != "features")
_OF_OUTCOME = tuple(one.name for one in fields(LoggedOutcome))


def request_ids(paths: Iterable[Path]) -> list[str]:
    """Request id of every decision, doubled ones included."""
    return [
        str(value)
        for path in paths
        for value in pq.read_table(path, columns=["request_id"])["request_id"].to_pylist()
    ]


def row_count(paths: Iterable[Path]) -> int:
    """Rows of all files, from their footers."""
    return sum(pq.read_metadata(path).num_rows for path in paths)


def counted(paths: Iterable[Path], column: str) -> Counter[str]:
    """How often each value of a text column comes, nulls left out; files without it have none."""
    return Counter(
        str(value)
        for path in paths
        if column in pq.read_schema(path).names
        for value in pq.read_table(path, columns=[column])[column].drop_null().to_pylist()
    )


def find_decisions(
    paths: Iterable[Path], column: str, wanted: Collection[str]
) -> list[LoggedDecision]:
    """Decisions whose column has one of the values."""
    return [
        LoggedDecision(
            **_named(row, _OF_DECISION),
            features={k.removeprefix(_PREFIX): v for k, v in row.items() if k.startswith(_PREFIX)},
        )
        for row in _rows(paths, column, wanted)
    ]


def find_outcomes(
    paths: Iterable[Path], column: str, wanted: Collection[str]
) -> list[LoggedOutcome]:
    """Outcomes whose column has one of the values."""
    return [LoggedOutcome(**_named(row, _OF_OUTCOME)) for row in _rows(paths, column, wanted)]


def _rows(paths: Iterable[Path], column: str, wanted: Collection[str]) -> Iterator[dict[str, Any]]:
    """Whole rows, each with the columns of its own file."""
    values = sorted(wanted)
    for path in paths:
        if column in pq.read_schema(path).names:
            yield from pq.read_table(path, filters=[(column, "in", values)]).to_pylist()


def _named(row: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: row.get(name) if name in _LATER else row[name] for name in names}


def sample(paths: Iterable[Path], rows: int, seed: int) -> list[str]:
    """Ids of randomly chosen decisions; the same for the same files' rows and seed."""
    key = str(seed).encode()

    def place(decision_id: str) -> bytes:
        return hashlib.blake2b(decision_id.encode(), key=key, digest_size=8).digest()

    ids = (
        str(value)
        for path in paths
        for value in pq.read_table(path, columns=["decision_id"])["decision_id"].to_pylist()
    )
    return heapq.nsmallest(rows, ids, key=place)
