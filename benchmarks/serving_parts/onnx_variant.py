"""An experiment: the gateway of this tree with a model process that scores by ONNX."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from serving_parts.installation import ARTIFACT, Served, Variant
from serving_parts.peers import HOSTS, installed

_MAIN = """
import os
from tenure.adapters.model_process import nursery
from tenure.wiring import serving_models
bare = nursery.bare_environment
def with_onnx():
    env = bare()
    env["PYTHONPATH"] += os.pathsep + os.environ["ONNX_HOSTS"]
    return env | {"TENURE_BENCHMARK_ONNX": os.environ["TENURE_BENCHMARK_ONNX"]}
nursery.bare_environment = with_onnx
serving_models._CHILD = "onnx_child"
from tenure.cli import main
main()
"""


def convert(served: Served, python: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The ONNX file, and how far its scores on unseen rows are from scikit-learn's."""
    pipeline, rows = served.estimator, served.rows
    np.save(folder / "matrix.npy", np.asarray(pipeline[:-1].transform(rows), dtype=float))
    np.save(folder / "scores.npy", pipeline.predict_proba(rows)[:, 1])
    file = folder / "model.onnx"
    model = served.platform.settings.home / ARTIFACT
    command = [str(python), str(HOSTS / "onnx_convert.py"), str(model), str(file), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the model cannot be converted: {done.stderr.strip()[-300:]}")
    return file, json.loads(done.stdout.strip().splitlines()[-1])


def environment(venvs: Path) -> Path:
    """Python of a virtual environment with skl2onnx and onnxruntime."""
    return installed("skl2onnx", venvs / "onnx", "onnxruntime")


def gateway(served: Served, python: Path, file: Path) -> Variant:
    """The gateway that serves the same version by ONNX."""
    libraries = next(python.parent.parent.glob("lib/python*/site-packages"))
    env = {"ONNX_HOSTS": str(HOSTS), "TENURE_BENCHMARK_ONNX": f"{libraries}:{file}"}
    return Variant(served, "gateway-onnx", main=_MAIN, env=env)
