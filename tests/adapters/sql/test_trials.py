"""Trials in the database: what the gateway's role may do, and how old they may be."""

import gc
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from tenure.adapters.sql import serving, trials, versions
from tenure.adapters.sql.database import Database
from tenure.errors import ServiceUnreachable
from tenure.installation import Installation
from tenure.lifecycle.promotion.trial_loads import TrialAnswer
from tenure.migrations import upgrade

OK, NO = TrialAnswer("gw-a", True), TrialAnswer("gw-b", False, "other bytes")


def draft(connection: Connection) -> int:
    versions.register_model(
        connection, name="m", owner="ada", risk_tier="limited", purpose="a test"
    )
    return versions.create_draft(connection, model_name="m", trained_by="ada", training_key="k").id


@pytest.fixture
def version(platform: Installation) -> int:
    """Row id of a version."""
    with platform.database.begin() as c:
        return draft(c)


@pytest.fixture
def gateway(platform: Installation) -> Iterator[Database]:
    """The same database as `tenure_gateway`."""
    made = Database(platform.settings.database_url.replace("postgres@", "tenure_gateway@"))
    yield made
    made.dispose()


def test_asked_and_answered_once_by_each(
    platform: Installation, gateway: Database, version: int
) -> None:
    with platform.database.begin() as c:
        trial = trials.ask(c, version, by="olga")
    for given in (OK, NO):
        with gateway.begin() as c:
            (asked,) = trials.asked(c, given.gateway)
            assert (asked.id, asked.row.id, asked.row.model) == (trial, version, "m")
            trials.answer(c, trial, given)
            trials.answer(c, trial, TrialAnswer(given.gateway, not given.loads, "again"))
        with gateway.begin() as c:
            assert trials.asked(c, given.gateway) == []
    with platform.database.begin() as c:
        assert list(trials.answers(c, trial)) == [OK, NO]


@pytest.mark.parametrize(("age", "count"), [(4, 1), (5, 0), (3600, 0)])
def test_nobody_loads_for_an_old_question(
    platform: Installation, gateway: Database, version: int, age: int, count: int
) -> None:
    with platform.database.begin() as c:
        trials.ask(c, version, by="olga")
        c.execute(text(f"UPDATE trial SET asked_at = now() - interval '{age} s'"))
    with gateway.begin() as c:
        assert len(trials.asked(c, "gw-a")) == count


def test_polls_leave_nothing_for_the_collector(gateway: Database, version: int) -> None:
    """It looks so seldom at a gateway that cycles would pile up for a quarter of an hour."""

    def poll() -> None:
        with gateway.begin() as c:
            trials.asked(c, "gw-a")
            serving.catalog(c)

    poll()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            poll()
        assert gc.collect() < 10
    finally:
        gc.enable()


def test_old_ones_are_forgotten_with_their_answers(platform: Installation, version: int) -> None:
    with platform.database.begin() as c:
        old, new = (trials.ask(c, version, by="olga") for _ in range(2))
        for trial in (old, new):
            trials.answer(c, trial, OK)
        c.execute(text(f"UPDATE trial SET asked_at = now() - interval '25 h' WHERE id = {old}"))
        assert trials.forget(c, older_than=timedelta(days=1)) == 1
        assert (trials.answers(c, old), trials.answers(c, new)) == ([], [OK])


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO trial (model_version_id, asked_by) VALUES (1, 'mallory')",
        "UPDATE trial SET asked_at = now()",
        "DELETE FROM trial",
        "UPDATE trial_answer SET verdict = 'ok'",
        "DELETE FROM trial_answer",
    ],
)
def test_a_gateway_only_answers(gateway: Database, statement: str) -> None:
    with pytest.raises(DBAPIError, match="permission denied"), gateway.begin() as c:
        c.execute(text(statement))


def test_before_the_first_migration(platform: Installation, gateway: Database) -> None:
    """A database without tables: said in a sentence that a person can follow, then healed."""
    with platform.database.begin() as c:
        c.execute(text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
        c.execute(text("GRANT USAGE ON SCHEMA public TO PUBLIC"))
    for database in (platform.database, gateway):
        with pytest.raises(ServiceUnreachable) as behind, database.begin() as c:
            trials.asked(c, "gw-a")
        assert behind.value.what == (
            "The lifecycle database is not up to date with this code: relation "
            '"trial" does not exist; `tenure migrate` brings it there.'
        )
    upgrade(platform.settings.database_url)
    with platform.database.begin() as c:
        trial = trials.ask(c, draft(c), by="olga")
    with gateway.begin() as c:
        assert [one.id for one in trials.asked(c, "gw-a")] == [trial]
        trials.answer(c, trial, OK)
