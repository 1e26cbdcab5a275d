"""A signature and a policy, compiled: each value is accepted, or refused by its name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tenure.gateway.contract import bodies
from tenure.gateway.contract.bodies import InferBody, Tensor
from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.contract.rows import RowRules, Rows
from tenure.lifecycle.serving import ServingPolicy, Signature

SIGNATURE = Signature(
    ("hour", "temp"), ("carrier",), {"carrier": frozenset({"AA"})}, {"hour": (0.0, 23.0)}
)


def read(policy: dict[str, Any], **columns: list[Any]) -> Rows:
    given_ = {"hour": [9], "temp": [1.5], "carrier": ["AA"]} | columns
    contract = RowRules(SIGNATURE, SIGNATURE.features, ServingPolicy(**policy))
    present = {name: values for name, values in given_.items() if values is not None}
    return contract.checked(present, 1, 1000, place="inputs")


@pytest.mark.parametrize(
    ("policy", "columns", "code", "field"),
    [
        ({"on_null": "reject"}, {"hour": [None]}, "null", "inputs.hour[0]"),
        ({"on_null": "reject"}, {"carrier": [None]}, "null", "inputs.carrier[0]"),
        ({}, {"temp": None}, "missing_feature", "inputs.temp"),
        ({}, {"other": [1]}, "unknown_feature", "inputs.other"),
        ({"on_out_of_range": "reject"}, {"hour": [-0.5]}, "out_of_range", "inputs.hour[0]"),
        (
            {"on_unseen_category": "reject"},
            {"carrier": ["A"]},
            "unseen_category",
            "inputs.carrier[0]",
        ),
        ({}, {"hour": [True]}, "not_a_number", "inputs.hour[0]"),
        ({}, {"hour": [10**400]}, "not_a_number", "inputs.hour[0]"),
        ({}, {"hour": [float("nan")]}, "not_a_number", "inputs.hour[0]"),
        ({}, {"hour": [{"a": 1}]}, "not_a_number", "inputs.hour[0]"),
        ({}, {"carrier": [["AA"]]}, "not_a_text", "inputs.carrier[0]"),
        ({}, {"carrier": [False]}, "not_a_text", "inputs.carrier[0]"),
    ],
)
def test_refused(policy: dict[str, Any], columns: Any, code: str, field: str) -> None:
    with pytest.raises(Refusal) as refused:
        read(policy, **columns)
    assert (refused.value.status, refused.value.code, refused.value.field) == (422, code, field)


@pytest.mark.parametrize(
    ("policy", "columns", "expected"),
    [
        ({}, {"hour": [None]}, (None, 1.5, "AA")),
        ({"on_missing_feature": "null"}, {"hour": None}, (None, 1.5, "AA")),
        ({"on_missing_feature": "null"}, {"carrier": None}, (9.0, 1.5, None)),
        ({"on_extra_feature": "ignore"}, {"other": [[]]}, (9.0, 1.5, "AA")),
        ({"on_out_of_range": "reject"}, {"hour": [0]}, (0.0, 1.5, "AA")),
        ({"on_out_of_range": "reject"}, {"temp": [1e300]}, (9.0, 1e300, "AA")),
    ],
)
def test_accepted(policy: dict[str, Any], columns: Any, expected: tuple[object, ...]) -> None:
    assert read(policy, **columns).in_order(SIGNATURE.features) == [expected]


def test_order_of_features_and_one_feature_alone() -> None:
    rows = read({})
    assert rows.in_order(("carrier", "hour")) == [("AA", 9.0)]
    assert rows.in_order(("temp",)) == [(1.5,)]
    with pytest.raises(KeyError, match="wind"):
        rows.in_order(("temp", "wind"))


def test_message_of_a_monster_is_short() -> None:
    with pytest.raises(Refusal) as refused:
        read({}, hour=[10**4000])
    assert refused.value.message == "an integer of 13288 bits is not a finite number."


@pytest.mark.parametrize("value", [-1, 1_000_001])
def test_bounds_of_the_cache(value: int) -> None:
    with pytest.raises(ValidationError):
        ServingPolicy(cache_rows=value)


# ---------------------------------------------------------------- no key twice

pieces = st.lists(
    st.sampled_from(
        [
            '"inputs":[]',
            '"inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":[1]}]',
            '"inputs":[{"name":"a:b","shape":[1],"datatype":"BYTES","data":["x:y"]}]',
            '"inputs":[{"name":"a","name":"b","shape":[1],"datatype":"FP64","data":[1]}]',
            '"id":"x"',
            '"id":"x:y"',
            '"id":null',
            '"i\\u0064":"z"',
            '"id" : "x"',
            '"parameters":{}',
            '"parameters":{"subject":"a:b"}',
            '"parameters":{"subject":"s","event_time":"2013-07-01T09:00:00Z"}',
            '"parameters":{"subject":"s","subject":"t"}',
            '"outputs":[]',
            '"outputs":[{"name":"score"}]',
        ]
    ),
    max_size=4,
)


@given(pieces)
def test_glance_never_overlooks_a_key_that_stands_twice(parts: list[str]) -> None:
    body = ("{" + ",".join(parts) + "}").encode()
    try:
        value = bodies.infer_body.decode(body)
    except Exception:
        return
    if bodies._is_plain(body, value):
        bodies.parse(bodies.infer_body, body)  # the slow way finds nothing either


@pytest.mark.parametrize(
    "body",
    [
        rb'{"inputs":[],"id":"x","id":"a\u003ab"}',
        rb'{"inputs":[],"id":"x","i\u0064":"a"}',
        b'{"inputs":[],"parameters":{"subject":"s"},"parameters":{"subject":"s"}}',
    ],
)
def test_key_that_stands_twice_in_disguise(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        bodies.parse_infer(body)
    assert refused.value.code == "duplicate_key"


def test_glance_knows_the_usual_request() -> None:
    value = InferBody([Tensor("a", [1], "FP64", [1.0])], id="r:1")
    body = b'{"id":"r:1","inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":[1.0]}]}'
    assert bodies._is_plain(body, value)


DATES = Signature((), ("at",), kinds={"at": "moment"}, dates=("at",))


@pytest.mark.parametrize(
    ("sent", "read_as"),
    [
        ("2013-07-01", "2013-07-01T00:00:00Z"),
        ("2013-07-01T09:00:00Z", "2013-07-01T09:00:00Z"),
        ("2013-07-01 11:00+02:00", "2013-07-01T09:00:00Z"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
        (None, None),
        ("2013-02-30", "not_a_date"),
        ("0001-01-01T00:00:00+02:00", "not_a_date"),
        ("yesterday", "not_a_date"),
        ("", "not_a_date"),
        ("2" * 300, "not_a_text"),
        (1372636800, "not_a_text"),
        (True, "not_a_text"),
    ],
)
def test_dates(sent: Any, read_as: str | None) -> None:
    """Whatever a client writes, the log and the model get one spelling; no date is made up."""
    policy = ServingPolicy(on_unseen_category="reject", on_out_of_range="reject")
    contract = RowRules(DATES, DATES.features, policy)
    if read_as is not None and read_as.startswith("not_"):
        with pytest.raises(Refusal) as refused:
            contract.checked({"at": [sent]}, 1, 10, place="inputs")
        assert (refused.value.code, refused.value.field) == (read_as, "inputs.at[0]")
        assert "2013-07-01" in refused.value.message
    else:
        assert contract.checked({"at": [sent]}, 1, 10, place="inputs").categorical == {
            "at": [read_as]
        }
