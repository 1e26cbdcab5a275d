"""The longer story edits a copy of the configs; the line that it takes is in the shipped YAML."""

from pathlib import Path

from tenure.config import load_model
from tenure.demo.chapters import LENDING, OFFERED, REGRESSION, FullStory, configs_of_its_own
from tenure.demo.story import Story
from tenure.layout import TRAIN_MODEL, dag_id
from tenure.settings import REPOSITORY


def test_the_offered_line_is_taken_in_a_copy(tmp_path: Path) -> None:
    shipped = REPOSITORY / "include" / "configs" / "models" / f"{LENDING}.yaml"
    before = shipped.read_text(encoding="utf-8")
    include = configs_of_its_own(REPOSITORY / "include", tmp_path)
    copy = include / "configs" / "models" / f"{LENDING}.yaml"
    assert before.count(OFFERED) == 1
    assert load_model(include, LENDING)[0].mitigation is None
    copy.write_text(before.replace(OFFERED, OFFERED.replace("# ", "")), encoding="utf-8")
    mitigation = load_model(include, LENDING)[0].mitigation
    assert mitigation is not None
    assert (mitigation.method, mitigation.attributes) == ("exponentiated_gradient", ("race",))
    assert shipped.read_text(encoding="utf-8") == before


def test_neither_model_is_trained_by_the_short_story() -> None:
    for name in (LENDING, REGRESSION):
        assert load_model(REPOSITORY / "include", name)[0].retraining.frozen
        assert not any(dag.startswith(name) for dag, _ in Story.expected_failures)
    assert (dag_id(LENDING, TRAIN_MODEL), "audit_bias") in FullStory.expected_failures
