"""A real model, archived and brought back."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from version_rows import facts

from tenure.adapters.signing import Signer
from tenure.adapters.skops_artifacts import dump
from tenure.adapters.sql import versions
from tenure.errors import ArchiveIncomplete, ArtifactRefused, StateConflict
from tenure.installation import Installation
from tenure.layout import artifact_key, reference_key, report_key
from tenure.lifecycle.retirement.decommission import StepAction
from tenure.lifecycle.training.registry import statement_bytes
from tenure.usecases.retirement.decommissioning import Decommissioning, verify
from tenure.vocabulary import RunRef, State, VersionRef, digest_bytes

MODEL = "flight_late"
FACTS = facts(features={"numeric": ["hour"], "categorical": ["dest"], "dates": []})

pytestmark = pytest.mark.service


TASKS: dict[str, tuple[type, dict[str, object]]] = {
    "binary": (HistGradientBoostingClassifier, {}),
    "multiclass": (
        HistGradientBoostingClassifier,
        {"task": "multiclass", "threshold": None, "classes": {"day": 9, "eve": 9, "night": 9}},
    ),
    "regression": (HistGradientBoostingRegressor, {"task": "regression", "threshold": None}),
}


def fitted(task: str = "binary") -> tuple[object, pd.DataFrame]:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "hour": rng.uniform(0, 24, 400),
            "dest": pd.Series(rng.choice(["BOS", "LAX", "SFO"], 400), dtype=object),
        }
    )
    frame.loc[3, "hour"] = np.nan
    frame.loc[4, "dest"] = None
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = make_column_transformer((encoder, ["dest"]), remainder="passthrough")
    model = make_pipeline(columns, TASKS[task][0](max_iter=10, random_state=7))
    hours = frame["hour"].fillna(0)
    labels = {
        "binary": hours > 12,
        "multiclass": np.array(["night", "day", "eve"])[(hours // 8).astype(int)],
        "regression": hours * 2,
    }
    return model.fit(frame, labels[task]), frame


def scored(model: Any, frame: pd.DataFrame, task: str) -> Any:
    """What the trainer stores as `score`."""
    if task == "regression":
        return model.predict(frame)
    probabilities = model.predict_proba(frame)
    return probabilities.max(axis=1) if task == "multiclass" else probabilities[:, 1]


@pytest.fixture
def archived(
    platform: Installation, retire: Decommissioning, run: RunRef
) -> Callable[..., VersionRef]:
    """Archives a real model whose stored scores are off by what is asked."""

    def make(off_by: float, task: str = "binary") -> VersionRef:
        model, frame = fitted(task)
        data = dump(model, name=f"{MODEL}@1")
        digest = platform.store.put(artifact_key(digest_bytes(data)), data)
        scores = scored(model, frame, task) + off_by
        table = pa.table(
            {"f_hour": frame["hour"].to_numpy(), "f_dest": frame["dest"].tolist(), "score": scores}
        )
        scratch = platform.settings.home / "reference.parquet"
        scratch.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, scratch)
        platform.store.put_file(reference_key(MODEL, 1), scratch)
        ref = _register(platform, digest, FACTS | TASKS[task][1])
        retire.request(1, reason="old", successor="", run=run)
        retire.confirm(1, agrees=True, person="grace")
        for action in (StepAction.NOTIFY, StepAction.ARCHIVE, StepAction.DELETE):
            retire.do(action, 1, run)
        return ref

    return make


def _register(platform: Installation, digest: str, stated: dict[str, Any]) -> VersionRef:
    others = ("data", "suite", "code", "config", "lock")
    with platform.database.begin() as c:
        versions.register_model(c, name=MODEL, owner="ada", risk_tier="limited", purpose="tests")
        ref = versions.create_draft(c, model_name=MODEL, trained_by="ada", training_key="1" * 64)
        digests = {f"{name}_digest": digest_bytes(name.encode()) for name in others}
        for name in ("evaluation", "bias"):
            report = platform.store.put(report_key(digest_bytes(name.encode())), name.encode())
            digests[f"{name}_report"] = report
        versions.set_columns(
            c, ref.id, facts=stated, mlflow_run_id="r1", artifact_digest=digest, **digests
        )
        signer = Signer(platform.settings.signing_key)
        signature = signer.sign(statement_bytes(versions.row_by_id(c, ref.id)))
        versions.set_columns(c, ref.id, signature=signature)
    for state in (State.TRAINED, State.REJECTED):
        with platform.database.begin() as c:
            ref = versions.get_by_id(c, ref.id)
            platform.ledger.move(c, ref, state, actor="t", body={}, op_key=str(state))
    return replace(ref, state=State.REJECTED)


@pytest.mark.parametrize("task", TASKS)
def test_a_deleted_model_comes_back_and_predicts_the_same(
    platform: Installation, archived: Callable[..., VersionRef], task: str
) -> None:
    ref = archived(0.0, task)
    assert not platform.store.exists(artifact_key(ref.artifact_digest or ""))
    found = verify(platform, MODEL, 1)
    assert found.archive == f"{MODEL}@1"
    assert found.predictions == 50
    assert found.largest_difference <= 1e-9


def test_other_predictions_are_found(
    platform: Installation, archived: Callable[[float], VersionRef]
) -> None:
    archived(1e-6)
    with pytest.raises(ArchiveIncomplete, match="predictions differ by up to 1e-06"):
        verify(platform, MODEL, 1)


@pytest.mark.parametrize("name", ["artifact.skops", "samples.json", "manifest.json"])
def test_one_flipped_bit_is_found(
    platform: Installation, archived: Callable[[float], VersionRef], name: str
) -> None:
    archived(0.0)
    key = f"archive/{MODEL}/1/{name}"
    data = bytearray(platform.store.get(key))
    data[len(data) // 2] ^= 1
    platform.store.put(key, bytes(data))
    with pytest.raises(ArchiveIncomplete):
        verify(platform, MODEL, 1)


def test_an_archive_that_somebody_else_signed_is_refused(
    platform: Installation, archived: Callable[[float], VersionRef]
) -> None:
    archived(0.0)
    public = platform.settings.signing_key.with_suffix(".pub")
    other = Signer(platform.settings.home / "other.pem")
    assert other.sign(b"")
    public.write_bytes(other.public.read_bytes())
    with pytest.raises(ArtifactRefused, match="the signature does not fit"):
        verify(platform, MODEL, 1)


def test_a_version_without_an_archive(
    platform: Installation, make_version: Callable[..., VersionRef]
) -> None:
    make_version()
    with pytest.raises(StateConflict, match="flight_late@1 has no archive: it is rejected"):
        verify(platform, MODEL, 1)
    with pytest.raises(StateConflict, match="flight_late@9 has no archive: it is not known"):
        verify(platform, MODEL, 9)
