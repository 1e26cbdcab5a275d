"""Until when a version may serve, in every plan that names it, and how that is renewed."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from tenure import installation
from tenure.adapters.sql import approvals, versions
from tenure.cli import app, authorization
from tenure.errors import NotPermitted, StateConflict
from tenure.usecases.promotion import canary, traffic
from tenure.usecases.promotion.approval import load_model
from tenure.usecases.promotion.authorization import authorizations, renew
from tenure.usecases.promotion.rollback import intend, roll_back
from tenure.vocabulary import State

pytestmark = pytest.mark.service
MODEL = "flight_late"
VALID = timedelta(days=30)


class Later:
    """Moves the clock of this process; the database's stays."""

    def __init__(self) -> None:
        self.by = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(tz=UTC) + self.by


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    made = Later()
    monkeypatch.setattr(installation.SystemClock, "now", lambda _clock: made.now())
    return made


def ends(life: Any, version: Any) -> list[datetime]:
    """Of every approval of a version, the oldest first."""
    with life.platform.database.begin() as c:
        return [one.expires_at for one in approvals.answers_of(c, version.id)]


def about(moment: datetime, expected: datetime) -> bool:
    return abs(moment - expected) < timedelta(minutes=5)


def on_probation(life: Any) -> tuple[Any, Any, Any]:
    champion, challenger = life.champion(), life.approved()
    policy = load_model(life.platform.settings.include, MODEL)[0].canary
    return (
        champion,
        challenger,
        traffic.start_canary(life.platform, challenger.id, policy, actor="t"),
    )


def test_every_plan_says_until_when_its_arms_may_serve(world: Callable[..., Any]) -> None:
    """First champion, canary, promotion, rollback."""
    life = world()
    champion, challenger, start = on_probation(life)
    first, second = ends(life, champion)[0], ends(life, challenger)[0]
    assert (start.champion_until, start.canary_until) == (first, second)
    with traffic.turn(life.platform, challenger.id, actor="t") as mine:
        promoted = traffic.promote(mine, start, evidence="e" * 64)
    assert (promoted.champion_until, promoted.canary_until) == (second, None)
    back = roll_back(life.platform, intend(life.platform, MODEL), reason="harm", actor="olga")
    assert (back.champion_id, back.champion_until) == (champion.id, first)
    with life.platform.database.begin() as c:
        query = "SELECT champion_until FROM traffic_plan ORDER BY generation"
        assert list(c.execute(text(query)).scalars()) == [first, first, second, first]


def test_the_same_approver_renews_after_the_end(world: Callable[..., Any], later: Later) -> None:
    life = world()
    version = life.champion()
    before, (end,) = life.plan(), ends(life, version)
    later.by = timedelta(days=430)
    (found,) = authorizations(life.platform, MODEL)
    assert not found.holds(life.platform.clock.now())
    done = renew(life.platform, MODEL, user="grace", note="nothing has changed")
    plan = life.plan()
    assert (done.is_new, done.missing, done.generation) == (True, 0, before.generation + 1)
    assert ends(life, version) == [end, plan.champion_until]
    assert about(plan.champion_until, life.platform.clock.now() + VALID)
    assert (plan.champion_id, plan.fence, plan.salt) == (version.id, before.fence, before.salt)
    assert plan.reason == "grace renews the authorization of flight_late@1"
    assert life.now(version).generation == version.generation
    with life.platform.database.begin() as c:
        query = "SELECT actor, body FROM ledger_event WHERE subject = :s ORDER BY seq"
        events = c.execute(text(query), {"s": f"approval:{version.id}"}).all()
    assert [event.actor for event in events] == ["grace", "grace"]
    assert datetime.fromisoformat(events[1].body["expires_at"]) == plan.champion_until


def test_a_renewal_that_is_sent_again_changes_nothing(
    world: Callable[..., Any], later: Later
) -> None:
    life = world()
    version = life.champion()
    later.by = timedelta(days=20)
    assert renew(life.platform, MODEL, user="grace").is_new
    counted = life.count("ledger_event"), life.count("approval"), life.count("traffic_plan")
    again = renew(life.platform, MODEL, user="GRACE")
    assert (again.is_new, again.generation) == (False, None)
    assert counted == (
        life.count("ledger_event"),
        life.count("approval"),
        life.count("traffic_plan"),
    )
    assert len(ends(life, version)) == 2


