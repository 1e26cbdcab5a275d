"""What the task of a model makes of the other keys of its YAML."""

import pytest

from tenure.config import estimators
from tenure.config.loader import parse_model
from tenure.config.models import Label
from tenure.config.references import label_fault
from tenure.errors import ConfigInvalid
from tenure.lifecycle.data.sources import ColumnType
from tenure.lifecycle.training.bias import ErrorBiasPolicy
from tenure.lifecycle.training.classes import ClassRule
from tenure.lifecycle.training.numbers import NumberRule

REGRESSION = """
name: delay
purpose: tests
owner: ada
dataset: trips
task: regression
label: {column: minutes, horizon_hours: 24}
subject_column: id
features: {numeric: [temp], categorical: [carrier]}
evaluation: {gates: [{metric: mae, maximum: 20}]}
bias: {attributes: [carrier], metric: mean_error, max_difference: 5}
serving: {fallback_score: -3.5}
canary: {metrics: [{event: error, margin: 1.5}, {event: absolute_error, margin: 1.2}]}
monitoring: {metric: mae}
"""


def test_a_regression_is_read() -> None:
    config = parse_model(REGRESSION)
    assert isinstance(config.bias, ErrorBiasPolicy)
    assert config.outcome_rule == NumberRule()
    assert config.threshold is None
    assert config.serving.fallback_score == -3.5


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("metric: mae, maximum", "metric: roc_auc, minimum", "evaluation.gates: roc_auc is no"),
        ("{gates: [", "{threshold: 0.5, gates: [", "evaluation.threshold: a regression decides"),
        ("{metric: mae}", "{metric: r2}", "monitoring.metric: state what a regression"),
        ("monitoring: {metric: mae}", "", "monitoring.metric: state what a regression"),
        ("absolute_error, margin", "wrong_label, margin", "canary.metrics: a regression model has"),
        ("metric: mean_error", "metric: selection_rate", "bias.max_difference: Input should be"),
        (
            "metric: mean_error, max_difference: 5",
            "metric: selection_rate, max_difference: 0.5",
            "bias.metric: of a regression it is mean_error or mean_absolute_error",
        ),
        ("{fallback_score: -3.5}", "{}", "serving.fallback_score: state the number"),
        ("-3.5}", "null}", "serving.fallback_score: state the number"),
        ("-3.5}", "1, review_below_confidence: 0.9}", "serving.review_below_confidence: the"),
        ("-3.5}", "1, onnx: {}}", "serving.onnx: only binary models"),
        ("{column: minutes,", "{column: minutes, positive: 1,", "label.positive: the label of"),
        ("task: regression", "task: binary", "serving.fallback_score: -3.5 is no probability"),
        ("task: regression", "task: binary", "bias.metric: mean_error is of a regression"),
        ("task: regression", "task: binary", "canary.metrics: a binary model has no event abs"),
        ("task: regression", "task: ranking", "task: Input should be 'binary'"),
    ],
)
def test_what_does_not_fit_is_named_by_its_key(old: str, new: str, says: str) -> None:
    assert old in REGRESSION
    with pytest.raises(ConfigInvalid) as caught:
        parse_model(REGRESSION.replace(old, new))
    assert says in caught.value.what


@pytest.mark.parametrize(
    ("estimator", "parameters", "says"),
    [
        ("hist_gradient_boosting", {"loss": "quantile", "quantile": 0.9}, ""),
        ("linear_regression", {"alpha": 2.0}, ""),
        ("hist_gradient_boosting", {"loss": "log_loss"}, "loss of hist_gradient_boosting must be"),
        ("hist_gradient_boosting", {"class_weight": "balanced"}, "takes no parameter"),
        (
            "logistic_regression",
            {},
            "there is no estimator 'logistic_regression': name one of hist_grad",
        ),
    ],
)
def test_estimators_of_a_regression(estimator: str, parameters: dict, says: str) -> None:  # type: ignore[type-arg]
    found = [said for _, said in estimators.faults(estimator, parameters, [], "regression")]
    assert all(says in said for said in found)
    assert bool(found) is bool(says)


