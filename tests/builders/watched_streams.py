"""Streams of a champion as monitoring leaves them: promised, changed, refused and too young."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from tenure.adapters.sql import streams
from tenure.lifecycle.monitoring.streams import DayCount, StreamRule, replay

if TYPE_CHECKING:
    from datetime import datetime

    from tenure.installation import Installation

ROWS, UNIT = 1_000, 10**6


class WatchedStreams:
    """What the detector itself makes of simulated days."""

    def __init__(self, platform: Installation, now: datetime) -> None:
        self.platform = platform
        self.now = now

    def fill(self, version_id: int) -> None:
        """Five streams of 150 days, up to yesterday."""
        rng = np.random.default_rng(6)
        calm = {name: rng.normal(1, 0.1, 150) for name in ("feature hour", "score", "feature wind")}
        changed = rng.normal(1, 0.1, 150)
        changed[140:] += 2
        walk = 1 + np.cumsum(rng.normal(0, 0.1, 150)) + 0.02 * np.arange(150)
        days: dict[str, Any] = calm | {
            "feature temp": changed,
            "feature dewp": walk,
            "performance": rng.normal(1, 0.1, 24),
        }
        found = {name: self._replayed(values) for name, values in days.items()}
        rows = [
            streams.StoredWindow(
                name,
                date.fromordinal(w.start),
                *(w.days, w.rows, w.effect, w.u, w.quarters, str(w.state)),
                *(w.log_m, w.log_c, w.is_over),
            )
            for name, state in found.items()
            for w in state.windows
        ]
        promised = [
            streams.StoredStream(
                name,
                state.gate.days,
                date.fromordinal(state.since) if state.since else None,
                *(state.gate.by_weekend, state.gate.is_tested, state.gate.why),
            )
            for name, state in found.items()
        ]
        with self.platform.database.begin() as connection:
            streams.replace_all(connection, version_id, promised, rows, at=self.now)

    def _replayed(self, values: Any) -> Any:
        first = (self.now - timedelta(days=len(values))).toordinal()
        counted = {
            first + i: DayCount(ROWS, (ROWS, int(value * ROWS * UNIT)))
            for i, value in enumerate(values)
        }
        few = first + len(values) - 20
        counted[few] = DayCount(10, (10, 0))
        rule = StreamRule(
            lambda c: float(c[1] / c[0] / UNIT),
            500,
            lambda start, days: (start * 7919 + days) % 1009 / 1009 + 1e-6,
        )
        return replay(counted, rule, until=max(counted), quarters=lambda _: 4.0)
