"""A retired version on a real MLflow server: copies gone, evidence kept."""

from pathlib import Path

import pytest

from tenure.adapters.mlflow_registry import DELETED, MlflowRegistry
from tenure.errors import ServiceUnreachable


@pytest.fixture
def retired(mlflow_url: str) -> tuple[MlflowRegistry, str, str]:
    """A registered version with a copy of its artifact; the registry, its model and its run."""
    registry, model = MlflowRegistry(mlflow_url), "retired"
    run = registry.ensure_run(model, training_key="k1", name=f"{model}@1", tags={})
    files = {"model/model.skops": b"bytes of a model", "model/model.onnx": b"its trees"}
    files |= {"reports/bias.json": b"{}"}
    registry.log(run, params={"seed": 7}, metrics={"roc_auc": 0.7}, files=files)
    registry.ensure_version(model, version=1, run_id=run, folder="model", tags={}, files={})
    registry.set_alias(model, "champion", 1)
    return registry, model, run


@pytest.mark.service
def test_a_tombstone_leaves_the_run_and_no_copy_of_the_model(
    retired: tuple[MlflowRegistry, str, str], mlflow_url: str, tmp_path: Path
) -> None:
    registry, model, run = retired
    gone = registry.tombstone(model, 1, run_id=run, reason="Decommissioned: old")
    assert gone[:2] == [f"runs:/{run}/model/model.onnx", f"runs:/{run}/model/model.skops"]
    assert gone[2].startswith(f"models:/{model}/")
    client = registry._client
    kept = client.get_run(run)
    assert kept.data.tags[DELETED] == "Decommissioned: old"
    assert kept.data.metrics == {"roc_auc": 0.7}
    assert [f.path for f in client.list_artifacts(run, "model")] == []
    assert [f.path for f in client.list_artifacts(run, "reports")] == ["reports/bias.json"]
    assert client.search_model_versions(f"name = '{model}'") == []
    assert registry.get_aliases(model) == {}
    root = Path(kept.info.artifact_uri.removeprefix("file://"))
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["bias.json"]
    assert MlflowRegistry(mlflow_url).tombstone(model, 1, run_id=run, reason="again") == []


@pytest.mark.service
def test_a_version_that_mlflow_never_saw_needs_no_tombstone(mlflow_url: str) -> None:
    registry = MlflowRegistry(mlflow_url)
    assert registry.tombstone("never_registered", 1, run_id=None, reason="old") == []


def test_a_server_that_is_down_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ServiceUnreachable):
        MlflowRegistry("http://127.0.0.1:9").tombstone("m", 1, run_id="r", reason="old")
