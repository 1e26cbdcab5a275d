"""Parses request bodies strictly: JSON without gaps or doubles first, then types."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from tenure.gateway.contract.refusals import Refusal
from tenure.lifecycle.decisions.feedback import FeedbackVerdict
from tenure.lifecycle.serving import MAX_TEXT, GatewayPolicy
from tenure.vocabulary import NAME, REASON, moment

_Text = Annotated[
    str | None,
    msgspec.Meta(
        description=f"1 to {MAX_TEXT} printable characters.",
        extra_json_schema={"minLength": 1, "maxLength": MAX_TEXT},
    ),
]
_Moment = Annotated[
    str | None,
    msgspec.Meta(description="ISO 8601 with an offset.", extra_json_schema={"format": "date-time"}),
]
_Label = Annotated[
    bool | int | float | str,
    msgspec.Meta(
        description="true or false, or exactly 0 or 1. Where the model's YAML declares "
        "`label.positive` (and `label.negative`): these values, or true and false, of which true "
        "is the positive; a value of the label column means what it means in training. Of "
        "several classes: a class, as it is written in training. Of a "
        "regression: a finite number, also as a text."
    ),
]
_Values = Annotated[
    list[Any], msgspec.Meta(extra_json_schema={"items": {"type": ["number", "string", "null"]}})
]


_Data = Annotated[
    list[Any],
    msgspec.Meta(
        description="Row-major; with shape [rows, 1] flat or nested.",
        extra_json_schema={"items": {"type": ["number", "string", "boolean", "null", "array"]}},
    ),
]


class OutputParameters(msgspec.Struct, forbid_unknown_fields=True):
    """Answers are JSON; a client may say so."""

    binary_data: Annotated[bool, msgspec.Meta(extra_json_schema={"const": False})] = False


class Tensor(msgspec.Struct, forbid_unknown_fields=True):
    """One feature for all rows, as the Open Inference Protocol has it."""

    name: str
    shape: list[int]
    datatype: str
    data: _Data
    parameters: Annotated[
        dict[str, Any],
        msgspec.Meta(
            description="None is honored, so none is accepted.",
            extra_json_schema={"maxProperties": 0},
        ),
    ] = {}


class RequestedOutput(msgspec.Struct, forbid_unknown_fields=True):
    """One output that the answer is to have; without any it has all that the model has."""

    name: Literal["score", "decision", "label", "probability", "prediction", "lower", "upper"]
    parameters: OutputParameters = msgspec.field(default_factory=OutputParameters)


class InferParameters(msgspec.Struct, forbid_unknown_fields=True):
    """Who is decided about, and when it happens by the client's clock."""

    subject: _Text = None
    event_time: _Moment = None


class InferBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `/infer`."""

    inputs: list[Tensor]
    id: _Text = None
    parameters: InferParameters = msgspec.field(default_factory=InferParameters)
    outputs: list[RequestedOutput] = []


class Split(msgspec.Struct, forbid_unknown_fields=True):
    """pandas' `split` orientation."""

    columns: list[str]
    data: list[_Values]
    index: list[Any] = []


class InvocationsBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of MLflow's `/invocations`; exactly one of the two."""

    dataframe_split: Split | None = None
    dataframe_records: list[dict[str, Any]] | None = None


class Outcome(msgspec.Struct, forbid_unknown_fields=True):
    """What happened in truth to one decision, or to the decisions of one request."""

    label: _Label
    decision_id: _Text = None
    request_id: _Text = None
    caller: _Text = None
    observed_at: _Moment = None


class OutcomesBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `/outcomes`."""

    outcomes: list[Outcome]
    watermark: _Moment = None


class FeedbackItem(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody thinks of one decision, named by its id or by the request that it is alone in.

    `person` tells apart people behind one key; only a pseudonym of it is kept.
    """

    verdict: FeedbackVerdict
    decision_id: Annotated[
        str | None,
        msgspec.Meta(
            description="As in `decision_ids` of the answer.", extra_json_schema={"format": "uuid"}
        ),
    ] = None
    request_id: _Text = None
    caller: _Text = None
    person: _Text = None
    reason: Annotated[
        str | None,
        msgspec.Meta(
            description=f"1 to {REASON.longest} characters; `override` and `wrong` need one.",
            extra_json_schema={"minLength": 1, "maxLength": REASON.longest},
        ),
    ] = None
    answer: Annotated[
        _Label | None,
        msgspec.Meta(description="What was answered instead, or would be right; as a label."),
    ] = None


class FeedbackBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `/feedback`."""

    feedback: list[FeedbackItem]


class StopBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `/canary/stop`; the reason stands in the ledger."""

    reason: Annotated[
        str,
        msgspec.Meta(
            description=f"1 to {REASON.longest} characters.",
            extra_json_schema={"minLength": 1, "maxLength": REASON.longest},
        ),
    ]


