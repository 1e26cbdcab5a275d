"""Alerts: each opening, escalation and closing of an incident is told once, however long it takes.

What happened to an incident stands in its timeline; `promise` puts a message about it into the
outbox, in the transaction that notes that it did; `deliver_alerts` sends what is promised. A task
that opened an incident tries at once, `maintain_platform` tries again until somebody took it.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tenure.errors import ConfigInvalid
from tenure.installation import Installation
from tenure.layout import incident_link
from tenure.lifecycle.incidents.actions import buttons_of
from tenure.lifecycle.incidents.alert_text import ALERT, CHANNEL, AlertFacts, alert_body
from tenure.lifecycle.incidents.kinds import ESCALATE_AFTER, REMEDIATE_WITHIN
from tenure.lifecycle.incidents.webhook import FROM_ENVIRONMENT
from tenure.usecases.incidents.close_incident import close_incident
from tenure.usecases.incidents.one_by_one import cause_of
from tenure.usecases.incidents.open_incident import open_incident
from tenure.views.incidents import traits_of
from tenure.vocabulary import digest_json, op_key, storable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from tenure.adapters.sql.incident_timeline import TimelineEvent
    from tenure.adapters.sql.incidents import Incident

CONNECTION = "tenure_alerts"
"""The Airflow connection to the receiver."""
NO_RECEIVER = f"There is no Airflow connection {CONNECTION}: nobody was told."
_IN_A_ROW = 2
"""Failures in a row after which a receiver is left alone until the next time."""
_log = logging.getLogger("tenure.alerts")


class AlertReceiver(Protocol):
    """Who is on call, as a program reaches them."""

    def send(self, body: Mapping[str, object], *, message_id: str) -> None:
        """Hand over one message; raises when it was not taken. The id is that of all its tries."""
        ...


@dataclass(frozen=True)
class AlertCounts:
    """Alerts that were promised now, taken by the receiver, must be sent again, or are for nobody.

    `escalated` are incidents that were announced once more by this call.
    """

    promised: int = 0
    delivered: int = 0
    failed: int = 0
    for_nobody: int = 0
    escalated: int = 0


def escalate(platform: Installation) -> int:
    """Announce once more what nobody acknowledged in time, what was snoozed, what is overdue."""
    from tenure.adapters.sql import incident_timeline, remediations

    now = platform.clock.now()
    with platform.database.begin() as connection:
        woken = incident_timeline.wake(connection, at=now)
        overdue = remediations.escalate(connection, at=now, write_within=REMEDIATE_WITHIN)
        return (
            woken
            + overdue
            + sum(
                incident_timeline.escalate(
                    connection,
                    severity=severity,
                    before=now - allowed,
                    why=f"Nobody acknowledged it within {allowed.total_seconds() / 60:g} minutes.",
                )
                for severity, allowed in ESCALATE_AFTER.items()
            )
        )


def promise(platform: Installation) -> int:
    """Put a message about each untold event into the outbox; how many there were.

    Several events of an incident that nobody was told of are one message: about the newest state.
    """
    from tenure.adapters.sql import incident_timeline

    with platform.database.begin() as connection:
        waiting = incident_timeline.untold(connection)
    return sum(_promise(platform, number) for number in waiting)


def deliver_alerts(
    platform: Installation,
    receiver: AlertReceiver | None,
    *,
    only_new: bool = False,
    env: Mapping[str, str] | None = None,
) -> AlertCounts:
    """Promise what is untold, and send what is promised, an incident's messages in their order.

    Args:
        platform: The installation.
        receiver: Who takes them; None when there is nobody: then the timeline says so.
        only_new: Leave those that the receiver did not take before: maintenance sends these again.
        env: Holds the addresses of channels; the one of the process when None.
    """
    from tenure.adapters.sql import outbox

    promised = promise(platform)
    counts = [_deliver_all(platform, _Way(receiver), only_new=only_new)]
    with platform.database.begin() as connection:
        waiting = outbox.waiting_channels(connection)
    known = _channels(platform) if waiting else {}
    for name in waiting if known is not None else ():
        address = (known or {}).get(name)
        way = _Way(_channel(name, address, os.environ if env is None else env), name)
        counts.append(_deliver_all(platform, way, only_new=only_new))
        if not only_new:
            _report_channel(platform, way, counts[-1])
    return AlertCounts(
        promised=promised,
        delivered=sum(one.delivered for one in counts),
        for_nobody=sum(one.for_nobody for one in counts),
        failed=sum(one.failed for one in counts),
    )


def _report_channel(platform: Installation, way: "_Way", counts: AlertCounts) -> None:
    """A channel that did not take what maintenance sent is an incident: the others tell of it."""
    key = f"alert_channel:{way.channel}"
    if counts.failed:
        open_incident(
            platform,
            key,
            "alert_channel_silent",
            way.name,
            f"The alert {way.name} did not take {counts.failed} of "
            f"{counts.failed + counts.delivered} alerts that maintenance sent: {way.errors[-1]}",
        )
    elif counts.delivered or counts.for_nobody:
        close_incident(platform, key)


@dataclass(frozen=True)
class _Way:
    """A receiver, and the channel whose it is; None is the connection `tenure_alerts`.

    `errors` say why it did not take a message, the newest last.
    """

    receiver: AlertReceiver | None
    channel: str | None = None
    errors: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"channel {self.channel}" if self.channel else CONNECTION

    @property
    def nobody(self) -> str:
        """Why there is no receiver."""
        return f"{self.name} stands in platform.yaml no more." if self.channel else NO_RECEIVER


class _Unset:
    """A channel whose variable is not set: its alerts wait until it is."""

    def __init__(self, channel: str, variable: str) -> None:
        self._channel, self._variable = channel, variable

    def send(self, body: Mapping[str, object], *, message_id: str) -> None:
        raise ConfigInvalid(
            f"The variable {self._variable} of the alert channel {self._channel} is not set.",
            still_safe=f"The alert {message_id[:8]} of {body['subject']} stays in the outbox.",
            next_step=f"Set {self._variable} where the scheduler and the workers run.",
        )


def _channel(name: str, address: str | None, env: Mapping[str, str]) -> AlertReceiver | None:
    if address is None:
        return None
    from tenure.adapters.apprise_channel import AppriseChannel

    variable = address.removeprefix(FROM_ENVIRONMENT)
    url = env.get(variable)
    return AppriseChannel(name, url) if url else _Unset(name, variable)


def _deliver_all(platform: Installation, way: _Way, *, only_new: bool) -> AlertCounts:
    """What waits for one receiver; who fails twice in a row is left alone until the next time."""
    from tenure.adapters.sql import outbox

    done: list[bool | None] = []
    tried: set[int] = set()
    while done[-_IN_A_ROW:] != [False] * _IN_A_ROW:
        with platform.database.begin() as connection:
            waiting = outbox.pending_alerts(connection, only_new=only_new, channel=way.channel)
        fresh = next((one for one in waiting if one not in tried), None)
        if fresh is None:
            break
        tried.add(fresh)
        done.append(_deliver(platform, way, fresh))
    taken = done.count(True)
    return AlertCounts(
        delivered=taken if way.receiver else 0,
        for_nobody=0 if way.receiver else taken,
        failed=done.count(False),
    )


def _promise(platform: Installation, number: int) -> bool:
    from tenure.adapters.sql import incident_timeline, incidents

    with platform.database.begin() as connection:
        found = incidents.locked(connection, number)
        events = incident_timeline.untold_events(connection, number)
        if found is None or not events:
            incident_timeline.told(connection, number, events)
            return False
        event = _newest(found.state, events)
        is_silent = found.snoozed_until is not None and found.snoozed_until > platform.clock.now()
        if not (is_silent and event.kind == "escalated"):
            _enqueue(platform, connection, found, event)
        incident_timeline.told(connection, number, events)
    return True


_TOLD_FIRST = {
    "open": ("opened", "escalated"),
    "restored": ("restored", "escalated"),
    "closed": ("closed",),
}
"""Which of several events is told, by the state of the incident."""


def _newest(state: str, events: "Sequence[TimelineEvent]") -> "TimelineEvent":
    """What is told of several: that it has the state that it has, else why again."""
    kinds = {one.kind: one for one in events}
    return next((kinds[kind] for kind in _TOLD_FIRST[state] if kind in kinds), events[-1])


def facts_of(
    platform: Installation,
    connection: "Connection",
    found: "Incident",
    *,
    note: str,
    owner: str | None = None,
) -> AlertFacts:
    """What a message about an incident says of it now.

    Args:
        platform: The installation.
        connection: The transaction that it is promised in.
        found: The incident.
        note: Why it is told.
        owner: Whom it is for; whoever took it, or answers for it, when not given.
    """
    from tenure.adapters.sql import incident_members

    red = len(incident_members.red_tasks(connection, found.id))
    is_open = found.state == "open"
    return AlertFacts(
        incident=found.id,
        kind=found.kind,
        subject=found.subject,
        severity=str(found.severity),
        summary=found.summary,
        still_safe=found.still_safe,
        next_step=found.next_step,
        owner=owner or found.owner or str(found.facts.get("owner") or ""),
        members=incident_members.number(connection, found.id),
        url=incident_link(platform.settings.airflow_url, found.id),
        note=note,
        buttons=buttons_of(traits_of(connection, found, red)) if is_open else (),
        subscribers=_subscribers(connection, found),
    )


def _subscribers(connection: "Connection", found: "Incident") -> list[str]:
    """Who asked to be named in alerts about a dataset that the incident is about."""
    from tenure.adapters.sql import notes

    by_dataset = notes.subscribers(connection)
    named = {
        person
        for dataset, people in by_dataset.items()
        if dataset in found.datasets or found.concerns(dataset)
        for person in people
    }
    return sorted(named)


def _enqueue(
    platform: Installation, connection: "Connection", found: "Incident", event: "TimelineEvent"
) -> None:
    is_over = event.kind in {"restored", "closed"}
    by = f" {event.kind.capitalize()} by {event.actor}." if is_over and event.actor else ""
    note = "" if event.kind == "opened" else f"{event.note}{by}".strip()
    body = alert_body(event.kind, facts_of(platform, connection, found, note=note))
    key = op_key(ALERT, f"incident:{found.id}", {"event": event.id})
    enqueue_alert(platform, connection, body, op_key=key)


def enqueue_alert(
    platform: Installation,
    connection: "Connection",
    body: Mapping[str, object],
    *,
    op_key: str,
) -> bool:
    """Promise an alert: one message to the connection `tenure_alerts`, and one to each channel.

    Each is delivered for itself, so that what one does not take is not sent to another again.

    Returns:
        Whether it was not promised before.
    """
    is_new = platform.ledger.enqueue(connection, topic=ALERT, body=body, op_key=op_key)
    for name in _channels(platform) or ():
        key = digest_json([op_key, name])
        platform.ledger.enqueue(connection, topic=ALERT, body={**body, CHANNEL: name}, op_key=key)
    return is_new


def _channels(platform: Installation) -> Mapping[str, str] | None:
    """Channels by name, None while `platform.yaml` is broken: then only the connection is told."""
    try:
        return platform.config.alert_channels
    except (ConfigInvalid, OSError) as error:
        _log.warning("alert_channels=unknown cause=%s", cause_of(error))
        return None


def _deliver(platform: Installation, way: _Way, message_id: int) -> bool | None:
    """True when it was taken, or there is nobody to take it; None when another process has it.

    The row stays locked while the receiver is asked, so that two senders never ask at once.
    """
    from tenure.adapters.sql import incident_timeline, outbox

    with platform.database.begin() as connection:
        message = outbox.claim(connection, message_id)
        if message is None:
            return None
        number, event = message.body.get("incident"), str(message.body["event"])

        def note(kind: str, said: str) -> None:
            if number is not None:  # a question to approvers belongs to none
                incident_timeline.note(connection, int(str(number)), kind, said, at=now)

        now = platform.clock.now()
        if way.receiver is None:
            outbox.for_nobody(connection, message_id, at=now, why=way.nobody)
            note("not_alerted", way.nobody)
            return True
        try:
            way.receiver.send(
                dict(message.body) | {"message_id": message.op_key}, message_id=message.op_key
            )
        except Exception as error:  # whatever it is, it is tried again
            cause = storable(cause_of(error))
            _log.warning(
                "alert=waits to=%r incident=%s event=%s cause=%s", way.name, number, event, cause
            )
            outbox.failed(connection, message_id, error=cause)
            way.errors.append(cause)
            return False
        outbox.delivered(connection, message_id, at=now)
        tries = f" at try {message.attempts + 1}" if message.attempts else ""
        said = f"{event}: taken by {way.name}{tries}"
        note("alerted", said)
    _log.info("alert=sent incident=%s event=%s", number, event)
    return True
