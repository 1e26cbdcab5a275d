"""Evidence is closed and has no defaults."""

import json
from typing import Any

import pytest
from version_rows import WITHOUT_THRESHOLD, facts, onnx, record

from tenure.errors import ArtifactRefused
from tenure.lifecycle.model_version import DraftFacts, VersionRecord, record_from_json


def refusal(stated: dict[str, Any]) -> ArtifactRefused:
    with pytest.raises(ArtifactRefused) as refused:
        _ = record(stated).facts
    return refused.value


@pytest.mark.parametrize("stated", [facts(), facts(onnx=onnx()), facts(ranges={}, seed=-1)])
def test_what_is_read_is_written_again(stated: dict[str, Any]) -> None:
    assert record(stated).facts.to_json() == json.loads(json.dumps(stated))


@pytest.mark.parametrize("name", sorted(facts()))
def test_every_fact_is_needed(name: str) -> None:
    stated = {key: value for key, value in facts().items() if key != name}
    assert refusal(stated).what == f"m@1 states no {name}; its evidence must be complete."


def test_the_words_for_a_version_without_a_threshold() -> None:
    stated = {key: value for key, value in facts().items() if key != "threshold"}
    assert refusal(stated).what == WITHOUT_THRESHOLD.format("m@1")
    assert refusal(stated).next_step.startswith("Train a new version")
    assert refusal(stated).still_safe.startswith("It decides nothing")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"of_a_newer_release": 1}, "of_a_newer_release, which is no fact of a version"),
        ({"threshold": None}, "facts wrongly (Value error, a binary model with threshold None)"),
        ({"threshold": "0.5"}, "threshold wrongly (Input should be a valid number)"),
        ({"threshold": 1.1}, "threshold wrongly (Input should be less than or equal to 1)"),
        ({"features": {"numeric": []}}, "no features.categorical"),
        ({"ranges": {"a": [0, None]}}, "ranges.a.1 wrongly (Input should be a valid number)"),
        ({"onnx": onnx(file={"digest": "d"})}, "no onnx.file.signature"),
        ({"rows": {"train": float("nan")}}, "what is no JSON"),
    ],
)
def test_what_is_unknown_or_of_another_kind(changes: dict[str, Any], says: str) -> None:
    assert refusal(facts(**changes)).what.startswith(f"m@1 states {says}")


@pytest.mark.parametrize("threshold", [0, 0.0, 0.37, 1.0])
def test_thresholds(threshold: float) -> None:
    assert record(facts(threshold=threshold)).facts.threshold == threshold


def test_many_faults_are_counted() -> None:
    assert "no threshold, no classes and 23 more" in refusal({}).what


def test_a_draft_has_no_evidence_yet() -> None:
    draft = record(DraftFacts(request_id=4, reason="drift").to_json(), artifact_digest=None)
    assert (draft.draft_facts.request_id, draft.draft_facts.reason) == (4, "drift")
    assert not draft.is_trained
    with pytest.raises(ArtifactRefused, match="m@1 states no task, no threshold"):
        _ = draft.facts


def test_an_archive_keeps_every_column() -> None:
    row = record(facts(threshold=0.3))
    columns = row.to_json()
    assert columns["facts"] == facts(threshold=0.3)
    assert record_from_json(json.loads(json.dumps(columns))) == row
    for wrong in (columns | {"other": 1}, {k: v for k, v in columns.items() if k != "model"}):
        with pytest.raises(TypeError):
            record_from_json(wrong)
    assert set(columns) == {
        name.removesuffix("_json") for name in VersionRecord.__dataclass_fields__
    }
