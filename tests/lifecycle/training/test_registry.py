"""What is signed."""

from dataclasses import fields, replace

import pytest
from version_rows import facts, onnx, record

from tenure.errors import ArtifactRefused
from tenure.layout import artifact_key, onnx_key, reference_key
from tenure.lifecycle.model_version import VersionFacts
from tenure.lifecycle.training.registry import (
    file_digests,
    file_keys,
    onnx_statement_bytes,
    statement,
    statement_bytes,
)

ROW = record(version=3)
FIELDS = (
    *("model", "version", "trained_by", "mlflow_run_id", "artifact_digest", "data_digest"),
    *("suite_digest", "code_digest", "config_digest", "lock_digest"),
)


def test_the_statement_is_the_fields_and_nothing_else() -> None:
    stated = statement(ROW)
    assert set(stated) == {*FIELDS, "facts"}
    assert set(stated["facts"]) == {one.name for one in fields(VersionFacts)}
    assert statement_bytes(replace(ROW, signature="other")) == statement_bytes(ROW)


def test_a_fact_is_signed_as_the_database_gives_it_back() -> None:
    """JSONB keeps numbers as decimals: -0.0 is 0, and 1e22 comes back without its exponent."""
    before = record(facts(ranges={"a": [-0.0, 1e22]}))
    after = record(facts(ranges={"a": [0.0, 10**22]}))
    assert statement_bytes(before) == statement_bytes(after)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [None, ""])
def test_every_field_is_needed(field: str, value: object) -> None:
    with pytest.raises(ArtifactRefused, match=f"states no {field}"):
        statement(replace(ROW, **{field: value}))


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_changes_the_bytes(field: str) -> None:
    assert statement_bytes(replace(ROW, **{field: "other"})) != statement_bytes(ROW)


def test_keys_are_derived_from_digest_and_number() -> None:
    assert artifact_key("ab" * 32) == f"artifacts/{'ab' * 32}.skops"
    assert onnx_key("ab" * 32) == f"artifacts/{'ab' * 32}.onnx"
    assert reference_key("flight_late", 3) == "reference/flight_late/3.parquet"


def test_the_onnx_file_is_signed_with_its_version_and_never_like_it() -> None:
    signed = onnx_statement_bytes(ROW, "d")
    assert signed not in {statement_bytes(ROW), onnx_statement_bytes(ROW, "e")}
    others = {onnx_statement_bytes(replace(ROW, **{field: "other"}), "d") for field in FIELDS}
    assert len(others - {signed}) == len(FIELDS)
    with pytest.raises(ArtifactRefused, match="states no artifact_digest"):
        onnx_statement_bytes(replace(ROW, artifact_digest=None), "d")


@pytest.mark.parametrize(
    ("stated", "has_one"),
    [
        (onnx("d"), True),
        (onnx("d", verdict="failed"), False),
        (onnx("d", verdict="inconclusive"), False),
        (onnx("d", verdict="failed", file=None), False),
        (None, False),
    ],
)
def test_only_a_variant_that_passed_is_a_file(stated: object, has_one: bool) -> None:
    row = record(facts(onnx=stated), artifact_digest="a")
    assert (row.facts.onnx_file is not None) is has_one
    assert file_digests(row) == (["a", "d"] if has_one else ["a"])
    assert file_keys(row) == ["artifacts/a.skops", "artifacts/d.onnx"][: 1 + has_one]


@pytest.mark.parametrize(
    "stated",
    [
        {"onnx": "passed"},
        {"onnx": {"verdict": "passed", "digest": "d"}},
        {"onnx": onnx(None)},
    ],
)
def test_a_version_whose_onnx_facts_cannot_be_read_has_no_files(stated: dict[str, object]) -> None:
    with pytest.raises(ArtifactRefused, match=r"m@1 states .*onnx"):
        file_digests(record(facts(**stated)))
