"""What is signed."""

import pytest

from tenure.errors import ArtifactRefused
from tenure.lifecycle.registry import (
    FIELDS,
    artifact_key,
    reference_key,
    statement,
    statement_bytes,
)

ROW = {name: f"{name}-value" for name in FIELDS} | {"version": 3, "state": "trained", "facts": {}}


def test_the_statement_is_the_fields_and_nothing_else() -> None:
    assert set(statement(ROW)) == set(FIELDS)
    assert statement_bytes(ROW) == statement_bytes(dict(reversed(ROW.items())))


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [None, ""])
def test_every_field_is_needed(field: str, value: object) -> None:
    with pytest.raises(ArtifactRefused, match=f"states no {field}"):
        statement({**ROW, field: value})


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_changes_the_bytes(field: str) -> None:
    assert statement_bytes({**ROW, field: "other"}) != statement_bytes(ROW)


def test_keys_are_derived_from_digest_and_number() -> None:
    assert artifact_key("ab" * 32) == f"artifacts/{'ab' * 32}.skops"
    assert reference_key("flight_late", 3) == "reference/flight_late/3.parquet"
