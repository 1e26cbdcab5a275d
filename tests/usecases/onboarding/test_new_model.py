"""A model from the rows of its dataset: it passes `tenure check`, and can be trained at once."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tenure.cli import app
from tenure.config import load_model
from tenure.config.suites import check
from tenure.errors import ConfigInvalid
from tenure.usecases.evaluation import gates
from tenure.usecases.training import planning
from tenure.usecases.training import training as use_case
from tenure.verdicts import Verdict
from tenure.vocabulary import RunRef

RUNNER = CliRunner()


def path_of(world: Any, name: str = "loan_new") -> Path:
    path: Path = world.platform.settings.configs / "models" / f"{name}.yaml"
    return path


def test_what_the_rows_suggest(published: Any, made: Any) -> None:
    found = made()
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


def test_it_passes_the_check_beside_all_others(published: Any, made: Any) -> None:
    made()
    settings = published.platform.settings
    today = published.platform.clock.now().date()
    _, before = check(settings.include, today)
    assert [one for one in before if one.path == path_of(published)] == []
    assert load_model(settings.include, "loan_new")[0].owner == "ada"


def test_it_is_trained_at_once(published: Any, made: Any) -> None:
    made()
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
        ({"label": "late"}, "label: loans has no column 'late'"),
        ({"protected": ("sex", "race")}, "protected: loans has no column 'race'"),
        ({"subject": "who"}, "subject: loans has no column 'who'"),
        ({"label": "at"}, "the time, the key or a protected attribute"),
        ({"label": "sex", "protected": ("sex",)}, "the time, the key or a protected attribute"),
        ({"label": "income", "task": "binary"}, "600 different values"),
        ({"positive": "maybe"}, "'maybe' is none of"),
        ({"outcomes": "nowhere"}, "dataset 'nowhere' has no valid YAML"),
        ({"dataset": "nothing"}, "nothing"),
    ],
)
def test_what_is_refused_leaves_no_file(
    published: Any, other: dict[str, Any], what: str, made: Any
) -> None:
    before = sorted(path_of(published).parent.iterdir())
    with pytest.raises(ConfigInvalid) as refused:
        made(**other)
    assert what in refused.value.what
    assert refused.value.next_step
    assert sorted(path_of(published).parent.iterdir()) == before


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
