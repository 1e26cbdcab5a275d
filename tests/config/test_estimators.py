"""Estimators and parameters, read without importing anything; held equal to scikit-learn."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

from tenure.config.estimators import KNOWN, Value, faults

CLASSES: dict[str, Any] = {
    "hist_gradient_boosting": HistGradientBoostingClassifier,
    "additive_boosting": HistGradientBoostingClassifier,
    "random_forest": RandomForestClassifier,
    "logistic_regression": LogisticRegression,
}
LEFT_OUT = {"logistic_regression": {"penalty"}, "additive_boosting": {"interaction_cst"}}
"""What is deprecated, and what we set."""
SHARES = {"min_samples_split", "min_samples_leaf", "max_features", "max_samples"}
"""Of a forest: scikit-learn takes a number of rows as well as a share of them; we take one."""
VALUES: list[Value] = [
    -1, 0, 1, 2, 255, 256, 2**32, -0.5, 0.0, 0.5, 1.0, 1.5, "auto", "balanced", "l2", "lbfgs",
    "log_loss", "loss", "saga", "from_dtype", "pairwise",
]  # fmt: skip
SOURCE = """
import os
from helpers import imported, missing as renamed
from .below import relative
try:
    from fast import either
except ImportError:
    def either(depth): ...
made = lambda rate: None
def plain(rate, *, depth=3): ...
def open_ended(**settings): ...
def positional(rate, /): ...
@os.cache
def decorated(rate): ...
class Model:
    def __init__(self, rate=1.0): ...
class Inherits(Model): ...
"""
HELPERS = "def imported(rate): ...\n"
BELOW = "def relative(): ...\n"


@pytest.mark.parametrize("name", CLASSES)
def test_the_table_has_the_parameters_of_scikit_learn(name: str) -> None:
    assert set(KNOWN[name]) == set(inspect.signature(CLASSES[name]).parameters) - LEFT_OUT.get(
        name, set()
    )


@pytest.mark.parametrize(
    ("name", "parameter"), [(name, one) for name, rules in KNOWN.items() for one in rules]
)
def test_the_table_takes_what_scikit_learn_takes(name: str, parameter: str) -> None:
    kind = CLASSES[name]
    constraints = {parameter: kind._parameter_constraints[parameter]}
    rule = KNOWN[name][parameter]
    for value in [*VALUES, True]:
        try:
            validate_parameter_constraints(constraints, {parameter: value}, name)
            is_taken = True
        except InvalidParameterError:
            is_taken = False
        if name == "random_forest" and parameter in SHARES and is_taken:
            is_taken = rule.takes(value)
        if parameter == "scoring" or (parameter == "validation_fraction" and is_taken):
            is_taken = rule.takes(
                value
            )  # stricter: no scorer, which skops cannot save; and no number of rows
        if value is True and rule.whole is not None and not rule.flag:
            is_taken = False  # stricter: scikit-learn takes true for 1
        assert rule.takes(value) is is_taken, value


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"l1_ratio": 0.5}, "l1_ratio above 0 needs solver saga"),
        ({"l1_ratio": 0.5, "solver": "liblinear"}, "solver liblinear takes l1_ratio 0 or 1 only"),
        ({"dual": True}, "dual needs solver liblinear"),
        ({"l1_ratio": 0.5, "solver": "saga"}, None),
        ({"l1_ratio": 1.0, "solver": "liblinear"}, None),
        ({"dual": True, "solver": "liblinear"}, None),
        ({"C": 0.5}, None),
    ],
)
def test_combinations_are_those_that_scikit_learn_fits(
    parameters: dict[str, Value], said: str | None
) -> None:
    found = [sentence for _, sentence in faults("logistic_regression", parameters, [])]
    assert len(found) == (said is not None)
    assert all(one.startswith(said) for one in found if said)
    model = LogisticRegression(**parameters)
    rows = [[0.0], [1.0], [2.0], [3.0]] * 5
    if said is None:
        model.fit(rows, [0, 0, 1, 1] * 5)
    else:
        with pytest.raises(ValueError, match=r"[Ss]olver|l1_ratio|dual"):
            model.fit(rows, [0, 0, 1, 1] * 5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    package = tmp_path / "acme_models"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "made.py").write_text(SOURCE)
    (package / "below.py").write_text(BELOW)
    (tmp_path / "helpers.py").write_text(HELPERS)
    return tmp_path


@pytest.mark.parametrize(
    ("function", "parameters", "said"),
    [
        ("plain", {"rate": 1}, None),
        ("plain", {"rate": 1, "depth": 2}, None),
        ("plain", {}, "plain needs the parameter 'rate'"),
        ("plain", {"rate": 1, "deph": 2}, "plain takes no parameter 'deph'. Allowed: rate, depth"),
        ("open_ended", {"anything": 1}, None),
        ("positional", {"rate": 1}, "positional takes no parameter 'rate'. It takes none"),
        ("decorated", {"anything": 1}, None),
        ("Model", {"rate": 1}, None),
        ("Model", {"rat": 1}, "Model takes no parameter 'rat'. Allowed: rate"),
        ("Inherits", {"anything": 1}, None),
        ("made", {"anything": 1}, None),
        ("imported", {"rate": 1}, None),
        ("imported", {}, "imported needs the parameter 'rate'"),
        ("renamed", {"anything": 1}, None),
        ("relative", {}, None),
        ("relative", {"rate": 1}, "relative takes no parameter 'rate'. It takes none"),
        ("either", {"depth": 1}, None),
        ("absent", {}, "defines no 'absent'"),
        ("not-a-name", {}, "is no estimator: name one of"),
    ],
)
def test_an_entry_point(
    folder: Path, function: str, parameters: dict[str, Value], said: str | None
) -> None:
    found = [s for _, s in faults(f"acme_models.made:{function}", parameters, [folder])]
    assert bool(found) is (said is not None), found
    assert said is None or said in found[0]


def test_a_class_of_scikit_learn_is_found_where_it_is_defined() -> None:
    name = "sklearn.ensemble:RandomForestClassifier"
    assert list(faults(name, {"n_estimators": 10}, [])) == []
    ((parameter, said),) = faults(name, {"n_estimatorz": 10}, [])
    assert parameter == "n_estimatorz"
    assert said.startswith("RandomForestClassifier takes no parameter 'n_estimatorz'. Allowed: ")


def test_nothing_is_imported(folder: Path) -> None:
    (folder / "acme_models" / "__init__.py").write_text("raise SystemExit('was imported')")
    script = (
        "import sys; from pathlib import Path\n"
        "from tenure.config.estimators import faults\n"
        f"assert not list(faults('acme_models.made:relative', {{}}, [Path({str(folder)!r})]))\n"
        "assert not list(faults('sklearn.ensemble:RandomForestClassifier', {}, []))\n"
        "assert not {'sklearn', 'acme_models', 'pandas'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
