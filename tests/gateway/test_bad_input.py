"""Whatever is sent: a 4xx that says what and where, never a 500, never a hang."""

import gzip
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from tenure.gateway.contract import bodies
from tenure.gateway.contract.refusals import Refusal
from tenure.lifecycle.serving import GatewayPolicy, ServingPolicy

INFER = "/v2/models/flight_late/infer"
JSON = {"Content-Type": "application/json"}
Ask = Callable[..., dict[str, Any]]


def raw(body: bytes, **headers: str) -> dict[str, Any]:
    return {"content": body, "headers": {**JSON, **headers}}


@pytest.mark.parametrize(
    ("call", "status", "code"),
    [
        pytest.param(raw(b""), 400, "malformed", id="89 empty"),
        pytest.param({"content": b"{}"}, 415, "not_json", id="90 no content type"),
        pytest.param(
            {"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "not_json", id="90"
        ),
        pytest.param(raw(b'{"id":"\xff"}'), 400, "malformed", id="91 invalid UTF-8"),
        pytest.param(raw(b'{"inputs":[NaN]}'), 400, "malformed", id="92 NaN"),
        pytest.param(raw(b'{"inputs":[-Infinity]}'), 400, "malformed", id="92 Infinity"),
        pytest.param(raw(b"[" * 200_000), 422, "invalid", id="94 deep"),
        pytest.param(
            raw(b'{"inputs":[{"name":"a","data":' + b"[" * 200_000), 400, "too_deep", id="94 data"
        ),
        pytest.param(raw(b'{"inputs":' + b"[" * 200_000), 422, "invalid", id="94 deep inside"),
        pytest.param(
            raw(b'{"inputs":[],"inputs":[]}'), 400, "duplicate_key", id="95 duplicate key"
        ),
        pytest.param(
            raw(b'{"inputs":[{"name":"a","name":"b","shape":[1],"datatype":"FP64","data":[1]}]}'),
            400,
            "duplicate_key",
            id="95 duplicate key inside",
        ),
        pytest.param(raw(b"[]"), 422, "invalid", id="not an object"),
        pytest.param(raw(b"{}"), 422, "invalid", id="no inputs"),
        pytest.param(raw(b'{"inputs":[],"extra":1}'), 422, "invalid", id="unknown key"),
        pytest.param(raw(b'{"inputs":[]}'), 422, "wrong_row_count", id="no rows"),
        pytest.param(raw(b'{"inputs":[]} x'), 400, "malformed", id="trailing bytes"),
        pytest.param(raw(b"\xef\xbb\xbf{}"), 400, "malformed", id="byte order mark"),
        pytest.param(raw(b'{"id":"\\ud800","inputs":[]}'), 400, "malformed", id="113 surrogate"),
        pytest.param(
            raw(b" " * (GatewayPolicy().max_body_bytes + 1)),
            413,
            "too_large",
            id="100 one byte too many",
        ),
        pytest.param(
            raw(gzip.compress(b"{}"), **{"Content-Encoding": "gzip"}), 415, "encoded", id="103 gzip"
        ),
    ],
)
def test_bad_bodies(client: TestClient, call: dict[str, Any], status: int, code: str) -> None:
    answer = client.post(INFER, **call)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"error", "code", "field"}


def twice_among(count: int) -> bytes:
    """Keys that are all different, but for the last: it stands twice."""
    keys = b",".join(b'"%x":0' % number for number in (*range(count), count - 1))
    return (
        b'{"inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":[1],"parameters":{%s}}]}'
        % (keys)
    )


def test_double_key_among_many(client: TestClient) -> None:
    """95: in one pass over the keys, or this takes minutes of the event loop."""
    body = twice_among(180_000)
    assert len(body) < GatewayPolicy().max_body_bytes
    answer = client.post(INFER, **raw(body))
    assert (answer.status_code, answer.json()["code"]) == (400, "duplicate_key")
    assert answer.json()["error"] == "The key '2bf1f' stands twice."


def test_double_key_is_found_in_one_pass() -> None:
    class Key(str):
        """Counts how often it is compared."""

        __slots__ = ()
        compared = 0

        def __eq__(self, other: object) -> bool:
            Key.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    pairs = [(Key(f"k{number}"), None) for number in (*range(1000), 999)]
    with pytest.raises(ValueError, match="k999"):
        bodies._once(pairs)
    assert Key.compared < 100


