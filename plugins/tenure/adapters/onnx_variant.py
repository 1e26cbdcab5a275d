"""Boostings as ONNX: written with the same bytes each time, scored by ONNX Runtime.

Trees are written in float64 (operator TreeEnsemble of ai.onnx.ml 5): the usual converter rounds
features and thresholds to float32, which moves rows to other leaves.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Boost = Callable[[Matrix], Matrix]
"""From rows of features to the probability of the positive label, one a row."""

_OPSET, _ML_OPSET, _IR = 21, 5, 10
"""Fixed, so that a newer `onnx` writes the same bytes."""
_SUM, _NONE, _LEQ = 1, 0, 0
"""Codes of the operator TreeEnsemble: aggregate, post-transform, comparison."""


class NotConvertible(Exception):
    """The boosting has something that these trees cannot say; the message tells what."""


def convert(boosting: Any) -> bytes:
    """A fitted binary HistGradientBoostingClassifier as ONNX; the same model, the same bytes.

    Raises:
        NotConvertible: It has more than two classes, or splits by native categories.
    """
    from onnx import TensorProto, helper

    attributes = _trees(boosting).attributes()
    count = int(boosting.n_features_in_)
    graph = helper.make_graph(
        [helper.make_node("TreeEnsemble", ["x"], ["sum"], domain="ai.onnx.ml", **attributes)],
        "boosting",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, [None, count])],
        [helper.make_tensor_value_info("sum", TensorProto.DOUBLE, [None, 1])],
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=_IR, producer_name="tenure", producer_version=""
    )
    return bytes(model.SerializeToString(deterministic=True))


def runtime() -> Any:
    """ONNX Runtime without its reports to Microsoft, which it makes by default since 1.29.

    Must be the first to import it: the variable counts at that moment only.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def session(data: bytes) -> Boost:
    """ONNX Runtime on verified bytes, one thread; a row scores the same alone and in a batch.

    The logistic function is scikit-learn's: ONNX Runtime's differs in the last digit with a
    row's place in the batch.
    """
    from scipy.special import expit

    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    run = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run

    def score(matrix: Matrix) -> Matrix:
        scores: Matrix = expit(run(["sum"], {"x": matrix})[0][:, 0])
        return scores

    return score


@dataclass
class _Trees:
    """The attributes of TreeEnsemble: inner nodes of all trees in one row, leaves in another."""

    roots: list[int] = field(default_factory=list)
    features: list[int] = field(default_factory=list)
    splits: list[float] = field(default_factory=list)
    nulls_go_left: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    left_is_leaf: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    right_is_leaf: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def add(self, nodes: NDArray[Any]) -> None:
        """Add a tree of scikit-learn's nodes, root first."""
        is_leaf = nodes["is_leaf"].astype(bool)
        inner, leaves = nodes[~is_leaf], nodes[is_leaf]
        place = np.where(
            is_leaf,
            np.cumsum(is_leaf) - 1 + len(self.weights),
            np.cumsum(~is_leaf) - 1 + len(self.features),
        )
        self.roots.append(len(self.features))
        self.weights += leaves["value"].tolist()
        if is_leaf[0]:
            self._add_leaf(int(place[0]))
            return
        self.features += inner["feature_idx"].tolist()
        self.splits += inner["num_threshold"].tolist()
        self.nulls_go_left += inner["missing_go_to_left"].tolist()
        self.left += place[inner["left"]].tolist()
        self.left_is_leaf += is_leaf[inner["left"]].astype(int).tolist()
        self.right += place[inner["right"]].tolist()
        self.right_is_leaf += is_leaf[inner["right"]].astype(int).tolist()

    def add_constant(self, value: float) -> None:
        """Add a tree that says the same of every row."""
        self.roots.append(len(self.features))
        self.weights.append(value)
        self._add_leaf(len(self.weights) - 1)

    def _add_leaf(self, leaf: int) -> None:
        """A tree that never splits: ONNX knows none, so both ways lead to its leaf."""
        self.features.append(0)
        self.splits.append(0.0)
        self.nulls_go_left.append(0)
        self.left.append(leaf)
        self.left_is_leaf.append(1)
        self.right.append(leaf)
        self.right_is_leaf.append(1)

    def attributes(self) -> dict[str, Any]:
        """By their names in the operator."""
        from onnx import numpy_helper

        modes = np.full(len(self.features), _LEQ, dtype=np.uint8)
        return {
            "n_targets": 1,
            "aggregate_function": _SUM,
            "post_transform": _NONE,
            "tree_roots": self.roots,
            "nodes_featureids": self.features,
            "nodes_modes": numpy_helper.from_array(modes),
            "nodes_splits": numpy_helper.from_array(np.array(self.splits, dtype=np.float64)),
            "nodes_missing_value_tracks_true": self.nulls_go_left,
            "nodes_truenodeids": self.left,
            "nodes_trueleafs": self.left_is_leaf,
            "nodes_falsenodeids": self.right,
            "nodes_falseleafs": self.right_is_leaf,
            "leaf_targetids": [0] * len(self.weights),
            "leaf_weights": numpy_helper.from_array(np.array(self.weights, dtype=np.float64)),
        }


def _trees(boosting: Any) -> _Trees:
    if len(boosting.classes_) != 2:
        raise NotConvertible(f"it has {len(boosting.classes_)} classes")
    found = _Trees()
    # First, as scikit-learn begins with it: then both add the same numbers in the same order.
    found.add_constant(float(np.asarray(boosting._baseline_prediction).item()))
    for (tree,) in boosting._predictors:
        if tree.nodes["is_categorical"].any():
            raise NotConvertible("it splits by native categories")
        found.add(tree.nodes)
    return found
