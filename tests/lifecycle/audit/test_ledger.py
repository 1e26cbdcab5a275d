from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tenure.lifecycle.audit.ledger import GENESIS, Anchor, Broken, Event, event_hash, verify_chain

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def chain(length: int) -> list[Event]:
    events: list[Event] = []
    for seq in range(1, length + 1):
        content = {
            "seq": seq,
            "op_key": f"op{seq}",
            "subject": "mv:1",
            "generation": seq,
            "src": "draft",
            "dst": "trained",
            "actor": "ada",
            "body": {"n": seq, "share": 0.5},
            "at": NOW + timedelta(seconds=seq),
            "prev_hash": events[-1].hash if events else GENESIS,
        }
        events.append(Event(**content, hash=event_hash(**content)))  # type: ignore[arg-type]
    return events


def end_of(events: list[Event]) -> Anchor:
    return Anchor(events[-1].seq, events[-1].hash)


def test_a_chain_that_nobody_touched_holds() -> None:
    events = chain(5)
    found = verify_chain(events, head=end_of(events))
    assert (found.ok, found.events, found.head) == (True, 5, end_of(events))


def test_an_empty_chain_holds() -> None:
    found = verify_chain([], head=Anchor())
    assert (found.ok, found.events, found.head.hash) == (True, 0, GENESIS)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("actor", lambda e: replace(e, actor="eve")),
        ("body", lambda e: replace(e, body={"n": 3, "share": 0.6})),
        ("source state", lambda e: replace(e, src=None)),
        ("new state", lambda e: replace(e, dst="champion")),
        ("time", lambda e: replace(e, at=e.at + timedelta(microseconds=1))),
        ("subject", lambda e: replace(e, subject="mv:2")),
        ("generation", lambda e: replace(e, generation=4)),
        ("op key", lambda e: replace(e, op_key="op9")),
        ("hash", lambda e: replace(e, hash="f" * 64)),
    ],
)
def test_every_changed_field_is_found_where_it_is(
    name: str, change: Callable[[Event], Event]
) -> None:
    events = chain(5)
    head = end_of(events)
    events[2] = change(events[2])
    found = verify_chain(events, head=head)
    assert found.broken is not None, name
    assert found.broken.seq == 3
    assert found.events == 2


def test_a_dropped_event_is_missed() -> None:
    events = chain(5)
    assert verify_chain(events[:2] + events[3:]).broken == Broken(
        4, "event 3 is missing; after 2 comes 4"
    )


def test_a_dropped_tail_is_missed() -> None:
    events = chain(5)
    found = verify_chain(events[:4], head=end_of(events))
    assert found.broken is not None
    assert found.broken.seq == 5
    assert "the chain ends at 4" in found.broken.why


def test_swapped_events_are_found() -> None:
    events = chain(5)
    one, two = events[1], events[2]
    events[1], events[2] = replace(two, seq=2), replace(one, seq=3)
    found = verify_chain(events)
    assert found.broken is not None
    assert found.broken.seq == 2
    assert found.broken.why.startswith("prev_hash is ")


def test_a_tail_that_was_rewritten_with_right_hashes_does_not_meet_its_anchor() -> None:
    events, other = chain(5), chain(2)
    found = verify_chain(other[1:] + events[2:], after=Anchor(1, "a" * 64))
    assert found.broken is not None
    assert found.broken.seq == 2


def test_verification_goes_on_from_an_anchor() -> None:
    events = chain(5)
    found = verify_chain(events[3:], after=end_of(events[:3]), head=end_of(events))
    assert (found.ok, found.events) == (True, 5)


def test_the_hash_does_not_depend_on_the_reader() -> None:
    event = chain(1)[0]
    elsewhere = replace(
        event,
        at=event.at.astimezone(timezone(timedelta(hours=2))),
        body={"share": 0.5, "n": 1},
    )
    assert verify_chain([elsewhere]).ok


def test_numbers_are_hashed_as_jsonb_keeps_them() -> None:
    """Each pair is what is written and what PostgreSQL gives back for it."""
    event = chain(1)[0]
    written = {"big": 1e22, "list": [1.2345e25, {"zero": -0.0}], "pair": (0.5, 1), "name": "x"}
    read = {
        "big": 10**22,
        "list": [12345 * 10**21, {"zero": 0.0}],
        "pair": [0.5, 1],
        "name": "x",
    }
    content = {name: getattr(event, name) for name in Event.__dataclass_fields__ if name != "hash"}
    assert event_hash(**(content | {"body": written})) == event_hash(**(content | {"body": read}))
    other = read | {"big": 10**22 + 1}
    assert event_hash(**(content | {"body": written})) != event_hash(**(content | {"body": other}))
