"""What a model's YAML says about serving it."""

from typing import Literal

from pydantic import Field, field_validator

from tenure.lifecycle.policy import Policy
from tenure.lifecycle.serving.spelling import spell


class OnnxPolicy(Policy):
    """Score by ONNX Runtime each version of which ONNX decides as scikit-learn on the holdout."""

    max_score_difference: float = Field(default=1e-4, ge=0.0, le=0.01)
    """How far two scores of one row may lie apart, as probabilities; no decision may change."""


class ServingPolicy(Policy):
    """What the gateway does for one model."""

    durability: Literal["fsync", "write"] = "fsync"
    """What an answer waits for: data on disk, or data with the kernel."""
    fallback_score: float | None = 0.0
    """Score of the declared rule that answers when no model can: a probability, or the number that
    a regression answers then; null: there is no rule, a person decides and the answer is negative
    until then."""
    fallback_class: str | None = None
    """Class that the declared rule of a multiclass model answers when no model can."""
    review_below_confidence: float | None = Field(default=None, gt=0.0, le=1.0)
    """Decisions that the model is less sure of than this go to a person as well (of several
    classes: by the probability of the answered one); null: none."""
    review_hours: float = Field(default=72.0, gt=0.0, le=8_784.0)
    """How long a decision waits for a person, up to a year; then the gateway's answer stands."""
    model_memory_mb: int = Field(default=1024, ge=64)
    """MiB that the process of a version may take beyond the bare interpreter and its libraries."""
    timeout_seconds: float = Field(default=2.0, gt=0.0)
    """Time that all models together have before the declared rule answers."""
    on_unseen_category: Literal["accept", "reject"] = "accept"
    """A category that training did not have: scored all the same, or a 422."""
    on_out_of_range: Literal["accept", "reject"] = "accept"
    """A number outside what training saw: scored all the same, or a 422 that names the field."""
    on_null: Literal["accept", "reject"] = "accept"
    """A feature without a value: scored all the same, or a 422."""
    on_missing_feature: Literal["null", "reject"] = "reject"
    """A feature that the request does not have: taken as null, or a 422."""
    on_extra_feature: Literal["ignore", "reject"] = "reject"
    """A feature that the model does not have; an ignored one is not logged either."""
    round_scores: int | None = Field(default=None, ge=1, le=15)
    """Decimals of scores and confidences in answers, so that a copy of the model is harder to train
    from them; null: all. Decisions and the log keep the exact score."""
    cache_rows: int = Field(default=0, ge=0, le=1_000_000)
    """Scores kept by version and features; 0 is off. A hit is a decision like any other."""
    onnx: OnnxPolicy | None = None
    """A faster way to the same decisions; null: every version is scored by scikit-learn."""

    @field_validator("fallback_class", mode="before")
    @classmethod
    def _class_is_written(cls, value: object) -> object:
        return spell(value) if isinstance(value, bool | int | float) else value
