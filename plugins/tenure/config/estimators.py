"""Whether an estimator exists and takes its parameters, read from source text: nothing is imported.

What training builds by itself is known by a table, which a test holds equal to scikit-learn. An
entry point `package.module:function` is looked up where Python would import it from. What source
text cannot tell (a name made while a module runs, a compiled module) is left to the training.
"""

import ast
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from tenure.lifecycle.task import Task

Value = float | int | str | bool

_HOPS = 8
"""Imports that are followed to the place where a name is defined."""
_ENTRY_POINT = "name one of {known}, or an entry point package.module:function"


@dataclass(frozen=True)
class ParameterRule:
    """What a parameter may be, of what a YAML can state.

    Args:
        whole: Whether numbers are whole; None where no number is taken.
        low: Smallest number, or the bound above it when `is_open`.
        high: Largest number, or the bound below it when `is_open_above`.
        words: Texts that are taken.
        flag: Whether true and false are taken.
        fraction: Whether a whole number would mean something else, so that 1 is not 1.0.
    """

    whole: bool | None = None
    low: float = -math.inf
    high: float = math.inf
    is_open: bool = False
    is_open_above: bool = False
    words: tuple[str, ...] = ()
    flag: bool = False
    fraction: bool = False

    def takes(self, value: Value) -> bool:
        """Whether the value is one of them."""
        if isinstance(value, bool):
            return self.flag
        if isinstance(value, str):
            return value in self.words
        if self.whole is None or (self.whole and not isinstance(value, int)):
            return False
        if self.fraction and isinstance(value, int):
            return False
        above = value > self.low if self.is_open else value >= self.low
        return above and (value < self.high if self.is_open_above else value <= self.high)

    def __str__(self) -> str:
        found = [repr(word) for word in self.words] + (["true or false"] if self.flag else [])
        if self.whole is not None:
            kind = "a whole number" if self.whole else "a number"
            low = f" {'above' if self.is_open else 'from'} {self.low:g}"
            high = f" {'below' if self.is_open_above else 'to'} {self.high:g}"
            bounds = (low if self.low > -math.inf else "") + (high if self.high < math.inf else "")
            found.append(kind + bounds)
        return " or ".join(found) or "nothing that a YAML can state"


def _whole(low: float, high: float = math.inf) -> ParameterRule:
    return ParameterRule(whole=True, low=low, high=high)


def _number(low: float, high: float = math.inf) -> ParameterRule:
    return ParameterRule(whole=False, low=low, high=high)


_ABOVE_0 = ParameterRule(whole=False, low=0, is_open=True)
_FLAG = ParameterRule(flag=True)
_NOTHING = ParameterRule()
_BALANCED = ParameterRule(words=("balanced",))

_BOOSTING: dict[str, ParameterRule] = {
    "loss": ParameterRule(words=("log_loss",)),
    "learning_rate": _ABOVE_0,
    "max_iter": _whole(1),
    "max_leaf_nodes": _whole(2),
    "max_depth": _whole(1),
    "min_samples_leaf": _whole(1),
    "l2_regularization": _number(0),
    "max_features": ParameterRule(whole=False, low=0, high=1, is_open=True, fraction=True),
    "max_bins": _whole(2, 255),
    "categorical_features": ParameterRule(words=("from_dtype",)),
    "monotonic_cst": _NOTHING,
    "interaction_cst": ParameterRule(words=("no_interactions", "pairwise")),
    "warm_start": _FLAG,
    "early_stopping": ParameterRule(words=("auto",), flag=True),
    "scoring": ParameterRule(words=("loss",)),  # skops cannot save a model with a scorer
    "validation_fraction": ParameterRule(
        whole=False, low=0, high=1, is_open=True, is_open_above=True, fraction=True
    ),
    "n_iter_no_change": _whole(1),
    "tol": _number(0),
    "verbose": ParameterRule(whole=True, low=0, flag=True),
    "random_state": _whole(0, 2**32 - 1),
    "class_weight": _BALANCED,
}

KNOWN: dict[str, dict[str, ParameterRule]] = {
    "hist_gradient_boosting": _BOOSTING,
    "additive_boosting": {n: rule for n, rule in _BOOSTING.items() if n != "interaction_cst"},
    "random_forest": {
        "n_estimators": _whole(1),
        "criterion": ParameterRule(words=("gini", "entropy", "log_loss")),
        "max_depth": _whole(1),
        "min_samples_split": _whole(2),
        "min_samples_leaf": _whole(1),
        "min_weight_fraction_leaf": _number(0, 0.5),
        "max_features": ParameterRule(
            whole=False, low=0, high=1, is_open=True, words=("sqrt", "log2"), fraction=True
        ),
        "max_leaf_nodes": _whole(2),
        "min_impurity_decrease": _number(0),
        "bootstrap": _FLAG,
        "oob_score": _FLAG,
        "n_jobs": ParameterRule(whole=True),
        "random_state": _whole(0, 2**32 - 1),
        "verbose": ParameterRule(whole=True, low=0, flag=True),
        "warm_start": _FLAG,
        "class_weight": ParameterRule(words=("balanced", "balanced_subsample")),
        "ccp_alpha": _number(0),
        "max_samples": ParameterRule(whole=False, low=0, high=1, is_open=True, fraction=True),
        "monotonic_cst": _NOTHING,
    },
    "logistic_regression": {
        "C": _ABOVE_0,
        "l1_ratio": _number(0, 1),
        "dual": _FLAG,
        "tol": _number(0),
        "fit_intercept": _FLAG,
        "intercept_scaling": _ABOVE_0,
        "class_weight": _BALANCED,
        "random_state": _whole(0, 2**32 - 1),
        "solver": ParameterRule(
            words=("lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga")
        ),
        "max_iter": _whole(0),
        "verbose": ParameterRule(whole=True, low=0, flag=True),
        "warm_start": _FLAG,
        "n_jobs": ParameterRule(whole=True),
    },
}
"""Parameters of the classifiers of scikit-learn that a YAML can state."""

