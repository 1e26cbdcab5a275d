"""Run by test_kernel.py in a network namespace of its own: the route to the database goes away.

The gateway reaches PostgreSQL at 127.0.0.2; a blackhole for that address loses every packet, of
connections that are open as well.
"""

import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from asking import CLIENTS, Asking, settle, soon
from served import Life, Process

from tenure.installation import Installation
from tenure.vocabulary import State

DATABASE = "127.0.0.2"
LEASE_SECONDS = 12


@pytest.fixture
def away(request: pytest.FixtureRequest, platform: Installation) -> Iterator[Any]:
    """A forwarder before PostgreSQL's socket, at an address of its own."""
    wire_of = type(request.getfixturevalue("wire"))
    folder = parse_qs(urlsplit(platform.settings.database_url).query)["host"][0]
    made = wire_of(f"{folder}/.s.PGSQL.5432", DATABASE)
    yield made
    made.close()


def route(action: str) -> None:
    words = ["ip", "route", action, "blackhole", f"{DATABASE}/32", "table", "local"]
    subprocess.run(words, check=True, timeout=10)


def test_partition(
    platform: Installation, life: Life, process: Process, asking: Asking, away: Any
) -> None:
    """By the last plan until the lease ends, then the champion; then all goes on."""
    first, second = life.champion(1), life.approved(2)
    process.env["TENURE_DATABASE_URL"] = away.url(platform.settings.database_url)
    process.start()
    life.publish(
        first,
        second,
        share_bp=10_000,
        lease_seconds=LEASE_SECONDS,
        moves=[(second, State.CANARY)],
    )
    ends = time.monotonic() + LEASE_SECONDS
    with asking:
        soon(lambda: asking.answered and asking.answered[-1][1] == "canary", LEASE_SECONDS)
        route("add")
        asking.wait(40)
        time.sleep(max(0.0, ends - time.monotonic()))
        begin = len(asking.answered) + CLIENTS
        asking.wait(40)
        assert {arm for _, arm in asking.answered[begin:]} == {"champion"}
        life.publish(first, second, share_bp=10_000, lease_seconds=120)
        asking.wait(40)
        assert asking.answered[-1][1] == "champion"
        route("del")
        soon(lambda: asking.answered[-1][1] == "canary", 60)
    assert asking.refused == Counter()
    assert process.stop() in {0, -15}
    settle(platform, asking, unanswered=0)
