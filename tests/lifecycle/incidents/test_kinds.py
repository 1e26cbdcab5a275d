"""The one table of kinds knows whatever is opened anywhere."""

import ast
from collections.abc import Iterator
from typing import get_args

import pytest

from tenure.lifecycle.incidents.failure_card import BUG, TITLES
from tenure.lifecycle.incidents.kinds import ESCALATE_AFTER, KINDS, SEV1, SEV2, kind_of
from tenure.lifecycle.monitoring import Kind
from tenure.settings import REPOSITORY
from tenure.usecases.promotion.conditions import ENDED, ENDS, IN_DOUBT
from tenure.usecases.serving.gateway_incidents import TROUBLES

PLUGIN = REPOSITORY / "plugins" / "tenure"


def opened() -> Iterator[str]:
    """Kinds that stand as text where an incident is opened."""
    for path in PLUGIN.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or "open_incident" not in ast.unparse(call.func):
                continue
            named = [one.value for one in call.keywords if one.arg == "kind"]
            for value in [*named, *call.args[2:3]]:
                if isinstance(value, ast.Constant):
                    yield str(value.value)


KNOWN = {
    *opened(),
    *TROUBLES,
    ENDS,
    ENDED,
    IN_DOUBT,
    *(f"{kind}_failed" for kind in get_args(Kind)),
}


@pytest.mark.parametrize("kind", sorted(KNOWN | {"artifact_refused", "model_crashed"}))
def test_each_kind_that_is_opened_is_in_the_table(kind: str) -> None:
    assert kind in KINDS


def test_each_class_of_error_is_in_the_table() -> None:
    assert set(TITLES) <= set(KINDS)


def test_only_what_is_grave_is_announced_again() -> None:
    assert set(ESCALATE_AFTER) == {SEV1}
    assert {kind for kind, one in KINDS.items() if one.severity is SEV1} == {
        *("LedgerBroken", "model_crashed", "stops_corrupt", "log_damaged"),
        *("authorization_ended", "performance_failed", "fairness_failed"),
    }


def test_what_is_not_in_the_table_is_a_bug_or_speaks_for_itself() -> None:
    assert (kind_of("KeyError").title, kind_of("KeyError").severity) == (BUG, SEV2)
    assert kind_of("of_a_newer_release").title == "Of a newer release"
