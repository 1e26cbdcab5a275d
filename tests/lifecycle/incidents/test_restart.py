"""Which kills belong to one restart, and what is said of it."""

from datetime import UTC, datetime, timedelta

import pytest

from tenure.lifecycle.incidents.failure_card import describe, killed_card
from tenure.lifecycle.incidents.restart import (
    TOGETHER,
    Kill,
    KillSpan,
    kill_of,
    restart_card,
    restart_of,
)
from tenure.vocabulary import RunRef

NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
RUN = RunRef("m__train_model", "r1", "train")
SECOND = timedelta(seconds=1)


def span(incident: int, first: int = 0, last: int = 0, host: str = "w1") -> KillSpan:
    return KillSpan(incident, "k", host, NOON + first * SECOND, NOON + last * SECOND)


@pytest.mark.parametrize(
    ("seconds", "host", "spans", "expected"),
    [
        pytest.param(0, "w1", [], None, id="nothing is open"),
        pytest.param(0, "w1", [span(1)], 1, id="at once"),
        pytest.param(60, "w1", [span(1)], 1, id="at the bound"),
        pytest.param(61, "w1", [span(1)], None, id="above it"),
        pytest.param(-60, "w1", [span(1)], 1, id="found later, ended before"),
        pytest.param(-61, "w1", [span(1)], None, id="found later, ended long before"),
        pytest.param(0, "w2", [span(1)], None, id="another host"),
        pytest.param(100, "w1", [span(1, 0, 50)], 1, id="one after another"),
        pytest.param(25, "w1", [span(1, 0, 50)], 1, id="in between"),
        pytest.param(111, "w1", [span(1, 0, 50)], None, id="after all of them"),
        pytest.param(40, "w1", [span(7, 80), span(3)], 3, id="near two: the older one"),
        pytest.param(0, "w1", [span(7, host="w2"), span(9)], 9, id="hosts do not mix"),
    ],
)
def test_what_belongs_together(
    seconds: int, host: str, spans: list[KillSpan], expected: int | None
) -> None:
    found = restart_of(Kill(host, NOON + seconds * SECOND), spans)
    assert (found and found.incident) == expected


def test_a_span_grows_both_ways_and_is_named_after_its_host() -> None:
    assert timedelta(seconds=60) == TOGETHER
    grown = span(1).including(Kill("w1", NOON + 9 * SECOND)).including(Kill("w1", NOON - SECOND))
    assert (grown.first, grown.last) == (NOON - SECOND, NOON + 9 * SECOND)
    assert grown.cause.key == "Killed:tasks on w1:2026-05-01 11:59:59 UTC"
    card = restart_card(grown, 12)
    assert card.what.startswith(
        "12 tasks on w1 ended without a word within 10 s "
        "(noticed 2026-05-01 11:59:59 to 2026-05-01 12:00:09 UTC)"
    )
    assert card.was_killed


class AirflowTaskTerminated(BaseException):
    """By its name."""


class AirflowTaskTimeout(BaseException):
    """By its name."""


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        pytest.param(killed_card(RUN, host="w1", ended_at=NOON), Kill("w1", NOON), id="found"),
        pytest.param(killed_card(RUN, host="w1", noticed_at=NOON), Kill("w1", NOON), id="called"),
        pytest.param(killed_card(RUN, ended_at=NOON), None, id="nobody knows where it ran"),
        pytest.param(killed_card(RUN, host="w1"), None, id="nobody knows when"),
        pytest.param(
            describe(AirflowTaskTerminated("SIGTERM"), host="w1", at=NOON),
            Kill("w1", NOON),
            id="told to stop",
        ),
        pytest.param(
            describe(AirflowTaskTimeout("60 s"), host="w1", at=NOON), None, id="out of its time"
        ),
        pytest.param(describe(KeyError("x"), host="w1", at=NOON), None, id="a bug"),
    ],
)
def test_which_cards_tell_of_a_kill(card: object, expected: Kill | None) -> None:
    assert kill_of(card) == expected  # type: ignore[arg-type]
