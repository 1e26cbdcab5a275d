"""A model from the rows of its dataset: it passes `tenure check`, and can be trained at once."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tenure.cli import app
from tenure.config import load_model
from tenure.config.suites import check
from tenure.errors import ConfigInvalid, GateInconclusive, ObjectMissing
from tenure.usecases.training import gates, planning
from tenure.usecases.training import new_model as module
from tenure.usecases.training import training as use_case
from tenure.usecases.training.new_model import ModelSpec, NewModel, create
from tenure.verdicts import Verdict
from tenure.vocabulary import RunRef

RUNNER = CliRunner()
WISH = ModelSpec("loan_new", "loans", "ok", subject="branch", owner="ada")


def made(world: Any, **other: Any) -> NewModel:
    return create(world.platform, replace(WISH, **other))


def path_of(world: Any, name: str = "loan_new") -> Path:
    path: Path = world.platform.settings.configs / "models" / f"{name}.yaml"
    return path


@pytest.fixture
def published(world: Any) -> Any:
    for month in (1, 2, 3):
        world.publish(month)
    return world


def test_what_the_rows_suggest(published: Any) -> None:
    found = made(published)
    model = found.model
    assert (found.rows, found.batches) == (600, ("2013-01", "2013-02", "2013-03"))
    assert (model.features.numeric, model.features.categorical) == (("income",), ())
    assert found.left_out == {
        "at": "says when, not what",
        "branch": "names whom a row is about",
        "sex": "is protected: its groups are audited",
    }
    assert (model.bias.attributes, model.bias.min_ratio) == (("sex",), 0.8)
    assert (model.training.window_batches, model.training.gap_hours) == (3, 24)
    assert model.label.horizon_hours == 24
    auc, brier = model.evaluation.gates
    assert auc.minimum is not None
    assert 0.6 <= auc.minimum < 0.8
    assert brier.maximum == 0.25


def test_the_file_says_what_was_guessed(published: Any) -> None:
    found = made(published)
    text = found.path.read_text()
    assert yaml.safe_load(text)["name"] == "loan_new"
    assert text.count("to be confirmed") == len(found.confirm) + 1
    assert "#   sex is protected: its groups are audited\n" in text
    assert "income alone reaches 0." in text
    for key in ("purpose", "risk_tier", "label", "evaluation.threshold", "bias.min_ratio"):
        assert any(one.startswith(f"{key}: ") for one in found.confirm), key


def test_it_passes_the_check_beside_all_others(published: Any) -> None:
    made(published)
    settings = published.platform.settings
    today = published.platform.clock.now().date()
    _, before = check(settings.include, today)
    assert [one for one in before if one.path == path_of(published)] == []
    assert load_model(settings.include, "loan_new")[0].owner == "ada"


def test_it_is_trained_at_once(published: Any) -> None:
    made(published)
    platform, mlflow = published.platform, published.mlflow

    def run(task: str) -> RunRef:
        return RunRef("loan_new__train_model", "r1", task, user="ada")

    planning.plan(platform, "loan_new", run("plan"), by_hand=True)
    use_case.train(platform, "loan_new", run("train"), mlflow)
    evaluated = gates.evaluate(platform, "loan_new", run("evaluate"))
    assert evaluated["verdict"] == Verdict.PASSED
    gates.audit_bias(platform, "loan_new", run("audit_bias"))


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"name": "Loan New"}, "is not an id"),
        ({"name": "loan_ok"}, "is there already"),
        ({"label": "late"}, "--label: loans has no column 'late'"),
        ({"protected": ("sex", "race")}, "--protected: loans has no column 'race'"),
        ({"subject": "who"}, "--subject: loans has no column 'who'"),
        ({"label": "at"}, "the time, the key or a protected attribute"),
        ({"label": "sex", "protected": ("sex",)}, "the time, the key or a protected attribute"),
        ({"label": "income"}, "600 different values"),
        ({"positive": "maybe"}, "'maybe' is none of"),
        ({"subject": None}, "nothing names whom a decision is about"),
        ({"outcomes": "nowhere"}, "dataset 'nowhere' has no valid YAML"),
        ({"dataset": "nothing"}, "nothing"),
    ],
)
def test_what_is_refused_leaves_no_file(published: Any, other: dict[str, Any], what: str) -> None:
    before = sorted(path_of(published).parent.iterdir())
    with pytest.raises(ConfigInvalid) as refused:
        made(published, **other)
    assert what in refused.value.what
    assert refused.value.next_step
    assert sorted(path_of(published).parent.iterdir()) == before


def test_without_a_batch_there_is_nothing_to_look_at(world: Any) -> None:
    with pytest.raises(GateInconclusive):
        made(world)
    assert not path_of(world).exists()


def test_a_batch_that_was_repaired_counts_once(world: Any) -> None:
    world.publish(1)
    world.publish(1, seed=7)
    found = made(world)
    assert (found.batches, found.rows) == (("2013-01",), 200)


def test_of_many_rows_some_are_looked_at(published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 300)
    found = made(published)
    assert (found.rows, found.label.rows) == (600, 300)
    assert "600 rows in the 3 newest batches" in found.path.read_text()
    assert "; 300 of them were looked at" in found.path.read_text()


def test_a_column_that_an_older_batch_lacks_is_said(published: Any) -> None:
    path = published.platform.settings.configs / "datasets" / "loans.yaml"
    path.write_text(path.read_text().replace("    sex:", "    age: {type: integer}\n    sex:"))
    found = made(published)
    assert found.left_out["age"] == "is not in all of the 3 newest batches"


def test_a_snapshot_that_is_gone_is_named(world: Any) -> None:
    digest = world.publish(1)
    world.platform.store.delete(f"snapshots/loans/{digest}/data.parquet")
    with pytest.raises(ObjectMissing, match=f"store has no snapshots/loans/{digest}"):
        made(world)


def test_without_a_moment_nothing_can_be_split(world: Any) -> None:
    world.publish(1, rows=200, at=[None] * 200)
    with pytest.raises(ConfigInvalid) as refused:
        made(world)
    assert "the time column at of loans has no value in 1 batches (2013-01)" in refused.value.what


def test_a_label_of_words(world: Any) -> None:
    """The groups of another column stand in where the law protects none."""
    for month in (1, 2):
        world.publish(month, rows=200)
    found = made(world, label="sex", subject="branch")
    assert (found.label.negative, found.label.is_guess) != (None, False)
    model = found.model
    assert {model.label.positive, model.label.negative} == {"f", "m"}
    assert model.bias.attributes == ("ok",)
    assert (model.bias.min_ratio, model.bias.max_difference) == (None, 0.25)
    assert "ok" in model.features.categorical


def test_what_gives_the_label_away_is_left_out(world: Any) -> None:
    world.publish(1, branch=["n", "s"] * 100, sex=["f", "m"] * 100)
    found = made(world, label="branch", subject="ok", protected=("ok",))
    assert found.left_out["sex"] == "gives branch away: it is the same"


def test_the_command(published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = published.platform.settings
    monkeypatch.setenv("TENURE_HOME", str(settings.home))
    monkeypatch.setenv("TENURE_INCLUDE", str(settings.include))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_STORE_URL", settings.store_url)
    words = ["new", "model", "loan_new", "--dataset", "loans", "--label", "ok"]
    said = RUNNER.invoke(app, [*words, "--subject", "branch", "--protected", "sex"])
    assert said.exit_code == 0, said.output
    assert "The model reads 1 columns: income." in said.output
    assert "  - sex is protected: its groups are audited" in said.output
    assert "tenure train loan_new --reason" in said.output
    path_of(published).unlink()
    answer = json.loads(RUNNER.invoke(app, [*words, "--subject", "branch", "--json"]).stdout)
    assert answer["file"] == str(path_of(published))
    assert answer["label"]["share"] == pytest.approx(0.5, abs=0.1)
    assert RUNNER.invoke(app, [*words, "--subject", "branch"]).exit_code == 1