@pytest.mark.parametrize(
    "body",
    [
        b'{"%s":1}' % (b"k" * 1_500_000),
        b'{"inputs":[],"%s":1,"%s":1}' % (b"k" * 700_000, b"k" * 700_000),
        b'{"inputs":[{"name":"%s","shape":[1],"datatype":"FP64","data":[1]}]}' % (b"n" * 1_500_000),
        b'{"inputs":[{"name":"hour","shape":[1],"datatype":"%s","data":[1]}]}' % (b"F" * 1_500_000),
        b'{"inputs":[{"name":"hour","shape":[1%s],"datatype":"FP64","data":[1]}]}' % (b"0" * 4000),
        b'{"inputs":[],"parameters":{"event_time":"%s"}}' % (b"9" * 1_500_000),
        b'{"inputs":[],"outputs":[{"name":"%s"}]}' % (b"9" * 1_500_000),
        "{}".encode("utf-16"),
    ],
    ids=["key", "double", "name", "datatype", "shape", "time", "output", "nulls"],
)
def test_a_refusal_repeats_little(client: TestClient, body: bytes) -> None:
    answer = client.post(INFER, **raw(body))
    assert answer.status_code in {400, 422}
    assert len(answer.content) < 2000


@pytest.mark.parametrize(("length", "shown"), [(399, 399), (400, 400), (401, 400)])
def test_how_much_of_a_text_is_shown(length: int, shown: int) -> None:
    said = json.loads(Refusal(422, "x", "m" * length, "f" * length).answer().body)
    assert [len(said["error"]), len(said["field"])] == [shown, shown]
    assert said["error"].endswith("…") == (length > shown)


def test_body_without_length_is_bounded(client: TestClient) -> None:
    def endless() -> Any:
        for _ in range(64):
            yield b" " * 65_536

    answer = client.post(INFER, content=endless(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        pytest.param({"hour": None}, "missing_feature", "inputs.hour", id="96 missing"),
        pytest.param({"extra": [1.0]}, "unknown_feature", "inputs.extra", id="96 extra"),
        pytest.param({"hour": [True]}, "not_a_number", "inputs.hour[0]", id="98 bool"),
        pytest.param({"hour": ["nan"]}, "not_a_number", "inputs.hour[0]", id="99 nan text"),
        pytest.param({"hour": ["1e999"]}, "not_a_number", "inputs.hour[0]", id="99 1e999 text"),
        pytest.param({"hour": [[1.0]]}, "not_a_number", "inputs.hour[0]", id="nested"),
        pytest.param({"hour": [10**400]}, "not_a_number", "inputs.hour[0]", id="114 10^400"),
        pytest.param({"hour": [1.0, 2.0]}, "wrong_shape", "inputs.temp", id="ragged"),
        pytest.param({"carrier": [7]}, "not_a_text", "inputs.carrier[0]", id="number as text"),
        pytest.param({"carrier": ["x" * 257]}, "not_a_text", "inputs.carrier[0]", id="long text"),
        pytest.param(
            {"h\u043eur": [1.0]}, "unknown_feature", "inputs.h\u043eur", id="115 homoglyph"
        ),
    ],
)
def test_bad_features(
    client: TestClient, ask: Ask, changes: dict[str, Any], code: str, field: str
) -> None:
    answer = client.post(INFER, content=json.dumps(ask(**changes)), headers=JSON)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, field)


@pytest.mark.parametrize(
    ("tensor", "code"),
    [
        ({"shape": [2]}, "wrong_shape"),
        ({"shape": [1, 2]}, "wrong_shape"),
        ({"shape": []}, "wrong_shape"),
        ({"shape": [-1]}, "wrong_shape"),
        ({"shape": [1.5]}, "invalid"),
        ({"datatype": "BYTES"}, "wrong_datatype"),
        ({"datatype": "FP65"}, "wrong_datatype"),
        ({"datatype": "INT64"}, "not_a_number"),
        ({"name": "temp"}, "duplicate_feature"),
        ({"name": 3}, "invalid"),
    ],
)
def test_bad_tensors(client: TestClient, ask: Ask, tensor: dict[str, Any], code: str) -> None:
    request = ask(hour=[9.5])
    request["inputs"][0] |= tensor
    answer = client.post(INFER, json=request)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["field"] is not None


