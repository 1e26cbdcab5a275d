"""What the task of a model makes of the rest of its YAML: keys that mean nothing, or are needed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from tenure.lifecycle.training.bias import ErrorBiasPolicy
from tenure.lifecycle.training.evaluation.policy import ClassMetric, ErrorMetric

if TYPE_CHECKING:
    from tenure.config.models import ModelConfig

MONITORED_ERRORS: tuple[ErrorMetric, ...] = ("mae", "rmse")
"""What live decisions of a regression can be measured by: sums of one scan define them."""
_EVENTS = {"binary": "wrong_label", "regression": "absolute_error"}


def task_faults(model: "ModelConfig") -> Iterator[str]:
    """What does not fit the task, in sentences that begin with the key."""
    yield from _of_metrics(model)
    yield from _of_canary(model)
    if model.task == "regression":
        yield from _of_evaluation(model)
        yield from _of_training(model)
        yield from _of_serving(model)
    else:
        yield from _of_binary(model)


def _of_metrics(model: "ModelConfig") -> Iterator[str]:
    known = get_args(ErrorMetric if model.task == "regression" else ClassMetric)
    judged = known if model.task == "regression" else (*known, "expected_cost")
    for gate in model.evaluation.gates:
        if gate.metric not in judged:
            yield (
                f"evaluation.gates: {gate.metric} is no metric of a {model.task} model; "
                f"allowed: {', '.join(judged)}"
            )
    monitored = MONITORED_ERRORS if model.task == "regression" else known
    if model.monitoring.metric not in monitored:
        yield (
            f"monitoring.metric: state what a {model.task} model is watched by "
            f"({', '.join(monitored)}); {model.monitoring.metric} is none of its metrics"
        )


def _of_canary(model: "ModelConfig") -> Iterator[str]:
    other = _EVENTS["binary" if model.task == "regression" else "regression"]
    if any(metric.event == other for metric in model.canary.metrics):
        yield (
            f"canary.metrics: a {model.task} model has no event {other}; "
            f"it has {_EVENTS[model.task]}"
        )


def _of_evaluation(model: "ModelConfig") -> Iterator[str]:
    if "threshold" in model.evaluation.model_fields_set:
        yield "evaluation.threshold: a regression decides nothing, so it has no threshold"
    if model.evaluation.costs is not None or model.evaluation.calibration is not None:
        yield "evaluation.costs, evaluation.calibration: a regression has no decisions to tune"
    if model.evaluation.conformal is not None:
        yield "evaluation.conformal: sets of labels are of classes, and a regression has none"


def _of_training(model: "ModelConfig") -> Iterator[str]:
    if model.training.search is not None:
        yield "training.search: parameters of a regression are not searched for yet"
    if model.training.class_weight is not None:
        yield "training.class_weight: the labels of a regression are no classes"
    if model.training.split == "stratified":
        yield "training.split: stratified splits by the classes of a label, and a number has none"
    if model.label.positive is not None:
        yield "label.positive: the label of a regression is a number, and none is positive"
    if not isinstance(model.bias, ErrorBiasPolicy):
        yield "bias.metric: of a regression it is mean_error or mean_absolute_error"


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


def _of_binary(model: "ModelConfig") -> Iterator[str]:
    if isinstance(model.bias, ErrorBiasPolicy):
        yield f"bias.metric: {model.bias.metric} is of a regression; write `task: regression`"
    score = model.serving.fallback_score
    if score is not None and not 0.0 <= score <= 1.0:
        yield f"serving.fallback_score: {score:g} is no probability, 0 to 1"
