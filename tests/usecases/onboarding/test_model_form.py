"""A new model by Airflow's form."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tenure.errors import ConfigInvalid, NotPermitted
from tenure.usecases.onboarding import model_form
from tenure.usecases.onboarding.model_draft import ModelSpec
from tenure.usecases.onboarding.model_form import fill_in
from tenure.vocabulary import RunRef

WISH = ModelSpec("loan_new", "loans", "ok", subject="branch", owner="ada")
RUN = RunRef("new_model", "r1", "write", user="ada")


def path_of(world: Any) -> Path:
    path: Path = world.platform.settings.configs / "models" / "loan_new.yaml"
    return path


def test_the_file_is_written_and_the_report_holds_it(published: Any) -> None:
    proposed, answer = fill_in(published.platform, WISH, RUN)
    assert path_of(published).read_text() == proposed.text
    assert answer["written"] is True
    from tenure.usecases.evaluation.evidence import stored

    report = stored(published.platform, str(answer["report"]))
    assert report is not None
    assert report.facts["yaml"] == proposed.text
    assert report.facts["file"] == "models/loan_new.yaml"
    assert "loan_new reads 1 columns of loans and leaves 3 out" in report.summary


def test_a_second_try_finds_what_the_first_wrote(published: Any) -> None:
    _, first = fill_in(published.platform, WISH, RUN)
    _, second = fill_in(published.platform, WISH, RUN)
    assert second == first


def test_another_file_stays(published: Any) -> None:
    fill_in(published.platform, WISH, RUN)
    path_of(published).write_text("name: loan_new\n")
    with pytest.raises(ConfigInvalid, match="loan_new is there already"):
        fill_in(published.platform, WISH, RUN)
    assert path_of(published).read_text() == "name: loan_new\n"


def test_where_the_folder_takes_nothing_it_is_shown(
    published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root every folder takes files, so the system's answer is made up."""
    asked: list[tuple[Path, int]] = []

    def refuses(path: Path, mode: int) -> bool:
        asked.append((path, mode))
        return False

    monkeypatch.setattr(model_form.os, "access", refuses)
    proposed, answer = fill_in(published.platform, WISH, RUN)
    assert asked == [(path_of(published).parent, os.W_OK)]
    assert (answer["written"], path_of(published).exists()) == (False, False)
    assert "label: {column: ok" in proposed.text


@pytest.mark.parametrize("person", ["eve", ""])
def test_only_a_trainer_makes_models(published: Any, person: str) -> None:
    with pytest.raises(NotPermitted, match="may not make models"):
        fill_in(published.platform, replace(WISH, owner=person), RUN)
    assert not path_of(published).exists()
