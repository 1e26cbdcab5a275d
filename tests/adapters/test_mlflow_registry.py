"""A real MLflow server: one run and one version, however often it is asked."""

import concurrent.futures
import time
from pathlib import Path
from typing import Any

import pytest

from tenure.adapters.mlflow_registry import MlflowRegistry
from tenure.errors import ServiceUnreachable
from tenure.lifecycle.model_version import SearchTrial

DIGESTS = {"tenure.artifact_digest": "a" * 64, "tenure.code_digest": "c" * 64}
FILES = {"model/model.skops": b"skops bytes"}


@pytest.fixture
def registry(mlflow_url: str) -> MlflowRegistry:
    return MlflowRegistry(mlflow_url)


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    return request.node.name.removeprefix("test_")[:60]


def run_of(registry: MlflowRegistry, model: str, key: str = "k1", **tags: str) -> str:
    return registry.ensure_run(model, training_key=key, name=f"{model}@1", tags=DIGESTS | tags)


def log(registry: MlflowRegistry, run_id: str, auc: float = 0.7) -> None:
    registry.log(run_id, params={"seed": 7}, metrics={"roc_auc": auc}, files=FILES)


def version_of(registry: MlflowRegistry, model: str, run_id: str, version: int = 1) -> str:
    return registry.ensure_version(
        model,
        version=version,
        run_id=run_id,
        folder="model",
        tags=DIGESTS,
        files={"reports/evaluation.json": b"{}", "reports/bias.json": b"{}"},
    )


def seen(registry: MlflowRegistry, model: str) -> tuple[list[Any], list[Any]]:
    client = registry._client
    experiment = client.get_experiment_by_name(model)
    runs = client.search_runs([experiment.experiment_id])
    return runs, client.search_model_versions(f"name = '{model}'")


def test_a_retry_makes_no_second_run_and_no_second_version(
    registry: MlflowRegistry, mlflow_url: str, model: str
) -> None:
    first = run_of(registry, model)
    log(registry, first)
    number = version_of(registry, model, first)
    again = MlflowRegistry(mlflow_url)  # as after a kill: nothing is remembered
    assert run_of(again, model) == first
    log(again, first)
    assert version_of(again, model, first) == number
    runs, versions = seen(registry, model)
    assert len(runs) == len(versions) == 1
    assert runs[0].info.status == "FINISHED"
    assert runs[0].data.params == {"seed": "7"}
    assert runs[0].data.metrics == {"roc_auc": 0.7}
    assert runs[0].data.tags.items() >= DIGESTS.items()
    assert versions[0].source == f"runs:/{first}/model"
    assert versions[0].tags["tenure.version"] == "1"


def test_artifacts_and_reports_are_the_run_s(
    registry: MlflowRegistry, model: str, tmp_path: Path
) -> None:
    run_id = run_of(registry, model)
    log(registry, run_id)
    version_of(registry, model, run_id)
    client = registry._client
    assert [f.path for f in client.list_artifacts(run_id, "reports")] == [
        "reports/bias.json",
        "reports/evaluation.json",
    ]
    local = client.download_artifacts(run_id, "model/model.skops", str(tmp_path))
    assert Path(local).read_bytes() == FILES["model/model.skops"]


def test_a_retry_with_other_bytes_corrects_the_tags(registry: MlflowRegistry, model: str) -> None:
    first = run_of(registry, model)
    log(registry, first)
    changed = {"tenure.artifact_digest": "b" * 64}
    assert registry.ensure_run(model, training_key="k1", name="x", tags=changed) == first
    log(registry, first, auc=0.71)
    runs, _ = seen(registry, model)
    assert runs[0].data.tags["tenure.artifact_digest"] == "b" * 64


def test_another_training_is_another_run(registry: MlflowRegistry, model: str) -> None:
    assert run_of(registry, model, "k1") != run_of(registry, model, "k2")


def test_two_tries_at_once_agree_afterwards(mlflow_url: str, model: str) -> None:
    """A zombie and its retry may both create a run; every later look finds the same one."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: run_of(MlflowRegistry(mlflow_url), model), range(2)))
    assert run_of(MlflowRegistry(mlflow_url), model) == run_of(MlflowRegistry(mlflow_url), model)


def test_aliases_speak_tenure_s_numbers(registry: MlflowRegistry, model: str) -> None:
    for number in (3, 7):
        version_of(registry, model, run_of(registry, model, f"k{number}"), number)
    assert registry.get_aliases(model) == {}
    assert registry.set_alias(model, "champion", 3)
    assert registry.set_alias(model, "challenger", 7)
    assert registry.get_aliases(model) == {"champion": 3, "challenger": 7}
    assert registry.set_alias(model, "champion", 7)
    assert registry.set_alias(model, "challenger", None)
    assert registry.set_alias(model, "challenger", None)
    assert registry.get_aliases(model) == {"champion": 7}
    assert not registry.set_alias(model, "champion", 99)
    assert registry.get_aliases(model) == {"champion": 7}
    assert registry.get_aliases("a-model-that-is-not-there") == {}


@pytest.mark.service
def test_a_server_that_is_away_is_retryable_and_quick() -> None:
    """A service test, because it sits out the pauses between MLflow's own tries."""
    began = time.monotonic()
    with pytest.raises(ServiceUnreachable, match="MLflow does not answer") as caught:
        run_of(MlflowRegistry("http://127.0.0.1:9"), "m")
    assert caught.value.retryable
    assert time.monotonic() - began < 30


def test_trials_are_runs_below_the_training_s_and_a_retry_makes_no_more(
    registry: MlflowRegistry, model: str
) -> None:
    parent = run_of(registry, model)
    trials = [SearchTrial(1, {"C": 0.5, "dual": False}, 400, 0.61), SearchTrial(2, {}, 900, 0.58)]
    registry.log_trials(model, parent, trials[:1])  # and then it was killed
    for _ in range(2):
        registry.log_trials(model, parent, trials)
    assert run_of(registry, model) == parent
    below = [run for run in seen(registry, model)[0] if run.info.run_id != parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in below} == {parent}
    told = sorted((run.info.run_name, run.data.params, run.data.metrics) for run in below)
    assert told == [
        ("trial 1", {"C": "0.5", "dual": "False"}, {"log_loss": 0.61, "rows": 400, "round": 1}),
        ("trial 2", {}, {"log_loss": 0.58, "rows": 900, "round": 2}),
    ]
