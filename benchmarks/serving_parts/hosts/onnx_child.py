"""The gateway's model process, which scores by ONNX after it has verified the version as ever.

An experiment and no part of the product: nobody signed the ONNX file.
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(descriptor: int) -> None:
    """The product's main function; the boosting's scores come from ONNX, one thread."""
    libraries, file = os.environ["TENURE_BENCHMARK_ONNX"].split(":")
    sys.path.append(libraries)
    from tenure.adapters import skops_artifacts
    from tenure.wiring import model_child

    data, load_bytes = Path(file).read_bytes(), skops_artifacts.load_bytes

    def load(*args: Any) -> Any:
        import onnxruntime

        pipeline = load_bytes(*args)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

        def predict_proba(matrix: Any) -> Any:
            return session.run(["probabilities"], {"x": np.asarray(matrix, dtype=np.float32)})[0]

        pipeline.steps[-1][1].predict_proba = predict_proba
        return pipeline

    skops_artifacts.load_bytes = load
    model_child.main(descriptor)


if __name__ == "__main__":
    main(int(sys.argv[1]))