infer_body = msgspec.json.Decoder(InferBody)
stop_body = msgspec.json.Decoder(StopBody)
invocations_body = msgspec.json.Decoder(InvocationsBody)
outcomes_body = msgspec.json.Decoder(OutcomesBody)
feedback_body = msgspec.json.Decoder(FeedbackBody)


def parse_infer(body: bytes) -> InferBody:
    """Decode the body of `/infer`; see `parse`."""
    value: InferBody = parse(infer_body, body, is_plain=_is_plain)
    for position, tensor in enumerate(value.inputs):
        if tensor.parameters:  # a content_type, say, would change what the data means
            name = next(iter(tensor.parameters))[:MAX_TEXT]
            message = f"The parameter {name!r} is not honored here: leave it out."
            raise Refusal(422, "invalid", message, f"inputs[{position}].parameters")
    for position, output in enumerate(value.outputs):
        if output.parameters.binary_data:
            where = f"outputs[{position}].parameters.binary_data"
            raise Refusal(422, "invalid", "Answers are JSON: there is no binary data.", where)
    return value


def parse(
    decoder: "msgspec.json.Decoder[Any]",
    body: bytes,
    *,
    is_plain: Callable[[bytes, Any], bool] = lambda _body, _value: False,
) -> Any:
    """Decode into the decoder's type.

    Args:
        decoder: For one type.
        body: What was sent.
        is_plain: Whether it is certain, at a glance, that no key stands twice; when it is not, the
            body is read a second time to find out.

    Raises:
        Refusal: 400 when it is not JSON as RFC 8259 has it (or says a key twice), 422 when the
            shape or a type is wrong.
    """
    try:
        value = decoder.decode(body)
        if not is_plain(body, value):
            _by_key_once.decode(body.decode())
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise Refusal(422, "invalid", f"{message}.", path.strip("`.") or None) from None
    except _DoubledKey as error:
        key = str(error)[:MAX_TEXT]
        raise Refusal(400, "duplicate_key", f"The key {key!r} stands twice.", key) from None
    except RecursionError:
        raise Refusal(400, "too_deep", "The body is nested too deep.") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise Refusal(400, "malformed", f"The body is not JSON: {str(error)[:200]}.") from None
    return value


def _is_plain(body: bytes, value: InferBody) -> bool:
    """Whether there are just as many colons as keys that must be there: then none stands twice.

    Each key in the text has its colon, so keys in the text <= colons outside of texts. Those that
    the value shows to be there are all different, and are counted from below: a field that was
    sent with its default, or a colon in a category, merely leads to the second look.
    """
    who = value.parameters
    sent = [text for text in (value.id, who.subject, who.event_time) if text is not None]
    in_parameters = len(sent) - (value.id is not None)
    keys = 1 + len(sent) + (in_parameters > 0) + 4 * len(value.inputs)
    return body.count(b":") - sum(t.count(":") for t in sent) == keys and b"\\" not in body


def text(value: str | None, field: str) -> str | None:
    """A name as `NAME` has it, or None. Raises Refusal (422)."""
    if value is not None and (problem := NAME.problem(value)):
        raise Refusal(422, "invalid_text", f"{field} {problem}.", field)
    return value


def reason(value: str, field: str = "reason") -> str:
    """Why something is done, as `REASON` has it. Raises Refusal (422)."""
    if problem := REASON.problem(value):
        raise Refusal(422, "invalid", f"{field} {problem}.", field)
    return value


def happened(
    value: str | None, field: str, *, limits: GatewayPolicy, now: datetime
) -> datetime | None:
    """A moment within the window of the policy, in UTC; None stays None. Raises Refusal (422)."""
    moment = instant(value, field)
    if moment is None:
        return None
    if moment.year < limits.earliest_year:
        message = f"{field} is of {moment.year}; times begin with {limits.earliest_year}."
        raise Refusal(422, "before_all_times", message, field)
    ahead = (moment - now).total_seconds() / 3600
    if ahead > limits.future_hours:
        message = (
            f"{moment.isoformat()} lies {ahead:,.1f} h in the future; allowed are "
            f"{limits.future_hours:g} h."
        )
        raise Refusal(422, "in_the_future", message, field)
    return moment


def instant(value: str | None, field: str) -> datetime | None:
    """An ISO 8601 moment with its offset, in UTC; None stays None. Raises Refusal (422)."""
    if value is None:
        return None
    try:
        return moment(value)
    except (ValueError, OverflowError):
        message = f"{value[:40]!r} is not an ISO 8601 time with an offset, as 2013-07-01T09:00:00Z."
        raise Refusal(422, "invalid_time", message, field) from None


class _DoubledKey(ValueError):
    """A JSON object says one key twice; parsers disagree about which one counts."""


def _once(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) == len(pairs):
        return
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise _DoubledKey(key)
        seen.add(key)


_by_key_once = json.JSONDecoder(object_pairs_hook=_once)
