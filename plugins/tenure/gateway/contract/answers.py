"""What the gateway says: the bodies of its answers, which are also their published schemas."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from tenure.lifecycle.serving import Arm, Level

Header = tuple[bytes, bytes]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode


class Answer:
    """Status, headers and body, as an ASGI app."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, body: bytes, *, status: int, headers: Iterable[Header]) -> None:
        self.body = body
        self.status = status
        self.headers = [*headers, (b"content-length", b"%d" % len(body))]

    def with_header(self, header: Header) -> "Answer":
        """The same answer with one header more."""
        return Answer(self.body, status=self.status, headers=[header, *self.headers[:-1]])

    async def __call__(self, _scope: Any, _receive: Any, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


def json_answer(value: object, *, status: int = 200, headers: Iterable[Header] = ()) -> Answer:
    """Encode with msgspec; NaN cannot occur because scores are checked to be finite."""
    return Answer(_encode(value), status=status, headers=[_JSON, *headers])


_Arm = Annotated[str, msgspec.Meta(extra_json_schema={"enum": [str(one) for one in Arm]})]
_Level = Annotated[str, msgspec.Meta(extra_json_schema={"enum": [str(one) for one in Level]})]


class Parameters(msgspec.Struct):
    """How a decision came about; lists have one entry a row.

    `fallback_level` says which level answered, `reason` why it was not the model, else it is empty.
    `review` marks the rows that wait for a person as well; empty when none does.
    `confidence` is empty where the model is a regression: its answers have none.
    `cached`: the scores were known from an earlier request; the decision is a new one all the same.
    """

    decision_ids: list[str]
    version: int
    arm: _Arm
    arm_assigned: _Arm
    generation: int
    confidence: list[float]
    fallback_level: _Level
    reason: str
    review: list[bool]
    cached: bool = False


class Scores(msgspec.Struct, tag_field="name", tag="score"):
    """The scores, one a row: probabilities of the positive label."""

    shape: list[int]
    data: list[float]
    datatype: Literal["FP64"] = "FP64"


class Decisions(msgspec.Struct, tag_field="name", tag="decision"):
    """The decisions, one a row: whether the score reaches the version's threshold.

    Only a binary model has this output.
    """

    shape: list[int]
    data: list[bool]
    datatype: Literal["BOOL"] = "BOOL"


class Labels(msgspec.Struct, tag_field="name", tag="label"):
    """The classes that a multiclass model answers, one a row, as texts."""

    shape: list[int]
    data: list[str]
    datatype: Literal["BYTES"] = "BYTES"


class ClassNames(msgspec.Struct):
    """Of which classes the columns of `probability` are, in their order."""

    classes: list[str]


class Probabilities(msgspec.Struct, tag_field="name", tag="probability"):
    """Probabilities of all classes of a multiclass model, row by row; of shape [rows, classes]."""

    shape: list[int]
    data: list[float]
    parameters: ClassNames
    datatype: Literal["FP64"] = "FP64"


class Predictions(msgspec.Struct, tag_field="name", tag="prediction"):
    """The numbers that a regression predicts, one a row, in the unit of its label."""

    shape: list[int]
    data: list[float]
    datatype: Literal["FP64"] = "FP64"


class LowerEnds(msgspec.Struct, tag_field="name", tag="lower"):
    """The lower end of each prediction's interval; absent where a rule answered."""

    shape: list[int]
    data: list[float]
    datatype: Literal["FP64"] = "FP64"


class UpperEnds(msgspec.Struct, tag_field="name", tag="upper"):
    """The upper end of each prediction's interval; absent where a rule answered."""

    shape: list[int]
    data: list[float]
    datatype: Literal["FP64"] = "FP64"


Output = Scores | Decisions | Labels | Probabilities | Predictions | LowerEnds | UpperEnds


class InferAnswer(msgspec.Struct):
    """Answer of `/infer`; `outputs` are those that were asked for, else all of the model."""

    model_name: str
    model_version: str
    id: str
    parameters: Parameters
    outputs: list[Output]


class Prediction(msgspec.Struct):
    """One row of `/invocations`: `score` and `decision`, or `label` and its `probability`.

    Of several classes there is the probability of each. A regression has the prediction, with the
    ends of its interval where the version gives them.
    """

    score: float | msgspec.UnsetType = msgspec.UNSET
    decision: bool | msgspec.UnsetType = msgspec.UNSET
    label: str | msgspec.UnsetType = msgspec.UNSET
    probability: dict[str, float] | msgspec.UnsetType = msgspec.UNSET
    prediction: float | msgspec.UnsetType = msgspec.UNSET
    lower: float | msgspec.UnsetType = msgspec.UNSET
    upper: float | msgspec.UnsetType = msgspec.UNSET


class InvocationsAnswer(msgspec.Struct):
    """Answer of `/invocations`."""

    predictions: list[Prediction]
    parameters: Parameters


class OutcomesAnswer(msgspec.Struct):
    """Answer of `/outcomes`: they are durable, and are joined to decisions later."""

    accepted: int
    outcome_ids: list[str]


class FeedbackAnswer(msgspec.Struct):
    """Answer of `/feedback`: it is durable, and is matched with its decision within minutes.

    What names no decision of the log is kept, and reported to the owner of the model.
    """

    accepted: int
    feedback_ids: list[str]


class StopAnswer(msgspec.Struct):
    """The canary gets nothing more at this gateway; others hear of it through the database."""

    model: str
    canary: int


class Live(msgspec.Struct):
    """The process runs."""

    live: bool


class Ready(msgspec.Struct, omit_defaults=True):
    """Whether requests may be sent here; a caller with a key is told what is missing."""

    ready: bool
    gateway: str | None = None
    models: list[str] | None = None
    not_loaded: list[str] | None = None
    log_failures: list[str] | None = None
    draining: bool = False


class ServerMetadata(msgspec.Struct):
    """What runs here; no extension of the protocol is spoken."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(msgspec.Struct, omit_defaults=True):
    """A feature or an output of a model; -1 stands for the number of rows.

    `coverage` of `parameters` is the share of outcomes that intervals promise to hold.
    """

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, float] = {}


class ModelMetadata(msgspec.Struct):
    """Names, types and live versions of a model."""

    name: str
    versions: list[str]
    variants: dict[str, str]
    """What scores each version: `native` (scikit-learn) or `onnx`."""
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    classes: list[str] | msgspec.UnsetType = msgspec.UNSET
    """Of a multiclass model: those of `probability`, in its order."""


class Plan(msgspec.Struct):
    """The traffic plan as this gateway applies it at this moment."""

    model: str
    generation: int
    champion: int
    canary: int | None
    share_bp: int
    lease_seconds_left: float | None
    authorized_until: datetime
    """End of the champion's authorization; from then on the declared rule answers."""
    canary_authorized_until: datetime | None
    """End of the canary's; from then on the champion answers."""
    gateway: str
