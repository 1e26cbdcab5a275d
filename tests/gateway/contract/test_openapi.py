"""The published contract says what the gateway does, and a model's schema what it accepts."""

import http.client
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate
from starlette.testclient import TestClient

from tenure.gateway.contract.openapi import document, infer_schema
from tenure.gateway.contract.operations import OPERATIONS
from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.contract.rows import RowRules
from tenure.lifecycle.model_version import Kind
from tenure.lifecycle.serving import GatewayPolicy, ServingPolicy, Signature

INFER = "/v2/models/flight_late/infer"
SIGNATURE = Signature(("hour",), ("carrier",), {"carrier": frozenset({"AA"})}, {"hour": (0, 23)})
NO_TEXT = b"Bearer \xff"
Ask = Callable[..., dict[str, Any]]


def test_document_is_openapi() -> None:
    validate(document(GatewayPolicy()))


def test_document_states_the_limits_in_force() -> None:
    said = document(GatewayPolicy(max_rows=17, request_seconds=3))["info"]["description"]
    assert "17 rows" in said
    assert "3 s to arrive" in said


def test_every_operation_is_answered(client: TestClient) -> None:
    published = client.get("/openapi.json").json()["paths"]
    for one in OPERATIONS:
        assert one.method.lower() in published[one.path]
        path = one.path.format(model="flight_late", version=1)
        assert client.request(one.method, path).status_code not in {404, 405}, path


def test_every_refusal_has_one_form() -> None:
    for methods in document(GatewayPolicy())["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                schema = str(answer["content"])
                assert ("ErrorBody" in schema) == (status != "200")


def published(name: str, status: int) -> dict[str, Any]:
    """What the document says of one answer of one operation."""
    one = next(each for each in OPERATIONS if each.name == name)
    paths = document(GatewayPolicy())["paths"]
    return dict(paths[one.path][one.method.lower()]["responses"][str(status)])


@pytest.mark.parametrize("name", [one.name for one in OPERATIONS])
@pytest.mark.parametrize("authorization", [None, b"Bearer nobody", b"Basic x", NO_TEXT], ids=str)
def test_every_answer_to_a_stranger_is_published(
    shared_url: str, name: str, authorization: bytes | None
) -> None:
    one = next(each for each in OPERATIONS if each.name == name)
    path = one.path.format(model="flight_late", version=1)
    connection = http.client.HTTPConnection(shared_url.removeprefix("http://"), timeout=10)
    headers = {} if authorization is None else {"Authorization": authorization}
    connection.request(one.method, path, headers=headers)
    answer = connection.getresponse()
    connection.close()
    said = published(name, answer.status)
    ours = {header.title() for header in answer.headers} - {"Content-Length", "Content-Type"}
    assert ours == {header.title() for header in said.get("headers", {})}
    if authorization == NO_TEXT and one.scope is not None:
        assert answer.status == 400


@pytest.mark.parametrize("name", ["infer", "infer_version", "invocations"])
def test_headers_of_a_decision_are_published(client: TestClient, ask: Ask, name: str) -> None:
    one = next(each for each in OPERATIONS if each.name == name)
    path = one.path.format(model="flight_late", version=1)
    frame = {"dataframe_records": [{"hour": 1, "temp": 2, "carrier": "AA"}]}
    body, again = (frame if name == "invocations" else ask()), {"X-Request-Id": "again"}
    answers = [client.post(path, json=body, headers=again) for _ in range(2)]
    seen = {header.title() for answer in answers for header in answer.headers}
    assert seen - {"Content-Length", "Content-Type"} == set(published(name, 200)["headers"])


@pytest.mark.parametrize("status", [429, 503])
def test_who_is_to_come_again_is_reported_when(status: int) -> None:
    assert list(published("infer", status)["headers"]) == ["Retry-After"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hour": [None]},
        {"hour": [9], "carrier": ["ZZ"]},
        {"hour": [1, 2], "temp": [1, 2], "carrier": ["AA", "UA"]},
        {"hour": [True]},
        {"hour": ["9"]},
        {"hour": [[9]]},
        {"carrier": [9]},
        {"carrier": ["x" * 257]},
        {"hour": None},
        {"extra": [1]},
        {"hour": []},
    ],
    ids=str,
)
def test_schema_of_a_model_accepts_what_the_gateway_accepts(
    client: TestClient, ask: Ask, changes: dict[str, Any]
) -> None:
    schema = client.get("/v2/models/flight_late/schema").json()
    jsonschema.Draft202012Validator.check_schema(schema)
    body = ask(**changes)
    said = jsonschema.Draft202012Validator(schema).is_valid(body)
    assert said == (client.post(INFER, json=body).status_code == 200)


