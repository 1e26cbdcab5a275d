"""What is signed."""

import pytest

from tenure.errors import ArtifactRefused
from tenure.layout import artifact_key, onnx_key, reference_key
from tenure.lifecycle.training.registry import (
    FIELDS,
    file_digests,
    file_keys,
    onnx_facts,
    onnx_statement_bytes,
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
    assert onnx_key("ab" * 32) == f"artifacts/{'ab' * 32}.onnx"
    assert reference_key("flight_late", 3) == "reference/flight_late/3.parquet"


def test_the_onnx_file_is_signed_with_its_version_and_never_like_it() -> None:
    signed = onnx_statement_bytes(ROW, "d")
    assert signed not in {statement_bytes(ROW), onnx_statement_bytes(ROW, "e")}
    others = {onnx_statement_bytes({**ROW, field: "other"}, "d") for field in FIELDS}
    assert len(others - {signed}) == len(FIELDS)
    with pytest.raises(ArtifactRefused, match="states no artifact_digest"):
        onnx_statement_bytes({**ROW, "artifact_digest": None}, "d")


@pytest.mark.parametrize(
    ("facts", "has_one"),
    [
        ({"onnx": {"verdict": "passed", "digest": "d"}}, True),
        ({"onnx": {"verdict": "failed", "digest": "d"}}, False),
        ({"onnx": {"verdict": "inconclusive"}}, False),
        ({"onnx": {"verdict": "passed"}}, False),
        ({"onnx": {"verdict": "passed", "digest": None}}, False),
        ({"onnx": "passed"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_only_a_variant_that_passed_is_a_file(facts: object, has_one: bool) -> None:
    row = {"artifact_digest": "a", "facts": facts}
    assert (onnx_facts(row) is not None) is has_one
    assert file_digests(row) == (["a", "d"] if has_one else ["a"])
    assert file_keys(row) == ["artifacts/a.skops", "artifacts/d.onnx"][: 1 + has_one]