_REGRESSION_LOSS = ParameterRule(
    words=("squared_error", "absolute_error", "gamma", "poisson", "quantile")
)
REGRESSORS: dict[str, dict[str, ParameterRule]] = {
    "hist_gradient_boosting": {
        **{n: r for n, r in KNOWN["hist_gradient_boosting"].items() if n != "class_weight"},
        "loss": _REGRESSION_LOSS,
        "quantile": _number(0, 1),
    },
    "additive_boosting": {
        **{n: r for n, r in KNOWN["additive_boosting"].items() if n != "class_weight"},
        "loss": _REGRESSION_LOSS,
        "quantile": _number(0, 1),
    },
    "random_forest": {
        **{n: r for n, r in KNOWN["random_forest"].items() if n != "class_weight"},
        "criterion": ParameterRule(
            words=("squared_error", "absolute_error", "friedman_mse", "poisson")
        ),
    },
    "linear_regression": {
        "alpha": _number(0),
        "fit_intercept": _FLAG,
        "max_iter": _whole(1),
        "tol": _number(0),
        "solver": ParameterRule(
            words=("auto", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga", "lbfgs")
        ),
        "positive": _FLAG,
        "random_state": _whole(0, 2**32 - 1),
    },
}
"""Parameters of `HistGradientBoostingRegressor` and of `Ridge`, for a regression."""


def of_task(task: Task) -> Mapping[str, Mapping[str, ParameterRule]]:
    """Estimators that training builds by name for a task, with their parameters."""
    return REGRESSORS if task == "regression" else KNOWN


def faults(
    estimator: str,
    parameters: Mapping[str, Value],
    folders: Sequence[Path],
    task: Task = "binary",
) -> Iterator[tuple[str, str]]:
    """What is wrong with `training`.

    Args:
        estimator: As the YAML names it.
        parameters: As the YAML states them.
        folders: Where workers find modules besides this Python's own path.
        task: What is predicted.

    Yields:
        The name of a parameter, or nothing for the estimator itself; and a sentence.
    """
    if ":" in estimator:
        yield from _of_entry_point(estimator, parameters, folders)
        return
    known = of_task(task)
    rules = known.get(estimator)
    if rules is None:
        allowed = _ENTRY_POINT.format(known=", ".join(known))
        yield "", f"there is no estimator {estimator!r}: {allowed}"
        return
    for name, value in parameters.items():
        if name not in rules:
            yield name, f"{estimator} takes no parameter {name!r}. Allowed: {', '.join(rules)}"
        elif not rules[name].takes(value):
            yield name, f"{name} of {estimator} must be {rules[name]}, got {value!r}"
    if estimator == "logistic_regression":
        yield from _of_solver(parameters)
        if task == "multiclass" and parameters.get("solver") == "liblinear":
            yield "solver", "solver liblinear tells two classes apart only; take lbfgs or saga"


def _of_solver(parameters: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """Combinations that scikit-learn refuses only when it fits."""
    solver = parameters.get("solver", "lbfgs")
    if parameters.get("l1_ratio", 0) and solver not in {"liblinear", "saga"}:
        yield "l1_ratio", f"l1_ratio above 0 needs solver saga (or liblinear for 1), not {solver}"
    elif solver == "liblinear" and 0 < float(parameters.get("l1_ratio", 0)) < 1:
        yield "l1_ratio", "solver liblinear takes l1_ratio 0 or 1 only"
    if parameters.get("dual") is True and (solver != "liblinear" or parameters.get("l1_ratio", 0)):
        yield "dual", f"dual needs solver liblinear with l1_ratio 0, not {solver}"


def _of_entry_point(
    estimator: str, parameters: Mapping[str, Value], folders: Sequence[Path]
) -> Iterator[tuple[str, str]]:
    module, _, function = estimator.partition(":")
    path = tuple(dict.fromkeys([*sys.path, *map(str, folders)]))
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        allowed = _ENTRY_POINT.format(known=", ".join(KNOWN))
        yield "", f"{estimator!r} is no estimator: {allowed}"
        return
    spec = _find(module, path)
    if spec is None:
        yield "", f"{estimator!r}: there is no module {module!r}"
        return
    found = _definition(spec, function, path, _HOPS)
    if found is None:
        yield "", f"{estimator!r}: {spec.origin or module} defines no {function!r}"
    elif (signature := _signature(found)) is not None:
        yield from _misfits(function, signature, parameters)


def _find(module: str, path: Sequence[str]) -> ModuleSpec | None:
    """Where the module is, without importing its packages."""
    where: Sequence[str] | None = path
    spec = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        if where is None:
            return None
        spec = PathFinder.find_spec(name, list(where))
        if spec is None:
            return None
        where = spec.submodule_search_locations
        where = None if where is None else list(where)
    return spec


_Unknown = ast.Pass
"""Stands for what source text cannot tell."""


def _definition(spec: ModuleSpec, name: str, path: Sequence[str], hops: int) -> ast.AST | None:
    """The function or class, `_Unknown` where it may be there; None where it is not."""
    if not hops or spec.origin is None or not spec.origin.endswith(".py"):
        return _Unknown()
    body = _body(Path(spec.origin))
    if body is None:
        return _Unknown()
    found: ast.AST | None = None
    for one in _statements(body):
        if isinstance(one, ast.ImportFrom) and (real := _imported(one, name)) is not None:
            found = _followed(spec, one, real, path, hops - 1)
        elif _defines(one, name):
            found = one
        elif _binds(one, name) or (found is None and _may_bind(one)):
            found = _Unknown()
    return found


@lru_cache(maxsize=64)
def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        return None


def _body(path: Path) -> Sequence[ast.stmt] | None:
    try:
        tree = _parsed(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return None if tree is None else tree.body


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of the module's level, inside `if`, `try` and `with` as well."""
    for one in body:
        yield one
        if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for part in ("body", "orelse", "finalbody", "handlers"):
                for inner in getattr(one, part, ()):
                    yield from _statements([inner] if isinstance(inner, ast.stmt) else inner.body)


def _imported(one: ast.ImportFrom, name: str) -> str | None:
    return next((a.name for a in one.names if (a.asname or a.name) == name), None)


def _followed(
    spec: ModuleSpec, one: ast.ImportFrom, name: str, path: Sequence[str], hops: int
) -> ast.AST:
    package = spec.name if spec.submodule_search_locations is not None else spec.parent
    parts = (package or "").split(".")
    base = parts[: len(parts) - one.level + 1] if one.level else []
    target = _find(".".join([*base, *([one.module] if one.module else [])]), path)
    found = None if target is None else _definition(target, name, path, hops)
    return found or _Unknown()  # a submodule, or a package that is laid out in another way


def _defines(one: ast.AST, name: str) -> bool:
    return isinstance(one, ast.FunctionDef | ast.ClassDef) and one.name == name


def _may_bind(one: ast.AST) -> bool:
    """Any name at all."""
    is_star = isinstance(one, ast.ImportFrom) and any(alias.name == "*" for alias in one.names)
    return is_star or _defines(one, "__getattr__")


def _binds(one: ast.AST, name: str) -> bool:
    if isinstance(one, ast.Import):
        return any((a.asname or a.name.split(".")[0]) == name for a in one.names)
    if not isinstance(one, ast.Assign | ast.AnnAssign):
        return False
    targets = one.targets if isinstance(one, ast.Assign) else [getattr(one, "target", None)]
    names = (n for target in targets if target is not None for n in ast.walk(target))
    return any(isinstance(n, ast.Name) and n.id == name for n in names)


def _signature(found: ast.AST) -> tuple[ast.arguments, bool] | None:
    """Arguments, and whether the first is `self`; None where a decorator or parent decides."""
    if isinstance(found, ast.ClassDef):
        inits = [o for o in found.body if isinstance(o, ast.FunctionDef) and o.name == "__init__"]
        return (inits[-1].args, True) if inits and not inits[-1].decorator_list else None
    if isinstance(found, ast.FunctionDef) and not found.decorator_list:
        return found.args, False
    return None


def _misfits(
    function: str, signature: tuple[ast.arguments, bool], parameters: Mapping[str, Value]
) -> Iterator[tuple[str, str]]:
    arguments, is_method = signature
    positional = [*arguments.posonlyargs, *arguments.args][int(is_method) :]
    by_name = [a.arg for a in positional if a not in arguments.posonlyargs]
    by_name += [a.arg for a in arguments.kwonlyargs]
    if arguments.kwarg is None:
        for name in parameters:
            if name not in by_name:
                allowed = f"Allowed: {', '.join(by_name)}" if by_name else "It takes none"
                yield name, f"{function} takes no parameter {name!r}. {allowed}"
    required = [a.arg for a in positional[: len(positional) - len(arguments.defaults)]]
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    required += [a.arg for a, default in keywords if default is None]
    for name in required:
        if name not in parameters:
            yield "", f"{function} needs the parameter {name!r}"
