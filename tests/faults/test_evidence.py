"""Decisions that come late, and decisions that somebody takes away."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asking import MODEL, Asking, settle, soon
from served import Life, Process

from tenure.adapters.sql.monitoring import JudgedBefore
from tenure.installation import Installation
from tenure.layout import DECISIONS, log_prefix
from tenure.usecases.decisions.segments import live_keys
from tenure.usecases.monitoring import monitor, results, window
from tenure.usecases.operations.ledger import verify_ledger
from tenure.usecases.serving.subject_keys import scanner

pytestmark = [pytest.mark.service, pytest.mark.fault]
ENDED = {0, -15}


class Later:
    """A quarter of an hour on: nothing is on its way to the store any more."""

    def now(self) -> datetime:
        return datetime.now(tz=UTC) + timedelta(minutes=15)


@pytest.mark.parametrize("how", ["deleted", "cut", "edited"])
def test_a_file_of_the_log_is_changed(
    platform: Installation, life: Life, process: Process, asking: Asking, how: str
) -> None:
    """Who owns the store takes decisions away: the check names the file; put back, all closes."""
    life.champion(1)
    process.start()
    with asking:
        asking.wait(40)
    assert process.stop() in ENDED
    store, later = platform.store, Installation(platform.settings)
    later.__dict__["clock"] = Later()
    key = next(iter(live_keys(store, log_prefix(DECISIONS, MODEL))))
    kept = store.get(key)
    store.delete(key)
    if how != "deleted":
        changed = kept[: len(kept) // 2] if how == "cut" else kept[:-1] + bytes([kept[-1] ^ 1])
        store.put(key, changed)
    found = verify_ledger(later, invariants=True)
    assert not found.ok
    (breach,) = next(one for one in found.invariants if one.id == "I18").breaches
    assert key in str(breach)
    later.database.dispose()
    store.delete(key)
    store.put(key, kept)
    settle(platform, asking, unanswered=0)


def test_shipped_after_its_window_was_judged(  # noqa: PLR0917  (fixtures)
    platform: Installation,
    gateway: Callable[..., Process],
    wired: Callable[[Process], Process],
    wire: Any,
    asking: Asking,
    process: Process,
) -> None:
    """One of two gateways is cut off: what it ships later is judged once, and said to be late."""
    asking.life.champion(1)
    process.start()
    lagging = wired(gateway("gw-b"))
    lagging.start()
    for number in range(10):
        asking.once(process.url, number, id_="in-time")
    wire.cut()
    for number in range(100, 107):
        asking.once(lagging.url, number, id_="late")
    soon(lambda: due(platform, None).window.tally.logged == 10, 30)
    first = due(platform, None)
    assert first.window.tally.due.rows == 10
    results._keep_selection(platform, MODEL, first)
    before = JudgedBefore(first.window.until, 10, (first.selection,))
    wire.mode = "pass"
    soon(lambda: window_of(platform, before) is not None, 60)
    soon(lambda: due(platform, before).window.tally.logged == 17, 60)
    second = due(platform, before).window.tally
    assert (second.judged, second.due.rows, second.late.rows, second.waiting) == (10, 7, 7, 0)
    assert process.stop() in ENDED
    assert lagging.stop() in ENDED
    settle(platform, asking, unanswered=0)


def window_of(platform: Installation, before: JudgedBefore | None) -> Any:
    watched = window.find(platform, MODEL)
    if isinstance(watched, str):
        return None
    engine = scanner(platform, watched.paths)
    now = datetime.now(tz=UTC)
    return monitor._look_at(platform, engine, watched, now, before, minimum=1)[0]


def due(platform: Installation, before: JudgedBefore | None) -> Any:
    """The window that is due now."""
    found: list[Any] = []
    soon(lambda: found.append(window_of(platform, before)) or found[-1] is not None, 30)
    return found[-1]
