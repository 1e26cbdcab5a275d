"""Turns the boosting of a skops pipeline into ONNX and compares scores; runs where skl2onnx is.

Arguments: the skops file, the ONNX file to write, a folder with `matrix.npy` (rows as the boosting
reads them) and `scores.npy` (of scikit-learn). Prints how far the scores are apart.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx.helper
import onnxruntime
import skops.io
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType

_make_attribute = onnx.helper.make_attribute


def _with_numbers(key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
    """skl2onnx 1.20 writes truth values where onnx 1.23 takes none."""
    if isinstance(value, list | tuple | np.ndarray):
        value = [int(v) if isinstance(v, bool | np.bool_) else v for v in value]
    return _make_attribute(key, value, *args, **kwargs)


def main(model: str, out: str, rows: Path) -> None:
    """Convert the last step; the codes before it are looked up by the caller."""
    onnx.helper.make_attribute = _with_numbers
    pipeline = skops.io.load(model, trusted=skops.io.get_untrusted_types(file=model))
    boosting = pipeline.steps[-1][1]
    inputs = [("x", FloatTensorType([None, boosting.n_features_in_]))]
    converted = to_onnx(boosting, initial_types=inputs, options={"zipmap": False})
    data = converted.SerializeToString()
    Path(out).write_bytes(data)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    matrix, native = np.load(rows / "matrix.npy"), np.load(rows / "scores.npy")
    scores = session.run(["probabilities"], {"x": matrix.astype(np.float32)})[0][:, 1]
    flips = int(((scores >= 0.5) != (native >= 0.5)).sum())
    apart = np.abs(scores - native)
    far = int((apart > 1e-4).sum())
    print(json.dumps({"rows": len(native), "max": float(apart.max()), "far": far, "flips": flips}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
