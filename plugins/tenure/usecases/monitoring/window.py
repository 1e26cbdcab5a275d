"""What is watched: a version that serves or served, its config and the files of its decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.config import ModelConfig, load_model
from tenure.installation import Installation
from tenure.layout import DECISIONS, OUTCOMES, keys_from_day, log_prefix, selection_key
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.monitoring import LABELLED, UNLABELLED, Kind
from tenure.ports import DecisionFilter, JudgedRows
from tenure.usecases.decisions.segments import live_keys
from tenure.vocabulary import State

if TYPE_CHECKING:
    from tenure.adapters.sql.monitoring import JudgedBefore

CLOCKS_DIFFER = timedelta(days=1)
"""Gateways' clocks may run behind the database's; their folders are named by day."""
_ARCHIVED = frozenset({State.ARCHIVED, State.DELETED})


@dataclass(frozen=True)
class WatchedModel:
    """A version of the model, its config and where its decisions lie.

    Args:
        config: Of the model, as it is now.
        config_digest: Digest of it.
        row: The version.
        segments: Files of its decisions, each with the segment that it was shipped as.
        watermark: Up to when outcomes are complete.
        every: Decision files that an outcome may be about, of other versions as well.
        serves: Whether it is the champion, and not one that was replaced.
    """

    config: ModelConfig
    config_digest: str
    row: VersionRow
    segments: Mapping[Path, str]
    watermark: datetime | None
    every: Sequence[Path] = ()
    serves: bool = True

    @property
    def name(self) -> str:
        """`model@version`."""
        return self.row.name

    @property
    def numeric(self) -> tuple[str, ...]:
        """Features of this version, whatever the YAML says by now."""
        return self.row.facts.features.numeric

    @property
    def categorical(self) -> tuple[str, ...]:
        """Features of this version, whatever the YAML says by now; without dates."""
        return self.row.facts.features.sorting

    @property
    def dates(self) -> tuple[str, ...]:
        """Features of this version that are dates."""
        return self.row.facts.features.dates

    @property
    def paths(self) -> tuple[Path, ...]:
        """Files of its decisions."""
        return tuple(self.segments)

    def decisions(self, until: datetime | None, judged: JudgedRows | None = None) -> DecisionFilter:
        """Its decisions with event_time <= until that were not judged."""
        return DecisionFilter(
            self.paths, self.row.id, until=until, segments=self.segments, judged=judged
        )


def find(platform: Installation, model_name: str) -> WatchedModel | str:
    """The champion with its decisions, or why there is nothing to look at; imports little."""
    found = find_all(platform, model_name, former=False)
    return found if isinstance(found, str) else found[0]


def find_all(
    platform: Installation, model_name: str, *, former: bool = True
) -> list[WatchedModel] | str:
    """The champion, then what served before it, newest first; or why there is nothing to look at.

    Of a version that was replaced a gateway may ship decisions later, as many days as it was cut
    off. Files of before the oldest version that is not archived began to serve are not read.
    """
    from tenure.adapters.sql import monitoring, versions

    config, digest = load_model(platform.settings.include, model_name)
    with platform.database.begin() as connection:
        champions = versions.in_state(connection, model_name, (State.CHAMPION,))
        since: dict[int, datetime | None] = {
            one.id: monitoring.serving_since(connection, one.id) for one in champions
        }
        rows = [versions.row_by_id(connection, one.id) for one in champions]
        if former:
            replaced = monitoring.served_before(connection, model_name)
            since |= {one.row.id: one.since for one in replaced}
            rows += [one.row for one in replaced]
        watermark = monitoring.watermark(connection, model_name)
    if not rows:
        return "no champion serves yet"
    begins = [since[row.id] for row in rows if row.state not in _ARCHIVED]
    keys = _from(live_keys(platform.store, log_prefix(DECISIONS, model_name)), begins)
    if not keys:
        return "no decision was logged yet"
    files = {key: platform.store.fetch(key) for key in keys}
    found = [
        WatchedModel(
            config,
            digest,
            row,
            {files[key]: segment_of(key) for key in _from(keys, [since[row.id]])},
            watermark,
            every=tuple(files.values()),
            serves=row.state is State.CHAMPION,
        )
        for row in rows
    ]
    return [one for one in found if one.segments] or "no decision was logged yet"


def _from(keys: Sequence[str], begins: Sequence[datetime | None]) -> list[str]:
    """Keys that may hold decisions of versions that began to serve then; None: of any time."""
    known = [moment for moment in begins if moment is not None]
    first = min(known) - CLOCKS_DIFFER if known and len(known) == len(begins) else None
    return keys_from_day(keys, first)


def logged_by_version(every: Sequence[WatchedModel]) -> dict[int, int]:
    """How many decisions of each version the files hold, by its row id."""
    from tenure.adapters import evidence_scan

    found: dict[int, int] = {}
    for one in evidence_scan.answers(every[0].every):
        found[one.version_id] = found.get(one.version_id, 0) + one.decisions
    return found


def outcome_files(platform: Installation, model_name: str) -> list[Path]:
    """Every outcome file of the model."""
    keys = live_keys(platform.store, log_prefix(OUTCOMES, model_name))
    return [platform.store.fetch(key) for key in keys]


def segment_of(key: str) -> str:
    """A segment may have records of two hours: its name alone does not say which file is meant."""
    return "/".join(key.split("/")[2:]).removesuffix(".parquet")


def judged_rows(
    platform: Installation, model: str, before: "JudgedBefore | None"
) -> JudgedRows | None:
    """The decisions that earlier windows judged, for a scan to leave out."""
    if before is None:
        return None
    keys = [selection_key(model, selection) for selection in before.selections]
    return JudgedRows(before.until, tuple(platform.store.fetch(key) for key in keys))


def bounds(watched: WatchedModel, now: datetime) -> list[tuple[tuple[Kind, ...], datetime | None]]:
    """Each pair of kinds with the newest event_time that it may judge; None: nothing yet.

    An event_time that lies in the future is a client's mistake and must not end a window.
    """
    from tenure.lifecycle.monitoring.window import mature_until

    horizon = watched.config.label.horizon_hours
    return [(UNLABELLED, now), (LABELLED, mature_until(watched.watermark, horizon))]
