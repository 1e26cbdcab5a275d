"""What is judged again while a version serves: each end and each doubt is told once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tenure import installation
from tenure.adapters.sql.incidents import unclosed
from tenure.layout import artifact_key
from tenure.usecases.incidents.alerts import promise
from tenure.usecases.promotion import approval, canary, conditions, traffic
from tenure.usecases.promotion.authorization import renew
from tenure.usecases.promotion.conditions import AuthorizationCounts, watch

pytestmark = pytest.mark.service
MODEL = "flight_late"


class Later:
    """Moves the clock of this process."""

    def __init__(self) -> None:
        self.by = timedelta(0)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    made = Later()
    moved = lambda _clock: datetime.now(tz=UTC) + made.by  # noqa: E731
    monkeypatch.setattr(installation.SystemClock, "now", moved)
    return made


def open_kinds(life: Any) -> dict[str, str]:
    with life.platform.database.begin() as c:
        return {one.kind: one.summary for one in unclosed(c) if one.state == "open"}


def look(life: Any) -> tuple[AuthorizationCounts, list[str]]:
    """What one look finds, and of what people are told by it: what opens, or needs them again."""
    found = watch(life.platform)
    promise(life.platform)
    with life.platform.database.begin() as c:
        query = text(
            "DELETE FROM outbox WHERE topic = 'alert' RETURNING body"  # so that each is seen once
        )
        told = [row.body for row in c.execute(query)]
    assert {one["owner"] for one in told} <= {"ada"}
    news = [one for one in told if one["event"] not in {"restored", "closed"}]
    return found, [f"{one['kind']} {one['subject']}" for one in news]


def lasting(life: Any, days: int) -> None:
    path = life.platform.settings.include / "configs" / "models" / f"{MODEL}.yaml"
    path.write_text(path.read_text().replace("valid_days: 30", f"valid_days: {days}"))


def test_the_owner_hears_of_the_end_30_7_and_1_days_before_and_at_it(
    world: Callable[..., Any], later: Later
) -> None:
    life = world()
    lasting(life, 90)
    life.champion()
    told: dict[int, list[str]] = {}
    # An hour before each full day; after the end an hour later.
    for day in (0, 59, 61, 62, 84, 84, 90, 91, 430):
        later.by = timedelta(days=day, hours=1 if day > 90 else -1)
        told[day] = told.get(day, []) + look(life)[1]
    ends, ended = "authorization_ends flight_late@1", "authorization_ended flight_late@1"
    assert told == {
        **{day: [] for day in (0, 59, 62, 430)},
        **{day: [ends] for day in (61, 84, 90)},
        91: [ended],
    }
    said = open_kinds(life)
    assert set(said) == {"authorization_ended"}
    assert "authorization ended: " in said["authorization_ended"]
    assert "the declared rule answers in its place." in said["authorization_ended"]
    with life.platform.database.begin() as c:
        (ended_now,) = unclosed(c)
    assert "`tenure authorization renew flight_late --version 1`" in ended_now.next_step
    renew(life.platform, MODEL, user="grace")
    assert look(life) == (AuthorizationCounts(1, 0, 0, 0), [])
    assert open_kinds(life) == {}


def test_an_approval_of_30_days_has_no_notice_at_30(
    world: Callable[..., Any], later: Later
) -> None:
    life = world()
    life.champion()
    assert look(life) == (AuthorizationCounts(1, 0, 0, 0), [])
    later.by = timedelta(days=23, hours=1)
    assert look(life)[1] == ["authorization_ends flight_late@1"]
    said = open_kinds(life)["authorization_ends"]
    assert said.startswith("flight_late@1 is authorized until ")
    assert "from then on the declared rule answers." in said


def test_of_a_canary_the_champion_takes_the_place(world: Callable[..., Any], later: Later) -> None:
    life = world()
    life.champion()
    canary.enter(life.platform, life.approved(), life.run())
    later.by = timedelta(days=31)
    found, told = look(life)
    assert found == AuthorizationCounts(live=2, ending=0, ended=2, in_doubt=0)
    assert sorted(told) == [f"authorization_ended flight_late@{n}" for n in (1, 2)]
    with life.platform.database.begin() as c:
        said = {one.subject: one.summary for one in unclosed(c)}
    assert "the champion answers in its place." in said["flight_late@2"]


def gone(life: Any) -> None:
    with life.platform.database.begin() as c:
        query = "SELECT artifact_digest FROM model_version"
        digest = c.execute(text(query)).scalar_one()
    life.platform.store.delete(artifact_key(digest))


def without_role(life: Any) -> None:
    path = life.platform.settings.include / "configs" / "platform.yaml"
    path.write_text(path.read_text().replace("approver: [grace, heidi, ada]", "approver: [heidi]"))
    life.platform.__dict__.pop("config", None)


def raised(life: Any) -> None:
    with life.platform.database.begin() as c:
        c.execute(text("UPDATE model SET risk_tier = 'high'"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(without_role, "grace, who approved it, is no approver any more", id="role"),
        pytest.param(gone, "Its artifact is not in the store", id="artifact"),
        pytest.param(raised, "Its risk tier asks for 2 approvers; 1 did.", id="tier"),
    ],
)
def test_what_held_once_is_judged_again(
    world: Callable[..., Any], change: Callable[[Any], None], said: str
) -> None:
    """An incident and one notice; the version serves on, since nobody took its authorization."""
    life = world()
    life.champion()
    plan = life.plan()
    assert look(life) == (AuthorizationCounts(1, 0, 0, 0), [])
    change(life)
    assert look(life) == (
        AuthorizationCounts(1, 0, 0, 1),
        ["authorization_in_doubt flight_late@1"],
    )
    assert look(life)[1] == []
    assert said in open_kinds(life)["authorization_in_doubt"]
    assert life.plan() == plan


def test_other_libraries_are_a_doubt_until_somebody_approves_the_version_with_them(
    world: Callable[..., Any], later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = world()
    life.champion()
    assert look(life)[0].in_doubt == 0
    for module in (conditions, approval):
        monkeypatch.setattr(module, "lock_digest", lambda: "f" * 64)
    assert look(life)[1] == ["authorization_in_doubt flight_late@1"]
    assert (
        "with other libraries than are installed here"
        in (open_kinds(life)["authorization_in_doubt"])
    )
    later.by = timedelta(days=2)
    renew(life.platform, MODEL, user="grace")
    assert look(life)[0].in_doubt == 0
    assert open_kinds(life) == {}


def test_a_version_that_serves_no_more_is_in_no_incident(
    world: Callable[..., Any], later: Later
) -> None:
    life = world()
    first = life.champion()
    later.by = timedelta(days=31)
    look(life)
    assert set(open_kinds(life)) == {"authorization_ended"}
    later.by = timedelta(0)
    life.promoted()
    assert life.now(first).state == "superseded"
    assert open_kinds(life) == {}


def test_one_that_cannot_be_judged_keeps_no_other_from_being_judged(
    world: Callable[..., Any], later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = world()
    champion = life.champion()
    canary.enter(life.platform, life.approved(), life.run())
    real = conditions.read

    def broken(connection: Any, version: Any) -> Any:
        if version.id == champion.id:
            raise traffic.StateConflict("It states no threshold.", still_safe="x", next_step="y")
        return real(connection, version)

    monkeypatch.setattr(conditions, "read", broken)
    later.by = timedelta(days=31)
    found, _ = look(life)
    assert (found.live, found.in_doubt, found.ended) == (2, 1, 1)
