"""Choice of snapshots."""

from datetime import UTC, datetime

import pytest

from tenure.errors import GateInconclusive
from tenure.lifecycle.training import PublishedSnapshot, choose_snapshots, data_digest, suite_digest


def snapshot(number: int, month: int, *, digest: str = "", suite: str = "s") -> PublishedSnapshot:
    time_max = datetime(2013, month, 28, tzinfo=UTC)
    return PublishedSnapshot(
        number, f"2013-{month:02d}", digest or f"d{number}", suite, 10, time_max
    )


def chosen(published: list[PublishedSnapshot], window: int = 3) -> list[str]:
    found = choose_snapshots(published, dataset="flights", window_batches=window)
    return [s.digest for s in found]


@pytest.mark.parametrize(
    ("case", "published", "expected"),
    [
        ("exactly the window", [(1, 1), (2, 2), (3, 3)], ["d1", "d2", "d3"]),
        ("one more: the oldest is left", [(1, 1), (2, 2), (3, 3), (4, 4)], ["d2", "d3", "d4"]),
        ("by time, not by arrival", [(1, 4), (2, 2), (3, 3), (4, 1)], ["d2", "d3", "d1"]),
        ("a corrected batch counts once", [(1, 1), (2, 2), (3, 3), (4, 1)], ["d4", "d2", "d3"]),
        ("a correction taken back", [(2, 2), (3, 3), (4, 1), (1, 1)], ["d1", "d2", "d3"]),
        ("the same rows in two batches", [(1, 1), (2, 2), (3, 3), (3, 4)], ["d1", "d2", "d3"]),
    ],
)
def test_choice(case: str, published: list[tuple[int, int]], expected: list[str]) -> None:
    assert chosen([snapshot(*p) for p in published]) == expected, case


def test_too_few_batches_say_how_many_and_which() -> None:
    with pytest.raises(GateInconclusive) as caught:
        chosen([snapshot(1, 1), snapshot(2, 2), snapshot(3, 2)])
    assert caught.value.what == (
        "flights: 2 of the 3 batches that training needs are published (2013-01, 2013-02)."
    )


def test_digests_name_order_and_suites() -> None:
    one, two = snapshot(1, 1), snapshot(2, 2)
    assert data_digest([one, two]) != data_digest([two, one])
    assert suite_digest([one, two]) == "s"
    assert suite_digest([one, snapshot(2, 2, suite="t")]) not in {"s", "t"}