@pytest.mark.parametrize(
    ("kind", "observed", "value"),
    [
        *[
            (kind, ("true", "false"), v)
            for kind in ("boolean", "text")
            for v in ("true", "True", "1", "yes", "new", "tru", " false ")
        ],
        *[("text", ("True", "False"), v) for v in ("True", "true", "1", "no", "new")],
        *[("number", ("0", "1"), v) for v in ("0", "1", "true", "FALSE", "1.0", "2", "new")],
        *[
            ("number", ("1", "2.5"), v)
            for v in ("1", "7", "1.0", "+1", "-0", "0.5", "true", "x", "1e3", "")
        ],
        *[("date", ("2013-07-01",), v) for v in ("2014-01-01", "20140101", "2014-1-1", "soon")],
        *[
            ("moment", ("2013-07-01T09:00:00Z",), v)
            for v in ("2014-01-01T00:00:00Z", "2014-01-01 00:00:00", "2014-01-01", "soon")
        ],
        *[("text", ("AA",), v) for v in ("aa", "1.0", "True", "2014-1-1")],
        *[("text", ("1", "7"), v) for v in ("007", "1.0", "True", "7")],
    ],
)
def test_schema_states_how_a_category_is_written(
    kind: Kind, observed: tuple[str, ...], value: str
) -> None:
    signature = Signature(
        (), ("carrier",), {"carrier": frozenset(observed)}, kinds={"carrier": kind}
    )
    contract = RowRules(signature, signature.features, ServingPolicy())
    schema = jsonschema.Draft202012Validator(infer_schema(contract, 1000))
    accepted = schema.is_valid({"inputs": [tensor("carrier", value)]})
    with nullcontext() if accepted else pytest.raises(Refusal, match=r"is written|is no date"):
        contract.checked({"carrier": [value]}, 1, 1000, place="inputs")


@pytest.mark.parametrize("hour", [2**53, 2**53 + 1, -(2**53), -(2**53) - 1, 10**30])
def test_whole_numbers_that_a_float_would_change(client: TestClient, ask: Ask, hour: int) -> None:
    schema = client.get("/v2/models/flight_late/schema").json()
    answer = client.post(INFER, json=ask(hour=[hour]))
    accepted = jsonschema.Draft202012Validator(schema).is_valid(ask(hour=[hour]))
    assert (answer.status_code == 200) == accepted == (abs(hour) <= 2**53)


def tensor(name: str, value: object) -> dict[str, Any]:
    kind = "BYTES" if name == "carrier" else "FP64"
    return {"name": name, "shape": [1], "datatype": kind, "data": [value]}


@pytest.mark.parametrize(
    ("policy", "hour", "carrier", "extra", "valid"),
    [
        ({}, 24, "ZZ", False, True),
        ({"on_out_of_range": "reject"}, 23, "ZZ", False, True),
        ({"on_out_of_range": "reject"}, 23.5, "ZZ", False, False),
        ({"on_unseen_category": "reject"}, 24, "AA", False, True),
        ({"on_unseen_category": "reject"}, 24, "ZZ", False, False),
        ({"on_null": "reject"}, None, "AA", False, False),
        ({"on_extra_feature": "ignore"}, 1, "AA", True, True),
        ({}, 1, "AA", True, False),
        ({"on_missing_feature": "null"}, "absent", "AA", False, True),
        ({}, "absent", "AA", False, False),
    ],
)
def test_schema_follows_the_policy(
    policy: dict[str, Any], hour: Any, carrier: str, extra: bool, valid: bool
) -> None:
    contract = RowRules(SIGNATURE, SIGNATURE.features, ServingPolicy(**policy))
    inputs = [tensor("carrier", carrier)]
    inputs += [] if hour == "absent" else [tensor("hour", hour)]
    inputs += [tensor("other", 1)] if extra else []
    schema = infer_schema(contract, 1000)
    assert jsonschema.Draft202012Validator(schema).is_valid({"inputs": inputs}) == valid
