"""Decisions that come late, and decisions that somebody takes away."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asking import MODEL, Asking, logged_rows, settle, soon
from served import Life, Process

from tenure.adapters.sql.monitoring import JudgedBefore
from tenure.installation import Installation
from tenure.layout import DECISIONS, log_prefix
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.decisions.segments import live_keys
from tenure.usecases.monitoring import monitor, results, window
from tenure.usecases.serving.subject_keys import scanner
from tenure.vocabulary import RunRef

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


def test_shipped_by_a_champion_that_was_replaced_meanwhile(  # noqa: PLR0917  (fixtures)
    platform: Installation,
    gateway: Callable[..., Process],
    wired: Callable[[Process], Process],
    wire: Any,
    asking: Asking,
    process: Process,
) -> None:
    """A cut-off gateway goes on with the old champion: its decisions count as that one's."""
    first = asking.life.champion(1)
    process.start()
    lagging = wired(gateway("gw-b"))
    lagging.start()
    for number in range(10):
        asking.once(process.url, number, id_="in-time")
    wire.cut()
    for number in range(100, 107):
        asking.once(lagging.url, number, id_="late")
    second = asking.life.successor(first, 2)
    soon(lambda: asking.serving()[0] == second.version)
    for number in range(10, 15):
        asking.once(process.url, number, id_="new")
    for number in range(107, 110):
        asking.once(lagging.url, number, id_="later")
    assert process.stop() in ENDED
    soon(lambda: versions(platform) == {first.id: 10, second.id: 5})
    run = RunRef(f"{MODEL}__monitor_model", "run-1", "monitor")
    counted = monitor.monitor(platform, MODEL, run).former
    assert [(row.kind, row.decisions) for row in counted] == [("drift", 10), ("quality", 10)]
    wire.mode = "pass"
    soon(lambda: versions(platform) == {first.id: 20, second.id: 5}, 60)
    counted = monitor.monitor(platform, MODEL, replace(run, run_id="run-2")).former
    assert [(row.kind, row.decisions) for row in counted] == [("drift", 20), ("quality", 20)]
    assert {row.model_version_id for row in counted} == {first.id}
    assert monitor.monitor(platform, MODEL, replace(run, run_id="run-3")).former == []
    assert lagging.stop() in ENDED
    settle(platform, asking, unanswered=0)


def versions(platform: Installation) -> dict[int, int]:
    """How many decisions of each version are in the store."""
    return dict(Counter(row["version_id"] for row in logged_rows(platform)))


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
