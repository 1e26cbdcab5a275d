"""What the published contract allows to be sent, and what it does not: no 500, no surprise."""

from typing import Any

import httpx
import hypothesis.strategies as st
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tenure.gateway.contract.operations import OPERATIONS


def no_crash(_context: Any, response: Any, _case: Case) -> None:
    """503 is an answer of ours; 500 never is."""
    assert response.status_code != 500


CHECKS = [
    no_crash,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
KEY = {"Authorization": "Bearer admin-key"}


def examples(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def operation(url: str, name: str) -> Any:
    schema = schemathesis.openapi.from_dict(httpx.get(f"{url}/openapi.json").json())
    schema.config.update(base_url=url)
    found = (one.ok() for one in schema.get_all_operations())
    return next(one for one in found if one.definition.raw["operationId"] == name)


def storm(url: str, name: str, count: int) -> None:
    """Requests as the contract has them, and mutated ones; half of them for a model that exists."""
    one = operation(url, name)
    kinds = [one.as_strategy(generation_mode=mode) for mode in GenerationMode]

    @examples(count)
    @given(case=st.one_of(kinds), is_known=st.booleans())
    def run(case: Case, is_known: bool) -> None:
        if is_known and "model" in case.path_parameters:
            case.path_parameters["model"] = "flight_late"
        answer = case.call(headers=KEY, timeout=10)
        case.validate_response(answer, checks=CHECKS)

    run()
    assert httpx.get(f"{url}/v2/health/ready").json() == {"ready": True}


NAMES = [one.name for one in OPERATIONS]


@pytest.mark.parametrize("name", NAMES)
def test_contract_holds(shared_url: str, name: str) -> None:
    storm(shared_url, name, 8)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", NAMES)
def test_contract_holds_for_long(shared_url: str, name: str) -> None:
    storm(shared_url, name, 250)