@pytest.mark.parametrize(
    ("where", "value", "code"),
    [
        ("event_time", "2013-07-01", "invalid_time"),
        ("event_time", "2013-07-01T09:00:00", "invalid_time"),
        ("event_time", "0000-00-00T00:00:00Z", "invalid_time"),
        ("event_time", "0001-01-01T00:00:00+14:00", "invalid_time"),
        ("event_time", 1372669200, "invalid"),
        ("subject", "", "invalid_text"),
        ("subject", "a\r\nb", "invalid_text"),
        ("subject", "x" * 257, "invalid_text"),
        ("subject", 5, "invalid"),
        ("other", "x", "invalid"),
    ],
)
def test_bad_parameters(client: TestClient, ask: Ask, where: str, value: object, code: str) -> None:
    request = ask()
    request["parameters"][where] = value
    answer = client.post(INFER, json=request)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize(("rows", "status"), [(999, 200), (1000, 200), (1001, 413)])
def test_most_rows(client: TestClient, ask: Ask, rows: int, status: int) -> None:
    request = ask(hour=[1] * rows, temp=[1] * rows, carrier=["AA"] * rows)
    assert client.post(INFER, json=request).status_code == status


@pytest.mark.parametrize(
    ("policy", "changes", "status"),
    [
        ({}, {"carrier": ["ZZ"]}, 200),
        ({"on_unseen_category": "reject"}, {"carrier": ["ZZ"]}, 422),
        ({"on_unseen_category": "reject"}, {"carrier": ["UA"]}, 200),
        ({"on_unseen_category": "reject"}, {"carrier": [None]}, 200),
        ({}, {"hour": [24]}, 200),
        ({"on_out_of_range": "reject"}, {"hour": [22.9]}, 200),
        ({"on_out_of_range": "reject"}, {"hour": [23]}, 200),
        ({"on_out_of_range": "reject"}, {"hour": [23.1]}, 422),
        ({"on_out_of_range": "reject"}, {"hour": [-0.1]}, 422),
        ({"on_out_of_range": "reject"}, {"hour": [None]}, 200),
    ],
)
def test_values_that_training_did_not_see(
    served: tuple[Any, TestClient], ask: Ask, policy: dict[str, Any], changes: Any, status: int
) -> None:
    world, client = served
    world.policy = ServingPolicy(**policy)
    time.sleep(0.1)  # the follower takes the policy up at its next look
    answer = client.post(INFER, json=ask(**changes))
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["field"] in {"inputs.carrier[0]", "inputs.hour[0]"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"dataframe_split": {"columns": [], "data": []}, "dataframe_records": []}, None),
        ({"dataframe_split": {"columns": ["hour", "hour"], "data": [[1, 1]]}}, "columns"),
        ({"dataframe_split": {"columns": ["hour"], "data": [[1, 2]]}}, "data[0]"),
        ({"dataframe_records": [{"hour": 1, "temp": 1, "carrier": "AA"}, {"hour": 2}]}, "[1].temp"),
        ({"dataframe_records": [{"hour": 1, "temp": 1}]}, "carrier"),
        ({"dataframe_records": [{"hour": 1, "temp": 1, "carrier": "AA", "x": 1}]}, "x"),
        ({"dataframe_records": []}, "dataframe_records"),
        ({"instances": []}, None),
    ],
)
def test_bad_invocations(client: TestClient, body: dict[str, Any], field: str | None) -> None:
    answer = client.post("/invocations", json=body)
    assert answer.status_code == 422
    assert (answer.json()["field"] or "").endswith(field or "")


@pytest.mark.parametrize(
    ("verb", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "no_such_path"),
        ("GET", INFER, 405, "method_not_allowed"),
        ("POST", "/v2/models/ghost/infer", 404, "unknown_model"),
        ("POST", "/v2/models/unborn/infer", 503, "not_serving"),
        ("POST", "/v2/models/../etc/infer", 404, "no_such_path"),
        ("POST", "/v2/models/flight_late/versions/9/infer", 404, "unknown_version"),
        ("POST", "/v2/models/flight_late/versions/x/infer", 404, "unknown_version"),
        ("POST", f"/v2/models/flight_late/versions/{'9' * 5000}/infer", 404, "unknown_version"),
        ("POST", INFER + "/", 404, "no_such_path"),
    ],
)
def test_wrong_places(client: TestClient, verb: str, path: str, status: int, code: str) -> None:
    answer = client.request(verb, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_method_override_is_ignored(client: TestClient) -> None:
    answer = client.get(INFER, headers={"X-HTTP-Method-Override": "POST"})
    assert answer.status_code == 405
