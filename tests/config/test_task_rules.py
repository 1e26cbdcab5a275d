"""What the task of a model makes of the other keys of its YAML."""

import pytest

from tenure.config import estimators
from tenure.config.loader import parse_model
from tenure.errors import ConfigInvalid
from tenure.lifecycle.training.bias import ErrorBiasPolicy
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