def test_high_risk_is_renewed_by_two(world: Callable[..., Any], later: Later) -> None:
    life = world(high_risk=True)
    version = life.validated()
    for user in ("grace", "heidi"):
        life.answer(version, user)
    traffic.promote_first(life.platform, version.id, actor="t")
    until = life.plan().champion_until
    later.by = timedelta(days=29)
    first = renew(life.platform, MODEL, user="heidi")
    assert (first.missing, first.is_new) == (1, True)
    assert life.plan().champion_until <= until + timedelta(minutes=5)
    second = renew(life.platform, MODEL, user="grace")
    assert second.missing == 0
    assert about(life.plan().champion_until, life.platform.clock.now() + VALID)


@pytest.mark.parametrize(
    ("user", "number", "error", "why"),
    [
        pytest.param("mallory", None, NotPermitted, "not an approver", id="no approver"),
        pytest.param("ada", None, NotPermitted, "ada trained", id="the trainer"),
        pytest.param("grace", 9, StateConflict, "flight_late@9 does not exist", id="no version"),
        pytest.param("grace", 2, StateConflict, "flight_late@2 is validated", id="never approved"),
    ],
)
def test_who_may_not_renew_what(
    world: Callable[..., Any], user: str, number: int | None, error: type[Exception], why: str
) -> None:
    life = world()
    life.champion()
    life.validated()
    counted = life.count("approval"), life.count("traffic_plan")
    with pytest.raises(error, match=why):
        renew(life.platform, MODEL, number, user=user)
    assert counted == (life.count("approval"), life.count("traffic_plan"))


def test_a_renewal_does_not_disturb_the_canary(world: Callable[..., Any], later: Later) -> None:
    """The lease is not prolonged, the controller goes on, share and salt stay."""
    life = world()
    life.champion()
    entered = canary.enter(life.platform, life.approved(), life.run())
    start, probation = life.plan(), entered.probation
    assert probation is not None
    later.by = timedelta(days=10)
    assert renew(life.platform, MODEL, user="grace").generation == start.generation + 1
    later.by = timedelta(0)
    after = life.plan()
    same = ("canary_id", "share_bp", "salt", "fence", "lease_until", "canary_until")
    assert [getattr(after, n) for n in same] == [getattr(start, n) for n in same]
    assert probation.analyse().action == "wait"
    assert life.plan().generation == after.generation + 1
    assert life.plan().champion_until == after.champion_until


def test_a_canary_whose_authorization_ended_is_neither_judged_nor_promoted(
    world: Callable[..., Any], later: Later
) -> None:
    life = world()
    life.champion()
    entered = canary.enter(life.platform, life.approved(), life.run())
    start, probation = life.plan(), entered.probation
    assert probation is not None
    later.by = timedelta(days=31)
    with pytest.raises(NotPermitted, match="flight_late@2 gets no more traffic: authorization end"):
        probation.analyse()
    with (
        pytest.raises(NotPermitted, match="authorization ended"),
        traffic.turn(life.platform, probation.version.id, actor="t") as mine,
    ):
        traffic.promote(mine, start, evidence="e" * 64)
    assert life.plan() == start
    renew(life.platform, MODEL, 2, user="grace")
    assert life.plan().canary_until > life.platform.clock.now()


def test_an_approved_version_may_be_asked_about_again(
    world: Callable[..., Any], later: Later
) -> None:
    """`review` of the promote DAG shows it to the same approver after the end."""
    life = world()
    version = life.approved()
    later.by = timedelta(days=31)
    with pytest.raises(NotPermitted, match="flight_late@1 gets no more traffic"):
        traffic.promote_first(life.platform, version.id, actor="t")
    assert life.answer(version, "grace") is State.APPROVED
    traffic.promote_first(life.platform, version.id, actor="t")
    assert life.plan().champion_until > life.platform.clock.now()


