"""Presence in the database: said by the gateway's role, aged by the database's clock."""

import gc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, text

from tenure.adapters.sql import presence, serving, versions
from tenure.adapters.sql.database import Database
from tenure.errors import ServiceUnreachable
from tenure.installation import Installation
from tenure.lifecycle.serving import TrafficPlan

SEEN = datetime(2026, 5, 1, tzinfo=UTC)


def take_up(connection: Connection, gateway: str, generation: int = 1, model: str = "m") -> None:
    plan = TrafficPlan(model, generation, 1, 1, None, 0, "s", None, None, SEEN, None)
    serving.acknowledge(connection, gateway=gateway, plan=plan, seen_at=SEEN)


def quiet(connection: Connection, gateway: str, age: str) -> None:
    """As if nothing was heard of the gateway for so long."""
    connection.execute(
        text(
            "UPDATE gateway_ack SET alive_at = now() - CAST(:age AS interval) WHERE gateway_id = :g"
        ),
        {"age": age, "g": gateway},
    )


def standings(connection: Connection, model: str | None = None) -> dict[str, dict[str, str]]:
    found = presence.fleets(connection, model)
    return {f.model: {one.gateway: str(one.standing) for one in f.gateways} for f in found}


@pytest.fixture
def published(platform: Installation) -> Installation:
    """Models m at generation 2 and n at 1; o has no plan."""
    with platform.database.begin() as c:
        for name in "mno":
            versions.register_model(c, name=name, owner="ada", risk_tier="limited", purpose="t")
            versions.create_draft(c, model_name=name, trained_by="ada", training_key=name)
        c.execute(text("SET LOCAL session_replication_role = replica"))
        for name, generation in (("m", 1), ("m", 2), ("n", 1)):
            row = (
                f"'{name}', {generation}, 1, (SELECT id FROM model_version WHERE model = '{name}')"
            )
            c.execute(
                text(
                    "INSERT INTO traffic_plan (model, generation, fence, champion_id, share_bp, "
                    f"salt, reason, actor, champion_until) VALUES ({row}, 0, 's', 'r', 'a', now())"
                )
            )
    return platform


@pytest.fixture
def gateway(platform: Installation) -> Iterator[Database]:
    """The same database as `tenure_gateway`."""
    made = Database(platform.settings.database_url.replace("postgres@", "tenure_gateway@"))
    yield made
    made.dispose()


def test_what_is_known_of_each(published: Installation, gateway: Database) -> None:
    with gateway.begin() as c:
        take_up(c, "gw-a", 2)
        take_up(c, "gw-b", 1)
        take_up(c, "gw-c", 2)
        take_up(c, "gw-a", 1, model="n")
        take_up(c, "gw-a", 1, model="o")
        quiet(c, "gw-c", "31 s")
    with published.database.begin() as c:
        m = {"gw-a": "current", "gw-b": "behind", "gw-c": "silent"}
        assert standings(c) == {"m": m, "n": {"gw-a": "current"}}
        assert standings(c, "m") == {"m": m}
        assert standings(c, "o") == {}
        assert presence.alive(c, "m") == {"gw-a", "gw-b"}
        assert presence.alive(c, "o") == frozenset()
        quiet(c, "gw-a", "31 s")
        (fleet,) = presence.fleets(c, "m")
        assert [one.gateway for one in fleet.gateways] == ["gw-b", "gw-a", "gw-c"]
        assert {one.taken_at for one in fleet.gateways} == {SEEN}


def test_it_is_renewed_and_ended_by_itself_alone(
    published: Installation, gateway: Database
) -> None:
    with gateway.begin() as c:
        for name in ("gw-a", "gw-b"):
            take_up(c, name, 2)
            take_up(c, name, 1, model="n")
            quiet(c, name, "1 h")
    with gateway.begin() as c:
        assert presence.renew(c, "gw-a") == {"m": 2, "n": 1}
        assert presence.renew(c, "gw-z") == {}
    with published.database.begin() as c:
        either = {"gw-a": "current", "gw-b": "silent"}
        assert standings(c) == {"m": either, "n": either}
    with gateway.begin() as c:
        presence.leave(c, "gw-a")
    with published.database.begin() as c:
        assert presence.alive(c, "m") == frozenset()
        rows = c.execute(text("SELECT DISTINCT seen_at FROM gateway_ack"))
        assert rows.scalars().all() == [SEEN]  # what I13 reads


@pytest.mark.parametrize(
    ("age", "gone"),
    [("6 days 23:59:00", 0), ("7 days 00:00:01", 1), ("90 days", 1), ("-1 day", 0)],
)
def test_what_is_forgotten(published: Installation, age: str, gone: int) -> None:
    with published.database.begin() as c:
        take_up(c, "gw-a")
        take_up(c, "gw-b")
        quiet(c, "gw-a", age)
    with published.database.begin() as c:
        assert presence.forget(c, silent_for=timedelta(days=7)) == gone
        assert len(standings(c)["m"]) == 2 - gone


def test_words_leave_nothing_for_the_collector(gateway: Database) -> None:
    """It looks so seldom at a gateway that cycles would pile up for a quarter of an hour."""

    def say() -> None:
        with gateway.begin() as c:
            presence.renew(c, "gw-a")
            presence.leave(c, "gw-a")

    say()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            say()
        assert gc.collect() < 10
    finally:
        gc.enable()


def test_on_an_older_schema(platform: Installation, gateway: Database) -> None:
    """Code that knows a column which the database lacks says so in a sentence."""
    with platform.database.begin() as c:
        c.execute(text("ALTER TABLE gateway_ack DROP COLUMN alive_at"))
    says: tuple[Callable[[Connection, str], object], ...] = (presence.renew, presence.leave)
    for say in says:
        with pytest.raises(ServiceUnreachable) as behind, gateway.begin() as c:
            say(c, "gw-a")
        assert behind.value.what == (
            'The lifecycle database is not up to date with this code: column "alive_at" of '
            'relation "gateway_ack" does not exist; `tenure migrate` brings it there.'
        )
