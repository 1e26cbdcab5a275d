"""What is different about a version since another: data, features, settings, code; pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tenure.config import ModelConfig
from tenure.lifecycle.model_version import VersionRow

if TYPE_CHECKING:
    from tenure.adapters.sql.version_page import TrainedOn

_ELSEWHERE = frozenset({"features"})
"""Keys of the config that the page shows elsewhere."""
_DIGESTS = {
    "code": "code_digest",
    "lock of packages": "lock_digest",
    "expectation suite": "suite_digest",
}


@dataclass(frozen=True)
class DataWindow:
    """What a version learned from: batches, their rows, first and last moment.

    The moments are None where no snapshot has any.
    """

    batches: tuple[str, ...]
    rows: int
    first: datetime | None
    last: datetime | None

    @classmethod
    def of(cls, snapshots: "Sequence[TrainedOn]") -> "DataWindow":
        """The sum of the snapshots."""
        firsts = [one.time_min for one in snapshots if one.time_min]
        lasts = [one.time_max for one in snapshots if one.time_max]
        return cls(
            tuple(one.batch for one in snapshots),
            sum(one.rows for one in snapshots),
            min(firsts, default=None),
            max(lasts, default=None),
        )


@dataclass(frozen=True)
class SettingChange:
    """One key of the model's config, as JSON says it; None where it was not there."""

    key: str
    before: str | None
    now: str | None


@dataclass(frozen=True)
class VersionChanges:
    """What is different about a version since an earlier one.

    Args:
        data: Of the version.
        data_before: Of the earlier one.
        features_added: Columns that only the version reads.
        features_removed: Columns that only the earlier one read.
        settings: Keys of the config; None when one of both configs cannot be read.
        digests: Name of what has other bytes now.
    """

    data: DataWindow
    data_before: DataWindow
    features_added: tuple[str, ...]
    features_removed: tuple[str, ...]
    settings: tuple[SettingChange, ...] | None
    digests: tuple[str, ...]

    @property
    def batches_added(self) -> tuple[str, ...]:
        """Batches that only the version learned from."""
        return _only(self.data.batches, self.data_before.batches)

    @property
    def batches_removed(self) -> tuple[str, ...]:
        """Batches that only the earlier one learned from."""
        return _only(self.data_before.batches, self.data.batches)


def changes(
    rows: tuple[VersionRow, VersionRow],
    snapshots: "tuple[Sequence[TrainedOn], Sequence[TrainedOn]]",
    configs: tuple[ModelConfig | None, ModelConfig | None],
) -> VersionChanges:
    """Compare the earlier version with the later one; each pair is (earlier, later).

    Raises:
        ArtifactRefused: The facts of one of both cannot be read.
    """
    before, now = ((*r.facts.features.numeric, *r.facts.features.categorical) for r in rows)
    was, by = configs
    return VersionChanges(
        data=DataWindow.of(snapshots[1]),
        data_before=DataWindow.of(snapshots[0]),
        features_added=_only(now, before),
        features_removed=_only(before, now),
        settings=None if was is None or by is None else tuple(_settings(was, by)),
        digests=tuple(
            name
            for name, column in _DIGESTS.items()
            if getattr(rows[0], column) != getattr(rows[1], column)
        ),
    )


def _only(names: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in others)


def _settings(before: ModelConfig, now: ModelConfig) -> Iterator[SettingChange]:
    was = dict(_flat(before.model_dump(mode="json", exclude=set(_ELSEWHERE))))
    by = dict(_flat(now.model_dump(mode="json", exclude=set(_ELSEWHERE))))
    for key in sorted(was.keys() | by.keys()):
        if was.get(key) != by.get(key):
            yield SettingChange(key, was.get(key), by.get(key))


def _flat(values: object, name: str = "") -> Iterator[tuple[str, str]]:
    """`evaluation.gates.0.minimum` and its value; what is empty says so."""
    inner: list[tuple[object, object]] = []
    if isinstance(values, Mapping):
        inner = list(values.items())
    elif isinstance(values, list):
        inner = list(enumerate(values))
    if not inner:
        yield name, "none" if values in (None, [], {}) else str(values)
    for key, value in inner:
        yield from _flat(value, f"{name}.{key}" if name else str(key))
