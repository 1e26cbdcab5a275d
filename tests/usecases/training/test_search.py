"""A search is done once for a version: its choice is a fact, kept for whoever trains it again."""

import logging
from typing import Any

import pytest

from tenure.errors import ServiceUnreachable
from tenure.usecases.evaluation import reproduce
from tenure.usecases.training import search
from tenure.verdicts import Verdict
from tenure.vocabulary import State

SEARCH = ", search: {parameters: {C: [0.001, 0.1, 10.0]}, candidates: 3, folds: 2}"


@pytest.fixture
def searching(world: Any) -> Any:
    model = world.platform.settings.configs / "models" / "loan_ok.yaml"
    text = model.read_text().replace("seed: 7", f"seed: 7, parameters: {{C: 0.00001}}{SEARCH}")
    model.write_text(text)
    for month in (1, 2):
        world.publish(month, rows=500)
    world.request()
    world.plan()
    return world


@pytest.mark.exhaustive
def test_the_choice_is_a_fact_that_is_told_and_reproduced(
    searching: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="tenure.training")
    searching.train()
    facts = searching.row().facts
    assert facts.search.chosen["C"] > 0.001
    assert dict(facts.search.trials[0].parameters) == {"C": 0.00001}
    assert len([m for m in caplog.messages if m.startswith("search round=1")]) == 3
    assert searching.mlflow.trials == {"run-1": list(facts.search.trials)}
    run = searching.run("cli", "reproduce")
    report, _ = reproduce.reproduce(searching.platform, "loan_ok", 1, run)
    assert report.verdict is Verdict.PASSED


def test_a_retry_takes_the_choice_of_the_try_before(
    searching: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = type(searching)(searching.platform, Away())
    with pytest.raises(ServiceUnreachable):
        away.train()
    monkeypatch.setattr(search, "choose", None)  # a second search would fail
    searching.train()
    assert searching.versions()[0].state is State.TRAINED
    assert searching.row().facts.search is not None


class Away:
    def ensure_run(self, *_: Any, **__: Any) -> str:
        raise ServiceUnreachable("MLflow is away.", still_safe="x", next_step="y")
