"""What each kind of incident offers: the table, in the order in which it helps."""

import pytest

from tenure.lifecycle.incidents.actions import (
    ACTION_WORDS,
    ACTIONS,
    IncidentAction,
    IncidentTraits,
    offered,
    roles_of,
)
from tenure.lifecycle.incidents.kinds import KINDS
from tenure.vocabulary import Role


def test_every_kind_has_a_row_and_every_action_its_words() -> None:
    assert ACTIONS.keys() == KINDS.keys()
    assert ACTION_WORDS.keys() == set(IncidentAction)


NAMED = {
    IncidentAction.CLEAR_TASK: "clear",
    IncidentAction.ROLL_BACK: "roll back",
    IncidentAction.RELOAD_CONFIG: "check the file again",
    IncidentAction.RETRY_DELIVERY: "retry delivery",
    IncidentAction.ASK_OWNER: "ask the owner",
}


@pytest.mark.parametrize("kind", sorted(k for k in KINDS if not k[0].isupper() and ACTIONS[k]))
def test_the_next_step_names_the_first_button_of_its_kind(kind: str) -> None:
    """Kinds in CamelCase say themselves what to do, on their card."""
    assert NAMED[ACTIONS[kind][0]] in KINDS[kind].next_step.lower()


@pytest.mark.parametrize(
    ("kind", "key", "subject", "red", "owner", "expected"),
    [
        ("Killed", "Killed:d.t", "d.t", 1, "ada", "clear_task ask_owner"),
        ("Killed", "Killed:d.t", "d.t", 0, "ada", "ask_owner"),
        ("KeyError", "KeyError:x", "d.t", 3, None, "clear_task"),
        ("DataRejected", "DataRejected:flights:temp", "flights", 1, "sam", "ask_owner clear_task"),
        ("ConfigInvalid", "config:a.yaml", "a.yaml", 0, None, "reload_config"),
        ("ConfigInvalid", "ConfigInvalid:m", "m", 1, "ada", "ask_owner clear_task"),
        ("ServiceUnreachable", "outbox:web at h", "web at h", 0, None, "retry_delivery"),
        (
            "ServiceUnreachable",
            "ServiceUnreachable:http://x",
            "x",
            9,
            "ada",
            "clear_task ask_owner",
        ),
        ("performance_failed", "monitoring:m:performance", "m@2", 0, "ada", "roll_back ask_owner"),
        ("authorization_ended", "a", "m@2", 0, "ada", "ask_owner roll_back"),
        ("canary_stopped", "canary_stopped:m@3:g", "m@3", 0, None, "roll_back"),
        ("dag_import_error", "import:dags/a.py", "dags/a.py", 0, None, "reload_config"),
        ("drift_failed", "monitoring:m:drift", "m", 0, "ada", "ask_owner"),
        ("silent", "silent:scheduler", "scheduler", 0, None, ""),
    ],
)
def test_an_incident_offers(  # noqa: PLR0917 -- a row of the table
    kind: str, key: str, subject: str, red: int, owner: str | None, expected: str
) -> None:
    found = offered(IncidentTraits(kind, key, subject, red, owner))
    assert " ".join(found) == expected


def test_traffic_and_messages_are_the_operators() -> None:
    both = (Role.OPERATOR, Role.STEWARD)
    only = {one for one in IncidentAction if roles_of(one, both) == (Role.OPERATOR,)}
    assert only == {IncidentAction.ROLL_BACK, IncidentAction.RETRY_DELIVERY}