MULTICLASS = """
name: delay
purpose: tests
owner: ada
dataset: trips
task: multiclass
label: {column: cause, horizon_hours: 24}
subject_column: id
features: {numeric: [temp], categorical: [carrier]}
evaluation: {gates: [{metric: balanced_accuracy, minimum: 0.5}]}
bias: {attributes: [carrier], metric: selection_rate, positive: [1, true], max_difference: 0.5}
serving: {fallback_class: 3}
canary: {metrics: [{event: error, margin: 1.5}, {event: wrong_label, margin: 1.2}]}
monitoring: {metric: macro_f1}
"""


def test_a_model_of_several_classes_is_read() -> None:
    costs = "{class_costs: {other: 1, wrong: {2: {3: 9}}}, gates: ["
    config = parse_model(MULTICLASS.replace("{gates: [", costs))
    assert config.outcome_rule == ClassRule()
    assert config.threshold is None
    assert "cause" in config.text_columns - config.number_columns
    assert config.declared_classes == {
        ("serving", "fallback_class"): ("3",),
        ("bias", "positive"): ("1", "true"),
        ("evaluation", "class_costs"): ("2", "3"),
    }


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("metric: balanced_accuracy", "metric: roc_auc", "evaluation.gates: roc_auc is no metric"),
        ("{gates: [", "{threshold: 0.5, gates: [", "evaluation.threshold: the most probable"),
        (
            "{gates: [",
            "{costs: {false_positive: 1, false_negative: 9}, gates: [",
            "evaluation.costs: of yes and no; state class_costs",
        ),
        (
            "{gates: [{metric: balanced_accuracy, minimum",
            "{gates: [{metric: expected_cost, maximum",
            "a gate on expected_cost needs costs, of several classes class_costs",
        ),
        ("{metric: macro_f1}", "{metric: log_loss}", "monitoring.metric: state what a multiclass"),
        ("{metric: macro_f1}", "{metric: ece}", "monitoring.metric: state what a multiclass"),
        ("monitoring: {metric: macro_f1}", "", "monitoring.metric: state what a multiclass model"),
        ("wrong_label, margin", "absolute_error, margin", "canary.metrics: a multiclass model has"),
        ("metric: selection_rate", "metric: calibration", "bias.metric: calibration is of the one"),
        ("metric: selection_rate, positive: [1, true]", "metric: mean_error", "bias.metric: mean"),
        ("fallback_class: 3", "", "serving.fallback_class: state the class"),
        ("class: 3}", "class: 3, fallback_score: 0.5}", "serving.fallback_score: state serving.fa"),
        ("class: 3}", "class: 3, onnx: {}}", "serving.onnx: only binary models"),
        ("{column: cause,", "{column: cause, positive: a,", "label.positive: none of several"),
        ("task: multiclass", "task: binary", "serving.fallback_class: only a multiclass model"),
        ("task: multiclass", "task: binary", "bias.positive: a binary model states label.positive"),
    ],
)
def test_what_means_nothing_of_several_classes(old: str, new: str, says: str) -> None:
    assert old in MULTICLASS
    with pytest.raises(ConfigInvalid) as caught:
        parse_model(MULTICLASS.replace(old, new))
    assert says in caught.value.what


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("regression", "evaluation.class_costs: a regression answers no class"),
        ("binary", "evaluation.class_costs: of several classes; state costs"),
    ],
)
def test_class_costs_are_of_several_classes(task: str, says: str) -> None:
    text = MULTICLASS.replace("{gates: [", "{class_costs: {other: 1}, gates: [")
    with pytest.raises(ConfigInvalid) as caught:
        parse_model(text.replace("task: multiclass", f"task: {task}"))
    assert says in caught.value.what


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("string", None),
        ("integer", None),
        ("boolean", "it has two classes only: write task: binary"),
        ("number", "a class is a text or a whole number"),
        ("timestamp", "a class is a text or a whole number"),
    ],
)
def test_types_that_hold_classes(kind: ColumnType, says: str | None) -> None:
    found = label_fault(Label(column="cause"), kind, "multiclass")
    assert found == (says and f"the label cause is {kind}: {says}")


def test_liblinear_tells_two_classes_apart_only() -> None:
    stated = ("logistic_regression", {"solver": "liblinear"}, ())
    assert list(estimators.faults(*stated, "binary")) == []
    ((key, said),) = estimators.faults(*stated, "multiclass")
    assert (key, said[:30]) == ("solver", "solver liblinear tells two cla")
