"""The form of `new_model` as Airflow hands it over."""

from types import SimpleNamespace
from typing import Any

import pytest

from tenure.usecases.onboarding import model_form
from tenure.usecases.onboarding.model_draft import ModelSpec
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.airflow


@pytest.mark.parametrize("empty", [None, ""])
def test_what_the_form_says_is_what_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, empty: str | None
) -> None:
    """A field that was left alone is null; one that was emptied again may be an empty text."""
    from tenure.operators.new_model import NewModelOperator

    asked: list[ModelSpec] = []

    def fill_in(platform: Any, wish: ModelSpec, run: RunRef, tell: Any) -> Any:
        asked.append(wish)
        return SimpleNamespace(text="name: m\nowner: ada\n", decided=("Task: binary.",)), {
            "model": "m"
        }

    monkeypatch.setattr(model_form, "fill_in", fill_in)
    form = {
        "name": "m",
        "dataset": "d",
        "label": "late",
        "positive": empty,
        "protected": " sex, race ,",
        "subject": empty,
        "outcomes": empty,
        "task": "regression",
        "time": empty,
    }
    task = NewModelOperator(task_id="write")
    run = RunRef("new_model", "r1", "write", user="ada")
    assert task.work(None, run, {"params": form}) == {"model": "m"}  # type: ignore[arg-type]
    wanted = ModelSpec("m", "d", "late", None, ("sex", "race"), None, None, "ada", "regression")
    assert asked == [wanted]
