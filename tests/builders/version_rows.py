"""Model versions for tests: complete evidence, of which a test changes what it is about."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tenure.installation.provenance import environment
from tenure.lifecycle.model_version import VersionRecord

WITHOUT_THRESHOLD = "{} states no threshold; its evidence must be complete."
"""How a gateway, a batch and a replay refuse such a version."""


def facts(**changes: Any) -> dict[str, Any]:
    """The facts of a trained version as JSON values."""
    stated: dict[str, Any] = {
        "request_id": 1,
        "reason": "a test",
        "task": "binary",
        "threshold": 0.5,
        "classes": {},
        "features": {"numeric": ["a"], "categorical": [], "dates": []},
        "time_column": "at",
        "names": {},
        "categories": {},
        "kinds": {},
        "ranges": {"a": [0.0, 1.0]},
        "metrics": {},
        "intervals": {},
        "rows": {
            "train": 200,
            "calibration": 0,
            "holdout": 100,
            "unlabelled": 0,
            "gap": 0,
            "label_unknown": 0,
            "group_held_out": 0,
        },
        "trivial_answer": 0.25,
        "conformal_least": None,
        "class_costs": None,
        "interval": None,
        "seed": 7,
        "search": None,
        "mitigation": None,
        "snapshots": [],
        "batches": [],
        "artifact_key": "artifacts/a.skops",
        "holdout_key": "reference/m/1.parquet",
        "holdout_digest": "9" * 64,
        "environment": asdict(environment()),
        "onnx": None,
    }
    return stated | changes


def onnx(
    digest: str = "d" * 64, signature: str = "s", *, apart: float = 0.0, **changes: Any
) -> dict[str, Any]:
    """What a version states of an ONNX file that passed, `apart` from scikit-learn's scores."""
    file = {"digest": digest, "signature": signature, "largest_difference": apart}
    passed = {"verdict": "passed", "report": "r" * 64, "summary": "ONNX agrees", "file": file}
    return passed | changes


def record(stated: Mapping[str, Any] | None = None, **columns: Any) -> VersionRecord:
    """A trained version with these facts; every digest is "x" unless the test says another."""
    digests = ("artifact", "data", "suite", "code", "config", "lock")
    values: dict[str, Any] = {f"{name}_digest": "x" for name in digests} | {
        "id": 1,
        "model": "m",
        "version": 1,
        "trained_by": "ada",
        "training_key": "k",
        "signature": "x",
        "mlflow_run_id": "x",
        "evaluation_report": None,
        "bias_report": None,
    }
    return VersionRecord(**values | columns, facts_json=facts() if stated is None else stated)
