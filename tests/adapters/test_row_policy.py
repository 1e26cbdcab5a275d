"""A row of a batch is refused exactly when the gateway would refuse a request with it."""

import itertools
import math
from typing import Any

import pandas as pd
import pytest

from tenure.adapters.row_policy import refusals
from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.contract.rows import RowRules
from tenure.lifecycle.serving import ServingPolicy, Signature

SIGNATURE = Signature(
    ("temp", "rain"),
    ("carrier", "free", "late", "code"),
    {
        "carrier": frozenset({"AA", "UA"}),
        "late": frozenset({"true", "false"}),
        "code": frozenset({"1", "2.5"}),
    },
    {"temp": (-20.0, 110.0)},
    {"late": "boolean", "code": "number"},
)
NUMBERS = (None, -20.0, math.nextafter(-20.0, -100), 110.0, 110.5, math.inf, -math.inf)
TEXTS = (None, "AA", "", "??", "x" * 256, "x" * 257)
PLAIN = {"temp": 0.0, "rain": 0.0, "carrier": "AA", "free": "x", "late": "true", "code": "1"}
ROWS = [
    PLAIN | {"temp": temp, "carrier": carrier}
    for temp, carrier in itertools.product(NUMBERS, TEXTS)
] + [
    PLAIN | {"rain": rain, "free": free}
    for rain, free in itertools.product((None, 1e300, math.inf), (None, "??", "x" * 257))
]
ROWS += [PLAIN | {"late": late} for late in (None, "true", "True", "1", "new", "x" * 257)]
ROWS += [PLAIN | {"code": code} for code in (None, "1", "1.0", "02.5", "3", "new", "1" * 257)]
SAYS = ("accept", "reject")


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    made = pd.DataFrame(rows, columns=list(SIGNATURE.features))
    numbers = {name: made[name].astype("float64") for name in SIGNATURE.numeric}
    texts = {name: made[name].astype(object) for name in SIGNATURE.categorical}
    return made.assign(**numbers, **texts)


def at_the_gateway(row: dict[str, Any], policy: ServingPolicy) -> str:
    """What is wrong with a request of this row; JSON has no infinity, so it comes as a value."""
    contract = RowRules(SIGNATURE, SIGNATURE.features, policy)
    try:
        contract.checked({name: [value] for name, value in row.items()}, 1, 1, place="inputs")
    except Refusal as refusal:
        name = str(refusal.field).removeprefix("inputs.").partition("[")[0]
        return f"{name}: {refusal.code}"
    return ""


@pytest.mark.parametrize(("null", "unseen", "outside"), [*itertools.product(SAYS, SAYS, SAYS)])
def test_it_is_the_gateways_answer(null: Any, unseen: Any, outside: Any) -> None:
    policy = ServingPolicy(on_null=null, on_unseen_category=unseen, on_out_of_range=outside)
    found = refusals(frame(ROWS), SIGNATURE, policy)
    assert found.tolist() == [at_the_gateway(row, policy) for row in ROWS]
    assert "" in found


def test_no_row() -> None:
    assert refusals(frame([]), SIGNATURE, ServingPolicy()).tolist() == []
