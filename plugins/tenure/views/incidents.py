"""One incident, put together for the eye; reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tenure.installation import Installation
from tenure.lifecycle.incidents.actions import (
    ACTION_WORDS,
    ASK,
    ActionWords,
    IncidentTraits,
    offered,
    roles_of,
)
from tenure.lifecycle.incidents.drill import drills_of
from tenure.lifecycle.incidents.failure_card import FailureCard
from tenure.lifecycle.incidents.kinds import IncidentSeverity
from tenure.vocabulary import Role

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tenure.adapters.sql.incident_members import MemberLine
    from tenure.adapters.sql.incident_timeline import TimelineEvent, WaitingAlerts
    from tenure.adapters.sql.incidents import Incident
    from tenure.adapters.sql.remediations import Remediation
    from tenure.lifecycle.incidents.drill import LastDrill

__all__ = ["IncidentPage", "Moment", "incident_page", "may_act", "traits_of", "waiting_alerts"]


UNDER_WAY = timedelta(minutes=10)
"""How long after an action a page is fetched again by itself."""


@dataclass(frozen=True)
class Moment:
    """A line of the timeline; `number` events of one kind that followed each other are one line."""

    kind: str
    actor: str | None
    note: str
    at: datetime
    number: int = 1


@dataclass(frozen=True)
class OfferedAction:
    """An action as the page shows it; `roles` may do it."""

    name: str
    words: ActionWords
    roles: Sequence[Role]

    @property
    def asks(self) -> bool:
        """Whether a person may add words to it."""
        return self.name == ASK


@dataclass(frozen=True)
class IncidentPage:
    """An incident with its members and its timeline.

    `words` is what happened, what is safe and what to do; `models` and `datasets` are known ones
    that it is about; `remediations` what is done about the cause of one of severity 1; `drills`
    those that make such an incident, each with its last run.
    """

    incident: "Incident"
    words: FailureCard
    members: "Sequence[MemberLine]"
    timeline: Sequence[Moment]
    remediations: "Sequence[Remediation]"
    drills: "Mapping[str, LastDrill | None]"
    models: Sequence[str]
    datasets: Sequence[str]
    traits: IncidentTraits

    @property
    def actions(self) -> list[OfferedAction]:
        """What it offers while it is open, in the order in which it helps."""
        if self.incident.state != "open":
            return []
        return [
            OfferedAction(str(one), ACTION_WORDS[one], roles_of(one, self.incident.roles))
            for one in offered(self.traits)
        ]

    def is_under_way(self, now: datetime) -> bool:
        """Whether somebody did something a moment ago that may close it."""
        done = [one.at for one in self.timeline if one.kind == "acted"]
        return self.incident.state == "open" and bool(done) and now - done[-1] < UNDER_WAY

    @property
    def takes_remediations(self) -> bool:
        """Whether it is over only when what is done about its cause is done."""
        return self.incident.severity is IncidentSeverity.SEV1

    @property
    def unrepaired(self) -> int:
        """Members that are not green again."""
        return sum(one.repaired_at is None for one in self.members)


def incident_page(platform: Installation, number: int) -> IncidentPage | None:
    """One incident, open or closed; None when there is none."""
    from tenure.adapters.sql import (
        incident_members,
        incident_timeline,
        incidents,
        remediations,
    )

    with platform.database.begin() as connection:
        found = incidents.find(connection, number)
        if found is None:
            return None
        models, datasets = incidents.concerned(connection, found)
        members = incident_members.of_incident(connection, number)
        red = sum(one.dag_id is not None and one.repaired_at is None for one in members)
        return IncidentPage(
            incident=found,
            words=FailureCard(found.kind, found.summary, found.still_safe, found.next_step),
            members=members,
            timeline=folded(incident_timeline.of_incident(connection, number)),
            remediations=remediations.of_incident(connection, number),
            drills=_drills(connection, found),
            models=models,
            datasets=datasets,
            traits=traits_of(connection, found, red),
        )


def _drills(connection: "Connection", found: "Incident") -> "Mapping[str, LastDrill | None]":
    from tenure.adapters.sql import drills

    names = drills_of(found.kind, found.subject)
    last = drills.last_drills(connection, names)
    return {name: last.get(name) for name in names}


def last_drills(platform: Installation, names: Sequence[str]) -> "Mapping[str, LastDrill]":
    """The last run of each drill that was run."""
    from tenure.adapters.sql import drills

    with platform.database.begin() as connection:
        return drills.last_drills(connection, names)


def traits_of(connection: "Connection", found: "Incident", red_tasks: int) -> IncidentTraits:
    """What of an incident decides what it offers."""
    from tenure.adapters.sql import incidents

    return IncidentTraits(
        kind=found.kind,
        key=found.dedupe_key,
        subject=found.subject,
        red_tasks=red_tasks,
        owner=incidents.owner_of(connection, found),
    )


def folded(events: "Sequence[TimelineEvent]") -> list[Moment]:
    """The timeline without the crowd: members that joined one after another are one line."""
    lines: list[Moment] = []
    for one in events:
        last = lines[-1] if lines else None
        if last is not None and last.kind == one.kind == "joined":
            lines[-1] = Moment("joined", None, "", last.at, last.number + 1)
        else:
            lines.append(Moment(one.kind, one.actor, one.note, one.at))
    return lines


def waiting_alerts(platform: Installation) -> "WaitingAlerts":
    """Alerts that no receiver took yet."""
    from tenure.adapters.sql import incident_timeline

    with platform.database.begin() as connection:
        return incident_timeline.waiting_alerts(connection)


def allowed(platform: Installation, user: str, roles: Sequence[Role]) -> bool:
    """Whether the person has one of the roles."""
    return any(platform.config.allows(user, role) for role in roles)


def may_act(platform: Installation, user: str, found: "Incident") -> bool:
    """Whether the page shows buttons; the use case decides once more."""
    return any(platform.config.allows(user, role) for role in found.roles)
