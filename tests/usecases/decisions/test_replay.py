"""A decision is shown with the outcome of its own caller, as the judges join it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tenure.adapters.decision_tables import (
    DECISION_FIELDS,
    decisions_to_parquet,
    outcomes_to_parquet,
)
from tenure.adapters.sql import versions
from tenure.installation import Installation
from tenure.lifecycle.decisions.decision_log import micros, partition
from tenure.usecases.decisions import replay

pytestmark = pytest.mark.service
MODEL = "flight_late"
NOON = micros(datetime(2026, 5, 1, 12, tzinfo=UTC))
ID = "01234567-89ab-7cde-8f01-00000000000{}"
SHOP, BANK = "s" * 32, "b" * 32
OLD = "no column"


def put(platform: Installation, callers: list[str | None], told: dict[str | None, bool]) -> None:
    """Decisions 0, 1, … of one request id, one file each, and an outcome of each that tells."""
    with platform.database.begin() as connection:
        versions.register_model(
            connection, name=MODEL, owner="ada", risk_tier="limited", purpose="tests"
        )
    for number, caller in enumerate(callers):
        columns: dict[str, Any] = {name: [None] for name in DECISION_FIELDS}
        columns |= {"decision_id": [ID.format(number)], "request_id": ["order-1"]}
        columns |= {"model": [MODEL], "version": [1], "version_id": [1]}
        columns |= {"received_at": [NOON], "event_time": [NOON]}
        columns |= {} if caller == OLD else {"caller": [caller]}
        key = f"{partition('decisions', MODEL, NOON)}/d-{number}.parquet"
        platform.store.put(key, decisions_to_parquet(columns, numeric=[], categorical=[]))
    for number, (caller, label) in enumerate(told.items()):
        columns = {"outcome_id": [f"o{number}"], "decision_id": [None], "request_id": ["order-1"]}
        columns |= {"label": [label], "observed_at": [NOON], "received_at": [NOON]}
        columns |= {} if caller == OLD else {"caller": [caller]}
        key = f"{partition('outcomes', MODEL, NOON)}/o-{number}.parquet"
        platform.store.put(key, outcomes_to_parquet(columns))


@pytest.mark.parametrize(
    ("callers", "told", "expected"),
    [
        ([SHOP, BANK], {SHOP: True, BANK: False}, [True, False]),
        ([SHOP, BANK], {BANK: False}, [None, False]),
        ([SHOP, BANK], {None: True}, [None, None]),
        ([SHOP, SHOP], {None: True}, [True, True]),
        ([SHOP, BANK], {OLD: True}, [None, None]),
        ([SHOP], {OLD: True}, [True]),
        ([OLD], {SHOP: True}, [True]),
        ([OLD], {OLD: True}, [True]),
    ],
)
def test_the_outcome_is_that_of_its_own_caller(
    platform: Installation,
    callers: list[str | None],
    told: dict[str | None, bool],
    expected: list[bool | None],
) -> None:
    put(platform, callers, told)
    shown = [replay.show(platform, ID.format(n)) for n in range(len(callers))]
    assert [one and one.outcome and one.outcome.label for one in shown] == expected
