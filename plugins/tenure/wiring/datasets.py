"""Reads what was judged and published, for people."""

from typing import Any

from tenure.wiring.base import Platform


def batches(platform: Platform, dataset: str | None = None) -> list[dict[str, Any]]:
    """Judgements of one or all datasets, newest first."""
    from tenure.adapters.sql import data

    with platform.database.begin() as connection:
        names = data.datasets(connection) if dataset is None else [dataset]
        rows = [row for name in names for row in data.validations(connection, name)]
    return [_plain(platform, row) for row in rows]


def judgement(platform: Platform, dataset: str, batch: str) -> dict[str, Any] | None:
    """The newest judgement of a batch with its report, or None."""
    from tenure.adapters.sql import data
    from tenure.adapters.sql.reports import by_digest

    with platform.database.begin() as connection:
        rows = data.validations(connection, dataset, batch, limit=1)
        if not rows:
            return None
        evidence = by_digest(connection, rows[0]["report_digest"])
    return _plain(platform, rows[0]) | {"report": evidence}


def _plain(platform: Platform, row: dict[str, Any]) -> dict[str, Any]:
    key = row["quarantine_key"]
    names = ("dataset", "batch", "verdict", "rows_in", "rows_ok", "rows_quarantined")
    return {name: row[name] for name in (*names, "source_key", "report_digest")} | {
        "snapshot": row["digest"],
        "quarantine": platform.store.url(key) if key else None,
        "judged_at": row["created_at"],
    }
