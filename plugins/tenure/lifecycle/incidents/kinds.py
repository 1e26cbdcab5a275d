"""What each kind of incident means: how grave it is, what is safe, what to do. The one table."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from tenure.lifecycle.incidents.failure_card import BUG, TITLES


class IncidentSeverity(StrEnum):
    """How soon a person is needed; the lower number is the graver one."""

    SEV1 = "sev1"
    """Decisions or evidence are in danger now. It is not over before its cause is remedied."""
    SEV2 = "sev2"
    """Work stands still until a person acts; what serves, serves on."""
    SEV3 = "sev3"
    """Nothing stands still; look at it this week."""


SEV1, SEV2, SEV3 = IncidentSeverity
ESCALATE_AFTER = {SEV1: timedelta(minutes=30)}
"""How long an incident may wait for somebody to acknowledge it before it is announced again."""
REMEDIATE_WITHIN = timedelta(days=1)
"""How long a restored incident of severity 1 may wait for somebody to write its remediation."""


@dataclass(frozen=True)
class KindOfIncident:
    """What a person reads about a kind; a failure card says `still_safe` and `next_step` itself."""

    title: str
    severity: IncidentSeverity = SEV2
    still_safe: str = "What serves, serves on; nothing that was stored was changed."
    next_step: str = "Read the summary; `docs/oncall.md` says more about the kind."


_SERVES = "Every request is answered: by this version, the champion or the declared rule."
_ON_DISK = "Each decision was safe on the gateway's disk before it was answered."
_MONITORED = (
    "The version serves as before: monitoring judges and stops nothing. The evidence is stored."
)
_CLASSES: dict[str, KindOfIncident] = {
    kind: KindOfIncident(title, {"LedgerBroken": SEV1, "CanaryRolledBack": SEV3}.get(kind, SEV2))
    for kind, title in TITLES.items()
}
KINDS: dict[str, KindOfIncident] = _CLASSES | {
    "artifact_refused": KindOfIncident(
        "A gateway cannot load a version",
        SEV2,
        "The plan in force stays: who served before serves on.",
        "Roll back; or put the artifact into the store as it was signed "
        "(the archive has another) and wait for the next load.",
    ),
    "model_crashed": KindOfIncident(
        "The process of a version died at a gateway",
        SEV1,
        _SERVES + " It is started again by itself.",
        "Watch `tenure_fallbacks_total`; if it goes on, roll back (on the incident page, or "
        "`tenure rollback`).",
    ),
    "other_libraries": KindOfIncident(
        "A version is served with other libraries than it was trained with",
        SEV3,
        "It is loaded and answers; scores may differ in the last digits.",
        "Ask the owner: bring the gateway to the versions that the summary names, or train again "
        "with its own.",
    ),
    "variant_refused": KindOfIncident(
        "A version is scored by scikit-learn, not by ONNX",
        SEV3,
        "Decisions are right, only slower.",
        "Ask the owner to restore the variant; then restart the gateways one after another.",
    ),
    "canary_stopped": KindOfIncident(
        "A person stopped a canary at a gateway",
        SEV2,
        "That gateway gives it nothing; the champion answers.",
        "Roll back now, or wait: maintenance does the same, and the incident closes.",
    ),
    "canary_without_controller": KindOfIncident(
        "A canary has no controller",
        SEV2,
        "Its lease ended: gateways serve 100% champion.",
        "Roll back, or clear the task `canary` of the model's promote_model: it takes over.",
    ),
    "stops_corrupt": KindOfIncident(
        "A gateway cannot read which canaries were stopped at it",
        SEV1,
        "It gives no canary anything; champions serve.",
        "Stop them again, then remove `stops.json.corrupt` from the gateway's folder.",
    ),
    "set_aside": KindOfIncident(
        "A gateway set one thing aside", SEV2, _SERVES, "Give the summary to the platform team."
    ),
    "log_damaged": KindOfIncident(
        "A part of a decision log is not as it was written",
        SEV1,
        "The good part was shipped; the rest is kept in the folder that the summary names.",
        "Keep the folder; compare the disk's health before the gateway is restarted.",
    ),
    "log_unshippable": KindOfIncident(
        "A part of a decision log cannot be stored",
        SEV2,
        _ON_DISK + " Later parts pass it.",
        "Read the cause in the summary; it is tried again every ten minutes.",
    ),
    "log_waiting": KindOfIncident(
        "A decision log waits for the store or the database",
        SEV2,
        _ON_DISK,
        "Look at store and database; watch the free space of the gateway's disk.",
    ),
    "silent": KindOfIncident(
        "A part of the platform gives no sign of life",
        SEV2,
        "Gateways keep serving by the plans in force; nothing is trained, judged or promoted.",
        "Run `tenure status` and `tenure doctor` on the machine that runs it; the incident closes "
        "by itself.",
    ),
    "authorization_ends": KindOfIncident(
        "The approval of a version that serves ends soon",
        SEV3,
        "It serves until then; afterwards the declared rule or the champion answers.",
        "Ask the owner: approvers renew it by `tenure authorization renew`.",
    ),
    "authorization_ended": KindOfIncident(
        "The approval of a version has ended",
        SEV1,
        "Every request is answered, and every decision says at which level.",
        "Ask the owner: approvers renew it by `tenure authorization renew`.",
    ),
    "authorization_in_doubt": KindOfIncident(
        "What a version was approved by does not hold any more",
        SEV2,
        "It serves as before.",
        "Ask the owner: `tenure authorization show` names the doubt; approve again or roll back.",
    ),
    "performance_failed": KindOfIncident(
        "A model performs worse than its limit",
        SEV1,
        _MONITORED,
        "Open the report, compare with the champion before it; roll back if it harms, else ask the "
        "owner.",
    ),
    "fairness_failed": KindOfIncident(
        "A group is treated worse than the policy allows",
        SEV1,
        _MONITORED,
        "Open the report; roll back if it harms, and ask the owner.",
    ),
    "late_outcomes_failed": KindOfIncident(
        "Outcomes came late and change what was judged",
        SEV2,
        _MONITORED,
        "Open the report: it has the numbers of then and of now. Ask the owner whether it may "
        "serve on; else roll back.",
    ),
    "drift_failed": KindOfIncident(
        "Features have drifted", SEV3, _MONITORED, "Open the report; ask the owner."
    ),
    "quality_failed": KindOfIncident(
        "Live requests break the data contract",
        SEV3,
        _MONITORED,
        "Open the report; ask the owner which consumer sends them.",
    ),
    "stream_alarm": KindOfIncident(
        "A model's promised streams changed beyond chance",
        SEV2,
        _MONITORED,
        "Open the page Promise: it names the streams and how far they moved. Compare with the "
        "monitoring page of the model; ask the owner whether the source changed or a retraining "
        "helps.",
    ),
    "partly_usable": KindOfIncident(
        "A model cannot use the newest batch",
        SEV2,
        "The batch is published; whatever serves keeps serving, and other models train on it.",
        "Ask the owner for the lost column, or map its new name under `contract.renames`; the next "
        "batch that every model can use closes the incident.",
    ),
    "landing_not_read": KindOfIncident(
        "Names in the landing folder cannot be taken",
        SEV3,
        "Batches beside them are taken.",
        "Ask the owner: the steward removes or renames them.",
    ),
    "alias_moved": KindOfIncident(
        "Somebody moved an alias in MLflow",
        SEV3,
        "Serving does not follow MLflow; the alias was put back.",
        "Ask the owner who did it; promote through promote_model instead.",
    ),
    "review_expired": KindOfIncident(
        "Decisions waited for a person until they expired",
        SEV2,
        "What the gateway answered stands.",
        "Answer one in the review queue (`tenure review list`), and the incident closes; ask the "
        "owner for more reviewers if it happens again.",
    ),
    "feedback_failed": KindOfIncident(
        "People object to decisions",
        SEV3,
        _MONITORED,
        "Open the feedback page of the model: it has the segments and the reasons. Ask the owner: "
        "a feature to examine, a review rule, or a retraining.",
    ),
    "feedback_unmatched": KindOfIncident(
        "Feedback means no decision",
        SEV3,
        "It is kept, and looked for again; all other feedback counts.",
        "Ask the owner which client sends these ids: a decision id stands in `decision_ids` of the "
        "answer, a request id must be that of one row.",
    ),
    "dag_import_error": KindOfIncident(
        "Airflow cannot import a DAG file",
        SEV2,
        "Other files are not affected; gateways do not depend on Airflow.",
        "Read the error in the summary, mend the file, check the file again on the incident page: "
        "it closes when Airflow imports the file.",
    ),
    "alert_channel_silent": KindOfIncident(
        "A channel of alerts takes nothing",
        SEV2,
        "Each alert waits in the outbox for this channel; the other receivers are told.",
        "Set the variable that `alert_channels` of platform.yaml names for it, or ask who runs the "
        "service. Maintenance sends again every five minutes, and what it takes ends the incident.",
    ),
    "pool_absent": KindOfIncident(
        "A pool of Airflow is absent or too small",
        SEV2,
        "What serves goes on serving; nothing was lost: the tasks wait.",
        "Ask the owner how many slots it needs, and make the pool: `airflow pools set NAME SLOTS "
        "TEXT`, or in Airflow Admin → Pools. The tasks then start, and the incident ends.",
    ),
}
"""Every kind that anything opens. Kinds in CamelCase are classes of errors or of bugs."""


def kind_of(kind: str) -> KindOfIncident:
    """The entry of the table; what is not in it is the class of a bug.

    >>> kind_of("KeyError").title, str(kind_of("drift_failed").severity)
    ('Bug or unexpected error', 'sev3')
    """
    return KINDS.get(kind) or KindOfIncident(
        BUG if kind[:1].isupper() else kind.replace("_", " ").capitalize()
    )
