"""Reads request bodies strictly: size first, then JSON without gaps or doubles, then types."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from starlette.requests import ClientDisconnect, Request

from tenure.gateway.refusals import Refusal

MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_TEXT = 256
BODY_SECONDS = 10.0

_Text = str | None


class Tensor(msgspec.Struct, forbid_unknown_fields=True):
    """One feature for all rows, as the Open Inference Protocol has it."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class RequestedOutput(msgspec.Struct, forbid_unknown_fields=True):
    """Accepted for the protocol's sake: both outputs are always given."""

    name: Literal["score", "decision"]
    parameters: dict[str, Any] = {}


class InferParameters(msgspec.Struct, forbid_unknown_fields=True):
    """Who is decided about, and when it happens by the client's clock."""

    subject: _Text = None
    event_time: _Text = None


class InferBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `/infer`."""

    inputs: list[Tensor]
    id: _Text = None
    parameters: InferParameters = msgspec.field(default_factory=InferParameters)
    outputs: list[RequestedOutput] = []


class Split(msgspec.Struct, forbid_unknown_fields=True):
    """pandas' `split` orientation."""

    columns: list[str]
    data: list[list[Any]]
    index: list[Any] = []


class InvocationsBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of MLflow's `/invocations`; exactly one of the two."""

    dataframe_split: Split | None = None
    dataframe_records: list[dict[str, Any]] | None = None


class Outcome(msgspec.Struct, forbid_unknown_fields=True):
    """What happened in truth to one decision, or to the decisions of one request."""

    label: bool
    decision_id: _Text = None
    request_id: _Text = None
    observed_at: _Text = None


class OutcomesBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `/outcomes`."""

    outcomes: list[Outcome]
    watermark: _Text = None


infer_body = msgspec.json.Decoder(InferBody)
invocations_body = msgspec.json.Decoder(InvocationsBody)
outcomes_body = msgspec.json.Decoder(OutcomesBody)


async def read_body(request: Request) -> bytes:
    """The body, never more than the limit of it. Raises Refusal."""
    headers = request.headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, "not_json", f"Content-Type is {kind!r}; allowed is application/json.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "encoded", "Content-Encoding is not accepted.")
    declared = headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
        raise _too_large(int(declared))
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _bounded(request)
    except TimeoutError:
        raise Refusal(408, "slow_body", f"The body took over {BODY_SECONDS:.0f} s.") from None
    except ClientDisconnect:
        raise Refusal(400, "disconnected", "The client left before the body was read.") from None


def parse(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:
    """Decode into the decoder's type.

    Raises:
        Refusal: 400 when it is not JSON as RFC 8259 has it (or says a key twice), 422 when the
            shape or a type is wrong.
    """
    try:
        value = decoder.decode(body)
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
        raise Refusal(400, "malformed", f"The body is not JSON: {error}.") from None
    return value


def text(value: str | None, field: str) -> str | None:
    """A short text without control characters, or None. Raises Refusal (422)."""
    if value is not None and not (1 <= len(value) <= MAX_TEXT and value.isprintable()):
        raise Refusal(422, "invalid_text", f"Must be 1 to {MAX_TEXT} printable characters.", field)
    return value


def instant(value: str | None, field: str) -> datetime | None:
    """An ISO 8601 moment with its offset, in UTC; None stays None. Raises Refusal (422)."""
    if value is None:
        return None
    try:
        parsed = datetime.fromisoformat(value)
        in_utc = parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        message = f"{value[:40]!r} is not an ISO 8601 time with an offset, as 2013-07-01T09:00:00Z."
        raise Refusal(422, "invalid_time", message, field)
    return in_utc


async def _bounded(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _too_large(size)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(size: int) -> Refusal:
    message = f"The body has {size:,} bytes or more; allowed are {MAX_BODY_BYTES:,}."
    return Refusal(413, "too_large", message)


class _DoubledKey(ValueError):
    """A JSON object says one key twice; parsers disagree about which one counts."""


def _once(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _DoubledKey(next(key for key in keys if keys.count(key) > 1))


_by_key_once = json.JSONDecoder(object_pairs_hook=_once)
