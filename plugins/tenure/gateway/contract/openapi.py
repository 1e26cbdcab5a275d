"""The published contract: OpenAPI 3.1, made from the very types that parse and answer."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from tenure.gateway.contract import bodies
from tenure.gateway.contract.operations import OPERATIONS, Operation
from tenure.gateway.contract.refusals import ErrorBody
from tenure.gateway.contract.rows import FeatureRule, RowRules
from tenure.gateway.contract.tensors import FLOATS, INTEGERS, TEXTS
from tenure.lifecycle.serving import MAX_TEXT, GatewayPolicy
from tenure.lifecycle.serving.spelling import EXACT

_REF = "#/components/schemas/{name}"
_JSON = "application/json"

_STATUSES = {
    400: "Not JSON as RFC 8259 has it, a key that stands twice, or a header that is no text or "
    "stands twice.",
    401: "No valid key or token.",
    403: "The key lacks the scope.",
    404: "No such model or version, or one that does not exist for this key.",
    408: "The request was not whole in time; the connection is closed.",
    409: "The version is not live, or the request id stood with other content before.",
    410: "The version is retired: it never answers again.",
    413: "Too many bytes or rows.",
    415: "The body is not plain application/json.",
    422: "A field is missing, unknown, of the wrong type or outside of what is accepted; `field`.",
    429: "Too many rows a second for this key, or too many requests at once: Retry-After.",
    431: "Too many or too long headers; the connection is closed.",
    500: "A bug of the gateway; nothing was decided.",
    503: "No plan yet, the log cannot be written, or too many connections or large bodies at once: "
    "Retry-After.",
}
_AFTER = {"Retry-After": "Seconds after which it may work."}
_REFUSAL_HEADERS = {
    401: {"WWW-Authenticate": "`Bearer`."},
    429: _AFTER,
    503: _AFTER,
}


def document(limits: GatewayPolicy) -> dict[str, Any]:
    """The whole interface."""
    return _document(limits.model_dump_json())


@lru_cache(maxsize=4)
def _document(limits_json: str) -> dict[str, Any]:
    limits = GatewayPolicy.model_validate_json(limits_json)
    types = _types()
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    known = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tenure gateway",
            "version": "2",
            "description": (
                "Open Inference Protocol v2, MLflow's /invocations, and outcomes. One request has "
                f"at most {limits.max_rows:,} rows and {limits.max_body_bytes:,} bytes, and "
                f"{limits.request_seconds:g} s to arrive. Every refusal is an `ErrorBody`."
            ),
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def infer_schema(contract: RowRules, max_rows: int) -> dict[str, Any]:
    """JSON Schema of `/infer` for one model: whatever it allows with one row is scored.

    That every tensor has the same number of rows, and no feature stands twice, is beyond it.
    """
    tensors = [_tensor_schema(name, contract, max_rows) for name in contract.columns]
    required = [
        {"contains": {"type": "object", "properties": {"name": {"const": name}}}}
        for name in sorted(contract.required)
        if not contract.fills_missing
    ]
    known: dict[str, Any] = {"oneOf": tensors}
    if contract.ignores_extra:
        names = sorted(contract.columns)
        stranger = {"type": "object", "properties": {"name": {"not": {"enum": names}}}}
        known = {"oneOf": [*tensors, stranger]}
    (_body,), components = msgspec.json.schema_components(
        [bodies.InferBody], ref_template="#/$defs/{name}"
    )
    body = components.pop("InferBody")
    inputs: dict[str, Any] = {"type": "array", "minItems": 1, "items": known}
    if required:
        inputs["allOf"] = required
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **body,
        "properties": {**body["properties"], "inputs": inputs},
        "$defs": components,
    }


def _tensor_schema(name: str, contract: RowRules, max_rows: int) -> dict[str, Any]:
    column = contract.columns[name]
    return {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {"name": {"const": name}},
        "oneOf": [
            {"properties": {"datatype": {"const": datatype}}, "anyOf": _laid_out(value, max_rows)}
            for datatype, value in _values(column).items()
        ],
    }


def _values(column: FeatureRule) -> dict[str, dict[str, Any]]:
    """What a value may be, by the datatype that its tensor declares."""
    if not column.is_numeric:
        text: dict[str, Any] = {"type": "string", "maxLength": MAX_TEXT}
        if column.known is not None:
            text |= {"enum": sorted(column.known)}
        if column.is_date:
            text |= {"examples": ["2013-07-01", "2013-07-01T09:00:00Z"]}
        if column.spelling is not None:
            written, close = (f"^({p})$" for p in (column.spelling.written, column.spelling.close))
            text |= {"anyOf": [{"pattern": written}, {"not": {"pattern": close}}]}
        return {datatype: _or_null(text, column) for datatype in sorted(TEXTS)}
    spans = {name: ("integer", *span) for name, span in INTEGERS.items()}
    spans |= {name: ("number", -most, most) for name, most in FLOATS.items()}
    return {name: _or_null(_number(*span, column), column) for name, span in sorted(spans.items())}


def _number(kind: str, low: float, high: float, column: FeatureRule) -> dict[str, Any]:
    if column.span is not None:
        low, high = max(low, column.span[0]), min(high, column.span[1])
    bounds = {"minimum": low, "maximum": high}
    held = {name: end for name, end in bounds.items() if abs(end) < float("inf")}
    exact = {"minimum": -EXACT, "maximum": EXACT}
    return {"type": kind, **held, "anyOf": [{"not": {"type": "integer"}}, exact]}


def _or_null(value: dict[str, Any], column: FeatureRule) -> dict[str, Any]:
    return {"anyOf": [value, {"type": "null"}]} if column.nullable else value


def _laid_out(value: dict[str, Any], max_rows: int) -> list[dict[str, Any]]:
    """Flat data; or, with shape [rows, 1], one list a row."""
    nested = {"type": "array", "minItems": 1, "maxItems": 1, "items": value}
    rows = {"type": "array", "minItems": 1, "maxItems": max_rows}
    return [
        {"properties": {"data": {**rows, "items": value}}},
        {"properties": {"shape": {"minItems": 2}, "data": {**rows, "items": nested}}},
    ]


def _types() -> list[Any]:
    found: list[Any] = [ErrorBody]
    for one in OPERATIONS:
        found += [t for t in (one.body, one.answer, one.unready) if isinstance(t, type)]
    return list(dict.fromkeys(t for t in found if t is not dict))


def _operation(one: Operation, known: Mapping[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary.partition(".")[0] + ".",
        "description": one.summary,
        "parameters": _parameters(one),
        "responses": _responses(one, known),
    }
    if one.body is not None:
        content = {_JSON: {"schema": known[one.body]}}
        answer["requestBody"] = {"required": True, "content": content}
    if one.scope is not None:
        scope = f"Needs a key with the scope `{one.scope}`." if one.scope else "Needs any key."
        answer["description"] += f" {scope}"
        answer["security"] = [{"key": []}]
    return answer


def _parameters(one: Operation) -> list[dict[str, Any]]:
    text = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
    number = {"type": "integer", "minimum": 1, "maximum": 999_999_999}
    in_path = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": number if name == "version" else {"type": "string"},
        }
        for name in ("model", "version")
        if f"{{{name}}}" in one.path
    ]
    in_headers = [
        {"name": name, "in": "header", "description": meaning, "schema": text}
        for name, meaning in one.headers.items()
    ]
    return in_path + in_headers


def _responses(one: Operation, known: Mapping[Any, Any]) -> dict[str, Any]:
    error = {"content": {_JSON: {"schema": known[ErrorBody]}}}
    found: dict[str, Any] = {
        str(status): {"description": _STATUSES[status], **_headers_of(status), **error}
        for status in sorted({*one.refusals, 431, 500, 503})
    }
    if one.unready is not None:
        both = {"anyOf": [known[one.unready], known[ErrorBody]]}
        found["503"]["description"] = "Not ready. " + _STATUSES[503]
        found["503"]["content"] = {_JSON: {"schema": both}}
    kind = one.answer if isinstance(one.answer, str) else _JSON
    schema = known.get(one.answer, {"type": "string" if isinstance(one.answer, str) else "object"})
    done: dict[str, Any] = {"description": "Done.", "content": {kind: {"schema": schema}}}
    if one.tells:
        done["headers"] = {name: _header(meaning) for name, meaning in one.tells.items()}
    return {"200": done, **found}


def _headers_of(status: int) -> dict[str, Any]:
    """Headers of a refusal."""
    found = {name: _header(meaning) for name, meaning in _REFUSAL_HEADERS.get(status, {}).items()}
    return {"headers": found} if found else {}


def _header(meaning: str) -> dict[str, Any]:
    return {"description": meaning, "schema": {"type": "string"}}
