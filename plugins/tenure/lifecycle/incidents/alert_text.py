"""What an alert says: templates, filled with what is stored about the incident."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tenure.lifecycle.incidents.kinds import kind_of

ALERT = "alert"
"""Topic of messages for the people on call; they go to the Airflow connection `tenure_alerts`."""
CHANNEL = "channel"
"""Names, in the body of an alert, the channel of `alert_channels` that it is for."""
PAGING = ("opened", "escalated", "restored", "closed")
"""Events of a timeline of which somebody is told."""
_TITLES = {
    "opened": "{severity} opened: {title} ({subject})",
    "escalated": "{severity} needs somebody: {title} ({subject})",
    "restored": "{severity} restored, waits for its remediation: {title} ({subject})",
    "closed": "{severity} closed: {title} ({subject})",
    "asked": "For {owner}: {title} ({subject})",
}
_TEXTS = {
    "opened": "{summary}\nStill safe: {still_safe}\nNext step: {next_step}\n{page}",
    "escalated": "{note}\n{summary}\nStill safe: {still_safe}\nNext step: {next_step}\n{page}",
    "restored": "{note}\nIt was: {summary}\nNext step: {next_step}\n{page}",
    "closed": "{note}\nIt was: {summary}\n{page}",
    "asked": "{note}\n{summary}\nStill safe: {still_safe}\nNext step: {next_step}\n{page}",
}
_OVER = "It is over."
REMEDIATE = (
    "Service is restored. Write on the incident page what is done about the cause, by whom and "
    "until when; the incident closes when that is done."
)
"""The next step of an incident of severity 1 whose trouble is over."""
_BESIDE = re.compile(r"\b([Tt])his (task|run|card|page|incident)\b")
_FAR = {
    "task": "he failed task",
    "run": "he failed run",
    "card": "he failure card",
    "page": "he incident page",
    "incident": "he incident",
}


@dataclass(frozen=True)
class AlertFacts:
    """What the templates are filled with.

    `note` is why it was escalated, restored or closed, and by whom; `buttons` are those of its
    page; `subscribers` asked to be named.
    """

    incident: int
    kind: str
    subject: str
    severity: str
    summary: str
    still_safe: str
    next_step: str
    owner: str
    members: int
    url: str
    note: str = ""
    buttons: Sequence[str] = ()
    subscribers: Sequence[str] = ()


@dataclass(frozen=True)
class QuestionFacts:
    """What approvers are told when they are asked.

    Args:
        subject: The version, `model@version`.
        question: As the window says it.
        approvers: Who may answer.
        until: When the window closes.
        cautions: How many things are to be read first.
        url: The page that they read.
    """

    subject: str
    question: str
    approvers: tuple[str, ...]
    until: datetime
    cautions: int
    url: str


def question_body(facts: QuestionFacts) -> Mapping[str, object]:
    """The message that a required action waits; it belongs to no incident."""
    people = ", ".join(facts.approvers)
    ends = f"{facts.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    things = "1 thing is" if facts.cautions == 1 else f"{facts.cautions} things are"
    first = f" {things} to be read first." if facts.cautions else ""
    read = f"Read the approval page, then answer in Airflow until {ends}."
    return {
        "event": "asked",
        "kind": "approval",
        "subject": facts.subject,
        "severity": "info",
        "title": facts.question,
        "text": f"{people}: {read}{first}\n{facts.url}",
        "cause": facts.question,
        "still_safe": "The version waits without traffic; what serves now keeps serving.",
        "next_step": read,
        "approvers": list(facts.approvers),
        "until": facts.until.isoformat(),
        "url": facts.url,
    }


def from_afar(text: str) -> str:
    """The words of a card or a page, for somebody who is not there.

    >>> from_afar("Clear this task: it asks again.")
    'Clear the failed task: it asks again.'
    """
    return _BESIDE.sub(lambda found: found[1] + _FAR[found[2]], text)


def _page(facts: AlertFacts) -> str:
    """The address, and what can be done there."""
    if not facts.buttons:
        return f"The incident page:\n{facts.url}"
    *others, last = facts.buttons
    named = f"{', '.join(others)} and {last}" if others else last
    return f"Buttons on the incident page: {named}.\n{facts.url}"


def alert_body(event: str, facts: AlertFacts) -> Mapping[str, object]:
    """The message about one event: the parts for programs, `title` and `text` for people.

    Args:
        event: `opened`, `escalated`, `restored`, `closed`, or `asked`: a question to its owner.
        facts: Of the incident.
    """
    still_safe, next_step = from_afar(facts.still_safe), from_afar(facts.next_step)
    words = {
        "severity": facts.severity.upper(),
        "title": kind_of(facts.kind).title,
        "subject": facts.subject,
        "summary": facts.summary,
        "still_safe": still_safe,
        "next_step": next_step,
        "note": facts.note or _OVER,
        "owner": facts.owner,
        "page": _page(facts),
    }
    return {
        "incident": facts.incident,
        "event": event,
        "kind": facts.kind,
        "subject": facts.subject,
        "severity": facts.severity,
        "title": _TITLES[event].format(**words),
        "text": _TEXTS[event].format(**words) + _subscribed(facts),
        "cause": facts.summary,
        "still_safe": still_safe,
        "next_step": next_step,
        "owner": facts.owner,
        "members": facts.members,
        "url": facts.url,
        **({"subscribers": list(facts.subscribers)} if facts.subscribers else {}),
    }


def _subscribed(facts: AlertFacts) -> str:
    return f"\nSubscribed: {', '.join(facts.subscribers)}" if facts.subscribers else ""
