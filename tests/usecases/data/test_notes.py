"""Notes on a dataset, and whose names stand in its alerts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rides import drop_some, installed
from sqlalchemy import text

from tenure.errors import NotPermitted, TextRefused
from tenure.installation import Installation
from tenure.settings import Settings
from tenure.usecases.data.notes import subscribe, write_note
from tenure.usecases.incidents.alerts import promise
from tenure.usecases.incidents.open_incident import open_incident
from tenure.views.workbench import workbench_page

pytestmark = pytest.mark.service


@pytest.fixture
def rides(settings: Settings, tmp_path: Path) -> Iterator[Installation]:
    platform = installed(settings, tmp_path / "include")
    yield platform
    platform.database.dispose()


def test_a_note_is_kept_for_good(rides: Installation) -> None:
    write_note(rides, "rides", "The station of x moves in May.", user="vera")
    page = workbench_page(rides, "rides", "sam")
    assert page is not None
    assert [(one.body, one.author) for one in page.notes] == [
        ("The station of x moves in May.", "vera")
    ]
    with pytest.raises(NotPermitted, match="eve has no role"):
        write_note(rides, "rides", "Mine.", user="eve")
    with pytest.raises(TextRefused, match="text has 0 characters"):
        write_note(rides, "rides", "", user="sam")
    with (
        pytest.raises(Exception, match="dataset_note is append-only"),
        rides.database.begin() as connection,
    ):
        connection.execute(text("DELETE FROM dataset_note"))


def alert(platform: Installation, key: str, facts: dict[str, object]) -> tuple[object, bool]:
    """Whom the alert of a new incident names, and whether its text does."""
    open_incident(platform, key, "landing_not_read", key, "Odd names.", facts=facts)
    promise(platform)
    query = "SELECT body FROM outbox WHERE topic = 'alert' ORDER BY id DESC LIMIT 1"
    with platform.database.begin() as connection:
        body = connection.execute(text(query)).scalar_one()
    return body.get("subscribers"), "Subscribed: sam, vera" in body["text"]


def test_alerts_of_the_dataset_name_who_subscribed(rides: Installation) -> None:
    drop_some(rides, "b1")
    assert alert(rides, "rides__ingest_data.a", {}) == (None, False)
    assert [subscribe(rides, "rides", user=one, is_on=True) for one in ("vera", "sam")] == [
        True,
        True,
    ]
    assert subscribe(rides, "rides", user="sam", is_on=True) is False
    subscribe(rides, "trips", user="olga", is_on=True)
    assert alert(rides, "rides__ingest_data.b", {}) == (["sam", "vera"], True)
    assert alert(rides, "somewhere", {"dataset": "rides"}) == (["sam", "vera"], True)
    assert alert(rides, "elsewhere", {}) == (None, False)
    subscribe(rides, "rides", user="sam", is_on=False)
    assert alert(rides, "rides__ingest_data.c", {}) == (["vera"], False)
