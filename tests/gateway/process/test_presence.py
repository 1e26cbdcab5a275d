"""A real gateway is alive while it runs, silent after kill -9, and at once when it ends."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from tenure.installation import Installation
from tenure.lifecycle.serving.presence import Presence
from tenure.usecases.audit.ledger import verify_ledger
from tenure.views.fleets import fleets

MODEL = "flight_late"
pytestmark = pytest.mark.service


@pytest.mark.exhaustive  # on fakes and in the database it is tried daily
def test_alive_silent_and_back(
    platform: Installation, life: Any, process: Any, eventually: Callable[..., Any]
) -> None:
    def only() -> Presence | None:
        (fleet,) = fleets(platform)
        assert len(fleet.gateways) <= 1
        return next(iter(fleet.gateways), None)

    def standing() -> str:
        one = only()
        return str(one.standing) if one else "unknown"

    def an_hour_later() -> None:
        with platform.database.begin() as c:
            c.execute(text("UPDATE gateway_ack SET alive_at = alive_at - interval '1 h'"))

    life.champion(1)
    assert standing() == "unknown"
    process.start()
    eventually(lambda: standing() == "current")
    taken = only()
    assert taken is not None
    process.kill()
    an_hour_later()
    assert standing() == "silent"
    process.start()
    eventually(lambda: standing() == "current")
    again = only()
    assert again is not None
    assert again.taken_at == taken.taken_at  # the same generation: taken up once
    assert process.stop() == 0
    assert standing() == "silent"
    assert verify_ledger(platform, invariants=True).ok
