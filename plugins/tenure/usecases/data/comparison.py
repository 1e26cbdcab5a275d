"""Two snapshots side by side: schema, rows, and each column in numbers."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tenure.config import load_dataset
from tenure.errors import ConfigInvalid
from tenure.installation import Installation
from tenure.installation.identity import as_command
from tenure.lifecycle.data.sensitivity import hidden_columns
from tenure.usecases.data.snapshots import open_snapshot

if TYPE_CHECKING:
    from tenure.lifecycle.data.profiling import BatchProfile, ColumnProfile

_MEASURES = ("nulls", "distinct", "mean", "stdev", "low", "high")
_OF_VALUES = ("low", "high", "top", "quantiles", "mean", "stdev")
"""Measures that tell values; of hidden columns they are left out."""


def compare(platform: Installation, first: str, second: str) -> dict[str, Any]:
    """Two snapshots, each named by the beginning of its digest or as `dataset:batch`.

    Raises:
        ConfigInvalid: A name fits no snapshot, or several.
        ArtifactRefused: A snapshot is not the bytes that were published.
    """
    rows = [_resolve(platform, name) for name in (first, second)]
    before, after = (_profile(platform, row) for row in rows)
    hidden = frozenset().union(*(_hidden(platform, row["dataset"]) for row in rows))
    names = dict.fromkeys(c.name for profile in (before, after) for c in profile.columns)
    return {
        "a": _named(rows[0]),
        "b": _named(rows[1]),
        "rows": {"a": before.rows, "b": after.rows},
        "columns": [_column(name, before, after, hidden=name in hidden) for name in names],
    }


def _resolve(platform: Installation, name: str) -> Mapping[str, Any]:
    """The snapshot's row; of a batch that was repaired the one in force."""
    from tenure.adapters.sql import data

    dataset, colon, batch = name.partition(":")
    with platform.database.begin() as connection:
        datasets = [dataset] if colon else list(data.registered(connection))
        rows = [row for d in datasets for row in data.snapshots(connection, d)]
    if colon:
        found = [row for row in rows if row["batch"] == batch][-1:]
    else:
        known = {row["id"]: row for row in rows if row["digest"].startswith(name)}
        found = list(known.values()) if len(name) >= _SHORTEST else []
    if len(found) == 1:
        return found[0]
    what = "fits no snapshot" if not found else f"fits {len(found)} snapshots"
    raise ConfigInvalid(
        f"{name!r} {what}.",
        still_safe="Nothing was changed.",
        next_step=f"Give at least {_SHORTEST} characters of a digest, or DATASET:BATCH; "
        "`tenure data list` shows both.",
    )


_SHORTEST = 6


def _profile(platform: Installation, row: Mapping[str, Any]) -> "BatchProfile":
    from tenure.adapters.arrow_tables import profile_file

    path = open_snapshot(
        platform, row["dataset"], row["digest"], purpose="diff", run=as_command("data diff")
    )
    return profile_file(row["batch"], path)


def _hidden(platform: Installation, dataset: str) -> frozenset[str]:
    """Columns whose values are not told; of a dataset without a config, what is personal today."""
    config, _ = load_dataset(platform.settings.include, dataset)
    return hidden_columns(config.contract, config.sensitivity)


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("dataset", "batch", "digest", "created_at")}


def _column(
    name: str, before: "BatchProfile", after: "BatchProfile", *, hidden: bool
) -> dict[str, Any]:
    a, b = before.column(name), after.column(name)
    return {
        "name": name,
        "change": _change(a, b),
        "a": _profile_facts(a, hidden=hidden),
        "b": _profile_facts(b, hidden=hidden),
    }


def _change(a: "ColumnProfile | None", b: "ColumnProfile | None") -> str | None:
    if a is None:
        return "added"
    if b is None:
        return "removed"
    return None if a.type == b.type else f"{a.type} became {b.type}"


def _profile_facts(profile: "ColumnProfile | None", *, hidden: bool) -> dict[str, Any] | None:
    if profile is None:
        return None
    found = asdict(profile) | {"null_share": profile.null_share}
    return {k: v for k, v in found.items() if not (hidden and k in _OF_VALUES)}


def table(found: Mapping[str, Any]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Header and rows of the comparison, for people: `a → b` where they differ."""
    rows = [
        [
            column["name"],
            column["change"] or "",
            *(_both(column["a"], column["b"], measure) for measure in _MEASURES),
        ]
        for column in found["columns"]
    ]
    return ("column", "schema", *_MEASURES), rows


def _both(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None, measure: str) -> str:
    texts = [_plain(side.get(measure)) if side else "-" for side in (a, b)]
    return texts[0] if texts[0] == texts[1] else " → ".join(texts)


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.5g}"
    return f"{value:,}" if isinstance(value, int) else str(value)[:19]
