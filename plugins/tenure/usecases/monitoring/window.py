"""What is watched: a model's champion, its config and the files of its decisions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tenure.config import ModelConfig, load_model
from tenure.installation import Installation
from tenure.layout import DECISIONS, keys_from_day, log_prefix
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.monitoring import LABELLED, UNLABELLED, Kind
from tenure.ports import DecisionFilter
from tenure.usecases.decisions.segments import live_keys
from tenure.vocabulary import State

_CLOCKS_DIFFER = timedelta(days=1)
"""Gateways' clocks may run behind the database's; their folders are named by day."""


@dataclass(frozen=True)
class WatchedModel:
    """The champion, its config and where its decisions lie."""

    config: ModelConfig
    config_digest: str
    row: VersionRow
    paths: tuple[Path, ...]
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

    def decisions(self, after: datetime | None, until: datetime | None) -> DecisionFilter:
        """Its decisions with after < event_time <= until."""
        return DecisionFilter(self.paths, self.row.id, after, until)


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
    paths = tuple(platform.store.fetch(key) for key in keys)
    return WatchedModel(config, digest, row, paths, watermark)


def bounds(watched: WatchedModel, now: datetime) -> list[tuple[tuple[Kind, ...], datetime | None]]:
    """Each pair of kinds with the newest event_time that it may judge; None: nothing yet.

    An event_time that lies in the future is a client's mistake and must not end a window.
    """
    from tenure.lifecycle.monitoring.window import mature_until

    horizon = watched.config.label.horizon_hours
    return [(UNLABELLED, now), (LABELLED, mature_until(watched.watermark, horizon))]
