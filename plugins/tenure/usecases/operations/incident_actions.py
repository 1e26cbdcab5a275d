"""What a person does about an incident: first a sentence about what would change, then the deed.

Each deed is noted in the timeline and in the ledger, once for one state of things: who asks twice
changes nothing twice.
"""

from typing import TYPE_CHECKING

from tenure.errors import NotPermitted, StateConflict
from tenure.installation import Installation
from tenure.lifecycle.incidents.actions import ACTION_WORDS, IncidentAction, offered, roles_of
from tenure.usecases.incidents.close_incident import not_open, require_acting
from tenure.usecases.operations.action_plans import PLANS, ActionCall, AirflowHands, PlannedAction
from tenure.views.incidents import traits_of
from tenure.vocabulary import REASON, op_key, storable

if TYPE_CHECKING:
    from tenure.adapters.sql.incidents import Incident

__all__ = ["AirflowHands", "PlannedAction", "act", "airflow_as", "plan"]

_SAFE = "Nothing was changed."


def airflow_as(url: str, user: str, token: str) -> AirflowHands:
    """Airflow's REST API in the name of a person who is logged in, by her token."""
    from tenure.adapters.airflow_rest import AirflowAs

    return AirflowAs(url, user, token)


def plan(
    platform: Installation,
    incident_id: int,
    action: IncidentAction,
    *,
    user: str,
    airflow: AirflowHands,
    note: str = "",
) -> PlannedAction:
    """The dry run: what the action would change now.

    Args:
        platform: The installation.
        incident_id: Its number.
        action: One that the incident offers.
        user: Who asks.
        airflow: In her name.
        note: Her question to the owner; the usual one when empty.

    Raises:
        NotPermitted: The role of the person does not allow it.
        StateConflict: There is no such incident, it is over, it does not offer this, or it cannot
            be done now.
        ServiceUnreachable: Airflow, the database or the store does not answer.
    """
    found = _require(platform, incident_id, action, user)
    return PLANS[action](ActionCall(platform, found, user, airflow, _question(note)))


def act(
    platform: Installation,
    incident_id: int,
    action: IncidentAction,
    *,
    user: str,
    airflow: AirflowHands,
    seen: str,
    note: str = "",
) -> str:
    """Do it, as the person saw it in the dry run; returns what was done.

    Args:
        platform: As `plan`.
        incident_id: As `plan`.
        action: As `plan`.
        user: As `plan`.
        airflow: As `plan`.
        seen: `PlannedAction.seen` of the dry run.
        note: As `plan`.

    Raises:
        NotPermitted: As `plan`.
        StateConflict: As `plan`, or things are not any more as they were in the dry run.
        ServiceUnreachable: As `plan`.
    """
    found = _require(platform, incident_id, action, user)
    call = ActionCall(platform, found, user, airflow, _question(note))
    planned = PLANS[action](call)
    if planned.do is None or planned.seen != seen:
        raise StateConflict(
            f"It is not any more as you saw it. {planned.sentence}",
            still_safe=_SAFE,
            next_step="Look at the incident again.",
        )
    done = storable(planned.do())
    _record(call, action, planned, done)
    return done


def _question(note: str) -> str:
    if note:
        REASON.require(note, "note", still_safe=_SAFE)
    return note


def _require(
    platform: Installation, incident_id: int, action: IncidentAction, user: str
) -> "Incident":
    """The open incident, if the person may do this about it."""
    from tenure.adapters.sql import incident_members, incidents

    with platform.database.begin() as connection:
        found = incidents.find(connection, incident_id)
        require_acting(platform, user, found)
        if found is None or found.state != "open":
            raise not_open(incident_id, found)
        red = incident_members.red_tasks(connection, incident_id)
        traits = traits_of(connection, found, len(red))
    _require_role(platform, user, action, found)
    if action not in offered(traits):
        label = ACTION_WORDS[action].label
        raise StateConflict(
            f"Incident {incident_id} ({found.title}) does not offer “{label}”.",
            still_safe=_SAFE,
            next_step="Its page shows what it offers.",
        )
    return found


def _require_role(
    platform: Installation, user: str, action: IncidentAction, found: "Incident"
) -> None:
    roles = roles_of(action, found.roles)
    if not any(platform.config.allows(user, role) for role in roles):
        raise NotPermitted(
            f"{user} may not do “{ACTION_WORDS[action].label}”: that needs the role "
            f"{' or '.join(roles)}.",
            still_safe=_SAFE,
            next_step="Ask an operator; `roles` of include/configs/platform.yaml names them.",
        )


def _record(call: ActionCall, action: IncidentAction, planned: PlannedAction, done: str) -> None:
    """In the ledger, and in the timeline; a second record of the same deed is none."""
    from tenure.adapters.sql import incident_timeline

    platform, number = call.platform, call.found.id
    subject = f"incident:{number}"
    about = {"kind": call.found.kind, "about": call.found.subject}
    with platform.database.begin() as connection:
        is_new = platform.ledger.note(
            connection,
            subject=subject,
            actor=call.user,
            body={**about, "action": str(action), "state": dict(planned.state), "done": done},
            op_key=op_key(f"incident.{action}", subject, planned.state),
        )
        if is_new:
            said = f"{ACTION_WORDS[action].label}: {done}"
            now = platform.clock.now()
            incident_timeline.note(connection, number, "acted", said, at=now, actor=call.user)
