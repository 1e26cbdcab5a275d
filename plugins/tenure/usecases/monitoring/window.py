"""What is watched: a model's champion, its config and the files of its decisions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.config import ModelConfig, load_model
from tenure.installation import Installation
from tenure.layout import DECISIONS, keys_from_day, log_prefix, selection_key
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.monitoring import LABELLED, UNLABELLED, Kind
from tenure.ports import DecisionFilter, JudgedRows
from tenure.usecases.decisions.segments import live_keys
from tenure.vocabulary import State

if TYPE_CHECKING:
    from tenure.adapters.sql.monitoring import JudgedBefore

_CLOCKS_DIFFER = timedelta(days=1)
"""Gateways' clocks may run behind the database's; their folders are named by day."""


@dataclass(frozen=True)
class WatchedModel:
    """The champion, its config and where its decisions lie."""

    config: ModelConfig
    config_digest: str
    row: VersionRow
    segments: Mapping[Path, str]
    """Files of its decisions, each with the segment that it was shipped as."""
    watermark: datetime | None

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
        """Features of this version, whatever the YAML says by now."""
        return self.row.facts.features.categorical

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
    from tenure.adapters.sql import monitoring, versions

    config, digest = load_model(platform.settings.include, model_name)
    with platform.database.begin() as connection:
        champions = versions.in_state(connection, model_name, (State.CHAMPION,))
        if not champions:
            return "no champion serves yet"
        row = versions.row_by_id(connection, champions[0].id)
        since = monitoring.serving_since(connection, champions[0].id)
        watermark = monitoring.watermark(connection, model_name)
    first = since - _CLOCKS_DIFFER if since else None  # no file of a day before it may have any
    keys = keys_from_day(live_keys(platform.store, log_prefix(DECISIONS, model_name)), first)
    if not keys:
        return "no decision was logged yet"
    segments = {platform.store.fetch(key): _segment(key) for key in keys}
    return WatchedModel(config, digest, row, segments, watermark)


def _segment(key: str) -> str:
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