def test_a_rollback_says_that_its_successor_has_no_authorization(
    world: Callable[..., Any], later: Later
) -> None:
    life = world()
    first = life.champion()
    life.promoted()
    later.by = timedelta(days=31)
    intent = intend(life.platform, MODEL)
    (end,) = ends(life, first)
    assert f"But authorization ended: {end:%Y-%m-%d %H:%M:%S} UTC: gateways answer by the " in (
        intent.describe()
    )
    plan = roll_back(life.platform, intent, reason="harm", actor="olga")
    assert (plan.champion_id, plan.champion_until) == (first.id, end)


def test_by_command_line(world: Callable[..., Any], later: Later, monkeypatch: Any) -> None:
    life = world()
    life.champion()
    settings = life.platform.settings
    for name, value in (
        ("DATABASE_URL", settings.database_url),
        ("STORE_URL", settings.store_url),
        ("HOME", str(settings.home)),
        ("INCLUDE", str(settings.include)),
    ):
        monkeypatch.setenv(f"TENURE_{name}", value)

    def call(*words: str) -> Any:
        return CliRunner().invoke(app, ["authorization", *words])

    shown = call("show", MODEL)
    assert shown.exit_code == 0, shown.output
    assert "flight_late@1 (champion): authorized until " in shown.stdout
    assert "  approved by grace until " in shown.stdout
    later.by = timedelta(days=400)
    ended = call("show", MODEL, "--json")
    assert ended.exit_code == 1
    assert json.loads(ended.stdout)[0]["holds"] is False
    assert "authorization ended: " in call("show", MODEL).stdout
    monkeypatch.setattr(authorization, "login_name", lambda: "heidi")
    done = call("renew", MODEL, "--yes")
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith("heidi renewed it. Gateways follow plan generation 2.\n")
    again = json.loads(call("renew", MODEL, "--json").stdout)
    assert (again["is_new"], again["holds"], again["missing"]) == (False, True, 0)


def test_an_excuse_that_has_ended_ends_the_authorization(
    world: Callable[..., Any], later: Later
) -> None:
    """What was let through by a dated excuse serves until that date, and no approval renews it."""
    life = world()
    version = life.excused(days=5)
    life.answer(version, "grace")
    traffic.promote_first(life.platform, version.id, actor="t")
    day = datetime.now(tz=UTC).date() + timedelta(days=6)
    assert life.plan().champion_until == datetime(day.year, day.month, day.day, tzinfo=UTC)
    (found,) = authorizations(life.platform, MODEL)
    assert list(found.excused) == ["bias"]
    later.by = timedelta(days=7)
    with pytest.raises(NotPermitted, match="did not pass its bias gate and was excused until"):
        renew(life.platform, MODEL, user="grace")
    with life.platform.database.begin() as c:
        assert versions.get_by_id(c, version.id).state is State.CHAMPION


@pytest.mark.parametrize(
    ("section", "stated", "excused", "says"),
    [
        (
            "training",
            "waiver: {by: ada, reason: The board has seen it., expires: LAST}",
            "interpretability",
            "did not pass its interpretability gate and was excus",
        ),
        (
            "bias",
            "mitigation: {method: group_thresholds, attributes: [carrier], constraint: "
            "false_positive_rate, decision: {why: tests, by: ada, until: LAST}}",
            "thresholds by group",
            "decides people by thresholds of their group, which somebody answered for until",
        ),
    ],
)
def test_what_somebody_answers_for_ends_the_authorization_with_its_day(
    world: Callable[..., Any], later: Later, *, section: str, stated: str, excused: str, says: str
) -> None:
    """A model that nobody can read, or that decides by group, serves while somebody answers."""
    life = world(high_risk=True)
    today = datetime.now(tz=UTC).date()
    stated = stated.replace("LAST", str(today + timedelta(days=5)))
    config = life.remembered(f"\n{section}:\n", f"\n{section}:\n  {stated}\n")
    version = life.validated(config=config)
    for user in ("grace", "heidi"):
        life.answer(version, user)
    traffic.promote_first(life.platform, version.id, actor="t")
    day = today + timedelta(days=6)
    assert life.plan().champion_until == datetime(day.year, day.month, day.day, tzinfo=UTC)
    (found,) = authorizations(life.platform, MODEL)
    assert list(found.excused) == [excused]
    later.by = timedelta(days=7)
    with pytest.raises(NotPermitted, match=says):
        renew(life.platform, MODEL, user="grace")
