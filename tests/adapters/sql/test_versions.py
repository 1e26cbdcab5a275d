"""Row locks of versions: a training that begins must never cost a rollback its transaction."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy import Connection, text

from tenure.adapters.sql import training, versions
from tenure.installation import Installation
from tenure.vocabulary import VersionRef

pytestmark = pytest.mark.service


@pytest.fixture
def version(platform: Installation) -> VersionRef:
    with platform.database.begin() as c:
        versions.register_model(c, name="m", owner="ada", risk_tier="limited", purpose="a test")
        return versions.create_draft(c, model_name="m", trained_by="ada", training_key="first")


def note(platform: Installation, connection: Connection, key: str) -> None:
    platform.ledger.note(connection, subject=key, actor="test", body={}, op_key=key)


@pytest.mark.parametrize("holds", ["a new draft", "an answer"])
def test_holding_a_row_and_waiting_for_the_ledger_is_no_deadlock(
    platform: Installation, version: VersionRef, holds: str
) -> None:
    """The other side has the ledger and writes a row whose foreign keys point to what is held."""
    held, noted = Event(), Event()

    def first() -> None:
        with platform.database.begin() as c:
            if holds == "a new draft":
                versions.create_draft(c, model_name="m", trained_by="ada", training_key="second")
            else:
                versions.lock(c, version.id)
            held.set()
            assert noted.wait(10)
            note(platform, c, "first")

    def second() -> None:
        assert held.wait(10)
        with platform.database.begin() as c:
            note(platform, c, "second")
            noted.set()
            c.execute(text("SET LOCAL lock_timeout = '5s'"))
            request = training.file_request(
                c, model="m", reason_code="c", reason="r", requested_by="u"
            )
            training.start_request(c, request.id, version.id)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(first), pool.submit(second)]:
            done.result(20)
