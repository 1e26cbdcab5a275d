"""Trees as ONNX give scikit-learn's very scores, alone and in batches, from the same bytes."""

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from tenure.adapters import sklearn_trainer
from tenure.adapters.onnx_variant import NotConvertible, convert, session
from tenure.adapters.serving_frame import by_matrix

ROWS = 2000


def matrix(seed: int = 1) -> Any:
    """Numbers of all sizes, with nulls: float32 would see one value in the second column."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(ROWS, 4))
    found[:, 1] += 1e9
    found[:, 2] = rng.integers(0, 5, ROWS)
    found[rng.random(found.shape) < 0.1] = np.nan
    return found


def labels(rows: Any) -> Any:
    large = np.nan_to_num(rows[:, 1] - 1e9)
    return np.nan_to_num(rows[:, 0]) + large + (rows[:, 2] == 3) > 0.3


def fitted(**parameters: Any) -> Any:
    made = HistGradientBoostingClassifier(
        max_iter=30, early_stopping=False, categorical_features=None, random_state=1, **parameters
    )
    rows = matrix()
    return made.fit(rows, labels(rows))


@pytest.fixture(scope="module")
def boosting() -> Any:
    return fitted()


def test_scores_are_those_of_scikit_learn(boosting: Any) -> None:
    boost, rows = session(convert(boosting)), matrix(seed=2)
    rows[0], rows[1] = np.nan, np.inf
    native = boosting.predict_proba(rows)[:, 1]
    assert np.array_equal(boost(rows), native)
    assert 0.2 < (native > 0.5).mean() < 0.8


def test_a_row_scores_the_same_alone_and_in_any_batch(boosting: Any) -> None:
    boost, rows = session(convert(boosting)), matrix(seed=3)
    together = boost(rows)
    for size in (1, 2, 3, 51, 64, 500):
        parts = [boost(rows[n : n + size]) for n in range(0, len(rows), size)]
        assert np.array_equal(np.concatenate(parts), together), size


def test_the_same_model_gives_the_same_bytes(boosting: Any) -> None:
    assert convert(boosting) == convert(boosting) == convert(fitted())
    assert convert(boosting) != convert(fitted(learning_rate=0.2))


def test_a_value_at_a_threshold_goes_where_scikit_learn_sends_it(boosting: Any) -> None:
    nodes = boosting._predictors[0][0].nodes
    inner = nodes[nodes["is_leaf"] == 0]
    rows = np.repeat(matrix(seed=4)[:1], 3 * len(inner), axis=0)
    for place, node in enumerate(inner):
        at = node["num_threshold"]
        near = (np.nextafter(at, -np.inf), at, np.nextafter(at, np.inf))
        rows[3 * place : 3 * place + 3, node["feature_idx"]] = near
    native = boosting.predict_proba(rows)[:, 1]
    assert np.array_equal(session(convert(boosting))(rows), native)


def test_a_tree_without_a_split() -> None:
    """Too few rows to split: all trees are one leaf each."""
    rows = matrix()[:10]
    made = HistGradientBoostingClassifier(max_iter=3, categorical_features=None)
    made.fit(rows, np.arange(10) < 3)
    assert np.array_equal(session(convert(made))(rows), made.predict_proba(rows)[:, 1])


def test_nulls_strangers_and_codes_of_a_pipeline() -> None:
    import pandas as pd

    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"a": rng.random(500)})
    frame["c"] = pd.Series(rng.choice(["x", "y", "z", None], 500), dtype=object)
    frame.loc[::7, "a"] = np.nan
    made = sklearn_trainer.build(
        "hist_gradient_boosting", {"max_iter": 20}, numeric=["a"], categorical=["c"], seed=1
    )
    pipeline = sklearn_trainer.fit(made, frame, (frame["c"] == "x").to_numpy())
    parts = by_matrix(pipeline, ["a", "c"])
    assert parts is not None
    score = parts.scorer(session(convert(parts.boosting)))
    rows = [(0.5, "x"), (None, "y"), (9e9, None), (0.1, "never seen"), (float("nan"), "z")]
    asked = pd.DataFrame({"a": [row[0] for row in rows], "c": [row[1] for row in rows]}).astype(
        {"a": float, "c": object}
    )
    asked["c"] = asked["c"].where(asked["c"].notna(), None)
    assert score(rows) == pipeline.predict_proba(asked)[:, 1].tolist()
    assert isinstance(score(rows)[0], float)


@pytest.mark.parametrize(
    ("why", "model"),
    [
        ("it has 3 classes", lambda rows: (rows, np.arange(len(rows)) % 3, None)),
        ("it splits by native categories", lambda rows: (rows, rows[:, 2] == 3, [2])),
    ],
)
def test_what_cannot_be_said(why: str, model: Any) -> None:
    rows, truth, categories = model(matrix())
    made = HistGradientBoostingClassifier(max_iter=2, categorical_features=categories)
    with pytest.raises(NotConvertible, match=why):
        convert(made.fit(rows, truth))


@pytest.mark.parametrize("data", [b"", b"no ONNX at all", b"\x08\x0a" * 40])
def test_garbage_raises(data: bytes) -> None:
    with pytest.raises(Exception, match=r"ONNX|Model|protobuf"):
        session(data)
