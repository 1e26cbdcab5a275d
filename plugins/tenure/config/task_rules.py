"""What the task of a model makes of the rest of its YAML: keys that mean nothing, or are needed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from tenure.lifecycle.task import Task
from tenure.lifecycle.training.bias import BiasPolicy, ErrorBiasPolicy
from tenure.lifecycle.training.evaluation.policy import (
    ClassMetric,
    ErrorMetric,
    Metric,
    MulticlassMetric,
)

if TYPE_CHECKING:
    from tenure.config.models import ModelConfig

METRICS: dict[Task, tuple[Metric, ...]] = {
    "binary": get_args(ClassMetric),
    "multiclass": get_args(MulticlassMetric),
    "regression": get_args(ErrorMetric),
}
"""What a holdout can be measured by."""
MONITORED: dict[Task, tuple[Metric, ...]] = {
    "binary": METRICS["binary"],
    "multiclass": tuple(
        one for one in METRICS["multiclass"] if one not in ("log_loss", "brier", "ece")
    ),
    "regression": ("mae", "rmse"),
}
"""What live decisions can be measured by: counts or sums of one scan define them."""
_EVENTS: dict[Task, str] = {
    "binary": "wrong_label",
    "multiclass": "wrong_label",
    "regression": "absolute_error",
}


def task_faults(model: "ModelConfig") -> Iterator[str]:
    """What does not fit the task, in sentences that begin with the key."""
    yield from _of_metrics(model)
    yield from _of_canary(model)
    yield from _of_bias(model)
    if model.task == "regression":
        yield from _of_evaluation(model)
        yield from _of_training(model)
        yield from _of_serving(model)
    elif model.task == "multiclass":
        yield from _of_multiclass(model)
    else:
        yield from _of_binary(model)


def _of_metrics(model: "ModelConfig") -> Iterator[str]:
    known = METRICS[model.task]
    judged = known if model.task == "regression" else (*known, "expected_cost")
    for gate in model.evaluation.gates:
        if gate.metric not in judged:
            yield (
                f"evaluation.gates: {gate.metric} is no metric of a {model.task} model; "
                f"allowed: {', '.join(judged)}"
            )
    monitored = MONITORED[model.task]
    if model.monitoring.metric not in monitored:
        yield (
            f"monitoring.metric: state what a {model.task} model is watched by "
            f"({', '.join(monitored)}); {model.monitoring.metric} is none of its metrics"
        )


def _of_canary(model: "ModelConfig") -> Iterator[str]:
    own = _EVENTS[model.task]
    for metric in model.canary.metrics:
        if metric.event not in ("error", own):
            yield (
                f"canary.metrics: a {model.task} model has no event {metric.event}; it has {own}"
            )


def _of_evaluation(model: "ModelConfig") -> Iterator[str]:
    if "threshold" in model.evaluation.model_fields_set:
        yield "evaluation.threshold: a regression decides nothing, so it has no threshold"
    if model.evaluation.costs is not None or model.evaluation.calibration is not None:
        yield "evaluation.costs, evaluation.calibration: a regression has no decisions to tune"
    if model.evaluation.class_costs is not None:
        yield "evaluation.class_costs: a regression answers no class"


def _of_training(model: "ModelConfig") -> Iterator[str]:
    if model.training.class_weight is not None:
        yield "training.class_weight: the labels of a regression are no classes"
    if model.training.split == "stratified":
        yield "training.split: stratified splits by the classes of a label, and a number has none"
    if model.label.positive is not None:
        yield "label.positive: the label of a regression is a number, and none is positive"


def _of_bias(model: "ModelConfig") -> Iterator[str]:
    bias = model.bias
    if isinstance(bias, ErrorBiasPolicy):
        if model.task != "regression":
            yield f"bias.metric: {bias.metric} is of a regression; write `task: regression`"
    elif model.task == "regression":
        yield "bias.metric: of a regression it is mean_error or mean_absolute_error"
    elif model.task == "binary" and bias.positive:
        yield "bias.positive: a binary model states label.positive instead"
    elif model.task == "multiclass" and bias.metric == "calibration":
        yield "bias.metric: calibration is of the one score of a binary model"


def _of_serving(model: "ModelConfig") -> Iterator[str]:
    if "fallback_score" not in model.serving.model_fields_set or (
        model.serving.fallback_score is None
    ):
        yield (
            "serving.fallback_score: state the number that a regression answers when no model can "
            "(the median of the label, say); nobody may invent one"
        )
    if model.serving.review_below_confidence is not None:
        yield "serving.review_below_confidence: the answers of a regression have no confidence"
    if model.serving.onnx is not None:
        yield "serving.onnx: only binary models can be scored by ONNX so far"
    yield from _without_class(model)


def _without_class(model: "ModelConfig") -> Iterator[str]:
    if model.serving.fallback_class is not None:
        yield "serving.fallback_class: only a multiclass model answers a class"


def _of_multiclass(model: "ModelConfig") -> Iterator[str]:
    yield from _learned_in_classes(model)
    yield from _served_in_classes(model)


def _learned_in_classes(model: "ModelConfig") -> Iterator[str]:
    evaluation = model.evaluation
    if "threshold" in evaluation.model_fields_set:
        yield "evaluation.threshold: the most probable of several classes is answered, without one"
    if evaluation.costs is not None:
        yield "evaluation.costs: of yes and no; state class_costs for several classes"
    if model.mitigation is not None:
        yield "bias.mitigation: only of binary models so far, not of several classes"
    if model.label.positive is not None:
        yield (
            "label.positive: none of several classes is the positive one; bias.positive may name "
            "those that count as selected"
        )


def _served_in_classes(model: "ModelConfig") -> Iterator[str]:
    serving = model.serving
    if "fallback_score" in serving.model_fields_set:
        yield "serving.fallback_score: state serving.fallback_class for a multiclass model"
    if serving.fallback_class is None:
        yield (
            "serving.fallback_class: state the class that is answered when no model can (the most "
            "frequent one, say); nobody may invent one"
        )
    if serving.onnx is not None:
        yield "serving.onnx: only binary models can be scored by ONNX so far"


def _of_mitigation(model: "ModelConfig") -> Iterator[str]:
    """What a mitigation cannot be together with, and what it needs in a request."""
    policy = model.mitigation
    if policy is not None and policy.method == "group_thresholds":
        yield from _of_group_thresholds(model, policy.attributes)
    if policy is not None and policy.method == "exponentiated_gradient":
        yield from _of_reduction(model)


def _of_group_thresholds(model: "ModelConfig", attributes: tuple[str, ...]) -> Iterator[str]:
    for name in attributes:
        if name not in model.features.categorical:
            yield (
                f"bias.mitigation: group_thresholds needs {name} in every request, and it is not "
                "in features.categorical; reweighing and exponentiated_gradient need it in "
                "training only"
            )
        if isinstance(model.bias, BiasPolicy) and name in model.bias.edges:
            yield f"bias.mitigation: group_thresholds takes no bands, and {name} has edges"
    if model.evaluation.conformal is not None:
        yield (
            "evaluation.conformal: group_thresholds moves the scores after the sets of labels were "
            "learned, so they would not hold what they promise"
        )
    if model.serving.onnx is not None:
        yield "serving.onnx: an ONNX file knows no thresholds by group (bias.mitigation)"


def _of_reduction(model: "ModelConfig") -> Iterator[str]:
    weights = (model.training.class_weight, model.training.sample_weight)
    if any(one is not None for one in weights):
        yield "training: exponentiated_gradient weighs rows itself; take the weights out"
    if model.evaluation.calibration is not None:
        yield "evaluation.calibration: the scores of exponentiated_gradient decide at 0.5"
    if model.evaluation.threshold != _HALF:
        yield "evaluation.threshold: exponentiated_gradient decides at 0.5; state costs instead"


_HALF = 0.5


def _of_binary(model: "ModelConfig") -> Iterator[str]:
    yield from _without_class(model)
    if model.evaluation.class_costs is not None:
        yield "evaluation.class_costs: of several classes; state costs for a binary model"
    yield from _of_mitigation(model)
    score = model.serving.fallback_score
    if score is not None and not 0.0 <= score <= 1.0:
        yield f"serving.fallback_score: {score:g} is no probability, 0 to 1"
