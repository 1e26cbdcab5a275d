"""A clock for what happens only after hours or days."""

from datetime import UTC, datetime

import pytest
from pager import Clock

from tenure import installation


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    now = lambda _: datetime.now(tz=UTC) + made.by  # noqa: E731
    monkeypatch.setattr(installation.SystemClock, "now", now)
    return made
