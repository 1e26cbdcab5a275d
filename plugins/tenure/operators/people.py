"""Who answered a required action, and who may be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.configuration import conf

from tenure.errors import NotPermitted
from tenure.vocabulary import NAME

if TYPE_CHECKING:
    from airflow.sdk.execution_time.hitl import HITLUser

_NAMES_ARE_IDS = ("SimpleAuthManager", "KeycloakAuthManager")


def assignable(names: Sequence[str]) -> list[HITLUser] | None:
    """The people as Airflow knows them, or None where its ids are not user names.

    With FAB a user's id is a number, so an assignment by name would lock everybody out. Without one
    any user may answer the window, and the lifecycle database refuses the wrong person.
    """
    manager = conf.get("core", "auth_manager", fallback="")
    if not manager.endswith(_NAMES_ARE_IDS):
        return None
    return [{"id": name, "name": name} for name in names]


def who(event: Mapping[str, Any]) -> str:
    """Name of the person that the response was given by.

    Raises:
        NotPermitted: The response names nobody.
        TextRefused: What it names is no name.
    """
    user = event.get("responded_by_user") or {}
    name = user.get("name") or user.get("id")
    if not name:
        raise NotPermitted(
            "The answer names no person, so it counts for nobody.",
            still_safe="Nothing was recorded and no traffic moved.",
            next_step="Clear this task and answer it as a logged-in user.",
        )
    return NAME.require(
        str(name), "name of who answered", still_safe="Nothing was recorded and no traffic moved."
    )
