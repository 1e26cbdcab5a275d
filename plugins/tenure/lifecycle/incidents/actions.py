"""What a person may do about an incident on its page: the one table, by kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tenure.lifecycle.incidents.failure_card import TITLES
from tenure.vocabulary import Role


class IncidentAction(StrEnum):
    """An action of the page of an incident; each has a dry run."""

    CLEAR_TASK = "clear_task"
    ROLL_BACK = "roll_back"
    RELOAD_CONFIG = "reload_config"
    RETRY_DELIVERY = "retry_delivery"
    ASK_OWNER = "ask_owner"


CLEAR, ROLL_BACK, RELOAD, RETRY, ASK = IncidentAction


@dataclass(frozen=True)
class ActionWords:
    """What the page says of an action; `label` stands on its button."""

    label: str
    about: str
    is_of_operators: bool = False
    """Whether it needs an operator; else also the steward of the dataset may do it."""


ACTION_WORDS = {
    CLEAR: ActionWords(
        "Clear the failed task",
        "Airflow runs it again, and what failed for want of it. What was done is not done twice.",
    ),
    ROLL_BACK: ActionWords(
        "Roll back",
        "Takes the version out of traffic; another one is loaded before any traffic moves.",
        is_of_operators=True,
    ),
    RELOAD: ActionWords("Check the file again", "Closes this when the file is right now."),
    RETRY: ActionWords(
        "Retry delivery",
        "Sends what waits once more, each message under the same id.",
        is_of_operators=True,
    ),
    ASK: ActionWords("Ask the owner", "Sends one message with cause and next step."),
}

_TASK = (RELOAD, RETRY, CLEAR, ASK)
"""A task, a file or a message met an error: the causes that a second try may heal come first."""
_SOURCE = (RELOAD, RETRY, ASK, CLEAR)
"""A second try meets the same until somebody mends the source."""
_VERSION = (ROLL_BACK, ASK)
_HEALED_BY_AGAIN = {
    "Killed",
    "ServiceUnreachable",
    "StateConflict",
    "ObjectMissing",
    "PortTaken",
    "GateInconclusive",
    "ReasonMissing",
}
ACTIONS: dict[str, tuple[IncidentAction, ...]] = {
    kind: _TASK if kind in _HEALED_BY_AGAIN else _SOURCE for kind in TITLES
} | {
    "CanaryRolledBack": (ASK,),
    "LedgerBroken": (ASK,),
    "NotWitnessed": (ASK,),
    "artifact_refused": _VERSION,
    "model_crashed": _VERSION,
    "other_libraries": (ASK, ROLL_BACK),
    "variant_refused": (ASK,),
    "canary_stopped": (ROLL_BACK,),
    "canary_without_controller": _VERSION,
    "stops_corrupt": (),
    "set_aside": (),
    "log_damaged": (),
    "log_unshippable": (),
    "log_waiting": (),
    "silent": (),
    "authorization_ends": (ASK,),
    "authorization_ended": (ASK, ROLL_BACK),
    "authorization_in_doubt": (ASK, ROLL_BACK),
    "performance_failed": _VERSION,
    "fairness_failed": _VERSION,
    "late_outcomes_failed": (ASK, ROLL_BACK),
    "drift_failed": (ASK, ROLL_BACK),
    "quality_failed": (ASK,),
    "stream_alarm": (ASK, ROLL_BACK),
    "partly_usable": (ASK,),
    "landing_not_read": (ASK,),
    "alias_moved": (ASK,),
    "review_expired": (ASK,),
    "feedback_failed": (ASK, ROLL_BACK),
    "feedback_unmatched": (ASK,),
    "dag_import_error": (RELOAD,),
    "pool_absent": (ASK,),
    "alert_channel_silent": (),
}
"""In the order in which they help; a kind that is not here is the class of a bug: as `_TASK`."""
CONFIG, IMPORT, OUTBOX = "config:", "import:", "outbox:"
"""How keys of incidents begin that are about a file, or about messages that nobody took."""


@dataclass(frozen=True)
class IncidentTraits:
    """What of an incident decides which actions make sense.

    Args:
        kind: As in `kinds.py`.
        key: Its cause.
        subject: What it is about.
        red_tasks: Members that are task instances and not green again.
        owner: Who answers for it; None when nobody is known.
    """

    kind: str
    key: str
    subject: str
    red_tasks: int = 0
    owner: str | None = None


def offered(traits: IncidentTraits) -> tuple[IncidentAction, ...]:
    """Actions of the kind for which the incident has what they need, in the order of the table.

    >>> [str(a) for a in offered(IncidentTraits("Killed", "Killed:d.t", "d.t", 2, "ada"))]
    ['clear_task', 'ask_owner']
    """
    holds = {
        CLEAR: traits.red_tasks > 0,
        ROLL_BACK: version_of(traits.subject) is not None,
        RELOAD: traits.key.startswith((CONFIG, IMPORT)),
        RETRY: traits.key.startswith(OUTBOX),
        ASK: traits.owner is not None,
    }
    return tuple(one for one in ACTIONS.get(traits.kind, _TASK) if holds[one])


def buttons_of(traits: IncidentTraits) -> tuple[str, ...]:
    """What stands on the buttons of its page."""
    return tuple(ACTION_WORDS[one].label for one in offered(traits))


def roles_of(action: IncidentAction, of_incident: Sequence[Role]) -> tuple[Role, ...]:
    """Who may do it: some actions are the operators' even where a steward may act."""
    if ACTION_WORDS[action].is_of_operators:
        return (Role.OPERATOR,)
    return tuple(of_incident)


def version_of(subject: str) -> tuple[str, int] | None:
    """Model and version that a subject names.

    >>> version_of("flight_late@2"), version_of("gateway-1")
    (('flight_late', 2), None)
    """
    model, at, number = subject.partition("@")
    return (model, int(number)) if at and number.isascii() and number.isdigit() else None
