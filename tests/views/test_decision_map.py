"""Who decides what from which threshold on, and the procedure of each version."""

from datetime import UTC, datetime
from typing import Any

import pytest
from version_rows import facts, record

from tenure.adapters.sql.version_page import ConfiguredVersion
from tenure.config import ModelConfig, parse_model
from tenure.lifecycle.model_version import VersionFacts
from tenure.lifecycle.serving import ServingPolicy
from tenure.settings import REPOSITORY
from tenure.views.decision_map import ScoreBands, bands, points, procedures

NOW = datetime(2026, 5, 1, tzinfo=UTC)
TEXT = (REPOSITORY / "include/configs/models/flight_late.yaml").read_text(encoding="utf-8")
YAML = TEXT.partition("\nprocedure:")[0] + "\n"


def version_facts(**stated: Any) -> VersionFacts:
    return record(facts(**stated)).facts


def config(**serving: Any) -> ModelConfig:
    found = parse_model(YAML)
    return found.model_copy(update={"serving": ServingPolicy(**serving)})


def said(config: ModelConfig, **stated: Any) -> dict[str, str]:
    """Every point, with what leaves the way there."""
    found = points(config, None, version_facts(**stated), None)
    return {
        one.title: "; ".join([one.words, *(" ".join(exit) for exit in one.exits)]) for one in found
    }


@pytest.mark.parametrize(
    ("threshold", "least", "unsure"),
    [
        (0.5, None, None),
        (0.5, 0.6, (0.4, 0.6)),
        (0.2, 0.6, (0.2, 0.6)),
        (0.8, 0.6, (0.4, 0.8)),
        (0.5, 0.5, None),
    ],
)
def test_bands_of_scores(
    threshold: float, least: float | None, unsure: tuple[float, float] | None
) -> None:
    policy = ServingPolicy(review_below_confidence=least)
    found = bands(version_facts(threshold=threshold), policy)
    assert found == ScoreBands(threshold, pytest.approx(unsure) if unsure else None)


def test_a_rule_answers_where_no_model_does_or_a_person_decides() -> None:
    with_rule = said(config(fallback_score=0.25, timeout_seconds=1.5))["Did a model answer?"]
    assert "no model answers within 1.5 s" in with_rule
    assert "rule answers as if the score were 0.25" in with_rule
    without = said(config(fallback_score=None))["Did a model answer?"]
    assert "person decides in the review queue; the answer is negative until then" in without


def test_the_threshold_is_that_of_the_version() -> None:
    assert "Yes from a score of 0.375 on" in said(config(), threshold=0.375)["What is the answer?"]


def test_unsure_decisions_go_to_a_person_as_well() -> None:
    found = said(config(review_below_confidence=0.6, review_hours=8))["Is the model sure?"]
    assert "confidence below 60% person an operator answers within 8 h" in found
    assert "No decision of a model goes to a person" in said(config())["Is the model sure?"]


def test_what_is_refused_is_decided_by_nobody() -> None:
    found = said(config(on_null="reject", on_extra_feature="ignore"))
    request = found["Is the request one that may be decided?"]
    assert (
        "it has a feature without a value or a missing feature gateway refuses it (422)" in request
    )


def test_where_people_accept_and_override() -> None:
    found = said(config())
    assert "accept it, override it or call it wrong" in found["Is the answer followed?"]
    assert "more than 10% of the decisions of 30 days" in found["Is it overridden too often?"]


def known(*texts: str | None) -> list[ConfiguredVersion]:
    bodies = [
        None if one is None else YAML + (f"\nprocedure: {one}\n" if one else "") for one in texts
    ]
    return [ConfiguredVersion(n, NOW, body) for n, body in enumerate(bodies, 1)]


def test_each_text_has_its_versions_and_what_changed() -> None:
    newest, older = procedures(known("", "look twice", "look twice", None), "look thrice")
    assert (newest.text, newest.versions, newest.is_now) == ("look thrice", (), True)
    assert newest.diff == ("@@ -1 +1 @@", "-look twice", "+look thrice")
    assert (older.text, older.versions, older.since, older.is_now) == (
        "look twice",
        (2, 3),
        NOW,
        False,
    )
    assert older.diff == ("@@ -0,0 +1 @@", "+look twice")


def test_a_text_that_still_holds_is_that_of_now() -> None:
    (only,) = procedures(known("look twice"), "look twice")
    assert (only.versions, only.is_now, only.diff) == ((1,), True, ())
    assert procedures(known("", ""), "") == []
    assert procedures(known("look twice"), None)[0].is_now is False
