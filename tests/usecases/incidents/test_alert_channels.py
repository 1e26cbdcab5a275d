"""Channels beside the connection: Apprise tells each alert once, whatever the others do."""

from typing import Any

import pytest
from pager import Pager
from sqlalchemy import text

from tenure.config.models import PlatformConfig
from tenure.installation import Installation
from tenure.usecases.incidents.alerts import AlertCounts, deliver_alerts
from tenure.usecases.incidents.close_incident import close_incident
from tenure.usecases.incidents.open_incident import open_incident

pytestmark = pytest.mark.service


@pytest.fixture
def two(platform: Installation) -> Installation:
    """An installation with two channels."""
    channels = {"ops": "env:TENURE_ALERTS_OPS", "data": "env:TENURE_ALERTS_DATA"}
    return with_channels(platform, channels)


def with_channels(platform: Installation, channels: dict[str, str]) -> Installation:
    roles = platform.config.roles
    platform.__dict__["config"] = PlatformConfig(roles=roles, alert_channels=channels)
    return platform


def fail(platform: Installation, key: str = "a") -> int:
    return open_incident(platform, key, "outbox", "flights", "It does not answer.")


def told(receiver: Any) -> list[dict[str, Any]]:
    """What came about the failure, and not about a channel."""
    return [one for one in receiver.bodies if "(flights)" in one["title"]]


def silent(platform: Installation) -> list[tuple[str, str]]:
    """Channels that are an incident now, each with the summary."""
    query = "SELECT subject, summary FROM incident WHERE state = 'open' AND subject LIKE 'channel%'"
    with platform.database.begin() as connection:
        found = connection.execute(text(f"{query} ORDER BY subject"))
        return [(row.subject, row.summary) for row in found]


def waiting(platform: Installation) -> list[str]:
    query = """
        SELECT coalesce(body->>'channel', 'connection') FROM outbox
        WHERE delivered_at IS NULL AND body->>'subject' = 'flights' ORDER BY id
    """
    with platform.database.begin() as connection:
        return list(connection.execute(text(query)).scalars())


def test_each_way_is_retried_for_itself_and_told_once(two: Installation, receiver: Any) -> None:
    ops = receiver.url.replace("http://", "json://")
    env = {"TENURE_ALERTS_OPS": ops, "TENURE_ALERTS_DATA": "json://127.0.0.1:9/away"}
    pager, number = Pager(), fail(two)
    receiver.answers[:] = [503]
    found = deliver_alerts(two, pager, env=env)
    assert found == AlertCounts(promised=1, delivered=1, failed=2)
    assert (len(pager.taken), len(receiver.bodies)) == (1, 1)
    assert waiting(two) == ["ops", "data"]
    assert [name for name, _ in silent(two)] == ["channel data", "channel ops"]
    for _ in range(2):
        deliver_alerts(two, pager, env=env)
        assert (len(told(receiver)), waiting(two)) == (2, ["data"])
    said = told(receiver)[-1]
    assert said["title"].endswith("opened: " + said["title"].partition("opened: ")[2])
    assert "It does not answer." in said["message"]
    assert f"/tenure/incident/{number}" in said["message"]
    assert "Message " in said["message"]

    close_incident(two, "a")
    deliver_alerts(two, pager, env=env)
    assert [one["title"].split()[1] for one in told(receiver)[1:]] == ["opened:", "closed:"]
    assert waiting(two) == ["data", "data"]
    env["TENURE_ALERTS_DATA"] = ops
    deliver_alerts(two, pager, env=env)
    assert waiting(two) == []
    assert [one["title"].split()[1] for one in told(receiver)[3:]] == ["opened:", "closed:"]
    assert [one for one in pager.events if "outbox" in one] == ["outbox opened", "outbox closed"]


def test_a_channel_that_takes_nothing_is_told_by_the_others_until_it_does(
    two: Installation, receiver: Any
) -> None:
    env = {"TENURE_ALERTS_OPS": receiver.url.replace("http://", "json://")}
    pager = Pager()
    fail(two)
    deliver_alerts(two, pager, only_new=True, env=env)
    assert silent(two) == []  # the first try is a task's; maintenance tries again
    deliver_alerts(two, pager, env=env)
    ((name, said),) = silent(two)
    assert name == "channel data"
    assert said.startswith(
        "The alert channel data did not take 1 of 1 alerts that maintenance sent"
    )
    assert "The variable TENURE_ALERTS_DATA of the alert channel data is not set" in said
    deliver_alerts(two, pager, env=env)
    assert pager.events == ["outbox opened", "alert_channel_silent opened"]
    env["TENURE_ALERTS_DATA"] = env["TENURE_ALERTS_OPS"]
    deliver_alerts(two, pager, env=env)
    assert silent(two) == []
    deliver_alerts(two, pager, env=env)
    assert pager.events[2:] == ["alert_channel_silent closed"]


def test_a_channel_without_an_address_waits_and_one_that_is_gone_does_not(
    two: Installation, receiver: Any, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "nonsense-with-a-secret"
    fail(two)
    found = deliver_alerts(two, None, env={"TENURE_ALERTS_DATA": secret})
    assert found == AlertCounts(promised=1, for_nobody=1, failed=2)
    assert "The variable TENURE_ALERTS_OPS of the alert channel ops is not set" in caplog.text
    assert "holds no URL that Apprise knows" in caplog.text
    assert secret not in caplog.text
    with_channels(two, {"ops": "env:TENURE_ALERTS_OPS"})
    env = {"TENURE_ALERTS_OPS": receiver.url.replace("http://", "json://")}
    deliver_alerts(two, None, env=env)
    assert waiting(two) == []
    assert silent(two) == []


def test_an_address_in_the_yaml_is_refused() -> None:
    with pytest.raises(ValueError, match="alert_channels"):
        PlatformConfig(roles={}, alert_channels={"ops": "slack://token@channel"})
