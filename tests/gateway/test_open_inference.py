"""Open Inference Protocol v2: nested data, declared widths, parameters, metadata, versions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from starlette.testclient import TestClient

from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.contract.tensors import FLOATS, INTEGERS, hold_width

INFER = "/v2/models/flight_late/infer"
CASES = Path(__file__).parents[1] / "cases" / "50-gateway"
Ask = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("case", "status", "field"),
    [
        ("nested.json", 200, None),
        ("int8-1000.json", 422, "inputs.hour[0]"),
        ("base64.json", 422, "inputs[2].parameters"),
    ],
)
def test_cases(client: TestClient, case: str, status: int, field: str | None) -> None:
    body = json.loads((CASES / case).read_text())
    answer = client.post(INFER, json=body)
    assert (answer.status_code, answer.json().get("field")) == (status, field)


def test_a_value_beyond_its_width_is_named_with_the_width(client: TestClient) -> None:
    said = client.post(INFER, json=json.loads((CASES / "int8-1000.json").read_text())).json()
    assert said["error"] == "'1000' is not an INT8 (-128 to 127, without a point)."


# ---------------------------------------------------------------- shape


@pytest.mark.parametrize(
    ("shape", "data", "code"),
    [
        ([2], [1, 2], None),
        ([2, 1], [1, 2], None),
        ([2, 1], [[1], [2]], None),
        ([2, 1], [[1], [None]], None),
        ([2], [[1], [2]], "not_a_number"),
        ([2, 1], [[1], 2], "wrong_shape"),
        ([2, 1], [1, [2]], "wrong_shape"),
        ([2, 1], [[1], []], "wrong_shape"),
        ([2, 1], [[1, 2]], "wrong_shape"),
        ([2, 1], [[1, 2], [3, 4]], "wrong_shape"),
        ([2, 2], [[1, 2], [3, 4]], "wrong_shape"),
        ([1, 2], [[1, 2]], "wrong_shape"),
        ([2, 1, 1], [[[1]], [[2]]], "wrong_shape"),
        ([2, 1], [[[1]], [[2]]], "not_a_number"),
        ([2, 1], [["1"], ["2"]], "not_a_number"),
        ([2, 1], [{"a": 1}, {"a": 2}], "not_a_number"),
    ],
    ids=str,
)
def test_shapes(
    client: TestClient, ask: Ask, shape: list[int], data: list[Any], code: str | None
) -> None:
    body = ask(hour=[1, 2], temp=[3, 4], carrier=["AA", "UA"])
    body["inputs"][0] |= {"shape": shape, "data": data}
    answer = client.post(INFER, json=body)
    assert (answer.status_code, answer.json().get("code")) == (422 if code else 200, code)
    schema = client.get("/v2/models/flight_late/schema").json()
    said = jsonschema.Draft202012Validator(schema).is_valid(body)
    assert said == (code is None)


def test_nested_texts_are_scored_and_logged_like_flat_ones(
    world: Any, ask: Ask, wait_ready: Any
) -> None:
    from tenure.gateway.app import create_app

    nested = ask(hour=[[1.0], [2.0]], temp=[[3.0], [None]], carrier=[["AA"], ["UA"]])
    for tensor in nested["inputs"]:
        tensor["shape"] = [2, 1]
    with TestClient(create_app(world.gateway())) as client:
        client.headers["Authorization"] = "Bearer score-key"
        wait_ready(client)
        assert client.post(INFER, json=nested).status_code == 200
    seen = [(row["f_hour"], row["f_temp"], row["f_carrier"]) for row in world.rows()]
    assert seen == [(1.0, 3.0, "AA"), (2.0, None, "UA")]


# ---------------------------------------------------------------- widths

WIDTHS = [
    *(
        (name, value, code)
        for name, (low, high) in INTEGERS.items()
        for value, code in (
            (low - 1, "out_of_range"),
            (low, None),
            (high, None),
            (high + 1, "out_of_range"),
            (10**400, "out_of_range"),
            (1.5, "not_a_number"),
            (1.0, "not_a_number"),
            (True, "not_a_number"),
            ("1", "not_a_number"),
            (None, None),
        )
    ),
    ("FP16", 65504, None),
    ("FP16", 65505, "out_of_range"),
    ("FP16", -65505.0, "out_of_range"),
    ("FP16", 0.1, None),
    ("FP32", 3.4028234663852886e38, None),
    ("FP32", 3.41e38, "out_of_range"),
    ("FP32", -(10**400), "out_of_range"),
    ("FP64", 1.7e308, None),
    ("FP64", None, None),
    ("BOOL", True, None),
    ("BOOL", None, None),
    ("BOOL", 1, "not_a_boolean"),
    ("BOOL", "true", "not_a_boolean"),
]


@pytest.mark.parametrize(("datatype", "value", "code"), WIDTHS, ids=lambda one: str(one)[:24])
def test_widths(datatype: str, value: object, code: str | None) -> None:
    if code is None:
        hold_width(datatype, [value], "inputs.x")
        return
    with pytest.raises(Refusal) as refused:
        hold_width(datatype, [0 if datatype != "BOOL" else False, value], "inputs.x")
    assert (refused.value.status, refused.value.code) == (422, code)
    assert refused.value.field == "inputs.x[1]"
    assert f"is not a{'' if datatype == 'BOOL' else 'n'} {datatype} (" in refused.value.message


@pytest.mark.parametrize("datatype", sorted({*INTEGERS, *FLOATS}))
def test_schema_of_a_model_knows_the_widths(client: TestClient, ask: Ask, datatype: str) -> None:
    schema = client.get("/v2/models/flight_late/schema").json()
    # JSON Schema calls 1e39 an integer, and none beyond 2^53 is certain to be scored as it is sent.
    large = () if datatype == "FP64" else (1e39,)
    for value in (1, 1.5, -1, 128, 40_000, 70_000, 2**31, 2**63, *large):
        body = ask(hour=[value])
        body["inputs"][0]["datatype"] = datatype
        said = jsonschema.Draft202012Validator(schema).is_valid(body)
        assert said == (client.post(INFER, json=body).status_code == 200), value


@pytest.mark.parametrize("datatype", ["BOOL", "BYTES", "STRING", "BF16", "fp64", ""])
def test_datatypes_that_a_number_has_not(client: TestClient, ask: Ask, datatype: str) -> None:
    body = ask()
    body["inputs"][0]["datatype"] = datatype
    answer = client.post(INFER, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_datatype")


# ---------------------------------------------------------------- parameters and outputs


@pytest.mark.parametrize(
    "parameters",
    [{"content_type": "base64"}, {"content_type": "str"}, {"binary_data_size": 8}, {"x": None}],
    ids=str,
)
def test_what_a_tensor_asks_and_nobody_honors_is_refused(
    client: TestClient, ask: Ask, parameters: dict[str, Any]
) -> None:
    body = ask()
    body["inputs"][1]["parameters"] = parameters
    answer = client.post(INFER, json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, "inputs[1].parameters")
    assert next(iter(parameters)) in answer.json()["error"]


def test_no_parameters_are_none(client: TestClient, ask: Ask) -> None:
    body = ask()
    body["inputs"][0]["parameters"] = {}
    assert client.post(INFER, json=body).status_code == 200


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({}, 200),
        ({"binary_data": False}, 200),
        ({"binary_data": True}, 422),
        ({"binary_data": "false"}, 422),
        ({"classification": 2}, 422),
    ],
    ids=str,
)
def test_parameters_of_an_output(
    client: TestClient, ask: Ask, parameters: dict[str, Any], status: int
) -> None:
    body = ask() | {"outputs": [{"name": "score", "parameters": parameters}]}
    answer = client.post(INFER, json=body)
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["field"].startswith("outputs[0].parameters")


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ([], ["score", "decision"]),
        (["score"], ["score"]),
        (["decision"], ["decision"]),
        (["decision", "score"], ["decision", "score"]),
        (["score", "score"], ["score"]),
    ],
    ids=str,
)
def test_the_outputs_that_were_asked_for(
    client: TestClient, ask: Ask, asked: list[str], given: list[str]
) -> None:
    body = ask() | {"outputs": [{"name": name} for name in asked]}
    answer = client.post(INFER, json=body).json()
    assert [output["name"] for output in answer["outputs"]] == given


@pytest.mark.parametrize("where", ["binary_data_output", "priority", "sequence_id"])
def test_parameters_of_a_request(client: TestClient, ask: Ask, where: str) -> None:
    body = ask()
    body["parameters"][where] = True
    answer = client.post(INFER, json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, "parameters")
    assert where in answer.json()["error"]


# ---------------------------------------------------------------- metadata


def test_server_metadata(client: TestClient) -> None:
    from importlib.metadata import version

    expected = {"name": "tenure", "version": version("tenure"), "extensions": []}
    assert client.get("/v2").json() == expected
    del client.headers["Authorization"]
    assert client.get("/v2").status_code == 401


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("1", 200),
        ("1/ready", 200),
        ("2", 409),
        ("2/ready", 409),
        ("3", 410),
        ("3/ready", 410),
        ("9", 404),
        ("x/ready", 404),
    ],
)
def test_versions(
    served: tuple[Any, TestClient], eventually: Any, plans: Any, version: str, status: int
) -> None:
    world, client = served
    world.states["flight_late@3"] = "archived"
    world.publish(plans(2))
    plan = "/v2/models/flight_late/plan"
    eventually(lambda: client.get(plan).json()["generation"] == 2)
    answer = client.get(f"/v2/models/flight_late/versions/{version}")
    assert answer.status_code == status, answer.text


def test_a_version_tells_what_it_reads(client: TestClient) -> None:
    whole = client.get("/v2/models/flight_late").json()
    assert client.get("/v2/models/flight_late/versions/1").json() == whole
    assert client.get("/v2/models/flight_late/versions/1/ready").json() == {"ready": True}


def test_a_canary_is_a_version_too(
    served: tuple[Any, TestClient], eventually: Any, plans: Any
) -> None:
    world, client = served
    world.publish(plans(2, canary=12, share_bp=500))
    path = "/v2/models/flight_late/versions/2/ready"
    eventually(lambda: client.get(path).is_success)
    found = client.get("/v2/models/flight_late/versions/2").json()
    assert found["versions"] == ["1", "2"]


def test_a_version_that_cannot_answer_is_not_ready(world: Any, eventually: Any) -> None:
    from tenure.gateway.app import create_app

    world.loader.models[11] = ValueError("not today")
    made = world.gateway()
    with TestClient(create_app(made)) as client:
        client.headers["Authorization"] = "Bearer score-key"
        eventually(lambda: made.follower.view.models)
        answer = client.get("/v2/models/flight_late/versions/1/ready")
        assert (answer.status_code, answer.json()) == (503, {"ready": False})
