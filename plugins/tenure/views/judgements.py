"""Reads what was judged and published, for people."""

from pathlib import Path
from typing import Any

from tenure.config import load_all
from tenure.installation import Installation
from tenure.lifecycle.data.sensitivity import codeowners


def batches(platform: Installation, dataset: str | None = None) -> list[dict[str, Any]]:
    """Judgements of one or all datasets, newest first."""
    from tenure.adapters.sql import data

    with platform.database.begin() as connection:
        known = data.registered(connection)
        names = list(known) if dataset is None else [dataset]
        rows = [row for name in names for row in data.validations(connection, name)]
    return [_plain(platform, row) | known[row["dataset"]] for row in rows]


def judgement(platform: Installation, dataset: str, batch: str) -> dict[str, Any] | None:
    """The newest judgement of a batch with its report, or None."""
    from tenure.adapters.sql import data, reads
    from tenure.adapters.sql.reports import by_digest

    with platform.database.begin() as connection:
        rows = data.validations(connection, dataset, batch, limit=1)
        if not rows:
            return None
        evidence = by_digest(connection, rows[0]["report_digest"])
        opened = reads.reads_of(connection, dataset, rows[0]["digest"] or "")
        known = data.registered(connection)[dataset]
    return _plain(platform, rows[0]) | known | {"report": evidence, "reads": opened}


def _plain(platform: Installation, row: dict[str, Any]) -> dict[str, Any]:
    key = row["quarantine_key"]
    names = ("dataset", "batch", "verdict", "rows_in", "rows_ok", "rows_quarantined")
    return {name: row[name] for name in (*names, "source_key", "report_digest")} | {
        "snapshot": row["digest"],
        "quarantine": platform.store.url(key) if key else None,
        "judged_at": row["created_at"],
    }


def code_owners(include: Path) -> str:
    """The CODEOWNERS file that the datasets' YAML asks for."""
    found = load_all(include).datasets
    return codeowners({name: (c.suite, c.owner, c.steward) for name, c in found.items()})
