"""Training where the YAML asks for ONNX: what is kept, signed and told, and what stays native."""

from dataclasses import replace
from typing import Any

import pytest

from tenure.adapters.skops_artifacts import check_onnx, verified_onnx
from tenure.adapters.sql import reports
from tenure.errors import ArtifactRefused
from tenure.lifecycle.model_version import OnnxFacts
from tenure.usecases.training import onnx
from tenure.verdicts import Verdict
from tenure.vocabulary import State, digest_bytes

BOOSTING = {"estimator": "hist_gradient_boosting"}


def asked(world: Any, tolerance: float = 1e-4, rows: int = 200, **other: Any) -> Any:
    """A world whose model asks for ONNX, with two snapshots and a request."""
    world.configure(**{**BOOSTING, **other})
    path = world.platform.settings.configs / "models" / "loan_ok.yaml"
    serving = f"serving: {{onnx: {{max_score_difference: {tolerance}}}}}\n"
    path.write_text(path.read_text() + serving)
    for month in (1, 2):
        world.publish(month, rows)
    world.request()
    world.plan()
    return world


def told(world: Any, task: str = "train") -> dict[str, reports.ReportRow]:
    """Reports of the task by stage."""
    with world.platform.database.begin() as connection:
        rows = reports.of_run(connection, "loan_ok__train_model", "r1")
    return {row.stage: row for row in rows if row.task_id == task}


def onnx_files(world: Any) -> list[str]:
    return [key for key in world.platform.store.list("artifacts/") if key.endswith(".onnx")]


def test_a_variant_that_passed(world: Any) -> None:
    asked(world).train()
    row = world.row()
    facts = row.facts.onnx
    data = world.platform.store.get(f"artifacts/{facts.file.digest}.onnx")
    assert digest_bytes(data) == facts.file.digest
    assert world.mlflow.files[row.mlflow_run_id, "model/model.onnx"] == data
    assert (facts.verdict, facts.file.largest_difference) == ("passed", 0.0)
    report = told(world)["onnx_parity"]
    found = report.report.facts
    assert (found["rows"], found["decisions_changed"], found["tolerance"]) == (100, 0, 1e-4)
    assert found["largest_difference"] == 0.0
    assert (report.digest, report.verdict) == (facts.report, "passed")
    assert facts.summary == (
        "ONNX agrees on 100 holdout rows (largest difference 0, allowed 0.0001; "
        "0 decisions changed)"
    )
    assert told(world)["training"].report.facts["onnx"] == facts.summary
    key = world.platform.settings.signing_key.with_suffix(".pub")
    assert verified_onnx(world.platform.store, row, key) == data
    world.evaluate()
    world.audit()
    world.register()
    assert world.versions()[0].state is State.VALIDATED


@pytest.mark.exhaustive
def test_two_trainings_write_the_same_bytes(world: Any) -> None:
    asked(world)
    world.life()
    first = world.row().facts.onnx
    world.request()
    world.plan("r2")
    world.train("r2")
    second = world.row(2).facts.onnx
    assert second.file.digest == first.file.digest
    assert len(onnx_files(world)) == 1
    # One file, two versions, and a signature that fits its own version alone.
    key = world.platform.settings.signing_key.with_suffix(".pub").read_bytes()
    data = world.platform.store.get(onnx_files(world)[0])
    check_onnx(data, world.row(2), key)
    with pytest.raises(ArtifactRefused, match="loan_ok@2: the ONNX file's signature does not fit"):
        check_onnx(data, replace(world.row(2), facts_json=world.row().facts_json), key)


def test_killed_before_the_commit_the_next_try_ends_the_same(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects, then MLflow, then the evidence; the version moves once."""
    from tenure.usecases.training import training

    commit = training._commit

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    asked(world)
    monkeypatch.setattr(training, "_commit", die)
    with pytest.raises(KeyboardInterrupt):
        world.train()
    assert world.row().draft_facts.reason
    files = dict(world.mlflow.files)
    monkeypatch.setattr(training, "_commit", commit)
    world.train()
    assert world.mlflow.files == files
    assert len(onnx_files(world)) == 1
    assert world.row().facts.onnx.verdict == "passed"


def test_what_cannot_be_converted_is_trained_all_the_same(world: Any) -> None:
    asked(world, estimator="logistic_regression").train()
    facts = world.row().facts.onnx
    assert facts == OnnxFacts(
        verdict=Verdict.INCONCLUSIVE,
        report=told(world)["onnx_parity"].digest,
        summary="ONNX cannot stand in for it (only a boosting behind numbers and ordinal codes "
        "can be converted): the version is served by scikit-learn",
        file=None,
    )
    assert onnx_files(world) == []
    assert world.versions()[0].state is State.TRAINED


@pytest.mark.parametrize("sizes", [{1}, {*range(2, 65)}], ids=["alone", "in a batch"])
def test_a_variant_that_disagrees_is_neither_kept_nor_signed(
    world: Any, monkeypatch: pytest.MonkeyPatch, sizes: set[int]
) -> None:
    from tenure.adapters import onnx_variant

    honest = onnx_variant.session

    def other(data: bytes) -> Any:
        score = honest(data)
        return lambda matrix: 1.0 - score(matrix) if len(matrix) in sizes else score(matrix)

    monkeypatch.setattr(onnx_variant, "session", other)
    asked(world).train()
    row = world.row()
    facts = row.facts.onnx
    assert facts.verdict == "failed"
    assert facts.summary == (
        "ONNX was converted but changes 100 of 100 decisions: the version is served by scikit-learn"
    )
    assert facts.file is None
    assert onnx_files(world) == []
    assert (row.mlflow_run_id, "model/model.onnx") not in world.mlflow.files


def test_a_small_holdout_says_too_little(world: Any) -> None:
    asked(world, rows=198, min_rows=50).train()
    facts = world.row().facts.onnx
    assert facts.verdict == "inconclusive"
    assert told(world)["onnx_parity"].report.facts["rows"] == 99
    assert facts.summary == (
        "ONNX was converted but the holdout has 99 rows, 100 are needed: "
        "the version is served by scikit-learn"
    )
    assert onnx_files(world) == []


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ImportError("No module named 'onnx'"), "ImportError: No module named 'onnx'"),
        (AttributeError("_predictors\nat 0x7f"), "AttributeError: _predictors"),
    ],
)
def test_a_library_that_fails_keeps_no_training_back(
    world: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, why: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(onnx, "_converted", fail)
    asked(world).train()
    assert world.row().facts.onnx.summary == (
        f"ONNX cannot stand in for it ({why}): the version is served by scikit-learn"
    )


def test_nobody_asked(world: Any) -> None:
    world.configure(**BOOSTING)
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()
    world.train()
    assert world.row().facts.onnx is None
    assert told(world).keys() == {"training"}
    assert onnx_files(world) == []
