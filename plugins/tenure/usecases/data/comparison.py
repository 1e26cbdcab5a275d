"""Two snapshots side by side: schema, rows, and each column in numbers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tenure.config import load_dataset
from tenure.errors import ConfigInvalid
from tenure.installation import Installation
from tenure.installation.identity import as_command
from tenure.lifecycle.data.sensitivity import hidden_columns
from tenure.usecases.data.snapshots import open_snapshot

if TYPE_CHECKING:
    from tenure.adapters.sql.data import SnapshotRow
    from tenure.lifecycle.data.profiling import BatchProfile, ColumnProfile

_MEASURES = ("nulls", "distinct", "mean", "stdev", "low", "high")
_OF_VALUES = ("low", "high", "top", "quantiles", "mean", "stdev")
"""Measures that tell values; of hidden columns they are left out."""


@dataclass(frozen=True)
class ColumnComparison:
    """One column of two snapshots: measures by name, None where there is no such column.

    `change` is what became of the column itself, if anything.
    """

    name: str
    change: str | None
    a: Mapping[str, object] | None
    b: Mapping[str, object] | None


@dataclass(frozen=True)
class SnapshotComparison:
    """Two snapshots and what differs."""

    a: "SnapshotRow"
    b: "SnapshotRow"
    columns: tuple[ColumnComparison, ...]

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "a": _named(self.a),
            "b": _named(self.b),
            "rows": {"a": self.a.rows, "b": self.b.rows},
            "columns": [vars(column) for column in self.columns],
        }


def compare(platform: Installation, first: str, second: str) -> SnapshotComparison:
    """Two snapshots, each named by the beginning of its digest or as `dataset:batch`.

    Raises:
        ConfigInvalid: A name fits no snapshot, or several.
        ArtifactRefused: A snapshot is not the bytes that were published.
    """
    a, b = (named_snapshot(platform, name) for name in (first, second))
    before, after = (_profile(platform, row) for row in (a, b))
    hidden = _hidden(platform, a.dataset) | _hidden(platform, b.dataset)
    names = dict.fromkeys(c.name for profile in (before, after) for c in profile.columns)
    columns = [_column(name, before, after, hidden=name in hidden) for name in names]
    return SnapshotComparison(a, b, tuple(columns))


def named_snapshot(platform: Installation, name: str) -> "SnapshotRow":
    """The snapshot with this beginning of its digest, `dataset:batch`, or key of its landed file.

    Of what was repaired it is the one in force.

    Raises:
        ConfigInvalid: The name fits no snapshot, or several.
    """
    from tenure.adapters.sql import data

    dataset, colon, batch = name.partition(":")
    with platform.database.begin() as connection:
        datasets = [dataset] if colon else list(data.registered(connection))
        rows = [row for d in datasets for row in data.snapshots(connection, d)]
        of_file = data.published_from(connection, name) if "/" in name else None
    if of_file is not None:
        found = [row for row in rows if row.id == of_file]
    elif colon:
        found = [row for row in rows if row.batch == batch][-1:]
    else:
        known = {row.id: row for row in rows if row.digest.startswith(name)}
        found = list(known.values()) if len(name) >= _SHORTEST else []
    if len(found) == 1:
        return found[0]
    what = "fits no snapshot" if not found else f"fits {len(found)} snapshots"
    raise ConfigInvalid(
        f"{name!r} {what}.",
        still_safe="Nothing was changed.",
        next_step=f"Give at least {_SHORTEST} characters of a digest, DATASET:BATCH, or the key of "
        "a landed file that was published; `tenure data list` shows them.",
    )


_SHORTEST = 6


def _profile(platform: Installation, row: "SnapshotRow") -> "BatchProfile":
    from tenure.adapters.arrow_tables import profile_file

    path = open_snapshot(
        platform, row.dataset, row.digest, purpose="diff", run=as_command("data diff")
    )
    return profile_file(row.batch, path)


def _hidden(platform: Installation, dataset: str) -> frozenset[str]:
    """Columns whose values are not told; of a dataset without a config, what is personal today."""
    config, _ = load_dataset(platform.settings.include, dataset)
    return hidden_columns(config.contract, config.sensitivity)


def _named(row: "SnapshotRow") -> dict[str, object]:
    return {
        "dataset": row.dataset,
        "batch": row.batch,
        "digest": row.digest,
        "created_at": row.created_at,
    }


def _column(
    name: str, before: "BatchProfile", after: "BatchProfile", *, hidden: bool
) -> ColumnComparison:
    a, b = before.column(name), after.column(name)
    return ColumnComparison(
        name, _change(a, b), _profile_facts(a, hidden=hidden), _profile_facts(b, hidden=hidden)
    )


def _change(a: "ColumnProfile | None", b: "ColumnProfile | None") -> str | None:
    if a is None:
        return "added"
    if b is None:
        return "removed"
    return None if a.type == b.type else f"{a.type} became {b.type}"


def _profile_facts(profile: "ColumnProfile | None", *, hidden: bool) -> dict[str, object] | None:
    if profile is None:
        return None
    found = asdict(profile) | {"null_share": profile.null_share}
    return {k: v for k, v in found.items() if not (hidden and k in _OF_VALUES)}


def table(found: SnapshotComparison) -> tuple[tuple[str, ...], list[list[str]]]:
    """Header and rows of the comparison, for people: `a → b` where they differ."""
    rows = [
        [
            column.name,
            column.change or "",
            *(_both(column.a, column.b, measure) for measure in _MEASURES),
        ]
        for column in found.columns
    ]
    return ("column", "schema", *_MEASURES), rows


def _both(a: Mapping[str, object] | None, b: Mapping[str, object] | None, measure: str) -> str:
    texts = [_plain(side.get(measure)) if side else "-" for side in (a, b)]
    return texts[0] if texts[0] == texts[1] else " → ".join(texts)


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.5g}"
    return f"{value:,}" if isinstance(value, int) else str(value)[:19]
