"""A real gateway loads the successor of a champion on trial, and serves by it at once."""

from collections.abc import Callable
from typing import Any

import pytest
from asking import Asking, settle
from sqlalchemy import select

from tenure.adapters.sql import versions
from tenure.adapters.sql.tables import gateway_ack, incident
from tenure.installation import Installation
from tenure.layout import artifact_key
from tenure.usecases.promotion import trial_loads
from tenure.usecases.promotion.rollback import intend, roll_back
from tenure.vocabulary import State, VersionRef

MODEL = "flight_late"
pytestmark = [pytest.mark.service, pytest.mark.fault, pytest.mark.quick]


def replaced(life: Any, old: VersionRef, seed: int) -> VersionRef:
    """A champion after this one."""
    new = life.approved(seed)
    canary = {"share_bp": 500, "lease_seconds": 60}
    life.publish(old, new, **canary, moves=[(new, State.CANARY)])
    life.publish(new, moves=[(old, State.SUPERSEDED), (new, State.CHAMPION)])
    return new


@pytest.mark.exhaustive  # on fakes and in the database it is tried daily
def test_rollback_by_way_of_a_gateway(  # noqa: PLR0917  (fixtures)
    platform: Installation,
    life: Any,
    process: Any,
    keys: dict[str, str],
    eventually: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trial_loads, "TRIAL_PATIENCE_SECONDS", 30)  # a slow machine is no failure
    newest = life.champion(1)
    for seed in (2, 3, 4):
        newest = replaced(life, newest, seed)
    process.start()
    asking = Asking(process.url, life, keys)

    def champion() -> int:
        """By the plan; it answers."""
        version, _ = asking.serving()
        assert asking.once(process.url, len(asking.answered)) == "champion"
        return version

    def warm(version: int) -> int:
        return process.log.read_text().count(f"load=ok version={MODEL}@{version} ")

    def acknowledged() -> list[int]:
        with platform.database.begin() as c:
            return list(c.execute(select(gateway_ack.c.generation)).scalars())

    eventually(acknowledged)
    first = intend(platform, MODEL)
    assert (first.successor.version, first.loaded[:11], warm(3)) == (3, "by gateway ", 1)
    process.kill()
    plan = roll_back(platform, first, reason="harm", actor="olga")
    process.start()
    eventually(lambda: acknowledged() == [plan.generation])
    assert (champion(), warm(3)) == (3, 2)

    with platform.database.begin() as c:
        lost = versions.get(c, MODEL, 2)
    place = artifact_key(str(lost.artifact_digest))
    data = platform.store.get(place)
    platform.store.delete(place)
    second = intend(platform, MODEL)
    assert (second.successor.version, second.loaded) == (1, first.loaded)
    ((name, why),) = second.refused
    assert (name, why[-17:]) == (f"{MODEL}@2", "not in the store.")
    plan = roll_back(platform, second, reason="harm", actor="olga")
    eventually(lambda: acknowledged() == [plan.generation])
    assert (champion(), warm(1)) == (1, 1)

    def told() -> list[tuple[str, str, str]]:
        chosen = select(incident.c.kind, incident.c.subject, incident.c.state)
        with platform.database.begin() as c:
            return [tuple(row) for row in c.execute(chosen)]

    assert told() == [("artifact_refused", f"{MODEL}@2", "open")]
    # The file is back: the next trial closes it, although version 2 serves nobody.
    platform.store.put(place, data)
    with platform.database.begin() as c:
        row = versions.row_by_id(c, lost.id)
    with trial_loads.Trials(platform, MODEL, actor="olga") as asked:
        assert asked.load(row).where == first.loaded
    assert told() == [("artifact_refused", f"{MODEL}@2", "closed")]
    assert process.stop() == 0
    settle(platform, asking, unanswered=0)
