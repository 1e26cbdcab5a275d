"""What approvers are asked about a version, from its own row, and whether it is still that.

Import it inside functions: it loads SQLAlchemy.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tenure.adapters.sql import approvals, reports, training, versions
from tenure.config import ModelConfig, parse_model
from tenure.errors import ArtifactRefused, ConfigInvalid
from tenure.installation import Installation
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.policy import end_of
from tenure.lifecycle.promotion import approval
from tenure.lifecycle.promotion.approval import ApprovalQuestion, Caution
from tenure.lifecycle.training.lowered_gates import lowered_bias, lowered_evaluation
from tenure.verdicts import Verdict
from tenure.vocabulary import State

if TYPE_CHECKING:
    from sqlalchemy import Connection


def question(connection: "Connection", row: VersionRow, *risk_tiers: str) -> ApprovalQuestion:
    """The question about a version row.

    Args:
        connection: Of the lifecycle database, whose own tier of the model counts as well.
        row: Every column of the version.
        risk_tiers: Further tiers of which the strictest sets the quorum.
    """
    artifact, onnx = str(row.artifact_digest), row.facts.onnx_file
    return ApprovalQuestion(
        name=row.name,
        trained_by=row.trained_by,
        artifact=artifact,
        evidence=approval.evidence_digest(
            artifact=artifact,
            evaluation=str(row.evaluation_report),
            bias=str(row.bias_report),
            onnx=onnx.digest if onnx else None,
        ),
        quorum=approval.quorum_of(*risk_tiers, approvals.risk_tier(connection, row.model)),
    )


def authorized_until(connection: "Connection", version_id: int) -> datetime | None:
    """When the authorization of a version ends, or ended; None when it never had one."""
    row = versions.row_by_id(connection, version_id)
    return approval.authorized_until(
        question(connection, row),
        approvals.answers_of(connection, version_id),
        excused_until=list(excuses(connection, row).values()),
    )


def excuses(connection: "Connection", row: VersionRow) -> dict[str, datetime]:
    """Gates that the version did not pass and was excused from: stage to the excuse's end.

    Excuses are those of the config that it was planned with: a later one is none for its bytes.
    """
    found = {}
    for stage, digest in (("evaluation", row.evaluation_report), ("bias", row.bias_report)):
        stored = reports.by_digest(connection, digest) if digest else None
        if stored is None or stored.verdict is Verdict.PASSED or stored.report.enforced:
            continue
        config = _planned_with(connection, row)
        gates = {} if config is None else {"evaluation": config.evaluation, "bias": config.bias}
        # An excuse of which nobody can tell the end has none to come.
        found[stage] = (gates[stage].excused_until if gates else None) or row.created_at
    config = _planned_with(connection, row)
    if config is not None and config.needs_waiver and config.training.waiver is not None:
        found["interpretability"] = config.training.waiver.excused_until
    if config is not None and config.mitigation is not None and config.mitigation.decision:
        found[BY_GROUP] = end_of(config.mitigation.decision.until)
    return found


def read_first(connection: "Connection", row: VersionRow) -> tuple[Caution, ...]:
    """What an approver has to know before any number: refused bytes, excuses, lowered gates.

    The gates are those that the version was planned with, beside those of the last champion and of
    the last version that was rejected.
    """
    said = [
        Caution(
            "same_bytes",
            f"{one.name} has the same bytes and was {_WORDS[one.dst]} by {_who(one)} on "
            f"{one.at.astimezone(UTC):%Y-%m-%d}{_why(one)}",
        )
        for one in approvals.refusals_of(connection, str(row.artifact_digest), but=row.id)
    ]
    said += [
        Caution(
            "excused",
            f"It {_EXCUSED.get(stage, f'did not pass its {stage} gate and is excused')} until "
            f"{end:%Y-%m-%d %H:%M} UTC: from then on it may not serve, however long an approval "
            "holds",
        )
        for stage, end in excuses(connection, row).items()
    ]
    for state in (State.CHAMPION, State.REJECTED):
        other = approvals.last_in_state(connection, row.model, (state,), before=row.version)
        if other is not None:
            earlier = versions.row_by_id(connection, other.id)
            since = f"Since {other.name} ({_LAST[state]})"
            said += [
                Caution("lowered", f"{since} {one}") for one in _lowered(connection, earlier, row)
            ]
    return tuple(said)


def cautions(platform: Installation, row: VersionRow) -> tuple[tuple[Caution, ...], str]:
    """As `read_first`, for the page; and why they cannot be known, which is empty when they are."""
    try:
        with platform.database.begin() as connection:
            return read_first(connection, row), ""
    except ArtifactRefused as error:
        return (), error.what


BY_GROUP = "thresholds by group"
"""Ends when the decision ends that groups are decided by rules of their own."""
_EXCUSED = {
    BY_GROUP: "decides people by thresholds of their group, which somebody answers for",
}
_WORDS = {State.REJECTED: "rejected", State.ROLLED_BACK: "taken out of traffic"}
_LAST = {State.CHAMPION: "the last champion", State.REJECTED: "the last one rejected"}


def _who(one: approvals.RefusedBytes) -> str:
    people = one.body.get("by")
    return ", ".join(map(str, people)) if isinstance(people, list) and people else one.actor


def _why(one: approvals.RefusedBytes) -> str:
    reason = one.note or one.body.get("reason")
    return f": {str(reason).rstrip('.')}" if reason else ""


def _lowered(connection: "Connection", earlier: VersionRow, row: VersionRow) -> list[str]:
    if earlier.config_digest == row.config_digest:
        return []
    before, now = _planned_with(connection, earlier), _planned_with(connection, row)
    if before is None or now is None:
        return ["the config changed, and one of both cannot be read: its gates cannot be compared"]
    gates = lowered_evaluation(before.evaluation, now.evaluation)
    return [
        f"the gate was lowered: {one}" for one in (*gates, *lowered_bias(before.bias, now.bias))
    ]


def _planned_with(connection: "Connection", row: VersionRow) -> ModelConfig | None:
    """The config that the version was planned with; None when it is not kept or not valid now."""
    text = training.find_config_text(connection, str(row.config_digest))
    try:
        return None if text is None else parse_model(text)
    except ConfigInvalid:
        return None


def require_evidence(connection: "Connection", version_id: int) -> None:
    """Refuse a version whose reports or ONNX file are not those that were approved.

    The database itself counts approvals of the artifact that are in date.

    Raises:
        NotPermitted: They changed since.
    """
    row = versions.row_by_id(connection, version_id)
    approval.require_bound(question(connection, row), approvals.answers_of(connection, version_id))
