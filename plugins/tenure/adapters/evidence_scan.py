"""Scans Parquet evidence with DuckDB for what must never be there; returns counts, not rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

PSEUDONYM = "[0-9a-f]{32,128}"
"""What a subject looks like in a decision; anything else may be somebody's name."""


@dataclass(frozen=True)
class AnswerCount:
    """How many decisions a version answered under one generation of a model's traffic plan."""

    model: str
    generation: int
    version_id: int
    decisions: int


def answers(paths: Sequence[Path]) -> list[AnswerCount]:
    """Decisions by model, plan generation and answering version."""
    rows = _rows(
        """
        SELECT model, generation::BIGINT AS generation, version_id::BIGINT AS version_id,
               count(*) AS decisions
        FROM read_parquet($paths, union_by_name = true)
        GROUP BY ALL ORDER BY ALL
        """,
        paths,
    )
    return [AnswerCount(**row) for row in rows]


def plain_subjects(paths: Sequence[Path]) -> dict[str, int]:
    """Decisions whose subject is no pseudonym, by model."""
    rows = _rows(
        f"""
        SELECT model, count(*) AS decisions
        FROM read_parquet($paths, union_by_name = true)
        WHERE subject IS NULL OR NOT regexp_full_match(subject, '{PSEUDONYM}')
        GROUP BY ALL ORDER BY ALL
        """,  # noqa: S608
        paths,
    )
    return {row["model"]: row["decisions"] for row in rows}


def without_decisions(paths: Sequence[Path]) -> list[Path]:
    """Files in which no decisions can be read (any more); one scan when all hold some.

    Whoever may write to the store may put anything there: it must not hide what else is found.
    """
    if _holds_decisions(paths):
        return []
    return [path for path in paths if not _holds_decisions([path])]


def _holds_decisions(paths: Sequence[Path]) -> bool:
    query = """
        SELECT count(model::VARCHAR), count(generation::BIGINT), count(version_id::BIGINT),
               count(subject::VARCHAR), count(event_time::TIMESTAMPTZ)
        FROM read_parquet($paths, union_by_name = true)
    """
    try:
        _rows(query, paths)
    except duckdb.Error:
        return False
    return True


def row_count(path: Path) -> int | None:
    """Rows of one file, from its footer; None when it is no Parquet file (any more)."""
    return _count([path])


def unreadable(paths: Sequence[Path]) -> list[Path]:
    """Files that are no Parquet files (any more); one scan when all are."""
    if _count(paths) is not None:
        return []
    return [path for path in paths if row_count(path) is None]


def quarantined_in(snapshot: Path, quarantine: Path) -> int | None:
    """Quarantined rows that stand in a snapshot all the same; None when a file is not readable.

    Rows are compared column by column as text. A second row with the same key is left out: the
    first one with the same values is rightly there.
    """
    if unreadable([snapshot, quarantine]):
        return None
    with duckdb.connect() as connection:
        both = [_columns(connection, path) for path in (snapshot, quarantine)]
        shared = [name for name in both[0] if name in both[1]]
        if not shared:
            return 0
        same = " AND ".join(
            f"s.{_quoted(name)}::VARCHAR IS NOT DISTINCT FROM q.{_quoted(name)}::VARCHAR"
            for name in shared
        )
        found = connection.execute(
            f"""
            SELECT count(*) FROM read_parquet($quarantine) q WHERE
            NOT list_bool_and(list_transform(q._reasons, lambda why: why.rule = 'key'))
            AND EXISTS (SELECT 1 FROM read_parquet($snapshot) s WHERE {same})
            """,  # noqa: S608
            {"quarantine": str(quarantine), "snapshot": str(snapshot)},
        ).fetchone()
    return int(found[0]) if found else 0


def _count(paths: Sequence[Path]) -> int | None:
    query = "SELECT count(*) AS n FROM read_parquet($paths, union_by_name = true)"
    try:
        return sum(int(row["n"]) for row in _rows(query, paths))
    except duckdb.Error:
        return None


def _rows(query: str, paths: Sequence[Path]) -> list[dict[str, Any]]:
    if not paths:
        return []
    with duckdb.connect() as connection:
        cursor = connection.execute(query, {"paths": [str(path) for path in paths]})
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _columns(connection: Any, path: Path) -> list[str]:
    query = "SELECT * FROM read_parquet($path) LIMIT 0"
    found = connection.execute(query, {"path": str(path)}).description
    return [column[0] for column in found or ()]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
